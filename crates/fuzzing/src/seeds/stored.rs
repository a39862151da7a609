//! Seeds of what lies on a node's disk.

use countersign_session::keygen::Joined;
use countersign_store::{
    ActivationRecord, BOOT_ID_BYTES, JoinedRecord, KdfParameters, StoredAction, StoredBoot,
    fuzzing::{SmallFile, write_slot},
};
use countersign_types::{
    AttemptTerms, B256, ComponentDigest, Identifier, NodePublicKey, NodeSignature, RootKey, RootKeys, Scheme,
    action::script_digest,
};

use super::{Seed, bodies::publication, wire::bytes};
use crate::{
    receipts::Case,
    session::honest_messages,
    world::{NOW, world},
};

const EPOCH: [u8; 8] = 1_u64.to_be_bytes();

pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = files();
    seeds.extend(key_generation());
    seeds.extend(published());
    seeds.extend(starts());
    let receipt = bytes(&Case::honest(Scheme::Bip340).receipt);
    seeds.push(Seed::tagged("store_records", "receipt", 4, receipt));
    seeds
}

fn me() -> Identifier {
    world().members()[0]
}

fn node() -> NodePublicKey {
    world().identity(me()).public_key()
}

/// What lies under a key: the type's byte, and fields.
fn record(name: &str, kind: u8, fields: &[&[u8]], record: impl AsRef<[u8]>) -> Seed {
    let key = [&[kind], &fields.concat()[..]].concat();
    Seed::tagged("store_records", name, 0, [&length_of(&key)[..], record.as_ref()].concat())
}

/// A part behind its length, in one byte.
fn length_of(part: &[u8]) -> Vec<u8> {
    [&[u8::try_from(part.len()).expect("short")], part].concat()
}

fn files() -> Vec<Seed> {
    let (kdf, salt, wrapped) = (KdfParameters::default(), [3_u8; 16], vec![4_u8; 72]);
    let header = bytes(&(world().network(), node(), kdf, salt, &wrapped));
    let identity = bytes(&(node(), kdf, salt, &wrapped));
    vec![
        Seed::tagged("store_files", "header", 0, SmallFile::Header.framed(&header)),
        Seed::tagged("store_files", "header-body", 1, header),
        Seed::tagged("store_files", "identity", 2, SmallFile::Identity.framed(&identity)),
        Seed::tagged("store_files", "identity-body", 3, identity),
        Seed::tagged("store_files", "slot", 4, write_slot(300)),
        Seed::tagged("store_files", "slot-count", 5, 300_u64.to_be_bytes()),
    ]
}

fn key_generation() -> Vec<Seed> {
    let schemes = vec![Scheme::SchnorrSecp256k1, Scheme::Ed25519];
    let terms = AttemptTerms { epoch: 1, schemes, number: NOW, starter: me(), entropy: B256::repeat_byte(1) };
    let attempt = terms.id(world().network());
    let roots: Vec<RootKey> = terms.schemes.iter().map(|scheme| world().root(*scheme).root_key()).collect();
    let part = |part: &[u8]| {
        let length = u32::try_from(part.len()).expect("short");
        [&length.to_be_bytes()[..], part].concat()
    };
    let mut pending = part(&bytes(&(&terms, &roots)));
    for scheme in &terms.schemes {
        pending.extend(part(world().share_record(*scheme, me())));
    }
    let (_, activation) = honest_messages(Scheme::Ed25519);
    let confirmations: Vec<NodeSignature> = activation.signatures.clone();
    let activated = ActivationRecord { attempt, confirmations: bytes(&confirmations).into() };
    let root_keys = RootKeys { network: world().network(), epoch: 1, ceremonies: vec![activation] };
    let joined = bytes(&Joined { attempt, number: NOW, first: NOW, released: None });
    let note = JoinedRecord { number: NOW, note: joined.clone().into() };
    vec![
        record("pending-shares", 3, &[&EPOCH, attempt.as_bytes()], pending),
        record("activation", 4, &[&EPOCH, &[3]], bytes(&activated)),
        record("root-keys", 5, &[&EPOCH], bytes(&root_keys)),
        record("joined", 11, &[&EPOCH], bytes(&note)),
        Seed::tagged("store_records", "joined-note", 2, joined),
        Seed::tagged("store_records", "confirmations", 3, bytes(&confirmations)),
    ]
}

fn published() -> Vec<Seed> {
    let (signed, content) = publication();
    let action = signed.action_id();
    let component = content.component.unwrap_or_default();
    let script = content.script.unwrap_or_default();
    let stored =
        StoredAction { signed, component_bytes: component.len() as u64, script_bytes: script.len() as u64 };
    vec![
        record("action", 6, &[action.as_bytes()], bytes(&stored)),
        record("component", 7, &[ComponentDigest::of(&component).as_bytes()], &component),
        record("script", 8, &[script_digest(&script).as_slice()], &script),
    ]
}

fn starts() -> Vec<Seed> {
    let boot = StoredBoot { generation: 300, id: [9; BOOT_ID_BYTES] };
    // writes, generation, time, pending shares, activations, root keys, actions
    let head = bytes(&(300_u64, 2_u64, NOW, 1_u64, 2_u64, 1_u64, 4_u64));
    let own = [&[9], &2_u64.to_be_bytes()[..]].concat();
    // opened in its own place and in that of the head, with no bits flipped
    let sealed = [&length_of(&own)[..], &length_of(&[1]), &length_of(&[]), &bytes(&boot.id)].concat();
    vec![
        record("head", 1, &[], &head),
        record("identity", 2, &[], world().identity(me()).to_bytes().as_slice()),
        record("own-boot", 9, &[&2_u64.to_be_bytes()], bytes(&boot.id)),
        record("peer-boot", 10, &[node().as_bytes()], bytes(&Some(boot))),
        record("peer-boot-forgotten", 10, &[node().as_bytes()], bytes(&None::<StoredBoot>)),
        Seed::tagged("store_records", "sealed", 1, sealed),
    ]
}
