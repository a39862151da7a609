//! A node with shares, an activation, root keys and actions.

use std::{fs, path::Path};

use countersign_store::{ActiveShare, Bounds, KdfParameters, OpenError, Owner, PendingShares, Store};
use countersign_types::{
    Activation, AttemptId, AttemptTerms, B256, Bytes, CallerSignature, ComponentDigest, Identifier, Limits,
    Manifest, NetworkId, NodeKey, PublicKey, PublishAction, RootKey, RootKeys, Scheme, SignedPublishAction,
};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// What an attempt makes roots for.
pub(crate) const SCHEMES: [Scheme; 2] = [Scheme::SchnorrSecp256k1, Scheme::Ed25519];
pub(crate) const BOUNDS: Bounds =
    Bounds { total_bytes: 1 << 30, per_publisher_bytes: 1 << 30, actions: 1000 };

pub(crate) fn passphrase() -> SecretString {
    "correct horse".into()
}

pub(crate) fn kdf() -> KdfParameters {
    KdfParameters::new(8, 1).expect("cheap, and legal")
}

pub(crate) fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes([byte; 32]).expect("a scalar")
}

pub(crate) fn network() -> NetworkId {
    NetworkId::from([0x11; 32])
}

pub(crate) fn owner() -> Owner {
    Owner { network: network(), node: key(1).public_key() }
}

pub(crate) fn create(path: &Path) -> Store {
    Store::create(path, network(), &key(1), &passphrase(), kdf()).expect("a new folder")
}

pub(crate) fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(path, &owner(), &passphrase())
}

fn root(scheme: Scheme, byte: u8) -> RootKey {
    let point = vec![byte; scheme.root_key_len()];
    RootKey {
        scheme,
        public_key: PublicKey(point.clone().into()),
        verifying_shares: vec![Bytes::from(point); 3],
    }
}

/// A root for each of the schemes.
pub(crate) fn roots(schemes: &[Scheme], byte: u8) -> Vec<RootKey> {
    schemes.iter().map(|scheme| root(*scheme, byte)).collect()
}

/// The shares of attempt `number` in epoch 1; the bytes of its roots are the number, those of the shares its
/// complement.
pub(crate) fn pending(number: u8) -> PendingShares {
    pending_for(&SCHEMES, number)
}

/// The same for other schemes.
pub(crate) fn pending_for(schemes: &[Scheme], number: u8) -> PendingShares {
    let starter = Identifier::new(1).expect("not zero");
    let entropy = B256::repeat_byte(number);
    let schemes = schemes.to_vec();
    let terms = AttemptTerms { epoch: 1, schemes, number: number.into(), starter, entropy };
    PendingShares {
        epoch: terms.epoch,
        attempt: terms.id(network()),
        roots: roots(&terms.schemes, number),
        shares: terms.schemes.iter().map(|_| Zeroizing::new(vec![!number; 32])).collect(),
        terms,
    }
}

/// What this node signs with in the first scheme, if attempt `number` is active.
pub(crate) fn active(number: u8) -> ActiveShare {
    let pending = pending(number);
    ActiveShare { root: pending.roots[0].clone(), share: pending.shares[0].clone() }
}

pub(crate) fn attempt(number: u8) -> AttemptId {
    pending(number).attempt
}

pub(crate) fn ceremony(pending: &PendingShares) -> Activation {
    let (roots, attempt) = (pending.roots.clone(), pending.attempt);
    let signature = countersign_types::activate(&roots, network(), 1, attempt, &key(1));
    Activation { roots, attempt, signatures: vec![signature] }
}

pub(crate) fn root_keys(number: u8) -> RootKeys {
    RootKeys { network: network(), epoch: 1, ceremonies: vec![ceremony(&pending(number))] }
}

pub(crate) fn publication(publisher: u8, name: &str, component: &[u8]) -> SignedPublishAction {
    publication_of(publisher, name, component, B256::ZERO)
}

pub(crate) fn publication_of(
    publisher: u8,
    name: &str,
    component: &[u8],
    script: B256,
) -> SignedPublishAction {
    let key = key(publisher);
    let manifest = Manifest {
        name: name.into(),
        component: ComponentDigest::of(component),
        script,
        hosts: vec!["a.example".into()],
        chains: vec![1, 10],
        limits: Limits::default(),
    };
    let publish = PublishAction { manifest, publisher: key.public_key().address(), issued_at: 5 };
    let signature = key.sign(publish.digest(network()));
    SignedPublishAction { publish, signature: CallerSignature(Bytes::copy_from_slice(signature.as_bytes())) }
}

/// The same share as of another attempt.
pub(crate) fn under(terms: AttemptTerms, share: PendingShares) -> PendingShares {
    PendingShares { epoch: terms.epoch, attempt: terms.id(network()), terms, ..share }
}

/// A generator of test bytes: the same seed, the same bytes (SplitMix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.number().to_le_bytes()).flatten().take(length).collect()
    }
}

/// Copies a folder and what is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}
