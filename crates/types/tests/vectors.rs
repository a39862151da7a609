//! The vectors pin every hash and id of this crate: whoever computes them elsewhere compares with these files.
//!
//! Each case holds the value in the JSON form of the HTTP interface and what it hashes to; `eip712.rs` computes the
//! hashes from the file in another way. After a change of the format that is meant, `UPDATE_VECTORS=1 cargo test -p
//! countersign-types --test vectors` writes the file anew.

use std::{fs, path::Path};

use countersign_types::{
    Activation, Address, AttemptTerms, B256, Bytes, Caller, CallerKind, CallerSignature, ComponentDigest,
    Context, EngineId, FieldRead, Finality, Genesis, Identifier, KeyOptions, KeySpec, Limits, Manifest,
    NetworkId, NodeKey, Outcome, PackageHash, Payload, PayloadKind, Pin, Policy, PublicKey, PublishAction,
    ReadId, ReceiptAccess, Record, RecordEntry, Request, RootKey, RootKeys, Rule, Scheme, SessionTerms,
    SignedRequest, Tolerance, Verdict, Vote,
    action::script_digest,
    activation_digest,
    canonical::domain,
    evm::{EvmRead, EvmValue, Log, Receipt},
    http::{Agree, Field, FieldValue, Header, HttpRead, HttpResponse},
    roots_hash,
};
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/hashes.json");
const COMPONENT: &[u8] = b"component";
const SCRIPT: &str = "export default () => \"ü\";\n";

#[test]
fn every_hash_is_the_one_in_the_vectors() {
    let computed = serde_json::to_string_pretty(&vectors()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(FILE, &computed).expect("written");
    }
    let committed = fs::read_to_string(Path::new(FILE)).expect("the vectors");
    assert_eq!(computed, committed, "a hash changed: every id, address and signature changes with it");
}

fn vectors() -> Value {
    let keys: Vec<NodeKey> = (1..=3u8).map(|i| NodeKey::from_bytes([i; 32]).expect("a scalar")).collect();
    let network = genesis(&keys).network_id();
    let manifests = [manifest(), script_manifest()];
    json!({
        "identities": keys.iter().map(identity).collect::<Vec<_>>(),
        "genesis": { "value": genesis(&keys), "network_id": network },
        "domain": { "network": network, "separator": domain(network).separator() },
        "key_specs": key_specs().iter().map(|spec| json!({
            "value": spec,
            "key_id": spec.key_id(),
            "derivation_digest": spec.key_id().derivation_digest(&root_key()),
            "derivation_root": root_key(),
        })).collect::<Vec<_>>(),
        "manifests": manifests.iter().map(|manifest| json!({
            "value": manifest,
            "action_id": manifest.action_id(),
        })).collect::<Vec<_>>(),
        "component": { "value": Bytes::from_static(COMPONENT), "digest": ComponentDigest::of(COMPONENT) },
        "script": { "value": SCRIPT, "digest": script_digest(SCRIPT) },
        "publication": publication(network),
        "request": request(network),
        "session": session(network),
        "reads": reads(),
        "http": http(),
        "record": { "value": record(), "hash": record().hash() },
        "observed": observed(network, &keys[0]),
        "payloads": payloads(),
        "outcomes": outcomes(),
        "vote": vote(network, &keys[0]),
        "read_receipt": read_receipt(network),
        "key_generation": key_generation(network, &keys),
    })
}

fn identity(key: &NodeKey) -> Value {
    let public = key.public_key();
    json!({ "secret": Bytes::copy_from_slice(key.to_bytes().as_slice()), "public_key": public,
            "peer_id": public.peer_id(), "address": public.address() })
}

fn genesis(keys: &[NodeKey]) -> Genesis {
    let members = keys.iter().map(NodeKey::public_key).collect();
    Genesis { nonce: B256::repeat_byte(0x11), members, threshold: 2, chains: vec![1, 31337] }
}

fn root_key() -> PublicKey {
    PublicKey(Bytes::copy_from_slice(NodeKey::from_bytes([9; 32]).expect("a scalar").public_key().as_bytes()))
}

