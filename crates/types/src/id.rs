//! 32-byte identifiers, one type each, so that none is taken for another.

use std::{fmt, str::FromStr};

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x and 64 hexadecimal digits, got {got:?}")]
pub struct HexError {
    /// The text, cut after 80 characters.
    pub got: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(
            feature = "openapi",
            derive(utoipa::ToSchema),
            schema(value_type = String, pattern = "^0x[0-9a-fA-F]{64}$")
        )]
        pub struct $name(pub B256);

        impl $name {
            /// The 32 bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                let invalid = || HexError { got: text.chars().take(80).collect() };
                let digits = text.strip_prefix("0x").ok_or_else(invalid)?;
                let mut bytes = [0; 32];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| invalid())?;
                Ok(Self(B256::from(bytes)))
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(B256::from(bytes))
            }
        }
    )+};
}

ids! {
    /// A network: the hash of its genesis.
    NetworkId,
    /// A key: the hash of its spec. With the scheme's root key it gives the public key.
    KeyId,
    /// An action: the hash of its manifest.
    ActionId,
    /// The keccak-256 of a component's bytes.
    ComponentDigest,
    /// What executes actions, version and settings: a session is among nodes with equal engines.
    EngineId,
    /// A request, signatures excluded: the idempotency key.
    RequestDigest,
    /// A session: the hash of its terms.
    SessionId,
    /// One attempt at key generation.
    AttemptId,
    /// A read: the hash of its import and arguments.
    ReadId,
    /// A node's record of one run.
    RecordHash,
    /// What a signer was asked to sign: session, attempt, records, signers and commitments.
    PackageHash,
    /// An outcome: decision or refusal, with the bytes that are signed.
    OutcomeHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_text() {
        let id = KeyId::from([7; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_not_32_bytes_of_hex_is_refused() {
        for text in ["", "0x", "0x07", &"07".repeat(32), &format!("0x{}zz", "07".repeat(31))] {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }
}
