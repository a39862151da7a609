//! A committee with its keys, and requests to it: made once, and always the same.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use countersign_session::{Membership, Millis};
use countersign_threshold::{
    Commitments, DerivedPublic, DerivedShare, RootPublic, RootShare, SigningNonces, dkg,
};
use countersign_types::{
    ActionId, Address, B256, Bytes, Caller, CallerKind, CallerSignature, Committee, EngineId, Identifier,
    KeyOptions, KeySpec, NetworkId, NodeKey, PayloadKind, Policy, Request, Scheme, SessionTerms,
    SignedRequest, ValidRequest,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// When everything here begins.
pub(crate) const NOW: Millis = 1_800_000_000_000;
/// How many members the committee has.
const MEMBERS: u16 = 4;
/// How many sign.
const THRESHOLD: u16 = 3;
/// How long requests live here.
pub(crate) const LIFETIME_MS: Millis = 60_000;

/// The committee, its keys, and requests to it.
pub(crate) struct World {
    committee: Committee,
    members: Vec<Identifier>,
    identities: BTreeMap<Identifier, NodeKey>,
    roots: BTreeMap<Scheme, Root>,
}

struct Root {
    public: RootPublic,
    shares: BTreeMap<Identifier, Vec<u8>>,
    requests: Vec<Asked>,
}

/// A request, with what its key derives.
pub(crate) struct Asked {
    pub(crate) request: Arc<ValidRequest>,
    pub(crate) public: DerivedPublic,
    pub(crate) shares: BTreeMap<Identifier, DerivedShare>,
}

/// The world.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::make)
}

/// A generator that gives the same for the same seed.
pub(crate) fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

impl World {
    fn make() -> Self {
        let secrets: Vec<[u8; 32]> = (1..=MEMBERS).map(|number| [number.to_be_bytes()[1]; 32]).collect();
        let key = |secret: &[u8; 32]| NodeKey::from_bytes(*secret).expect("a scalar");
        let publics = secrets.iter().map(|secret| key(secret).public_key()).collect();
        let committee = Committee::new(publics, THRESHOLD).expect("a legal committee");
        let identities: BTreeMap<Identifier, NodeKey> = secrets
            .iter()
            .filter_map(|secret| Some((committee.identifier(&key(secret).public_key())?, key(secret))))
            .collect();
        let members = committee.identifiers().collect();
        let mut world = Self { committee, members, identities, roots: BTreeMap::new() };
        for (seed, scheme) in (1..).zip(Scheme::ALL) {
            let root = world.generate(scheme, seed);
            world.roots.insert(scheme, root);
        }
        world
    }

    /// Key generation among honest members.
    fn generate(&self, scheme: Scheme, seed: u64) -> Root {
        let shares = self.ceremony(scheme, seed);
        let public = shares[&self.members[0]].public();
        let requests = (0..4).map(|number| self.ask(scheme, number, &public, &shares)).collect();
        let shares = shares.iter().map(|(id, share)| (*id, share.to_bytes().to_vec())).collect();
        Root { public, shares, requests }
    }

    pub(crate) fn ceremony(&self, scheme: Scheme, seed: u64) -> BTreeMap<Identifier, RootShare> {
        let mut rng = seeded(seed);
        let (mut first, mut broadcasts) = (BTreeMap::new(), BTreeMap::<Identifier, Bytes>::new());
        for me in &self.members {
            let (state, package) =
                dkg::start(scheme, *me, MEMBERS, THRESHOLD, &mut rng).expect("a legal committee");
            first.insert(*me, state);
            broadcasts.insert(*me, package);
        }
        let (mut second, mut dealt) = (BTreeMap::new(), BTreeMap::<Identifier, BTreeMap<_, _>>::new());
        for (me, state) in first {
            let mut others = broadcasts.clone();
            others.remove(&me);
            let (state, packages) = state.receive(others).expect("all are honest");
            second.insert(me, state);
            for (to, package) in packages {
                dealt.entry(to).or_default().insert(me, package);
            }
        }
        second
            .into_iter()
            .map(|(me, state)| {
                let share = state.finish(dealt.remove(&me).unwrap_or_default()).expect("all are honest");
                (me, share)
            })
            .collect()
    }