fn key_specs() -> Vec<KeySpec> {
    let plain = KeySpec {
        scheme: Scheme::SchnorrSecp256k1,
        policy: Policy { action: manifest().action_id(), config: Bytes::new() },
        payloads: vec![PayloadKind::Bytes],
        options: KeyOptions::default(),
        owner: Address::ZERO,
        salt: B256::ZERO,
    };
    let full = KeySpec {
        policy: Policy { action: manifest().action_id(), config: b"{\"minimum\":\"1\"}".to_vec().into() },
        payloads: vec![
            PayloadKind::Bytes,
            PayloadKind::PersonalMessage,
            PayloadKind::TypedData,
            PayloadKind::Raw,
        ],
        options: KeyOptions { leader_attested: false, finality: Finality::Finalized },
        owner: caller().public_key().address(),
        salt: B256::repeat_byte(0x33),
        ..plain.clone()
    };
    // none that this version takes: its hash says how the field is encoded
    let attested = KeySpec {
        options: KeyOptions { leader_attested: true, finality: Finality::Finalized },
        ..full.clone()
    };
    vec![plain, full, attested]
}

fn caller() -> NodeKey {
    NodeKey::from_bytes([7; 32]).expect("a scalar")
}

fn manifest() -> Manifest {
    Manifest {
        name: "balance-gate".into(),
        component: ComponentDigest::of(COMPONENT),
        script: B256::ZERO,
        hosts: vec!["api.example".into()],
        chains: vec![1, 31337],
        limits: Limits::default(),
    }
}

fn script_manifest() -> Manifest {
    let limits = Limits { fuel: 1_000_000_000, http_reads: 2, chain_reads: 0, ..Limits::default() };
    Manifest {
        name: "price-gate".into(),
        script: script_digest(SCRIPT),
        chains: vec![],
        limits,
        ..manifest()
    }
}

fn read_receipt(network: NetworkId) -> Value {
    let (request, expires_at) = (signed_request(network).request.digest(), 1_700_000_060_000_u64);
    let node = Address::repeat_byte(0x44);
    let digest = ReceiptAccess::digest(network, node, request, expires_at);
    json!({ "node": node, "request": request, "expires_at": expires_at, "network": network, "digest": digest })
}

fn publication(network: NetworkId) -> Value {
    let value = PublishAction {
        manifest: manifest(),
        publisher: Address::repeat_byte(0x44),
        issued_at: 1_700_000_000_000,
    };
    json!({ "value": value, "network": network, "digest": value.digest(network) })
}

fn signed_request(network: NetworkId) -> SignedRequest {
    let request = Request {
        network,
        key: key_specs().remove(1),
        params: b"hello".to_vec().into(),
        callers: vec![Caller { kind: CallerKind::Eip191, id: caller().public_key().address() }],
        coordinators: vec![Address::repeat_byte(0x44), Address::repeat_byte(0x45)],
        nonce: B256::repeat_byte(0x55),
        issued_at: 1_700_000_000_000,
        expires_at: 1_700_000_060_000,
    };
    let signature = Bytes::copy_from_slice(caller().sign(request.digest().0).as_bytes());
    SignedRequest { request, signatures: vec![CallerSignature(signature)] }
}

fn request(network: NetworkId) -> Value {
    let SignedRequest { request, signatures } = signed_request(network);
    json!({ "value": request, "digest": request.digest(), "signatures": signatures })
}

fn terms(network: NetworkId) -> SessionTerms {
    SessionTerms {
        request: signed_request(network).request.digest(),
        epoch: 1,
        engine: EngineId::from([0x77; 32]),
        time_ms: 1_700_000_000_500,
        pins: vec![Pin { chain_id: 1, number: 100, hash: B256::repeat_byte(0x88), timestamp: 1_700_000_000 }],
    }
}

fn session(network: NetworkId) -> Value {
    let terms = terms(network);
    let request = signed_request(network).validate().expect("it is valid");
    let seed = Context::new(&request, &terms, root_key()).seed;
    json!({ "value": terms, "network": network, "session_id": terms.id(network), "seed": seed })
}

