//! A deterministic world around the session state machines: network, faults, attackers and invariants.
