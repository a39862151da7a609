use k256::ecdsa::signature::hazmat::PrehashSigner;

use super::*;

const DIGEST: [u8; 32] = [7; 32];

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

/// Every verifier takes its own signature, and neither a changed nor a shortened input.
fn check(verify: Verifier, key: &[u8], message: &[u8], signature: &[u8]) {
    assert!(verify(key, message, signature).is_some(), "the signature itself");
    for at in [0, signature.len() / 2, signature.len() - 1] {
        assert!(verify(key, message, &flipped(signature, at)).is_none(), "a changed signature, byte {at}");
    }
    assert!(verify(key, &flipped(message, 0), signature).is_none(), "a changed message");
    for length in [0, 1, 31, 32, 33, 63, 64, 65, 200] {
        let zeros = vec![0; length];
        assert!(verify(&zeros, message, signature).is_none(), "a key of {length} zeros");
        assert!(verify(key, message, &zeros).is_none(), "a signature of {length} zeros");
        assert!(verify(key, &zeros, signature).is_none(), "a message of {length} zeros");
    }
}

fn secp256k1() -> (k256::ecdsa::SigningKey, k256::ecdsa::Signature, k256::ecdsa::RecoveryId) {
    let key = k256::ecdsa::SigningKey::from_slice(&[3; 32]).expect("a scalar");
    let (signature, id) = key.sign_prehash_recoverable(&DIGEST).expect("signed");
    (key, signature, id)
}

#[test]
fn secp256k1_signatures_are_verified_with_both_forms_of_the_key() {
    let (key, signature, _) = secp256k1();
    for compressed in [true, false] {
        let point = key.verifying_key().to_encoded_point(compressed);
        check(secp256k1_verify, point.as_bytes(), &DIGEST, &signature.to_bytes());
    }
}

#[test]
fn the_upper_half_of_the_order_is_refused_on_secp256k1() {
    let (key, signature, id) = secp256k1();
    let (r, s) = signature.split_scalars();
    let high = k256::ecdsa::Signature::from_scalars(*r, -*s).expect("a signature");
    let point = key.verifying_key().to_encoded_point(true);
    assert!(secp256k1_verify(point.as_bytes(), &DIGEST, &high.to_bytes()).is_none());
    let recoverable = [high.to_bytes().as_slice(), &[id.to_byte() ^ 1]].concat();
    assert!(secp256k1_recover(&DIGEST, &recoverable).is_none());
}

#[test]
fn the_signers_address_is_recovered() {
    let (key, signature, id) = secp256k1();
    let address = Address::from_public_key(key.verifying_key()).to_vec();
    let with = |v: u8| [signature.to_bytes().as_slice(), &[v]].concat();
    assert_eq!(secp256k1_recover(&DIGEST, &with(id.to_byte())), Some(address.clone()));
    assert_eq!(secp256k1_recover(&DIGEST, &with(27 + id.to_byte())), Some(address.clone()));
    assert_ne!(secp256k1_recover(&[8; 32], &with(id.to_byte())), Some(address));
    for v in [2, 3, 26, 29, 255] {
        assert_eq!(secp256k1_recover(&DIGEST, &with(v)), None, "{v}");
    }
    for length in [0, 64, 66] {
        assert_eq!(secp256k1_recover(&DIGEST, &vec![1; length]), None);
    }
    assert_eq!(secp256k1_recover(&[7; 31], &with(0)), None);
}

#[test]
fn bip340_signatures_are_verified() {
    let key = k256::schnorr::SigningKey::from_bytes(&[5; 32]).expect("a scalar");
    let signature = key.sign_raw(&DIGEST, &[0; 32]).expect("signed");
    check(bip340_verify, &key.verifying_key().to_bytes(), &DIGEST, &signature.to_bytes());
}

#[test]
fn p256_signatures_are_verified() {
    let key = p256::ecdsa::SigningKey::from_slice(&[3; 32]).expect("a scalar");
    let signature: p256::ecdsa::Signature = key.sign_prehash(&DIGEST).expect("signed");
    for compressed in [true, false] {
        let point = key.verifying_key().to_encoded_point(compressed);
        check(p256_verify, point.as_bytes(), &DIGEST, &signature.to_bytes());
    }
}

#[test]
fn ed25519_signatures_are_verified() {
    use ed25519_dalek::Signer;
    let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    let signature = key.sign(&DIGEST).to_bytes();
    check(ed25519_verify, key.verifying_key().as_bytes(), &DIGEST, &signature);
}

#[test]
fn an_ed25519_key_of_small_order_verifies_nothing() {
    // The identity as key and commitment: the plain equation holds for s = 0 and any message.
    let identity = {
        let mut point = [0; 32];
        point[0] = 1;
        point
    };
    let signature = [identity, [0; 32]].concat();
    assert!(ed25519_verify(&identity, b"anything", &signature).is_none());
}

#[test]
fn typed_data_give_the_published_digest_or_a_fixed_text() {
    let json = include_str!("../../../types/vectors/eip712-mail.json");
    let digest = digest_of_typed_data(json).expect("the example");
    assert_eq!(digest[..4], [0xbe, 0x60, 0x9a, 0xee]);
    assert_eq!(digest_of_typed_data("nothing"), Err("not a JSON object".into()));
    let untyped =
        r#"{"types":{"A":[{"name":"x","type":"nowhere"}]},"primaryType":"A","domain":{},"message":{"x":1}}"#;
    assert_eq!(digest_of_typed_data(untyped), Err(NOT_TYPED_DATA.into()));
}
