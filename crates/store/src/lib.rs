//! What a node keeps on disk: sealed key shares, actions, and the journal of key generation.
//!
//! A [`Store`] is a folder of mode 0700 that belongs to one node of one network and to one process at a time:
//!
//! | file | content |
//! |---|---|
//! | `header`, `header.copy` | schema, owner, and the data key wrapped under the passphrase; never rewritten |
//! | `watermark` | how many writes were acknowledged; its lock is the database's lock |
//! | `rocksdb/` | the [records](self#records) |
//! | `restored` | not the store's: where a backup was put back, the node notes until when it waits |
//!
//! Before it has a network, a node has its identity in an [`IdentityFile`].
//!
//! **Sealing.** Argon2id stretches the passphrase into a key that wraps a random data key; the data key, by HKDF,
//! gives the key that seals records with XChaCha20-Poly1305. A record's place (network, node, type, epoch,
//! scheme, attempt) is its associated data: a record that is moved elsewhere does not open.
//!
//! **Durability.** A method that writes returns once the write is synced. RocksDB takes a damaged log for one that
//! ends early and then goes on without its end; so every batch carries a *head* that counts what there is, the
//! watermark counts what was acknowledged, and [`Store::open`] refuses a database that has less. After a failed
//! write the store writes no more ([`StoreError::is_fatal`]).
//!
//! **Concurrency.** Every method is synchronous and may block on the disk. A store is `Send` and `Sync`; writes
//! are one at a time.
//!
//! Without the feature `database` there is no RocksDB and no store: what is left reads bytes, and the identity's file.
//!
//! # Records
//!
//! Keys are a byte for the type and then fields of fixed length, numbers big-endian: types do not overlap, and keys
//! sort by epoch, scheme and attempt.

#![cfg_attr(
    not(feature = "database"),
    allow(dead_code, rustdoc::broken_intra_doc_links, reason = "what only a store calls or tells of")
)]

#[cfg(feature = "database")]
mod actions;
#[cfg(feature = "database")]
mod attempts;
#[cfg(feature = "database")]
mod boots;
#[cfg(feature = "database")]
mod database;
mod error;
pub mod file;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod identity;
#[cfg(feature = "database")]
mod keygen;
mod layout;
mod pending;
#[cfg(feature = "database")]
mod receipts;
mod records;
mod seal;
#[cfg(feature = "database")]
mod store;
mod watermark;

#[cfg(feature = "database")]
pub use actions::{ActionUsage, Bounds, MAX_LISTED, PutActionError};
#[cfg(feature = "database")]
pub use attempts::{JoinError, MAX_NOTE_BYTES};
pub use error::{CreateError, OpenError, StoreError};
pub use header::Owner;
pub use identity::{IdentityFile, IdentityFileError};
#[cfg(feature = "database")]
pub use keygen::{
    ActivateError, ActiveShare, MAX_CONFIRMATIONS_BYTES, MAX_PENDING_SHARES, PutRootKeysError, PutShareError,
};
pub use layout::SCHEMA;
pub use pending::{MAX_SHARE_BYTES, PendingShares};
#[cfg(feature = "database")]
pub use receipts::{Dropped, NewReceipt, ReceiptBounds, Receipts, ReceiptsError};
pub use records::{ActivationRecord, BOOT_ID_BYTES, JoinedRecord, StoredAction, StoredBoot};
pub use seal::{KdfError, KdfParameters};
#[cfg(feature = "database")]
pub use store::{Put, Store};
