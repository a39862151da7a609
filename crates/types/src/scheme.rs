//! Signature schemes, and the public keys and signatures that belong to them.

use std::{fmt, str::FromStr};

use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};

/// A signature scheme. Each has a root key of its own: one key never serves two schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// FROST(secp256k1, SHA-256), RFC 9591 section 6.5. Public keys are 33-byte compressed points,
    /// signatures 65 bytes: a compressed point R and a 32-byte scalar z.
    SchnorrSecp256k1,
    /// BIP-340, as Taproot has it. Public keys are 32-byte x coordinates, signatures 64 bytes: the x coordinate
    /// of R and a 32-byte scalar s. The root key is a whole point, of 33 bytes: keys are derived from it with
    /// its parity, and lose theirs only as public keys.
    Bip340,
    /// Ed25519, RFC 8032; made by FROST(Ed25519, SHA-512), RFC 9591 section 6.1. Public keys are 32-byte
    /// points, signatures 64 bytes: a point R and a 32-byte scalar S.
    Ed25519,
}

impl Scheme {
    /// Every scheme, ascending: the order in which roots are listed.
    pub const ALL: [Self; 3] = [Self::SchnorrSecp256k1, Self::Bip340, Self::Ed25519];

    /// The scheme's name in specs, bodies and hashes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SchnorrSecp256k1 => "schnorr-secp256k1",
            Self::Bip340 => "bip340",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The length of a root key, in bytes: of a whole point, whatever a verifier takes.
    pub const fn root_key_len(self) -> usize {
        match self {
            Self::SchnorrSecp256k1 | Self::Bip340 => 33,
            Self::Ed25519 => 32,
        }
    }

    /// The length of a public key, in bytes.
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::SchnorrSecp256k1 => 33,
            Self::Bip340 | Self::Ed25519 => 32,
        }
    }

    /// The length of a signature, in bytes.
    pub const fn signature_len(self) -> usize {
        match self {
            Self::SchnorrSecp256k1 => 65,
            Self::Bip340 | Self::Ed25519 => 64,
        }
    }

    /// Whether keys of this scheme live on secp256k1, and so may sign what Ethereum wallets sign: EIP-191 and
    /// EIP-712 payloads.
    pub const fn is_secp256k1(self) -> bool {
        match self {
            Self::SchnorrSecp256k1 | Self::Bip340 => true,
            Self::Ed25519 => false,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text names no scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scheme {got:?}, expected schnorr-secp256k1, bip340 or ed25519")]
pub struct SchemeError {
    /// The text.
    pub got: String,
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, SchemeError> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.name() == text)
            .ok_or_else(|| SchemeError { got: text.chars().take(80).collect() })
    }
}

/// A public key in the encoding that the scheme's verifiers take; a root key as a whole point.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^0x([0-9a-fA-F]{2})*$"))]
#[serde(transparent)]
pub struct PublicKey(pub Bytes);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A signature in the scheme's own encoding.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^0x([0-9a-fA-F]{2})*$"))]
#[serde(transparent)]
pub struct Signature(pub Bytes);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_read_back_from_its_name() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme.name().parse(), Ok(scheme));
            let json = serde_json::to_string(&scheme).expect("a name");
            assert_eq!(json, format!("{:?}", scheme.name()));
        }
    }

    #[test]
    fn the_list_is_ascending_and_errors_name_all_of_it() {
        assert!(Scheme::ALL.is_sorted_by(|a, b| a < b));
        let error = "rsa".parse::<Scheme>().expect_err("no scheme").to_string();
        for scheme in Scheme::ALL {
            assert!(error.contains(scheme.name()), "{error}");
        }
    }
}
