//! Backups of a node: taken from its database, and put in place of a lost one.
//!
//! What a backup holds, and how it is sealed, says `countersign-backup`; here are the disk and the clock. A restored
//! database goes on with the node's list of starts, so that peers tell it from any other that this node has run on: if
//! the node has started since the backup, they refuse it until their operators readmit it, and if it has not, they accept
//! whichever of the two starts first.

mod file;
mod restore;
mod take;
#[cfg(test)]
mod tests;
mod wait;
mod within;

pub use file::{ReadError, WriteError, read, write_new, write_new_with_mode};
pub use restore::{Known, RestoreError, Restored, restore};
pub use take::{TakeError, take};
pub(crate) use wait::signs_from;
pub use within::outside;

/// The names of schemes, for people.
fn names(schemes: &[countersign_types::Scheme]) -> String {
    schemes.iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(", ")
}
