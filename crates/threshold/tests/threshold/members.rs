//! A committee in one process: runs key generation, and signs with any of its members.

use std::collections::BTreeMap;

use countersign_threshold::{
    Commitments, DerivedPublic, DerivedShare, RootPublic, RootShare, SignatureShare, SigningNonces,
    SigningPackage,
    dkg::{self, PrivatePackage, Round1, Round2},
};
use countersign_types::{Bytes, Identifier, KeyId, Scheme};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// Runs tests that take a scheme with each: `every_scheme! { a, b }` is a module for each scheme, and tests `a`
/// and `b` in it.
macro_rules! every_scheme {
    ($($test:ident,)+) => {
        every_scheme! { schnorr_secp256k1 SchnorrSecp256k1: $($test)+ }
        every_scheme! { bip340 Bip340: $($test)+ }
        every_scheme! { ed25519 Ed25519: $($test)+ }
    };
    ($module:ident $scheme:ident: $($test:ident)+) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test(countersign_types::Scheme::$scheme);
                }
            )+
        }
    };
}
pub(crate) use every_scheme;

pub(crate) fn id(number: u16) -> Identifier {
    Identifier::new(number).expect("not zero")
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// All members after round 1, with the broadcasts of all.
pub(crate) struct Started {
    pub(crate) states: BTreeMap<Identifier, Round1>,
    pub(crate) broadcasts: BTreeMap<Identifier, Bytes>,
}

/// All members after round 2, with what each recipient is sent by each sender.
pub(crate) struct Dealt {
    pub(crate) states: BTreeMap<Identifier, Round2>,
    pub(crate) private: BTreeMap<Identifier, BTreeMap<Identifier, PrivatePackage>>,
}

pub(crate) fn start(scheme: Scheme, threshold: u16, size: u16, seed: u64) -> Started {
    let mut rng = rng(seed);
    let (mut states, mut broadcasts) = (BTreeMap::new(), BTreeMap::new());
    for me in (1..=size).map(id) {
        let (state, package) = dkg::start(scheme, me, size, threshold, &mut rng).expect("legal");
        states.insert(me, state);
        broadcasts.insert(me, package);
    }
    Started { states, broadcasts }
}

impl Started {
    /// The broadcasts that a member receives.
    pub(crate) fn others(&self, me: Identifier) -> BTreeMap<Identifier, Bytes> {
        self.broadcasts.iter().filter(|(id, _)| **id != me).map(|(id, bytes)| (*id, bytes.clone())).collect()
    }

    pub(crate) fn deal(mut self) -> Dealt {
        let (mut states, mut private) = (BTreeMap::new(), BTreeMap::<_, BTreeMap<_, _>>::new());
        for (me, state) in std::mem::take(&mut self.states) {
            let (state, packages) = state.receive(self.others(me)).expect("honest");
            states.insert(me, state);
            for (recipient, package) in packages {
                private.entry(recipient).or_default().insert(me, package);
            }
        }
        Dealt { states, private }
    }
}

/// The shares of a whole committee.
pub(crate) fn generate(
    scheme: Scheme,
    threshold: u16,
    size: u16,
    seed: u64,
) -> BTreeMap<Identifier, RootShare> {
    let Dealt { states, mut private } = start(scheme, threshold, size, seed).deal();
    let finish = |(me, state): (Identifier, Round2)| {
        let packages = private.remove(&me).expect("dealt to");
        (me, state.finish(packages).expect("honest"))
    };
    states.into_iter().map(finish).collect()
}

/// A derived key with the shares of all members.
pub(crate) struct Derived {
    pub(crate) shares: BTreeMap<Identifier, DerivedShare>,
    pub(crate) public: DerivedPublic,
}

pub(crate) fn derive(roots: &BTreeMap<Identifier, RootShare>, key: &KeyId) -> Derived {
    let first = roots.values().next().expect("members");
    let public = RootPublic::new(&first.root_key(), first.threshold()).expect("a root key");
    let shares = roots.iter().map(|(id, share)| (*id, share.derive(key).expect("a child")));
    Derived { shares: shares.collect(), public: public.derive(key).expect("a child") }
}

impl Derived {
    /// Round one of some members.
    pub(crate) fn commit(
        &self,
        signers: &[Identifier],
        seed: u64,
    ) -> (BTreeMap<Identifier, SigningNonces>, BTreeMap<Identifier, Commitments>) {
        let mut rng = rng(seed);
        let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
        for signer in signers {
            let (secret, public) = self.shares[signer].commit(&mut rng);
            nonces.insert(*signer, secret);
            commitments.insert(*signer, public);
        }
        (nonces, commitments)
    }

    /// Both rounds of some members.
    pub(crate) fn sign(
        &self,
        signers: &[Identifier],
        message: &[u8],
        seed: u64,
    ) -> (SigningPackage, BTreeMap<Identifier, SignatureShare>) {
        let (nonces, commitments) = self.commit(signers, seed);
        let package = SigningPackage::new(commitments, message.to_vec());
        let shares = nonces.into_iter().map(|(signer, nonces)| {
            (signer, nonces.sign(&package, &self.shares[&signer]).expect("a package for this key"))
        });
        let shares = shares.collect();
        (package, shares)
    }
}

/// Every set of so many members.
pub(crate) fn subsets(size: u16, count: u32) -> impl Iterator<Item = Vec<Identifier>> {
    (0..1u32 << size)
        .filter(move |set| set.count_ones() == count)
        .map(move |set| (1..=size).filter(|n| set >> (n - 1) & 1 == 1).map(id).collect())
}
