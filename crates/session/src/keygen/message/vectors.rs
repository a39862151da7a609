//! What senders sign in key generation, against `vectors/keygen.json`: by our code, and by alloy's dynamic typed data,
//! as another implementation would compute it.

use alloy_dyn_abi::TypedData;
use serde_json::{Value, json};

use super::*;

#[derive(Deserialize)]
struct Vectors {
    network: NetworkId,
    attempt: AttemptId,
    packages: Vec<Dealt>,
    confirm: Confirmed,
    refuse: Refused,
}

#[derive(Deserialize)]
struct Dealt {
    from: Identifier,
    to: Option<Identifier>,
    packages: Vec<Bytes>,
    hashes: Vec<B256>,
    content: B256,
    digest: B256,
}

#[derive(Deserialize)]
struct Confirmed {
    roots: B256,
    digest: B256,
}

#[derive(Deserialize)]
struct Refused {
    digest: B256,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../vectors/keygen.json")).expect("vectors")
}

/// The EIP-712 digest, over the types that are spelled out beside the other hashes' vectors.
fn digest(network: NetworkId, primary: &str, message: Value) -> B256 {
    let types = include_str!("../../../../types/vectors/eip712-types.json");
    let types: Value = serde_json::from_str(types).expect("JSON");
    let domain = json!({ "name": "Countersign", "version": "1", "salt": network });
    let data = json!({ "types": types, "primaryType": primary, "domain": domain, "message": message });
    let data: TypedData = serde_json::from_value(data).expect("typed data");
    data.eip712_signing_hash().expect("a message of this type")
}

#[test]
fn packages_have_the_digests_of_the_vectors() {
    let Vectors { network, attempt, packages, .. } = vectors();
    for case in packages {
        assert_eq!(hashes(&case.packages), case.hashes);
        assert_eq!(content(&case.hashes), case.content);
        assert_eq!(package_digest(network, attempt, case.from, case.to, case.content), case.digest);

        let hashes: Vec<B256> = case.packages.iter().map(keccak256).collect();
        let content = keccak256(hashes.concat());
        let (round, to) = match case.to {
            None => (1, json!(0)),
            Some(to) => (2, json!(to)),
        };
        let message =
            json!({ "attempt": attempt, "round": round, "from": case.from, "to": to, "content": content });
        assert_eq!(digest(network, "KeyGenerationPackage", message), case.digest);
    }
}

#[test]
fn confirmations_and_refusals_have_the_digests_of_the_vectors() {
    let Vectors { network, attempt, confirm, refuse, .. } = vectors();
    assert_eq!(confirm_digest(network, attempt, confirm.roots), confirm.digest);
    let message = json!({ "attempt": attempt, "roots": confirm.roots });
    assert_eq!(digest(network, "Confirm", message), confirm.digest);
    assert_eq!(refuse_digest(network, attempt), refuse.digest);
    assert_eq!(digest(network, "Refuse", json!({ "attempt": attempt })), refuse.digest);
}
