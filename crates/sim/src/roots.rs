//! A committee with real keys: shares of one root, made by key generation once per process and size.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use countersign_session::Membership;
use countersign_threshold::{DerivedPublic, RootPublic, RootShare, dkg};
use countersign_types::{Bytes, Committee, EngineId, Identifier, KeyId, NetworkId, NodeKey, Scheme};

use crate::chance::Chance;

/// The network of every simulated world.
pub(crate) const NETWORK: NetworkId = NetworkId(alloy_primitives::B256::repeat_byte(7));
/// The engine that every simulated node runs.
pub(crate) const ENGINE: EngineId = EngineId(alloy_primitives::B256::repeat_byte(2));

/// A committee, its members' identities and their shares of one root.
pub(crate) struct Roots {
    pub(crate) committee: Committee,
    identities: BTreeMap<Identifier, [u8; 32]>,
    shares: BTreeMap<Identifier, Vec<u8>>,
    public: RootPublic,
}

impl Roots {
    /// The committee of this size with shares of one root; the same in every world of a process.
    pub(crate) fn of(scheme: Scheme, members: u16, threshold: u16) -> Arc<Self> {
        static MADE: Mutex<BTreeMap<(Scheme, u16, u16), Arc<Roots>>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let roots = made.entry((scheme, members, threshold));
        Arc::clone(roots.or_insert_with(|| Arc::new(Self::make(scheme, members, threshold))))
    }

    fn make(scheme: Scheme, members: u16, threshold: u16) -> Self {
        let (committee, identities) = identities(members, threshold);
        let shares = generate(scheme, &committee);
        let first = shares.values().next().expect("a committee has members");
        let public = first.public();
        let shares = shares.iter().map(|(id, share)| (*id, share.to_bytes().to_vec())).collect();
        Self { committee, identities, shares, public }
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.public.scheme()
    }

    pub(crate) fn members(&self) -> Vec<Identifier> {
        self.committee.identifiers().collect()
    }

    pub(crate) fn membership(&self, me: Identifier) -> Membership {
        membership(&self.committee, me)
    }

    pub(crate) fn identity(&self, me: Identifier) -> NodeKey {
        NodeKey::from_bytes(self.identities[&me]).expect("a scalar")
    }

    pub(crate) fn share(&self, me: Identifier) -> RootShare {
        RootShare::from_bytes(self.scheme(), &self.shares[&me]).expect("what was written is read")
    }

    pub(crate) fn derive(&self, key: &KeyId) -> DerivedPublic {
        self.public.derive(key).expect("no key is the opposite of its root")
    }
}

/// A committee and its members' identity keys.
pub(crate) fn identities(members: u16, threshold: u16) -> (Committee, BTreeMap<Identifier, [u8; 32]>) {
    let secrets: Vec<[u8; 32]> = (1..=members)
        .map(|number| {
            let mut secret = [1; 32];
            secret[..2].copy_from_slice(&number.to_be_bytes());
            secret
        })
        .collect();
    let key = |secret: &[u8; 32]| NodeKey::from_bytes(*secret).expect("a scalar").public_key();
    let committee = Committee::new(secrets.iter().map(key).collect(), threshold).expect("a legal committee");
    let identities =
        secrets.iter().filter_map(|s| Some((committee.identifier(&key(s))?, *s))).collect::<BTreeMap<_, _>>();
    (committee, identities)
}

pub(crate) fn membership(committee: &Committee, me: Identifier) -> Membership {
    Membership { network: NETWORK, epoch: 1, committee: committee.clone(), me, engine: ENGINE }
}

fn generate(scheme: Scheme, committee: &Committee) -> BTreeMap<Identifier, RootShare> {
    let mut chance = Chance::of(0, u64::from(committee.size()));
    let mut first = BTreeMap::new();
    let mut broadcasts: BTreeMap<Identifier, Bytes> = BTreeMap::new();
    for me in committee.identifiers() {
        let (size, threshold) = (committee.size(), committee.threshold());
        let (state, package) =
            dkg::start(scheme, me, size, threshold, &mut chance.0).expect("a legal committee");
        first.insert(me, state);
        broadcasts.insert(me, package);
    }
    let mut second = BTreeMap::new();
    let mut dealt: BTreeMap<Identifier, BTreeMap<Identifier, _>> = BTreeMap::new();
    for (me, state) in first {
        let others = broadcasts.iter().filter(|(id, _)| **id != me).map(|(id, p)| (*id, p.clone())).collect();
        let (state, packages) = state.receive(others).expect("all are honest");
        second.insert(me, state);
        for (to, package) in packages {
            dealt.entry(to).or_default().insert(me, package);
        }
    }
    second
        .into_iter()
        .map(|(me, state)| (me, state.finish(dealt.remove(&me).unwrap_or_default()).expect("all are honest")))
        .collect()
}
