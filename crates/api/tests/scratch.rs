#![allow(missing_docs)]
use countersign_types::action::*;
use countersign_types::*;
#[test]
fn examples() {
    let key = NodeKey::from_bytes([7; 32]).expect("k");
    let sig = |d: B256| CallerSignature(Bytes::copy_from_slice(key.sign(d).as_bytes()));
    let who = key.public_key().address();
    let genesis = Genesis {
        nonce: B256::repeat_byte(1),
        members: (1..=5u8).map(|b| NodeKey::from_bytes([b; 32]).expect("k").public_key()).collect(),
        threshold: 3,
        chains: vec![31337],
    };
    let network = genesis.network_id();
    let component = Bytes::from_static(b"\0asm\x0d\0\x01\0");
    let manifest = Manifest {
        name: "balance-gate".into(),
        component: ComponentDigest::of(&component),
        script: B256::ZERO,
        hosts: vec![],
        chains: vec![31337],
        limits: Limits::default(),
    };
    let action = manifest.action_id();
    let publish = PublishAction { manifest, publisher: who, issued_at: 1_790_000_000_000 };
    let signature = sig(publish.digest(network));
    let published = PublishedAction { signed: SignedPublishAction { publish, signature }, component };
    let request = Request {
        network,
        key: KeySpec {
            scheme: Scheme::SchnorrSecp256k1,
            policy: Policy { action, config: vec![1, 2].into() },
            payloads: vec![PayloadKind::Bytes],
            options: KeyOptions::default(),
            owner: Address::ZERO,
            salt: B256::ZERO,
        },
        params: vec![3].into(),
        callers: vec![Caller { kind: CallerKind::Eip191, id: who }],
        nonce: B256::repeat_byte(0x5a),
        issued_at: 1_790_000_000_000,
        expires_at: 1_790_000_300_000,
    };
    let signatures = vec![sig(request.digest().0)];
    let signed = SignedRequest { request, signatures };
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/examples/");
    std::fs::write(format!("{dir}request.json"), serde_json::to_string_pretty(&signed).expect("j") + "\n")
        .expect("w");
    std::fs::write(
        format!("{dir}publication.json"),
        serde_json::to_string_pretty(&published).expect("j") + "\n",
    )
    .expect("w");
}
