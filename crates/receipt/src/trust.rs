//! What is believed: a genesis, and root keys that all its members activated.

use countersign_threshold::{DeriveError, derive_public_key};
use countersign_types::{
    Committee, Genesis, GenesisError, KeyId, NetworkId, PublicKey, RootKeys, RootKeysError, Scheme,
};

/// Why there is nothing to trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The genesis is not one.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The root keys do not count.
    #[error(transparent)]
    RootKeys(#[from] RootKeysError),
    /// The network has no root key of this scheme.
    #[error("the network has no root key for {scheme}")]
    NoRoot {
        /// The scheme.
        scheme: Scheme,
    },
    /// A key cannot be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
}

/// A network's genesis and its activated root keys: enough to compute every key and to check every answer,
/// offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    network: NetworkId,
    committee: Committee,
    root_keys: RootKeys,
}

impl Trust {
    /// Accepts root keys that every member of the genesis activated.
    pub fn new(genesis: &Genesis, root_keys: RootKeys) -> Result<Self, TrustError> {
        let (network, committee) = (genesis.network_id(), genesis.committee()?);
        root_keys.verify(network, &committee)?;
        Ok(Self { network, committee, root_keys })
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The root keys.
    pub fn root_keys(&self) -> &RootKeys {
        &self.root_keys
    }

    /// The members and the threshold.
    pub fn committee(&self) -> &Committee {
        &self.committee
    }

    /// The public key of a key: the root's child by the key's id.
    pub fn public_key(&self, scheme: Scheme, key: &KeyId) -> Result<PublicKey, TrustError> {
        let root = self.root_keys.root(scheme).ok_or(TrustError::NoRoot { scheme })?;
        Ok(derive_public_key(&root.public_key, scheme, key)?)
    }
}
