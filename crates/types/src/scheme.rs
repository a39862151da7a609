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
}

impl Scheme {
    /// Every scheme, in the order in which roots are listed.
    pub const ALL: [Self; 1] = [Self::SchnorrSecp256k1];

    /// The scheme's name in specs, bodies and hashes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SchnorrSecp256k1 => "schnorr-secp256k1",
        }
    }

    /// The length of a public key, in bytes.
    pub const fn public_key_len(self) -> usize {
        match self {
            Self::SchnorrSecp256k1 => 33,
        }
    }

    /// The length of a signature, in bytes.
    pub const fn signature_len(self) -> usize {
        match self {
            Self::SchnorrSecp256k1 => 65,
        }
    }

    /// Whether keys of this scheme live on secp256k1, and so may sign what Ethereum wallets sign.
    pub const fn is_secp256k1(self) -> bool {
        match self {
            Self::SchnorrSecp256k1 => true,
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
#[error("unknown scheme {got:?}, expected schnorr-secp256k1")]
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

/// A group public key in the scheme's own encoding.
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
}
