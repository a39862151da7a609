//! The node: configuration, driver loop and shutdown around the session core.
