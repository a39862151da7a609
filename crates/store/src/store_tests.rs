//! Tests that reach under the store: raw records, log and watermark.

use std::{fs::File, path::PathBuf};

use countersign_types::{AttemptTerms, B256, Bytes, Identifier, PublicKey, RootKey, Scheme};

use super::*;
use crate::PendingShares;

const SCHEME: Scheme = Scheme::SchnorrSecp256k1;

fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes([byte; 32]).expect("a scalar")
}

fn network(byte: u8) -> NetworkId {
    NetworkId::from([byte; 32])
}

fn create(path: &Path, network_byte: u8, node: u8) -> Store {
    let kdf = KdfParameters::new(8, 1).expect("cheap, and legal");
    Store::create(path, network(network_byte), &key(node), &"secret".into(), kdf).expect("a new folder")
}

fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(path, &Owner { network: network(1), node: key(1).public_key() }, &"secret".into())
}

fn pending(epoch: u64, number: u64) -> PendingShares {
    let starter = Identifier::new(1).expect("not zero");
    let public_key = PublicKey(vec![2; 33].into());
    let terms = AttemptTerms { epoch, schemes: vec![SCHEME], number, starter, entropy: B256::repeat_byte(9) };
    PendingShares {
        epoch: terms.epoch,
        attempt: terms.id(network(1)),
        terms,
        roots: vec![RootKey { scheme: SCHEME, public_key, verifying_shares: vec![Bytes::from(vec![3; 33])] }],
        shares: vec![Zeroizing::new(vec![number as u8; 32])],
    }
}

fn place(pending: &PendingShares) -> Place {
    Place::PendingShares { epoch: pending.epoch, attempt: pending.attempt }
}

fn raw(store: &Store, place: Place) -> Vec<u8> {
    store.database.get("testing", place).expect("readable").expect("there")
}

fn put_raw(store: &Store, place: Place, value: &[u8]) {
    let mut batch = WriteBatch::default();
    batch.put(place.key(), value);
    store.database.write("testing", batch).expect("writable");
}

fn is_corrupt<T: fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Corrupt { .. }))
}

#[test]
fn a_sealed_record_opens_in_its_own_place_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("a"), 1, 1);
    let (first, second) = (pending(1, 1), pending(1, 2));
    let later = pending(2, 1);
    for share in [&first, &second, &later] {
        store.put_pending_shares(share).expect("writable");
    }
    let read = |share: &PendingShares| store.pending_shares_of(share.epoch, share.attempt);

    // the control: a record that is sealed for the place is read, whoever put it there
    let resealed = store
        .sealer
        .seal(place(&first), &store.unseal("testing", place(&first)).expect("opens").expect("there"));
    put_raw(&store, place(&first), &resealed.expect("randomness"));
    assert_eq!(read(&first).expect("opens"), Some(pending(1, 1)));

    for other in [&second, &later] {
        put_raw(&store, place(other), &raw(&store, place(&first)));
        assert!(is_corrupt(read(other)));
    }
    assert!(is_corrupt(store.pending_shares(1)));

    store.record_activation(1, first.attempt, Bytes::new()).expect("the first");
    put_raw(
        &store,
        Place::RootKeys { epoch: 1 },
        &raw(&store, Place::Activation { epoch: 1, scheme: SCHEME }),
    );
    assert!(is_corrupt(store.root_keys()));
    put_raw(&store, Place::Identity, &raw(&store, Place::Head));
    assert!(is_corrupt(store.identity()));
}

#[test]
fn a_record_of_another_network_or_node_does_not_open_even_under_the_same_data_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = create(&folder.path().join("a"), 1, 1);
    let data = DataKey::random().expect("randomness");
    store.sealer = Sealer::new(&data, network(1), key(1).public_key());
    for (network_byte, node, opens) in [(1, 1, true), (2, 1, false), (1, 2, false)] {
        let other = Sealer::new(&data, network(network_byte), key(node).public_key());
        let plain = store.sealer.seal(Place::Identity, key(1).to_bytes().as_slice()).expect("randomness");
        assert_eq!(other.open("testing", Place::Identity, &plain).is_ok(), opens);
    }
}

#[test]
fn a_record_of_another_database_does_not_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (create(&folder.path().join("a"), 1, 1), create(&folder.path().join("b"), 1, 1));
    for store in [&a, &b] {
        store.put_pending_shares(&pending(1, 1)).expect("writable");
    }
    put_raw(&b, place(&pending(1, 1)), &raw(&a, place(&pending(1, 1))));
    assert!(is_corrupt(b.pending_shares(1)));
}

