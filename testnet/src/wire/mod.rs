//! What nodes said to each other, read from their wire logs and checked by rules of its own: nothing here is shared with the
//! code that signs.

pub mod check;
pub mod log;
pub mod tail;

pub use check::{Summary, Violation, check};
pub use log::{Event, Line, Log, Package, Way};
pub use tail::Tail;
