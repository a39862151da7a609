//! Typed payloads, and the bytes that are signed for each.

use alloy_dyn_abi::TypedData;
use alloy_primitives::{Bytes, eip191_hash_message};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{KeyId, KeySpec, PayloadKind, Scheme, typed_data};

/// The most payloads that one decision may ask to sign.
pub const MAX_PAYLOADS: usize = 8;
/// The most bytes that one payload may have.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// The tag under which [`Payload::Bytes`] are signed.
const BYTES_TAG: &[u8] = b"countersign/bytes/v1";

/// What an action asks to be signed with the request's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Signed under a tag with the key's id.
    Bytes(Bytes),
    /// EIP-191.
    PersonalMessage(Bytes),
    /// EIP-712, as JSON.
    TypedData(String),
    /// Signed as it is.
    Raw(Bytes),
}

/// Why a payload cannot be signed with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The spec does not list this kind.
    #[error("the key's spec does not list the payload kind {kind}")]
    Kind {
        /// The payload's kind.
        kind: PayloadKind,
    },
    /// Personal messages and typed data belong to secp256k1.
    #[error("a key of scheme {scheme} signs no {kind}")]
    Scheme {
        /// The key's scheme.
        scheme: Scheme,
        /// The payload's kind.
        kind: PayloadKind,
    },
    /// Too long.
    #[error("a payload has at most {MAX_PAYLOAD_BYTES} bytes, got {got}")]
    Length {
        /// Its length.
        got: usize,
    },
    /// The typed data do not parse, or do not fit their types.
    #[error("the typed data are not valid EIP-712: {reason}")]
    TypedData {
        /// What is wrong, from the parser.
        reason: String,
    },
}

impl Payload {
    /// The payload's kind.
    pub fn kind(&self) -> PayloadKind {
        match self {
            Self::Bytes(_) => PayloadKind::Bytes,
            Self::PersonalMessage(_) => PayloadKind::PersonalMessage,
            Self::TypedData(_) => PayloadKind::TypedData,
            Self::Raw(_) => PayloadKind::Raw,
        }
    }

    /// The payload's content as bytes; typed data are their JSON text.
    pub fn content(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) | Self::PersonalMessage(bytes) | Self::Raw(bytes) => bytes,
            Self::TypedData(json) => json.as_bytes(),
        }
    }

    /// The bytes that are signed with `key`, exactly as the scheme's verifier takes them.
    ///
    /// - bytes: SHA-256(t, t, key id, content) where t is the SHA-256 of "countersign/bytes/v1" (the tagged
    ///   hash of BIP-340)
    /// - personal message: the EIP-191 digest; typed data: the EIP-712 digest
    /// - raw: the content
    pub fn signed_bytes(&self, key: &KeySpec) -> Result<Bytes, PayloadError> {
        let kind = self.kind();
        if !key.payloads.contains(&kind) {
            return Err(PayloadError::Kind { kind });
        }
        if self.content().len() > MAX_PAYLOAD_BYTES {
            return Err(PayloadError::Length { got: self.content().len() });
        }
        let ethereum = || {
            if key.scheme.is_secp256k1() {
                Ok(())
            } else {
                Err(PayloadError::Scheme { scheme: key.scheme, kind })
            }
        };
        match self {
            Self::Bytes(bytes) => Ok(tagged(&key.key_id(), bytes)),
            Self::PersonalMessage(bytes) => {
                ethereum()?;
                Ok(eip191_hash_message(bytes).0.into())
            }
            Self::TypedData(json) => {
                ethereum()?;
                typed_data_digest(json).map_err(|error| PayloadError::TypedData { reason: error.to_string() })
            }
            Self::Raw(bytes) => Ok(bytes.clone()),
        }
    }
}

fn tagged(key: &KeyId, content: &[u8]) -> Bytes {
    let tag = Sha256::digest(BYTES_TAG);
    let digest = Sha256::new()
        .chain_update(tag)
        .chain_update(tag)
        .chain_update(key.as_bytes())
        .chain_update(content)
        .finalize();
    Bytes::copy_from_slice(&digest)
}

/// Why typed data have no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypedDataError {
    /// Beyond the bounds of [`typed_data`]; the text is fixed, and so the same on every node.
    #[error("{0}")]
    Bounds(&'static str),
    /// The parser refuses them; the text is the parser's own.
    #[error("{0}")]
    Malformed(String),
}

