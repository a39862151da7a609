//! A node's identity before it has a network: its key, sealed in a file of its own.
//!
//! A genesis lists its members' keys, so a node has its key first and a database of that network later.

use std::{
    io,
    path::{Path, PathBuf},
};

use countersign_types::{NodeKey, NodePublicKey};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    KdfError, KdfParameters, SCHEMA, StoreError,
    file::{self, PRIVATE},
    frame::{self, FrameError},
    seal::{DataKey, SALT_BYTES, fill},
};

pub(crate) const MAGIC: [u8; 8] = *b"CSIDENT\n";

/// The file with a node's sealed identity key, of mode 0600.
#[derive(Debug, Serialize, Deserialize)]
pub struct IdentityFile {
    node: NodePublicKey,
    kdf: KdfParameters,
    salt: [u8; SALT_BYTES],
    wrapped: Vec<u8>,
}

/// Why there is no identity to be had from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFileError {
    /// It is there already, and an identity is never overwritten.
    #[error("{path:?} holds an identity already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It is not there.
    #[error("there is no identity in {path:?}: create it with `countersign node init`")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Its bytes are not those that were written.
    #[error("the identity in {path:?} is damaged: put back a copy of the file, or set the node up anew")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error(
        "the identity in {path:?} has layout version {got}, this program reads version {SCHEMA}: run the version that wrote it, or set the node up anew"
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: u32,
    },
    /// The passphrase has no characters.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The passphrase is another.
    #[error("the passphrase does not open the identity in {path:?}")]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase could not be stretched.
    #[error(transparent)]
    Kdf(#[from] KdfError),
    /// The file could not be read or written.
    #[error("the identity in {path:?} cannot be used")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key could not be made or sealed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl IdentityFile {
    /// Makes a fresh identity and writes it sealed, durably, to a file that must not exist.
    pub fn create(
        path: &Path,
        passphrase: &SecretString,
        kdf: KdfParameters,
    ) -> Result<NodeKey, IdentityFileError> {
        let key = random_key()?;
        Self::restore(path, &key, passphrase, kdf)?;
        Ok(key)
    }

    /// Writes an identity that was made before, sealed, durably, to a file that must not exist.
    pub fn restore(
        path: &Path,
        key: &NodeKey,
        passphrase: &SecretString,
        kdf: KdfParameters,
    ) -> Result<(), IdentityFileError> {
        if passphrase.expose_secret().is_empty() {
            return Err(IdentityFileError::EmptyPassphrase);
        }
        let mut salt = [0; SALT_BYTES];
        fill(&mut salt)?;
        let mut file = Self { node: key.public_key(), kdf, salt, wrapped: Vec::new() };
        let data = DataKey::of(key.to_bytes());
        file.wrapped = data.wrap(&kdf.stretch(passphrase, &salt)?, &file.associated_data())?;

        file::write_new(path, &file.encode(), PRIVATE).map_err(|source| unusable(path, source))
    }

    /// Opens the identity in a file.
    pub fn open(path: &Path, passphrase: &SecretString) -> Result<NodeKey, IdentityFileError> {
        let file = Self::read(path)?;
        let key = file.kdf.stretch(passphrase, &file.salt)?;
        let data = DataKey::unwrap(&file.wrapped, &key, &file.associated_data())
            .ok_or_else(|| IdentityFileError::Passphrase { path: path.into() })?;
        NodeKey::from_bytes(*data.into_bytes())
            .ok()
            .filter(|key| key.public_key() == file.node)
            .ok_or_else(|| IdentityFileError::Damaged { path: path.into() })
    }

    /// Whose identity lies in a file. Needs no passphrase.
    pub fn read_public_key(path: &Path) -> Result<NodePublicKey, IdentityFileError> {
        Ok(Self::read(path)?.node)
    }

    fn read(path: &Path) -> Result<Self, IdentityFileError> {
        let bytes = frame::read(path).map_err(|source| unusable(path, source))?;
        Self::decode(&bytes).map_err(|error| match error {
            FrameError::Damaged => IdentityFileError::Damaged { path: path.into() },
            FrameError::Schema { got } => IdentityFileError::Schema { path: path.into(), got },
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        frame::encode(MAGIC, &postcard::to_stdvec(self).expect("an identity knows its lengths"))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        postcard::from_bytes(frame::decode(MAGIC, bytes)?).map_err(|_| FrameError::Damaged)
    }

    fn associated_data(&self) -> Vec<u8> {
        [
            b"countersign-store/identity-file".as_slice(),
            &SCHEMA.to_be_bytes(),
            self.node.as_bytes(),
            &self.kdf.associated_data(),
            &self.salt,
        ]
        .concat()
    }
}

fn unusable(path: &Path, source: io::Error) -> IdentityFileError {
    let path = path.into();
    if source.kind() == io::ErrorKind::AlreadyExists {
        IdentityFileError::Exists { path }
    } else if source.kind() == io::ErrorKind::NotFound {
        IdentityFileError::Missing { path }
    } else {
        IdentityFileError::Io { path, source }
    }
}

/// Not every 32 bytes are a key, but all but one in 2^127 are.
fn random_key() -> Result<NodeKey, StoreError> {
    loop {
        let mut bytes = Zeroizing::new([0; 32]);
        fill(bytes.as_mut_slice())?;
        if let Ok(key) = NodeKey::from_bytes(*bytes) {
            return Ok(key);
        }
    }
}
