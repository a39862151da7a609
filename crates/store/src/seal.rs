//! Sealing: the passphrase wraps a data key, the data key seals records.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use countersign_types::{NetworkId, NodePublicKey};
use hkdf::Hkdf;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{StoreError, layout::Place};

/// The length of an Argon2 salt, in bytes.
pub(crate) const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The most memory that a header may make Argon2 use: 1 GiB, in KiB.
const MAX_MEMORY_KIB: u32 = 1 << 20;
/// The most passes that a header may make Argon2 do.
const MAX_PASSES: u32 = 64;

/// What stretching a passphrase costs (Argon2id, RFC 9106, one lane). Stored with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct KdfParameters {
    memory_kib: u32,
    passes: u32,
}

/// Why a passphrase was not stretched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KdfError {
    /// The cost is outside what is sane.
    #[error(
        "argon2 takes 8 to {MAX_MEMORY_KIB} KiB of memory and 1 to {MAX_PASSES} passes, got {memory_kib} KiB and {passes}"
    )]
    Parameters {
        /// The memory, in KiB.
        memory_kib: u32,
        /// The passes.
        passes: u32,
    },
    /// Argon2 itself refused.
    #[error("argon2 failed: {reason}")]
    Argon2 {
        /// What it said.
        reason: String,
    },
}

impl KdfParameters {
    /// A cost: `memory_kib` from 8 to 1 GiB, `passes` from 1 to 64. Less than the default is for tests.
    pub fn new(memory_kib: u32, passes: u32) -> Result<Self, KdfError> {
        let sane = (8..=MAX_MEMORY_KIB).contains(&memory_kib) && (1..=MAX_PASSES).contains(&passes);
        if sane { Ok(Self { memory_kib, passes }) } else { Err(KdfError::Parameters { memory_kib, passes }) }
    }

    /// The memory, in KiB.
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// The passes over the memory.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// These, as associated data.
    pub(crate) fn associated_data(&self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.memory_kib.to_be_bytes(), self.passes.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }

    /// Stretches a passphrase into the key that wraps the data key.
    pub(crate) fn stretch(
        &self,
        passphrase: &SecretString,
        salt: &[u8; SALT_BYTES],
    ) -> Result<WrappingKey, KdfError> {
        let failed = |error: argon2::Error| KdfError::Argon2 { reason: error.to_string() };
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(failed)?;
        let mut memory = Zeroizing::new(vec![Block::new(); params.block_count()]);
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                passphrase.expose_secret().as_bytes(),
                salt,
                key.as_mut_slice(),
                memory.as_mut_slice(),
            )
            .map_err(failed)?;
        Ok(WrappingKey(key))
    }
}

impl Default for KdfParameters {
    /// 64 MiB and three passes: RFC 9106's second recommendation with one lane.
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3 }
    }
}

impl TryFrom<(u32, u32)> for KdfParameters {
    type Error = KdfError;

    fn try_from((memory_kib, passes): (u32, u32)) -> Result<Self, KdfError> {
        Self::new(memory_kib, passes)
    }
}

impl From<KdfParameters> for (u32, u32) {
    fn from(parameters: KdfParameters) -> Self {
        (parameters.memory_kib, parameters.passes)
    }
}

/// The passphrase, stretched.
pub(crate) struct WrappingKey(Zeroizing<[u8; 32]>);

/// What a passphrase protects: never stored but wrapped. For a database it is random, and everything else is
/// derived from it; for an identity file it is the identity.
pub(crate) struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    pub(crate) fn random() -> Result<Self, StoreError> {
        let mut key = Zeroizing::new([0; 32]);
        fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    pub(crate) fn of(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub(crate) fn into_bytes(self) -> Zeroizing<[u8; 32]> {
        self.0
    }

    /// Wraps this key. The associated data says what it is the key of.
    pub(crate) fn wrap(&self, key: &WrappingKey, associated_data: &[u8]) -> Result<Vec<u8>, StoreError> {
        seal(&key.0, associated_data, self.0.as_slice())
    }

    /// Unwraps a key; none if the wrapping key or the associated data are others.
    pub(crate) fn unwrap(wrapped: &[u8], key: &WrappingKey, associated_data: &[u8]) -> Option<Self> {
        let bytes = open(&key.0, associated_data, wrapped)?;
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.0.as_slice())
            .expand(label.as_bytes(), key.as_mut_slice())
            .expect("HKDF-SHA256 gives up to 8160 bytes");
        key
    }
}