/// The EIP-712 digest of typed data in JSON, 32 bytes. Their types are bounded before anything expands them.
pub fn typed_data_digest(json: &str) -> Result<Bytes, TypedDataError> {
    typed_data::check(json).map_err(TypedDataError::Bounds)?;
    let data: TypedData =
        serde_json::from_str(json).map_err(|error| TypedDataError::Malformed(error.to_string()))?;
    let digest = data.eip712_signing_hash().map_err(|error| TypedDataError::Malformed(error.to_string()))?;
    Ok(digest.0.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::spec;

    fn all_kinds() -> KeySpec {
        let payloads = PayloadKind::ALL.to_vec();
        KeySpec { payloads, ..spec() }
    }

    #[test]
    fn bytes_are_bound_to_the_key() {
        let payload = Payload::Bytes(vec![1, 2, 3].into());
        let other = KeySpec { salt: alloy_primitives::B256::repeat_byte(9), ..all_kinds() };
        let signed = payload.signed_bytes(&all_kinds()).expect("listed");
        assert_eq!(signed.len(), 32);
        assert_ne!(signed, payload.signed_bytes(&other).expect("listed"));
    }

    #[test]
    fn a_personal_message_is_what_wallets_sign() {
        let payload = Payload::PersonalMessage(b"hello world".to_vec().into());
        assert_eq!(
            payload.signed_bytes(&all_kinds()).expect("listed").to_string(),
            "0xd9eba16ed0ecae432b71fe008c98cc872bb4cc214d3220a36f365326cf807d68",
            "the digest of ethers' hashMessage(\"hello world\")"
        );
    }

    #[test]
    fn a_kind_that_is_not_listed_is_refused() {
        let bytes_only = KeySpec { payloads: vec![PayloadKind::Bytes], ..spec() };
        let payload = Payload::Raw(vec![0; 32].into());
        assert_eq!(payload.signed_bytes(&bytes_only), Err(PayloadError::Kind { kind: PayloadKind::Raw }));
    }

    #[test]
    fn what_ethereum_wallets_sign_is_for_keys_on_secp256k1() {
        for scheme in Scheme::ALL {
            let key = KeySpec { scheme, ..all_kinds() };
            let typed_data = include_str!("../vectors/eip712-mail.json").to_owned();
            for payload in
                [Payload::PersonalMessage(b"hello".to_vec().into()), Payload::TypedData(typed_data)]
            {
                let refused = Err(PayloadError::Scheme { scheme, kind: payload.kind() });
                let signed = payload.signed_bytes(&key);
                assert_eq!(signed.is_ok(), scheme.is_secp256k1(), "{scheme}");
                assert!(scheme.is_secp256k1() || signed == refused, "{scheme}");
            }
            assert!(Payload::Bytes(vec![1].into()).signed_bytes(&key).is_ok(), "{scheme}");
        }
    }

    #[test]
    fn the_eip_712_example_gives_its_published_digest() {
        let json = include_str!("../vectors/eip712-mail.json");
        assert_eq!(
            typed_data_digest(json).expect("the example").to_string(),
            "0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
        );
    }

    #[test]
    fn typed_data_that_do_not_fit_are_refused() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for json in ["", "{}", "[]", "{\"types\":{}}", &deep] {
            assert!(typed_data_digest(json).is_err(), "{json:.40}");
        }
        let circular = r#"{"types":{"EIP712Domain":[],"A":[{"name":"a","type":"A"}]},"primaryType":"A","domain":{},"message":{"a":{}}}"#;
        assert!(typed_data_digest(circular).is_err());
    }

    /// Without the bound the first takes longer than the universe, and the second overflows the stack.
    #[test]
    fn types_that_double_or_nest_without_end_are_refused_at_once() {
        let levels: Vec<String> = (0..200)
            .map(|i| format!(r#""T{i}":[{{"name":"a","type":"T{0}"}},{{"name":"b","type":"T{0}"}}]"#, i + 1))
            .collect();
        let doubling = format!(
            r#"{{"types":{{"EIP712Domain":[],{},"T200":[]}},"primaryType":"T0","domain":{{}},"message":{{}}}}"#,
            levels.join(",")
        );
        let nesting = format!(
            r#"{{"types":{{"EIP712Domain":[],"A":[{{"name":"a","type":"uint8{}"}}]}},"primaryType":"A","domain":{{}},"message":{{"a":[]}}}}"#,
            "[]".repeat(20_000)
        );
        for json in [doubling, nesting] {
            assert!(matches!(typed_data_digest(&json), Err(TypedDataError::Bounds(_))), "{json:.60}");
        }
    }

    #[test]
    fn an_oversized_payload_is_refused() {
        let payload = Payload::Bytes(vec![0; MAX_PAYLOAD_BYTES + 1].into());
        assert!(matches!(payload.signed_bytes(&all_kinds()), Err(PayloadError::Length { .. })));
    }
}
