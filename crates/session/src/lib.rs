//! The signing and key-generation protocols as state machines without input or output.
