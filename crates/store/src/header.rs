//! The header: whose database this is, and its data key wrapped under the passphrase.
//!
//! Losing these few bytes would lose every share, so there are two copies, either of which will do.

use std::{io, path::Path};

use countersign_types::{NetworkId, NodePublicKey};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    CreateError, KdfParameters, OpenError, StoreError,
    file::{self, PRIVATE},
    frame::{self, FrameError},
    layout::{HEADER, HEADER_COPY, SCHEMA},
    seal::{DataKey, SALT_BYTES, fill},
};

pub(crate) const MAGIC: [u8; 8] = *b"CSSTORE\n";

/// Whose database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The network.
    pub network: NetworkId,
    /// The node.
    pub node: NodePublicKey,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    network: NetworkId,
    node: NodePublicKey,
    kdf: KdfParameters,
    salt: [u8; SALT_BYTES],
    wrapped: Vec<u8>,
}

impl Header {
    /// A header for a new database, and its new data key.
    pub(crate) fn generate(
        owner: &Owner,
        passphrase: &SecretString,
        kdf: KdfParameters,
    ) -> Result<(Self, DataKey), CreateError> {
        let data = DataKey::random()?;
        let mut salt = [0; SALT_BYTES];
        fill(&mut salt)?;
        let mut header = Self { network: owner.network, node: owner.node, kdf, salt, wrapped: Vec::new() };
        header.wrapped = data.wrap(&kdf.stretch(passphrase, &salt)?, &header.associated_data())?;
        Ok((header, data))
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner { network: self.network, node: self.node }
    }

    /// The data key, if the passphrase is the right one.
    pub(crate) fn unwrap(&self, passphrase: &SecretString) -> Result<DataKey, OpenError> {
        let key = self.kdf.stretch(passphrase, &self.salt)?;
        DataKey::unwrap(&self.wrapped, &key, &self.associated_data()).ok_or(OpenError::Passphrase)
    }

    fn associated_data(&self) -> Vec<u8> {
        [
            b"countersign-store/data-key".as_slice(),
            &SCHEMA.to_be_bytes(),
            self.network.as_bytes(),
            self.node.as_bytes(),
            &self.kdf.associated_data(),
            &self.salt,
        ]
        .concat()
    }

    /// Writes both copies, durably.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), CreateError> {
        let bytes = self.encode();
        for name in [HEADER_COPY, HEADER] {
            let path = folder.join(name);
            file::write_new(&path, &bytes, PRIVATE).map_err(|source| CreateError::Io { path, source })?;
        }
        Ok(())
    }

    /// Reads the first copy that is whole.
    pub(crate) fn read(folder: &Path) -> Result<Self, OpenError> {
        let mut damaged = false;
        for name in [HEADER, HEADER_COPY] {
            let path = folder.join(name);
            match frame::read(&path) {
                Ok(bytes) => match Self::decode(&bytes) {
                    Ok(header) => return Ok(header),
                    Err(FrameError::Schema { got }) => return Err(OpenError::Schema { got }),
                    Err(FrameError::Damaged) => damaged = true,
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(OpenError::Io { path, source }),
            }
        }
        Err(if damaged {
            StoreError::corrupt("reading the header", "neither of its copies is whole").into()
        } else {
            OpenError::Incomplete { path: folder.into(), file: HEADER }
        })
    }

    /// The names of the copies that are not whole, and so would not do if they were the only one.
    pub(crate) fn damaged_copies(folder: &Path) -> Vec<&'static str> {
        let is_whole =
            |name: &str| frame::read(&folder.join(name)).is_ok_and(|bytes| Self::decode(&bytes).is_ok());
        [HEADER, HEADER_COPY].into_iter().filter(|name| !is_whole(name)).collect()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        frame::encode(MAGIC, &postcard::to_stdvec(self).expect("a header knows its lengths"))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        postcard::from_bytes(frame::decode(MAGIC, bytes)?).map_err(|_| FrameError::Damaged)
    }
}
