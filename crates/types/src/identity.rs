//! A node's identity: one secp256k1 key gives its libp2p PeerId and its Ethereum address.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256};
use secp256k1::PublicKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zeroize::Zeroizing;

use crate::ecdsa::{self, Signer};

/// Why bytes are no identity or no signature of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Zero, or not below the group order.
    #[error("a node key is 32 bytes, not zero and below the order of secp256k1")]
    Secret,
    /// Not on the curve, or not in compressed form.
    #[error("{got:?} is not a compressed secp256k1 public key (0x and 66 hexadecimal digits)")]
    Public {
        /// The text, or the bytes in hex.
        got: String,
    },
    /// Not 65 bytes.
    #[error("a signature is 65 bytes, got {got}")]
    SignatureLength {
        /// How many bytes there are.
        got: usize,
    },
    /// The signature is not by this key over this digest.
    #[error("the signature is not by {signer}")]
    Signature {
        /// Whose it should be.
        signer: NodePublicKey,
    },
}

/// A node's secret identity key. Redacted in Debug, wiped on drop.
pub struct NodeKey(Signer);

impl NodeKey {
    /// From 32 bytes, big-endian.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, IdentityError> {
        Signer::from_bytes(bytes).map(Self).ok_or(IdentityError::Secret)
    }

    /// The 32 bytes, for storing sealed and for libp2p.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.to_bytes()
    }

    /// The public key.
    pub fn public_key(&self) -> NodePublicKey {
        NodePublicKey::of(&self.0.public_key())
    }

    /// Signs a digest by ECDSA with a deterministic nonce (RFC 6979): r, s and 27 or 28, as `ecrecover` takes it.
    pub fn sign(&self, digest: B256) -> NodeSignature {
        NodeSignature(self.0.sign(digest))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey(of {})", self.public_key())
    }
}

/// A node's public identity: a compressed point of 33 bytes that is on the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^0x[0-9a-fA-F]{66}$"))]
pub struct NodePublicKey([u8; 33]);

impl NodePublicKey {
    fn of(key: &PublicKey) -> Self {
        Self(key.serialize())
    }

    /// From 33 bytes; refuses what is not on the curve.
    pub fn from_bytes(bytes: [u8; 33]) -> Result<Self, IdentityError> {
        ecdsa::parse(bytes)
            .map(|key| Self::of(&key))
            .ok_or_else(|| IdentityError::Public { got: format!("0x{}", hex::encode(bytes)) })
    }

    /// The compressed point.
    pub fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// The Ethereum address of this key.
    pub fn address(&self) -> Address {
        ecdsa::address(&ecdsa::parse(self.0).expect("checked when it was made"))
    }

    /// The libp2p PeerId as base58: the identity multihash of the key's protobuf form.
    pub fn peer_id(&self) -> String {
        // multihash identity, 37 bytes; field 1 (type): 2, secp256k1; field 2 (data): 33 bytes
        let mut bytes = vec![0x00, 0x25, 0x08, 0x02, 0x12, 0x21];
        bytes.extend_from_slice(&self.0);
        bs58::encode(bytes).into_string()
    }

    /// Checks a signature by this key over a digest.
    pub fn verify(&self, digest: B256, signature: &NodeSignature) -> Result<(), IdentityError> {
        match ecdsa::recover(digest, &signature.0) {
            Some(key) if key.serialize() == self.0 => Ok(()),
            Some(_) | None => Err(IdentityError::Signature { signer: *self }),
        }
    }
}

impl fmt::Display for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodePublicKey({self})")
    }
}

impl FromStr for NodePublicKey {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let invalid = || IdentityError::Public { got: text.chars().take(80).collect() };
        let digits = text.strip_prefix("0x").ok_or_else(invalid)?;
        let mut bytes = [0; 33];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| invalid())?;
        Self::from_bytes(bytes)
    }
}

impl Serialize for NodePublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for NodePublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            let bytes = alloy_primitives::Bytes::deserialize(deserializer)?;
            let bytes = bytes.as_ref().try_into().map_err(D::Error::custom)?;
            Self::from_bytes(bytes).map_err(D::Error::custom)
        }
    }
}

/// A 65-byte signature by a node: r, s (low) and 27 or 28.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^0x[0-9a-fA-F]{130}$"))]
pub struct NodeSignature([u8; 65]);

impl NodeSignature {
    /// From 65 bytes; whether they verify is [`NodePublicKey::verify`]'s to say.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdentityError> {
        bytes.try_into().map(Self).map_err(|_| IdentityError::SignatureLength { got: bytes.len() })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }
}

impl fmt::Debug for NodeSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeSignature(0x{})", hex::encode(self.0))
    }
}

impl Serialize for NodeSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        alloy_primitives::Bytes::copy_from_slice(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NodeSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = alloy_primitives::Bytes::deserialize(deserializer)?;
        Self::from_slice(&bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes([byte; 32]).expect("a scalar")
    }

    #[test]
    fn only_the_signer_and_the_digest_verify() {
        let (digest, other) = (B256::repeat_byte(9), B256::repeat_byte(8));
        let signature = key(1).sign(digest);
        assert_eq!(key(1).public_key().verify(digest, &signature), Ok(()));
        assert!(key(1).public_key().verify(other, &signature).is_err());
        assert!(key(2).public_key().verify(digest, &signature).is_err());
    }

    #[test]
    fn the_address_is_the_one_that_ecrecover_gives() {
        let digest = B256::repeat_byte(9);
        let signature = key(1).sign(digest);
        let recovered = alloy_primitives::Signature::from_raw(signature.as_bytes())
            .and_then(|signature| signature.recover_address_from_prehash(&digest));
        assert_eq!(recovered.ok(), Some(key(1).public_key().address()));
    }

    #[test]
    fn the_malleable_twin_is_refused() {
        let digest = B256::repeat_byte(9);
        let mut twin = *key(1).sign(digest).as_bytes();
        let s = k256::NonZeroScalar::try_from(&twin[32..64]).expect("a scalar");
        twin[32..64].copy_from_slice(&(-*s).to_bytes());
        twin[64] = 27 + 28 - twin[64];
        let twin = NodeSignature::from_slice(&twin).expect("65 bytes");
        assert!(key(1).public_key().verify(digest, &twin).is_err());
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        assert!(NodePublicKey::from_bytes([5; 33]).is_err());
        assert!(NodeKey::from_bytes([0; 32]).is_err());
        assert!(NodeKey::from_bytes([0xff; 32]).is_err());
    }
}
