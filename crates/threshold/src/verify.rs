//! Verification of a finished signature: one Schnorr equation, whatever made it.

use countersign_types::{PublicKey, Scheme, Signature};
use frost_core::VerifyingKey;

use crate::suite::{Suite, dispatch};

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The public key is no point in canonical encoding, or the identity.
    #[error("{got} is no public key of {scheme}")]
    PublicKey {
        /// The scheme.
        scheme: Scheme,
        /// The public key.
        got: PublicKey,
    },
    /// The signature is not in canonical encoding.
    #[error("the signature is not one of {scheme}, of {expected} bytes, got {got}")]
    Encoding {
        /// The scheme.
        scheme: Scheme,
        /// The length of the scheme's signatures, in bytes.
        expected: usize,
        /// The length of this one.
        got: usize,
    },
    /// It is not this key's signature of this message.
    #[error("the signature is not one of this message by this key")]
    Wrong,
}

/// Verifies a signature under a scheme (RFC 9591 section 6). The message is the bytes that were signed, not
/// their hash.
pub fn verify(
    scheme: Scheme,
    public_key: &PublicKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), VerifyError> {
    dispatch!(scheme, C => {
        let key = parse_key::<C>(public_key)
            .ok_or_else(|| VerifyError::PublicKey { scheme, got: public_key.clone() })?;
        verify_with(&key, message, signature)
    })
}

/// Whether this is a public key of the scheme, as its verifiers take it: no signature verifies under any other.
pub fn is_public_key(scheme: Scheme, public_key: &PublicKey) -> bool {
    dispatch!(scheme, C => parse_key::<C>(public_key).is_some())
}

fn parse_key<C: Suite>(public_key: &PublicKey) -> Option<VerifyingKey<C>> {
    let encoding = C::element_of(&public_key.0);
    if !C::is_canonical_element(&encoding) {
        return None;
    }
    VerifyingKey::deserialize(&encoding).ok()
}

pub(crate) fn verify_with<C: Suite>(
    key: &VerifyingKey<C>,
    message: &[u8],
    signature: &Signature,
) -> Result<(), VerifyError> {
    let (scheme, bytes) = (C::SCHEME, &signature.0);
    let malformed = || VerifyError::Encoding { scheme, expected: scheme.signature_len(), got: bytes.len() };
    if !C::is_canonical_signature(bytes) {
        return Err(malformed());
    }
    let parsed = frost_core::Signature::<C>::deserialize(bytes).map_err(|_| malformed())?;
    key.verify(message, &parsed).map_err(|_| VerifyError::Wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::parse_element;

    /// RFC 9591 appendix E.5: FROST(secp256k1, SHA-256).
    const PUBLIC_KEY: &str = "02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f";
    const SIGNATURE: &str = "024c1ad4e031872661fa6ebd05dfc7fb30db08b38d79f0edbc82051ae931381bc6\
                             a46881e25c7989d3816eae32074f1ab0d49ee908a59713ed5284c6bade7cfb02";
    const MESSAGE: &[u8] = b"test";

    fn vector() -> (PublicKey, Vec<u8>) {
        let key = PublicKey(hex::decode(PUBLIC_KEY).expect("hex").into());
        (key, hex::decode(SIGNATURE).expect("hex"))
    }

    fn check(key: &PublicKey, message: &[u8], signature: Vec<u8>) -> Result<(), VerifyError> {
        verify(Scheme::SchnorrSecp256k1, key, message, &Signature(signature.into()))
    }

    #[test]
    fn the_signature_of_the_rfc_verifies() {
        let (key, signature) = vector();
        assert_eq!(check(&key, MESSAGE, signature), Ok(()));
    }

    #[test]
    fn another_message_key_or_signature_does_not() {
        let (key, signature) = vector();
        assert_eq!(check(&key, b"tesu", signature.clone()), Err(VerifyError::Wrong));
        let mut other = signature.clone();
        other[64] ^= 1;
        assert_eq!(check(&key, MESSAGE, other), Err(VerifyError::Wrong));
        let mut other = key.0.to_vec();
        other[0] = 3;
        assert_eq!(check(&PublicKey(other.into()), MESSAGE, signature), Err(VerifyError::Wrong));
    }

    #[test]
    fn a_second_encoding_of_the_same_signature_is_refused() {
        type C = frost_secp256k1::Secp256K1Sha256;
        let (key, mut signature) = vector();
        signature[0] = 5;
        let nonce = parse_element::<C>(&signature[..33]);
        assert_eq!(nonce, None);
        assert!(matches!(check(&key, MESSAGE, signature.clone()), Err(VerifyError::Encoding { .. })));
        signature.push(0);
        assert!(matches!(check(&key, MESSAGE, signature), Err(VerifyError::Encoding { got: 66, .. })));
        assert!(matches!(check(&key, MESSAGE, vec![]), Err(VerifyError::Encoding { got: 0, .. })));
    }

    #[test]
    fn a_second_encoding_of_the_same_key_is_refused() {
        let (key, signature) = vector();
        for tag in [0, 4, 5, 6] {
            let mut other = key.0.to_vec();
            other[0] = tag;
            let refused = check(&PublicKey(other.into()), MESSAGE, signature.clone());
            assert!(matches!(refused, Err(VerifyError::PublicKey { .. })), "{tag}");
        }
    }
}
