//! Whether all is well with a node, in words: before it starts, and while it runs.
//!
//! [`check`] looks at everything that a node depends on and returns a [`Report`], the document of
//! `countersign node check --json`. Checks run side by side, each within its time: one that hangs is named, and keeps no
//! other from ending.
//!
//! - **It disturbs nothing.** The database is never opened, so no start is counted and no boot registered: what is read of it
//!   is its unsealed header. Members are dialled with a key that nobody knows, which they refuse, so that no connection
//!   between members changes. What only the node knows is asked of its HTTP interface.
//! - **Failed** means that this node cannot start or cannot do its part now. **Warning** means that it can, and that somebody
//!   should look. **Skipped** means that nothing can be said, and why.

mod addresses;
mod chains;
mod clock;
mod configuration;
mod database;
mod disk;
mod files;
#[cfg(test)]
mod fixture;
mod interface;
mod membership;
mod node;
mod peers;
mod report;
mod run;
mod tasks;
mod versions;

pub use report::{Check, Name, Report, SCHEMA, State};
pub use run::{Options, check};
