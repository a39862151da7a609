//! What a node keeps on disk: sealed key shares, actions, and the journal of key generation.
//!
//! A [`Store`] is a folder of mode 0700 that belongs to one node of one network and to one process at a time:
//!
//! | file | content |
//! |---|---|
//! | `header`, `header.copy` | schema, owner, and the data key wrapped under the passphrase; never rewritten |
//! | `watermark` | how many writes were acknowledged; its lock is the database's lock |
//! | `rocksdb/` | the [records](self#records) |
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
//! # Records
//!
//! Keys are a byte for the type and then fields of fixed length, numbers big-endian: types do not overlap, and keys
//! sort by epoch, scheme and attempt.

mod actions;
mod attempts;
mod boots;
mod database;
mod error;
mod frame;
mod header;
mod identity;
mod keygen;
mod layout;
mod receipts;
mod seal;
mod store;
mod watermark;

pub use actions::{ActionUsage, Bounds, MAX_LISTED, PutActionError, StoredAction};
pub use attempts::{JoinError, JoinedRecord, MAX_NOTE_BYTES};
pub use boots::{BOOT_ID_BYTES, StoredBoot};
pub use error::{CreateError, OpenError, StoreError};
pub use identity::{IdentityFile, IdentityFileError};
pub use keygen::{
    ActivateError, ActivationRecord, ActiveShare, MAX_CONFIRMATIONS_BYTES, MAX_PENDING_SHARES,
    MAX_SHARE_BYTES, PendingShares, PutRootKeysError, PutShareError,
};
pub use layout::SCHEMA;
pub use receipts::{ReceiptBounds, Receipts, ReceiptsError};
pub use seal::{KdfError, KdfParameters};
pub use store::{Owner, Put, Store};
