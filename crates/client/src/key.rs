//! Keys, offline: from genesis, root keys and spec.

use countersign_threshold as threshold;
use countersign_types::{
    Address, KeyId, KeySpec, KeySpecError, Payload, PayloadError, PublicKey, Scheme, Signature,
};

use crate::{BitcoinNetwork, Trust, TrustError, bitcoin_address, ethereum_address, solana_address};

/// Why there is no such key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DerivedKeyError {
    /// The spec is malformed.
    #[error(transparent)]
    Spec(#[from] KeySpecError),
    /// The network has no root for it.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Why a signature is not one of a payload by a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key signs no such payload.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// It does not verify.
    #[error(transparent)]
    Signature(#[from] threshold::VerifyError),
}

/// A key of a network, computed without asking anybody.
///
/// It follows from the genesis and the root keys that every member of it activated, both in a [`Trust`], and from the key's own
/// spec: whoever computes it gets the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedKey {
    spec: KeySpec,
    key_id: KeyId,
    public_key: PublicKey,
}

impl DerivedKey {
    /// The key of a spec in canonical form.
    pub fn new(trust: &Trust, spec: KeySpec) -> Result<Self, DerivedKeyError> {
        spec.validate()?;
        let key_id = spec.key_id();
        let public_key = trust.public_key(spec.scheme, &key_id)?;
        Ok(Self { spec, key_id, public_key })
    }

    /// What it is.
    pub fn spec(&self) -> &KeySpec {
        &self.spec
    }

    /// Its id: the hash of the spec.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Its scheme.
    pub fn scheme(&self) -> Scheme {
        self.spec.scheme
    }

    /// Its public key, in the scheme's own encoding.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Checks a signature of a payload. It tells that the key's action allowed this payload, not for which request.
    pub fn verify(&self, payload: &Payload, signature: &Signature) -> Result<(), SignatureError> {
        let message = payload.signed_bytes(&self.spec)?;
        Ok(threshold::verify(self.scheme(), &self.public_key, &message, signature)?)
    }

    /// Its address for contracts that verify its signatures; see [`ethereum_address`].
    pub fn ethereum_address(&self) -> Option<Address> {
        ethereum_address(self.scheme(), &self.public_key)
    }

    /// Its Taproot address; see [`bitcoin_address`].
    pub fn bitcoin_address(&self, network: BitcoinNetwork) -> Option<String> {
        bitcoin_address(self.scheme(), &self.public_key, network)
    }

    /// Its address on Solana; see [`solana_address`].
    pub fn solana_address(&self) -> Option<String> {
        solana_address(self.scheme(), &self.public_key)
    }
}