fn reads() -> Value {
    let (address, chain_id) = (Address::repeat_byte(0x99), 1);
    let receipt = |byte| EvmRead::Receipt { chain_id, tx_hash: B256::repeat_byte(byte) };
    let logs = |from_block| EvmRead::Logs {
        chain_id,
        addresses: vec![address],
        topics: vec![vec![B256::repeat_byte(4)], vec![]],
        from_block,
        to_block: 20,
    };
    let logged = vec![log(0), log(1)];
    let cases = [
        (EvmRead::Balance { chain_id, address }, EvmValue::Balance(countersign_types::U256::from(1_000))),
        (EvmRead::Nonce { chain_id, address }, EvmValue::Nonce(3)),
        (EvmRead::CodeHash { chain_id, address }, EvmValue::CodeHash(B256::repeat_byte(1))),
        (
            EvmRead::Storage { chain_id, address, slot: B256::repeat_byte(2) },
            EvmValue::Storage(B256::repeat_byte(3)),
        ),
        (
            EvmRead::Call { chain_id, to: address, data: vec![1, 2, 3].into(), from: Address::ZERO },
            EvmValue::Call { reverted: false, data: vec![4; 33].into() },
        ),
        (logs(10), EvmValue::Logs(vec![])),
        (logs(11), EvmValue::Logs(logged.clone())),
        (receipt(5), EvmValue::Receipt(None)),
        (
            receipt(6),
            EvmValue::Receipt(Some(Receipt {
                success: true,
                block_number: 12,
                block_hash: B256::repeat_byte(0x0b),
                logs: logged,
            })),
        ),
    ];
    let case = |(read, value): &(EvmRead, EvmValue)| {
        let (digest, length) = value.digest();
        json!({
            "read": read,
            "import": read.import(),
            "arguments": Bytes::from(read.arguments()),
            "read_id": read.id(),
            "result": value,
            "value": Bytes::from(value.encode()),
            "value_digest": digest,
            "value_length": length,
        })
    };
    cases.iter().map(case).collect()
}

fn log(index: u32) -> Log {
    Log {
        address: Address::repeat_byte(0x99),
        topics: vec![B256::repeat_byte(4), B256::repeat_byte(7)],
        data: vec![8; 33].into(),
        block_number: 12,
        tx_hash: B256::repeat_byte(6),
        index,
    }
}

fn record() -> Record {
    let entry = |byte: u8| RecordEntry::Identical {
        read: ReadId::from([byte; 32]),
        value: B256::repeat_byte(byte + 1),
        length: 32,
    };
    let field = |pointer: &str, rule, value| FieldRead { pointer: pointer.into(), rule, value };
    let fields = vec![
        field("/price", median(), FieldValue::Number("101.5".parse().expect("a number"))),
        field("/market", Rule::Mode, FieldValue::Text("open".into())),
        field("/halted", Rule::Identical, FieldValue::Bool(false)),
        field("/note", Rule::Identical, FieldValue::Null),
    ];
    let agreed = RecordEntry::Fields { read: http_reads().remove(1).id(), fields };
    Record { entries: vec![entry(1), entry(3), agreed] }
}

fn median() -> Rule {
    Rule::Median(Tolerance { bps: 50, abs: "0.5".parse().expect("a number") })
}

fn http_reads() -> Vec<HttpRead> {
    let header = Header { name: "accept".into(), value: "text/plain".into() };
    let field = |pointer: &str, rule| Field { pointer: pointer.into(), rule };
    let fields = vec![
        field("/price", median()),
        field("/market", Rule::Mode),
        field("/halted", Rule::Identical),
        field("/note", Rule::Identical),
    ];
    let read =
        |url, headers, max_body, agree| HttpRead::new(url, headers, max_body, 2_000, agree).expect("a read");
    vec![
        read("https://api.example/terms?v=1", vec![header], 1_000, Agree::Identical),
        read("https://api.example/price", Vec::new(), 0, Agree::Fields(fields)),
    ]
}

fn http() -> Value {
    let reads: Vec<Value> = http_reads()
        .iter()
        .map(|read| {
            json!({
                "read": read,
                "arguments": Bytes::from(read.arguments()),
                "read_id": read.id(),
            })
        })
        .collect();
    let response = HttpResponse {
        status: 200,
        content_type: Some("text/plain".into()),
        body: Bytes::from_static(b"the terms"),
    };
    let (digest, length) = response.digest();
    let value = Bytes::from(response.encode());
    json!({
        "reads": reads,
        "response": { "result": response, "value": value, "digest": digest, "length": length },
    })
}

