//! Seeds of what callers, authors and files hand over.

use countersign_types::{
    Address, B256, CallerSignature, ComponentDigest, Failure, FailureKind, Genesis, KeySpec, Limits,
    MAX_CALLERS, Manifest, NodeKey, PublishAction, RootKeys, Scheme, SignedPublishAction,
    action::{Content, PublishedAction},
    api::{NetworkInfo, Problem, SignResponse, SignedPayload, SignerVote},
};
use serde::Serialize;

use super::Seed;
use crate::{
    session::honest_messages,
    world::{NOW, engine, world},
};

pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = asked();
    seeds.extend(published());
    seeds.extend(networks());
    seeds.extend(answers());
    seeds.extend(numbers());
    seeds.extend(reads());
    seeds.push(Seed::new("typed_data", "mail", MAIL));
    seeds.push(Seed::new("typed_data", "nested", NESTED));
    seeds
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data in memory")
}

fn asked() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for scheme in Scheme::ALL {
        let request = &world().requests(scheme)[0].request;
        seeds.push(Seed::new("requests", scheme.name(), json(request.signed())));
        seeds.push(Seed::new("key_specs", scheme.name(), json(&request.request().key)));
    }
    // a second caller, whose signature is missing: refused, and read
    let mut signed = world().requests(Scheme::Ed25519)[0].request.signed().clone();
    signed.request.callers.resize(MAX_CALLERS, signed.request.callers[0]);
    seeds.push(Seed::new("requests", "many-callers", json(&signed)));
    let owned = KeySpec { owner: Address::repeat_byte(1), ..signed.request.key };
    seeds.push(Seed::new("key_specs", "owned", json(&owned)));
    seeds
}

/// An action that somebody publishes, and what its manifest names.
pub(super) fn publication() -> (SignedPublishAction, Content) {
    let publisher = NodeKey::from_bytes([8; 32]).expect("a scalar");
    let component = b"\0asm\x0d\0\x01\0".as_slice();
    let script = "export default function run() {}";
    let manifest = Manifest {
        name: "price-gate".into(),
        component: ComponentDigest::of(component),
        script: countersign_types::action::script_digest(script),
        hosts: vec!["prices.example".into()],
        chains: vec![1, 10],
        limits: Limits { http_reads: 1, ..Limits::MAX },
    };
    let publish = PublishAction { manifest, publisher: publisher.public_key().address(), issued_at: NOW };
    let signature = publisher.sign(publish.digest(world().network()));
    let signature = CallerSignature(signature.as_bytes().to_vec().into());
    let content = Content { component: Some(component.to_vec().into()), script: Some(script.into()) };
    (SignedPublishAction { publish, signature }, content)
}

fn published() -> Vec<Seed> {
    let (signed, content) = publication();
    let manifest = signed.publish.manifest.clone();
    let published = PublishedAction::new(signed.clone(), content);
    let source = "name = \"release\"\nhosts = [\"prices.test\"]\nchains = [1]\n[limits]\nfuel = 7\n";
    vec![
        Seed::tagged("manifests", "manifest", 0, json(&manifest)),
        Seed::tagged("manifests", "publication", 1, json(&signed)),
        Seed::tagged("manifests", "published", 2, json(&published)),
        Seed::tagged("manifests", "source", 3, source),
    ]
}

fn genesis() -> Genesis {
    let members = world().committee().members().to_vec();
    Genesis { nonce: B256::repeat_byte(1), members, threshold: 3, chains: vec![1, 31337] }
}

fn networks() -> Vec<Seed> {
    let (_, activation) = honest_messages(Scheme::Ed25519);
    let keys = RootKeys { network: world().network(), epoch: 1, ceremonies: vec![activation] };
    let info = NetworkInfo {
        network: world().network(),
        genesis: genesis(),
        epoch: 1,
        root_keys: Some(keys.clone()),
        members: Vec::new(),
        node: world().identity(world().members()[0]).public_key(),
        version: "0.1.0".into(),
        engine: engine(),
        ready: true,
        not_ready: None,
    };
    vec![
        Seed::tagged("networks", "genesis", 0, json(&genesis())),
        Seed::tagged("networks", "root-keys", 1, json(&keys)),
        Seed::tagged("networks", "network-info", 2, json(&info)),
    ]
}

