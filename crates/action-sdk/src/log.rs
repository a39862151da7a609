//! Lines for the operator and for the author. They reach neither the caller nor the receipt, and what is beyond
//! the manifest's `log_bytes` is dropped.

use crate::bindings::countersign::action::log as host;

pub use host::Level;

/// Writes a line.
pub fn emit(level: Level, message: &str) {
    host::emit(level, message);
}

/// Writes a line that only somebody who looks for a fault wants.
pub fn debug(message: &str) {
    emit(Level::Debug, message);
}

/// Writes a line of information.
pub fn info(message: &str) {
    emit(Level::Info, message);
}

/// Writes a warning.
pub fn warn(message: &str) {
    emit(Level::Warn, message);
}

/// Writes an error.
pub fn error(message: &str) {
    emit(Level::Error, message);
}

/// Lets panics be logged; [`action!`](crate::action) calls it first.
#[doc(hidden)]
pub fn panics() {
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}
