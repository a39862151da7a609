//! The host that runs actions: engine, limits, record and replay.
