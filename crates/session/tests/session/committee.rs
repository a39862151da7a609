//! Five members with shares of one root, and callers' requests.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use countersign_session::{Membership, Millis, participant::Participant};
use countersign_threshold::{DerivedPublic, RootPublic, RootShare, dkg};
use countersign_types::{
    ActionId, Address, B256, Bytes, Caller, CallerKind, CallerSignature, Committee, EngineId, Identifier,
    KeyOptions, KeySpec, NetworkId, NodeKey, Outcome, Payload, PayloadKind, Policy, Request, Scheme,
    SessionTerms, SignedRequest, Verdict,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub(crate) const NETWORK: NetworkId = NetworkId(B256::repeat_byte(7));
pub(crate) const ENGINE: EngineId = EngineId(B256::repeat_byte(2));
pub(crate) const SCHEME: Scheme = Scheme::SchnorrSecp256k1;
pub(crate) const THRESHOLD: u16 = 3;
pub(crate) const SIZE: u16 = 5;
/// When the tests play, and when the nodes started.
pub(crate) const NOW: Millis = 1_700_000_000_000;
pub(crate) const BOOT: Millis = NOW - 60_000;

pub(crate) fn id(number: u16) -> Identifier {
    Identifier::new(number).expect("not zero")
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn committee() -> Committee {
    let keys = (1..=SIZE).map(|n| secret(n).public_key()).collect();
    Committee::new(keys, THRESHOLD).expect("legal")
}

fn secret(number: u16) -> NodeKey {
    NodeKey::from_bytes([u8::try_from(number).expect("small"); 32]).expect("a scalar")
}

pub(crate) fn identity(me: Identifier) -> NodeKey {
    let of = |n: &u16| committee().identifier(&secret(*n).public_key()) == Some(me);
    secret((1..=SIZE).find(of).expect("a member"))
}

pub(crate) fn membership(me: Identifier) -> Arc<Membership> {
    Arc::new(Membership { network: NETWORK, epoch: 1, committee: committee(), me, engine: ENGINE })
}

pub(crate) fn peer_id(me: Identifier) -> String {
    committee().member(me).expect("a member").peer_id()
}

fn shares() -> &'static BTreeMap<Identifier, Vec<u8>> {
    static SHARES: OnceLock<BTreeMap<Identifier, Vec<u8>>> = OnceLock::new();
    SHARES.get_or_init(|| {
        let mut rng = rng(1);
        let (mut first, mut broadcasts) = (BTreeMap::new(), BTreeMap::new());
        for me in committee().identifiers() {
            let (state, package) = dkg::start(SCHEME, me, SIZE, THRESHOLD, &mut rng).expect("legal");
            first.insert(me, state);
            broadcasts.insert(me, package);
        }
        let mut dealt: BTreeMap<Identifier, BTreeMap<Identifier, _>> = BTreeMap::new();
        let mut second = BTreeMap::new();
        for (me, state) in first {
            let others: BTreeMap<Identifier, Bytes> =
                broadcasts.iter().filter(|(id, _)| **id != me).map(|(id, p)| (*id, p.clone())).collect();
            let (state, packages) = state.receive(others).expect("honest");
            second.insert(me, state);
            packages.into_iter().for_each(|(to, p)| {
                dealt.entry(to).or_default().insert(me, p);
            });
        }
        second
            .into_iter()
            .map(|(me, state)| {
                let share = state.finish(dealt.remove(&me).expect("dealt")).expect("honest");
                (me, share.to_bytes().to_vec())
            })
            .collect()
    })
}

pub(crate) fn share(me: Identifier) -> RootShare {
    RootShare::from_bytes(SCHEME, &shares()[&me]).expect("written here")
}

pub(crate) fn public() -> DerivedPublic {
    let root: RootPublic = share(id(1)).public();
    root.derive(&key().key_id()).expect("derives")
}

/// A participant with its share.
pub(crate) fn participant(me: Identifier) -> Participant<()> {
    let mut participant = Participant::new(membership(me), Arc::new(identity(me)), BOOT);
    participant.add_root(share(me)).expect("fits");
    participant
}

pub(crate) fn caller() -> NodeKey {
    NodeKey::from_bytes([99; 32]).expect("a scalar")
}

pub(crate) fn key() -> KeySpec {
    KeySpec {
        scheme: SCHEME,
        policy: Policy { action: ActionId(B256::repeat_byte(3)), config: Bytes::new() },
        payloads: vec![PayloadKind::Bytes],
        options: KeyOptions::default(),
        owner: Address::ZERO,
        salt: B256::ZERO,
    }
}

/// A request of now that lives a minute.
pub(crate) fn request(nonce: u8) -> Request {
    Request {
        network: NETWORK,
        key: key(),
        params: Bytes::new(),
        callers: vec![Caller { kind: CallerKind::Eip191, id: caller().public_key().address() }],
        coordinators: Vec::new(),
        nonce: B256::repeat_byte(nonce),
        issued_at: NOW,
        expires_at: NOW + 60_000,
    }
}

pub(crate) fn signed(request: Request) -> SignedRequest {
    let signature = caller().sign(request.digest().0);
    let signatures = vec![CallerSignature(Bytes::copy_from_slice(signature.as_bytes()))];
    SignedRequest { request, signatures }
}

pub(crate) fn terms(request: &Request, time_ms: Millis) -> SessionTerms {
    SessionTerms { request: request.digest(), epoch: 1, engine: ENGINE, time_ms, pins: Vec::new() }
}

/// The outcome that signs these bytes.
pub(crate) fn allow(content: u8) -> Outcome {
    let payloads = vec![Payload::Bytes(vec![content].into())];
    Outcome::of(Verdict::Allow { payloads, response: Bytes::new() }, &key()).expect("listed")
}