#[test]
fn an_identity_that_is_not_the_owners_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    let store = create(&path, 1, 1);
    let another = store.seal_bytes(Place::Identity, key(2).to_bytes().as_slice()).expect("randomness");
    put_raw(&store, Place::Identity, &another);
    let read = store.identity().expect_err("another node's").to_string();
    drop(store);
    let opened = open(&path).expect_err("another node's").to_string();
    for error in [read, opened] {
        assert!(error.contains("reading the identity: it is not the owner's"), "{error}");
    }
}

#[test]
fn a_database_with_a_record_missing_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    let store = create(&path, 1, 1);
    store.put_pending_shares(&pending(1, 1)).expect("writable");
    store.record_activation(1, pending(1, 1).attempt, Bytes::new()).expect("the first");
    drop(store);
    drop(open(&path).expect("whole"));

    let store = open(&path).expect("whole");
    let mut batch = WriteBatch::default();
    batch.delete(Place::Activation { epoch: 1, scheme: SCHEME }.key());
    store.database.write("testing", batch).expect("writable");
    drop(store);
    let error = open(&path).expect_err("the activation is gone");
    assert!(error.to_string().contains("there should be 1 activations, there are 0"), "{error}");
}

fn newest_log(path: &Path) -> PathBuf {
    let logs =
        fs::read_dir(path.join(ROCKSDB)).expect("a folder").map(|entry| entry.expect("an entry").path());
    logs.filter(|path| path.extension().is_some_and(|ext| ext == "log")).max().expect("a log")
}

/// A database whose last acknowledged write, an activation, was cut from RocksDB's log.
fn cut(path: &Path) {
    let store = create(path, 1, 1);
    store.put_pending_shares(&pending(1, 1)).expect("writable");
    store.record_activation(1, pending(1, 1).attempt, Bytes::new()).expect("the first");
    drop(store);
    let log = File::options().write(true).open(newest_log(path)).expect("a log");
    let length = log.metadata().expect("a file").len();
    log.set_len(length - 1).expect("a shorter log");
}

#[test]
fn a_log_that_lost_an_acknowledged_write_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    cut(&path);
    let error = open(&path).expect_err("the activation is gone");
    assert!(error.to_string().contains("the last 1 writes are gone"), "{error}");
}

#[test]
fn without_the_watermark_the_lost_activation_would_go_unnoticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    cut(&path);
    fs::remove_file(path.join(WATERMARK)).expect("it is there");
    drop(Watermark::create(&path.join(WATERMARK)).expect("a new one, at zero"));
    let store = open(&path).expect("RocksDB sees nothing wrong");
    assert_eq!(store.activation(1, SCHEME).expect("readable"), None);
}

#[test]
fn a_component_that_is_not_its_digests_is_never_returned() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("a"), 1, 1);
    let digest = countersign_types::ComponentDigest::of(b"component");
    put_raw(&store, Place::Component(digest), b"component");
    assert_eq!(store.component(&digest).expect("whole").as_deref(), Some(b"component".as_slice()));
    put_raw(&store, Place::Component(digest), b"Component");
    let error = store.component(&digest).expect_err("damaged");
    assert!(matches!(error, StoreError::CorruptComponent { .. }) && !error.is_fatal(), "{error}");
}

#[test]
fn a_script_that_is_not_its_digests_is_never_returned() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("a"), 1, 1);
    let digest = countersign_types::action::script_digest("run");
    put_raw(&store, Place::Script(digest), b"run");
    assert_eq!(store.script(&digest).expect("whole").as_deref(), Some("run"));
    for damaged in [b"ran".as_slice(), &[0xff]] {
        put_raw(&store, Place::Script(digest), damaged);
        let error = store.script(&digest).expect_err("damaged");
        assert!(error.to_string().contains("reading a script"), "{error}");
    }
}

#[test]
fn after_a_failed_write_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    let store = create(&path, 1, 1);
    store.put_pending_shares(&pending(1, 1)).expect("writable");
    {
        let read_only = File::open(path.join(WATERMARK)).expect("it is there");
        store.writer().expect("not poisoned").watermark = Watermark::of(read_only);
    }
    let error = store.put_time(5).expect_err("the watermark cannot be raised");
    assert!(error.is_fatal(), "{error}");
    assert!(matches!(store.put_time(6), Err(StoreError::Stopped)));
    let again = store.put_pending_shares(&pending(1, 2)).expect_err("stopped");
    assert!(matches!(again, crate::PutShareError::Store(StoreError::Stopped)));
    assert_eq!(store.pending_shares(1).expect("reads go on").len(), 1);
    drop(store);
    assert_eq!(open(&path).expect("whole").pending_shares(1).expect("readable").len(), 1);
}
