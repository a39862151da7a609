//! What a client believes: a genesis, and root keys that all its members activated.

use countersign_threshold::{DeriveError, derive_public_key};
use countersign_types::{
    Address, Committee, Genesis, GenesisError, KeyId, NetworkId, NodePublicKey, PublicKey, RootKeys,
    RootKeysError, Scheme,
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
    pub(crate) network: NetworkId,
    pub(crate) committee: Committee,
    root_keys: RootKeys,
}

impl Trust {
    /// Accepts root keys that every member of the genesis activated.
    pub fn new(genesis: &Genesis, root_keys: RootKeys) -> Result<Self, TrustError> {
        let (network, committee) = (genesis.network_id(), genesis.committee()?);
        root_keys.verify(network, &committee)?;
        Ok(Self { network, committee, root_keys })
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

/// The Ethereum address of a key on secp256k1; none for other schemes and for what is no public key.
pub fn ethereum_address(scheme: Scheme, public_key: &PublicKey) -> Option<Address> {
    if !scheme.is_secp256k1() {
        return None;
    }
    // An identity's address is that of any compressed point on the curve.
    let point = public_key.0.as_ref().try_into().ok()?;
    Some(NodePublicKey::from_bytes(point).ok()?.address())
}

#[cfg(test)]
mod tests {
    use countersign_types::{Bytes, NodeKey};

    use super::*;

    #[test]
    fn the_address_of_a_key_is_that_of_its_point() {
        let key = NodeKey::from_bytes([1; 32]).expect("a scalar").public_key();
        let public_key = PublicKey(Bytes::copy_from_slice(key.as_bytes()));
        assert_eq!(ethereum_address(Scheme::SchnorrSecp256k1, &public_key), Some(key.address()));
        let other = PublicKey(vec![5; 33].into());
        assert_eq!(ethereum_address(Scheme::SchnorrSecp256k1, &other), None);
    }
}