fn observed(network: NetworkId, key: &NodeKey) -> Value {
    let session = terms(network).id(network);
    json!({
        "network": network,
        "session": session,
        "signer": key.public_key(),
        "digest": record().observed_digest(network, session),
        "signature": record().sign(network, session, key),
    })
}

fn some_payloads() -> Vec<Payload> {
    let mail = include_str!("../vectors/eip712-mail.json");
    vec![
        Payload::Bytes(b"hello".to_vec().into()),
        Payload::PersonalMessage(b"hello".to_vec().into()),
        Payload::TypedData(mail.into()),
        Payload::Raw(vec![0xaa; 32].into()),
    ]
}

fn payloads() -> Value {
    let spec = key_specs().remove(1);
    let case = |payload: &Payload| {
        json!({
            "kind": payload.kind(),
            "content": Bytes::copy_from_slice(payload.content()),
            "key_id": spec.key_id(),
            "message": payload.signed_bytes(&spec).expect("listed"),
        })
    };
    some_payloads().iter().map(case).collect()
}

fn outcomes() -> Value {
    let spec = key_specs().remove(1);
    let refuse = Verdict::Refuse { reason: "the balance is 1, at least 2 is needed".into() };
    let case = |verdict: Verdict| {
        let outcome = Outcome::of(verdict.clone(), &spec).expect("listed");
        match verdict {
            Verdict::Allow { response, .. } => {
                json!({ "payloads": payloads(), "response": response, "hash": outcome.hash() })
            }
            Verdict::Refuse { reason } => json!({ "reason": reason, "hash": outcome.hash() }),
        }
    };
    json!([case(allowed()), case(refuse)])
}

fn allowed() -> Verdict {
    Verdict::Allow { payloads: some_payloads(), response: b"ok".to_vec().into() }
}

/// The package and the shares are those of the vectors of packages.
fn vote(network: NetworkId, key: &NodeKey) -> Value {
    let package = include_str!("../../agreement/vectors/package.json");
    let package: Value = serde_json::from_str(package).expect("JSON");
    let hash = |of: &str| serde_json::from_value(package[of].clone()).expect("a hash");
    let vote = Vote {
        session: terms(network).id(network),
        record: record().hash(),
        package: PackageHash(hash("hash")),
        outcome: Outcome::of(allowed(), &key_specs()[1]).expect("listed").hash(),
        shares: hash("shares_hash"),
    };
    json!({ "value": vote.sign(network, key), "network": network, "digest": vote.digest(network),
            "signer": key.public_key() })
}

fn key_generation(network: NetworkId, keys: &[NodeKey]) -> Value {
    let terms = AttemptTerms {
        epoch: 1,
        schemes: Scheme::ALL.to_vec(),
        number: 1,
        starter: Identifier::new(1).expect("not zero"),
        entropy: B256::repeat_byte(0x05),
    };
    let attempt = terms.id(network);
    let root = |scheme: &Scheme| {
        let point = Bytes::copy_from_slice(&root_key().0[33 - scheme.root_key_len()..]);
        let verifying_shares = vec![point.clone(); keys.len()];
        RootKey { scheme: *scheme, public_key: PublicKey(point), verifying_shares }
    };
    let roots: Vec<_> = terms.schemes.iter().map(root).collect();
    let committee = genesis(keys).committee().expect("legal");
    let signatures = committee
        .members()
        .iter()
        .filter_map(|member| keys.iter().find(|key| key.public_key() == *member))
        .map(|key| countersign_types::activate(&roots, network, 1, attempt, key))
        .collect();
    let ceremony = Activation { roots: roots.clone(), attempt, signatures };
    let root_keys = RootKeys { network, epoch: 1, ceremonies: vec![ceremony] };
    assert_eq!(root_keys.verify(network, &committee), Ok(()));
    json!({
        "terms": terms,
        "attempt_id": attempt,
        "roots_hash": roots_hash(&roots),
        "activation_digest": activation_digest(&roots, network, 1, attempt),
        "root_keys": root_keys,
    })
}
