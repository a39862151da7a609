//! Why a store cannot be created, opened, read or written.

use std::{error::Error, io, path::PathBuf};

use countersign_types::{ComponentDigest, NetworkId, NodePublicKey};

use crate::{KdfError, SCHEMA};

/// What an operator can do about a damaged database.
const ADVICE: &str = "check the disk, then put back a copy of the whole folder or set the node up anew; \
                      the network signs without it as long as enough others run";

/// Why a read or a write failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No room: the disk, the owner's quota or the process's limit on file sizes.
    #[error("no space left on the disk of the database, while {operation}")]
    DiskFull {
        /// What was being done.
        operation: &'static str,
        /// What the system said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Bytes on disk are not those that were written.
    #[error("the database is damaged, while {operation}: {what}; {ADVICE}")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// What does not hold.
        what: String,
    },
    /// A component's bytes are not those of its digest: fetch it again from a peer.
    #[error("the stored component {expected} is damaged: its bytes hash to {got}")]
    CorruptComponent {
        /// The digest that was asked for.
        expected: ComponentDigest,
        /// The digest of what is stored.
        got: ComponentDigest,
    },
    /// An earlier write failed: nothing is written until the database is opened again.
    #[error("the database takes no writes since one failed: restart the node once the disk is in order")]
    Stopped,
    /// Any other failure of the disk or of RocksDB.
    #[error("the database failed, while {operation}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// What the system said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the node must stop: everything but a component, which a peer can replace.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::Corrupt { .. } | Self::Stopped | Self::Io { .. } => true,
            Self::CorruptComponent { .. } => false,
        }
    }

    pub(crate) fn corrupt(operation: &'static str, what: impl Into<String>) -> Self {
        Self::Corrupt { operation, what: what.into() }
    }

    pub(crate) fn io(operation: &'static str, source: io::Error) -> Self {
        if is_full(&source) {
            Self::DiskFull { operation, source: source.into() }
        } else {
            Self::Io { operation, source: source.into() }
        }
    }

    /// RocksDB's errors are texts: a kind, what was being done, and what the system said.
    #[cfg(feature = "database")]
    pub(crate) fn rocksdb(operation: &'static str, error: rocksdb::Error) -> Self {
        let full = FULL_TEXTS.iter().any(|text| error.as_ref().contains(text));
        if full {
            Self::DiskFull { operation, source: error.into() }
        } else if matches!(error.kind(), rocksdb::ErrorKind::Corruption) {
            Self::corrupt(operation, error.into_string())
        } else {
            Self::Io { operation, source: error.into() }
        }
    }
}

/// What the system calls ENOSPC, EDQUOT and EFBIG in RocksDB's texts.
#[cfg(feature = "database")]
const FULL_TEXTS: [&str; 3] = ["No space left on device", "Disk quota exceeded", "File too large"];

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Why a store was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Something is there already.
    #[error(
        "{path:?} is not empty: if this node has joined its network, run it (and keep the database, which holds its key shares); else \
         name a new or empty folder"
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The passphrase has no characters.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The passphrase could not be stretched.
    #[error(transparent)]
    Kdf(#[from] KdfError),
    /// A folder or file could not be made.
    #[error("the database cannot be created in {path:?}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is none.
    #[error(
        "there is no database in {path:?}: a new node makes it with `countersign node join`; one that had a database and has lost it \
         gets it back from its backup with `countersign node restore`, or it has no key shares and cannot sign"
    )]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// Files are missing.
    #[error("the database in {path:?} has no {file}: its creation was cut short, or its copy is not whole")]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// The missing file.
        file: &'static str,
    },
    /// Another process has it open.
    #[error("the database in {path:?} is in use by another process: if the node runs, stop it first")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error(
        "the database has layout version {got}, this program reads version {SCHEMA}: run the version that wrote it, or join a network with a new data folder"
    )]
    Schema {
        /// Its version.
        got: u32,
    },
    /// It belongs to another network.
    #[error("this database belongs to network {got}, expected {expected}")]
    Network {
        /// The network that is asked for.
        expected: NetworkId,
        /// The database's network.
        got: NetworkId,
    },
    /// It belongs to another node.
    #[error("this database belongs to node {got}, expected {expected}")]
    Node {
        /// The node that is asked for.
        expected: NodePublicKey,
        /// The database's node.
        got: NodePublicKey,
    },
    /// The passphrase is another.
    #[error("the passphrase does not open this database")]
    Passphrase,
    /// The passphrase could not be stretched.
    #[error(transparent)]
    Kdf(#[from] KdfError),
    /// A file could not be read.
    #[error("the database cannot be opened: {path:?}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its content cannot be read, is damaged, or the new generation could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let mut full = File::options().write(true).open("/dev/full").expect("a device that is always full");
        let error = full.write_all(b"x").expect_err("it is full");
        assert!(matches!(StoreError::io("testing", error), StoreError::DiskFull { .. }));

        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(StoreError::io("testing", other), StoreError::Io { .. }));
    }

    #[test]
    fn only_a_component_does_not_stop_the_node() {
        let digest = ComponentDigest::from([1; 32]);
        assert!(!StoreError::CorruptComponent { expected: digest, got: digest }.is_fatal());
        assert!(StoreError::Stopped.is_fatal());
        assert!(StoreError::corrupt("testing", "a record").is_fatal());
    }
}
