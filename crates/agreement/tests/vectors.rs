//! What votes name of a package and its shares, against `vectors/package.json`: by our code, and by alloy's dynamic
//! typed data, as another implementation would compute it.

use std::collections::BTreeMap;

use alloy_dyn_abi::TypedData;
use alloy_primitives::keccak256;
use countersign_agreement::{Package, shares_hash};
use countersign_threshold::SignatureShare;
use countersign_types::{B256, Bytes, Genesis, Identifier, NetworkId, PackageHash, RecordHash};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Vectors {
    network: NetworkId,
    package: Package,
    record_hashes: BTreeMap<Identifier, RecordHash>,
    hash: PackageHash,
    shares: Vec<SignatureShare>,
    shares_hash: B256,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../vectors/package.json")).expect("vectors")
}

#[test]
fn a_package_has_the_hash_of_the_vectors() {
    let Vectors { network, package, record_hashes, hash, .. } = vectors();
    let hashes: BTreeMap<_, _> = package.records.iter().map(|(id, record)| (*id, record.hash())).collect();
    assert_eq!(hashes, record_hashes);
    assert_eq!(package.hash(network), hash);
    assert_eq!(PackageHash(digest(network, &package, &record_hashes)), hash);
}

#[test]
fn shares_have_the_hash_of_the_vectors() {
    let Vectors { shares, shares_hash: hash, .. } = vectors();
    assert_eq!(shares_hash(&shares), hash);
    let spelled_out: Value = serde_json::from_str(include_str!("../vectors/package.json")).expect("JSON");
    let shares: Vec<Bytes> = serde_json::from_value(spelled_out["shares"].clone()).expect("bytes");
    assert_eq!(keccak256(shares.concat()), hash);
}

#[test]
fn the_package_of_the_vectors_is_one_that_members_take() {
    let Vectors { network, package, .. } = vectors();
    let hashes = include_str!("../../types/vectors/hashes.json");
    let hashes: Value = serde_json::from_str(hashes).expect("JSON");
    let genesis: Genesis = serde_json::from_value(hashes["genesis"]["value"].clone()).expect("a genesis");
    let committee = genesis.committee().expect("a committee");
    assert_eq!(genesis.network_id(), network);
    assert_eq!(package.validate(&committee), Ok(()));
    for (id, signature) in &package.signatures {
        let digest = package.records[id].observed_digest(network, package.session);
        assert_eq!(committee.member(*id).map(|member| member.verify(digest, signature)), Some(Ok(())));
    }
}

/// The EIP-712 digest, over the types that are spelled out beside the other hashes' vectors.
fn digest(network: NetworkId, package: &Package, records: &BTreeMap<Identifier, RecordHash>) -> B256 {
    let types = include_str!("../../types/vectors/eip712-types.json");
    let types: Value = serde_json::from_str(types).expect("JSON");
    let records: Vec<Value> =
        records.iter().map(|(signer, record)| json!({ "signer": signer, "record": record })).collect();
    let commitments = |(signer, commitments)| json!({ "signer": signer, "commitments": commitments });
    let signers: Vec<Value> = package.signers.iter().map(commitments).collect();
    let data = json!({
        "types": types,
        "primaryType": "Package",
        "domain": { "name": "Countersign", "version": "1", "salt": network },
        "message": {
            "session": package.session,
            "attempt": package.attempt,
            "base": package.base,
            "records": records,
            "signers": signers,
        },
    });
    let data: TypedData = serde_json::from_value(data).expect("typed data");
    data.eip712_signing_hash().expect("a package")
}