/// Seals and opens the records of one node of one network.
pub(crate) struct Sealer {
    network: NetworkId,
    node: NodePublicKey,
    records: Zeroizing<[u8; 32]>,
    artefacts: Zeroizing<[u8; 32]>,
}

impl Sealer {
    pub(crate) fn new(data: &DataKey, network: NetworkId, node: NodePublicKey) -> Self {
        let (records, artefacts) =
            (data.derive("countersign-store/records"), data.derive("countersign-store/artefacts"));
        Self { network, node, records, artefacts }
    }

    /// The key that authenticates compiled actions outside the store.
    pub(crate) fn artefact_key(&self) -> Zeroizing<[u8; 32]> {
        self.artefacts.clone()
    }

    /// Seals a record for its place.
    pub(crate) fn seal(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        seal(&self.records, &place.associated_data(self.network, &self.node), plain)
    }

    /// Opens the record of a place.
    pub(crate) fn open(
        &self,
        operation: &'static str,
        place: Place,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        open(&self.records, &place.associated_data(self.network, &self.node), sealed)
            .ok_or_else(|| StoreError::corrupt(operation, format!("the seal of {place:?} does not hold")))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer(of {})", self.node)
    }
}

/// Fills with bytes of the system's generator.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes)
        .map_err(|error| StoreError::Io { operation: "drawing randomness", source: error.to_string().into() })
}

/// The nonce is random: at 192 bits, collisions are out of reach of any number of records.
fn seal(key: &[u8; 32], associated_data: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce)?;
    // room for the tag, so that no copy of the plaintext stays behind in an outgrown buffer
    let mut sealed = Vec::with_capacity(plain.len() + TAG_BYTES);
    sealed.extend_from_slice(plain);
    XChaCha20Poly1305::new(key.into())
        .encrypt_in_place(&XNonce::from(nonce), associated_data, &mut sealed)
        .expect("records are far below the 256 GiB that one nonce may seal");
    Ok([nonce.as_slice(), &sealed].concat())
}

fn open(key: &[u8; 32], associated_data: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    XChaCha20Poly1305::new(key.into())
        .decrypt_in_place(&XNonce::from(*nonce), associated_data, &mut *plain)
        .ok()?;
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    proptest! {
        #[test]
        fn what_is_sealed_opens_with_its_key_and_data_only(
            plain in proptest::collection::vec(any::<u8>(), 0..200),
            data in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let sealed = seal(&KEY, &data, &plain).expect("randomness");
            let opened = open(&KEY, &data, &sealed);
            prop_assert_eq!(opened.as_deref(), Some(&plain));
            prop_assert!(open(&[8; 32], &data, &sealed).is_none());
            let other = [data.as_slice(), b"x"].concat();
            prop_assert!(open(&KEY, &other, &sealed).is_none());
        }

        #[test]
        fn a_flipped_bit_does_not_open(position in 0..60usize, bit in 0..8u32) {
            let mut sealed = seal(&KEY, b"place", &[5; 20]).expect("randomness");
            prop_assert_eq!(sealed.len(), 60);
            sealed[position] ^= 1 << bit;
            prop_assert!(open(&KEY, b"place", &sealed).is_none());
        }
    }

    #[test]
    fn too_short_to_be_sealed_does_not_open() {
        for len in 0..NONCE_BYTES + TAG_BYTES {
            assert!(open(&KEY, b"", &vec![0; len]).is_none(), "{len}");
        }
    }

    #[test]
    fn insane_costs_are_refused() {
        for (memory, passes) in [(7, 1), (8, 0), (MAX_MEMORY_KIB + 1, 1), (8, MAX_PASSES + 1)] {
            assert!(matches!(KdfParameters::new(memory, passes), Err(KdfError::Parameters { .. })));
        }
    }

    #[test]
    fn keys_for_two_purposes_differ() {
        let data = DataKey(Zeroizing::new(KEY));
        let node = countersign_types::NodeKey::from_bytes([1; 32]).expect("a scalar").public_key();
        let sealer = Sealer::new(&data, NetworkId::from([1; 32]), node);
        assert_ne!(sealer.records, sealer.artefact_key());
        assert_ne!(*sealer.artefact_key(), KEY);
        assert!(!format!("{sealer:?}").contains("7, 7"));
    }
}