    /// Requests 0 and 1 are ordinary, 2 has the nonce of 0, 3 ends after two seconds.
    fn ask(
        &self,
        scheme: Scheme,
        number: u8,
        root: &RootPublic,
        shares: &BTreeMap<Identifier, RootShare>,
    ) -> Asked {
        let caller = NodeKey::from_bytes([9; 32]).expect("a scalar");
        let mut payloads = vec![PayloadKind::Bytes];
        if scheme.is_secp256k1() {
            payloads.push(PayloadKind::PersonalMessage);
        }
        let key = KeySpec {
            scheme,
            policy: Policy { action: ActionId::from([5; 32]), config: Bytes::from_static(b"config") },
            payloads,
            options: KeyOptions::default(),
            owner: Address::ZERO,
            salt: B256::ZERO,
        };
        let request = Request {
            network: self.network(),
            key,
            params: vec![number].into(),
            callers: vec![Caller { kind: CallerKind::Eip191, id: caller.public_key().address() }],
            coordinators: Vec::new(),
            nonce: B256::repeat_byte(if number == 2 { 0 } else { number }),
            issued_at: NOW - 1_000,
            expires_at: if number == 3 { NOW + 2_000 } else { NOW + LIFETIME_MS },
        };
        let signature = caller.sign(request.digest().0);
        let signatures = vec![CallerSignature(Bytes::copy_from_slice(signature.as_bytes()))];
        let request = SignedRequest { request, signatures }.validate().expect("a valid request");
        let key = request.key_id();
        let derived = |share: &RootShare| share.derive(&key).expect("it can be derived");
        Asked {
            public: root.derive(&key).expect("it can be derived"),
            shares: shares.iter().map(|(id, share)| (*id, derived(share))).collect(),
            request: Arc::new(request),
        }
    }

    /// The network.
    pub(crate) fn network(&self) -> NetworkId {
        NetworkId::from([7; 32])
    }

    /// The committee: three of four sign.
    pub(crate) fn committee(&self) -> &Committee {
        &self.committee
    }

    /// Its members, ascending.
    pub(crate) fn members(&self) -> &[Identifier] {
        &self.members
    }

    /// A member's identity.
    pub(crate) fn identity(&self, member: Identifier) -> &NodeKey {
        &self.identities[&member]
    }

    pub(crate) fn membership(&self, me: Identifier) -> Arc<Membership> {
        let (network, committee) = (self.network(), self.committee.clone());
        Arc::new(Membership { network, epoch: 1, committee, me, engine: engine() })
    }

    pub(crate) fn root(&self, scheme: Scheme) -> &RootPublic {
        &self.roots[&scheme].public
    }

    /// A member's share of a root, as it is stored.
    pub(crate) fn share_record(&self, scheme: Scheme, member: Identifier) -> &[u8] {
        &self.roots[&scheme].shares[&member]
    }

    pub(crate) fn share(&self, scheme: Scheme, member: Identifier) -> RootShare {
        RootShare::from_bytes(scheme, self.share_record(scheme, member)).expect("what was written is read")
    }

    pub(crate) fn requests(&self, scheme: Scheme) -> &[Asked] {
        &self.roots[&scheme].requests
    }
}

impl Asked {
    /// The terms of a session for it at this time.
    pub(crate) fn terms(&self, time_ms: Millis) -> SessionTerms {
        let request = self.request.digest();
        SessionTerms { request, epoch: 1, engine: engine(), time_ms, pins: Vec::new() }
    }

    /// A member's nonces of a seed, and their commitments: the same each time.
    pub(crate) fn nonces(&self, member: Identifier, seed: u64) -> (SigningNonces, Commitments) {
        self.shares[&member].commit(&mut seeded(seed << 8 | u64::from(member.get())))
    }
}

/// What every member runs actions with.
pub(crate) fn engine() -> EngineId {
    EngineId::from([6; 32])
}