fn answers() -> Vec<Seed> {
    let asked = &world().requests(Scheme::SchnorrSecp256k1)[0];
    let vote = countersign_types::Vote {
        session: [1; 32].into(),
        record: [2; 32].into(),
        package: [3; 32].into(),
        outcome: [4; 32].into(),
        shares: B256::repeat_byte(5),
    };
    let vote = vote.sign(world().network(), world().identity(world().members()[0]));
    let response = SignResponse {
        request: asked.request.digest(),
        session: [1; 32].into(),
        epoch: 1,
        engine: engine(),
        time_ms: NOW,
        pins: Vec::new(),
        action_id: [6; 32].into(),
        key_id: asked.request.key_id(),
        scheme: Scheme::SchnorrSecp256k1,
        public_key: asked.public.public_key(),
        signatures: vec![SignedPayload {
            payload: "bytes".into(),
            content: vec![1].into(),
            message: vec![2; 32].into(),
            signature: countersign_types::Signature(vec![3; 65].into()),
        }],
        response: vec![4].into(),
        nodes: Vec::new(),
        votes: vec![SignerVote { signer: 1, vote }],
    };
    let problem = Problem::from(Failure::new(FailureKind::Refused, "the balance is too little"));
    vec![
        Seed::tagged("networks", "sign-response", 3, json(&response)),
        Seed::tagged("networks", "problem", 4, json(&problem)),
    ]
}

fn numbers() -> Vec<Seed> {
    [
        ("pair", "1.50\n15e-1"),
        ("ends", "99999999999999999999.999999999999999999\n-1e37"),
        ("zero", "0e5\n-0.0"),
    ]
    .into_iter()
    .map(|(name, text)| Seed::tagged("decimals", name, 2, text))
    .collect()
}

fn reads() -> Vec<Seed> {
    let url = b"https://prices.example/v1/eth?now=1";
    // one header, accept: text/plain; then identical, and no bounds
    let header = [&[1, 6][..], b"accept", &[10], b"text/plain", &[0, 0, 0], url].concat();
    // no headers; two fields: /price, and /open by the mode
    let fields = [&[0, 1, 1, 6][..], b"/price", &[1, 2, 0, 5], b"/open", &[0, 0, 0], url].concat();
    let body = br#"{"price": 12.50, "open": true, "more": [1, {"a": "b\u00e9"}]}"#;
    let projected = [&[1, 6][..], b"/price", &[1, 2, 0, 5], b"/open", &[0], body].concat();
    let nested = [&[1, 7][..], b"/more/0", &[0, 9], b"/more/1/a", &[0], body].concat();
    vec![
        Seed::new("http_reads", "header", header),
        Seed::new("http_reads", "fields", fields),
        Seed::new("projections", "fields", projected),
        Seed::new("projections", "nested", nested),
    ]
}

/// The example of EIP-712.
const MAIL: &str = r#"{"types":{"EIP712Domain":[{"name":"name","type":"string"},{"name":"chainId","type":"uint256"}],"Person":[{"name":"name","type":"string"},{"name":"wallet","type":"address"}],"Mail":[{"name":"from","type":"Person"},{"name":"to","type":"Person"},{"name":"contents","type":"string"}]},"primaryType":"Mail","domain":{"name":"Ether Mail","chainId":1},"message":{"from":{"name":"Cow","wallet":"0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},"to":{"name":"Bob","wallet":"0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},"contents":"Hello, Bob!"}}"#;
const NESTED: &str = r#"{"types":{"EIP712Domain":[],"A":[{"name":"b","type":"B[2][]"},{"name":"c","type":"bytes32"},{"name":"d","type":"int8"},{"name":"e","type":"bytes"},{"name":"f","type":"bool"}],"B":[{"name":"x","type":"uint64[3]"}]},"primaryType":"A","domain":{},"message":{"b":[[{"x":[1,2,3]},{"x":["4",5,6]}]],"c":"0x0000000000000000000000000000000000000000000000000000000000000001","d":-1,"e":"0x0102","f":true}}"#;
