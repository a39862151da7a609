//! Backups of a node: what another machine needs to go on in its place, as bytes.
//!
//! A [`Backup`] holds the identity, the key shares with the root keys that all members activated, the genesis, the
//! list of the node's starts, by which its peers tell a copy from the node that ran last, and the configuration. It is checked as a whole
//! when it is made and when it is read: the shares are those of this member, of these root keys, of this network. It
//! never holds nonces, which exist in memory only, nor what a node fetches or makes again: actions, compiled code,
//! receipts.
//!
//! As bytes it is a [document](Backup::encode), and a file is that document sealed by age (feature `envelope`): under a
//! passphrase, or for whoever has one of the secret keys of some recipients. This crate reads no file and no clock.

mod content;
mod document;
#[cfg(feature = "envelope")]
mod envelope;

pub use content::{
    BOOT_ID_BYTES, Backup, Boot, Ceremony, Content, ContentError, MAX_BOOTS, MAX_CONFIG_BYTES,
};
pub use document::{DOCUMENT_VERSION, DocumentError, MAX_DOCUMENT_BYTES};
#[cfg(feature = "envelope")]
pub use envelope::{
    Identity, IdentityError, Key, Lock, MAX_RECIPIENTS, MAX_SEALED_BYTES, OpenError, Recipient,
    RecipientError, SealError, fingerprint, open, seal,
};

#[cfg(all(test, feature = "envelope"))]
mod tests;
