//! What an action written in Rust depends on.
