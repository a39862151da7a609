//! A network of three with keys of two ceremonies, and a member's backup.

use std::{collections::BTreeMap, sync::OnceLock};

use countersign_threshold::{RootShare, dkg};
use countersign_types::{
    Activation, AttemptTerms, B256, Bytes, Committee, Genesis, Identifier, NodeKey, RootKeys, Scheme,
    activate,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use crate::{Backup, Boot, Ceremony, Content};

const SIZE: u16 = 3;
const THRESHOLD: u16 = 2;
/// What was made first, and what a later version added.
const CEREMONIES: [&[Scheme]; 2] = [&[Scheme::SchnorrSecp256k1, Scheme::Ed25519], &[Scheme::Bip340]];

pub(crate) fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes([byte; 32]).expect("a scalar")
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        nonce: B256::repeat_byte(3),
        members: (1..=3).map(|byte| key(byte).public_key()).collect(),
        threshold: THRESHOLD,
        chains: vec![1],
    }
}

fn committee() -> Committee {
    genesis().committee().expect("legal")
}

/// The key of a member, by its place from 0 in the committee.
pub(crate) fn member(place: usize) -> NodeKey {
    let public = committee().members()[place];
    (1..=3).map(key).find(|key| key.public_key() == public).expect("a member")
}

/// The share records of all members, for each scheme.
type Shares = BTreeMap<Scheme, BTreeMap<Identifier, Vec<u8>>>;

/// Root keys of both ceremonies, their terms, and everybody's shares.
struct Made {
    root_keys: RootKeys,
    terms: Vec<AttemptTerms>,
    shares: Shares,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(make)
}

fn make() -> Made {
    let network = genesis().network_id();
    let (mut terms, mut ceremonies, mut shares) = (Vec::new(), Vec::new(), Shares::new());
    for (number, schemes) in (1..).zip(CEREMONIES) {
        let own = AttemptTerms {
            epoch: 1,
            schemes: schemes.to_vec(),
            number,
            starter: Identifier::new(1).expect("not zero"),
            entropy: B256::repeat_byte(9),
        };
        let mut roots = Vec::new();
        for scheme in schemes {
            let dealt = ceremony(*scheme);
            roots.push(dealt.values().next().expect("three").root_key());
            let records = dealt.iter().map(|(id, share)| (*id, share.to_bytes().to_vec())).collect();
            shares.insert(*scheme, records);
        }
        let attempt = own.id(network);
        let signatures = (0..3).map(|place| activate(&roots, network, 1, attempt, &member(place))).collect();
        ceremonies.push(Activation { roots, attempt, signatures });
        terms.push(own);
    }
    Made { root_keys: RootKeys { network, epoch: 1, ceremonies }, terms, shares }
}

/// Key generation among honest members.
fn ceremony(scheme: Scheme) -> BTreeMap<Identifier, RootShare> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (mut first, mut broadcasts) = (BTreeMap::new(), BTreeMap::<Identifier, Bytes>::new());
    for me in committee().identifiers() {
        let (state, package) = dkg::start(scheme, me, SIZE, THRESHOLD, &mut rng).expect("legal");
        first.insert(me, state);
        broadcasts.insert(me, package);
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
    let finish = |(me, state): (Identifier, dkg::Round2)| {
        (me, state.finish(dealt.remove(&me).unwrap_or_default()).expect("all are honest"))
    };
    second.into_iter().map(finish).collect()
}

/// A member's share record.
pub(crate) fn share(scheme: Scheme, place: usize) -> Zeroizing<Vec<u8>> {
    let id = committee().identifier(&member(place).public_key()).expect("a member");
    Zeroizing::new(made().shares[&scheme][&id].clone())
}

/// What the first member would back up.
pub(crate) fn content() -> Content {
    let ceremonies = made().terms.iter().map(|terms| Ceremony {
        terms: terms.clone(),
        confirmations: (terms.number == 1).then(|| Bytes::from_static(b"all three")),
        shares: terms.schemes.iter().map(|scheme| share(*scheme, 0)).collect(),
    });
    Content {
        genesis: genesis(),
        taken_at_ms: 1_800_000_000_000,
        time_ms: 1_800_000_001_000,
        identity: member(0),
        boots: (2..=4).map(|generation| Boot { generation, id: [5; 16] }).collect(),
        peers: BTreeMap::from([(member(1).public_key(), Boot { generation: 7, id: [8; 16] })]),
        root_keys: made().root_keys.clone(),
        ceremonies: ceremonies.collect(),
        config: "data = 'data'\ngenesis = 'genesis.json'\n".into(),
    }
}

pub(crate) fn backup() -> Backup {
    Backup::new(content()).expect("all of one member")
}
