//! Creating and opening.

use std::{fs, os::unix::fs::PermissionsExt};

use countersign_store::{CreateError, KdfParameters, OpenError, Owner, SCHEMA, Store, StoreError};
use countersign_types::NetworkId;

use crate::fixture::{
    BOUNDS, SCHEMES, active, attempt, copy, create, kdf, key, network, open, owner, passphrase, pending,
    publication, root_keys,
};

#[test]
fn everything_is_there_after_opening_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/store");
    let store = create(&path);
    store.put_pending_shares(&pending(1)).expect("writable");
    store.record_activation(1, attempt(1), vec![7; 500].into()).expect("the first");
    store.put_root_keys(&root_keys(1)).expect("of that attempt");
    store.put_time(1234).expect("writable");
    let signed = publication(5, "gate", b"component");
    store
        .put_action(&signed, &countersign_types::action::Content::component(b"component".as_slice()), &BOUNDS)
        .expect("in bounds");
    let (artefacts, usage) = (store.artefact_key(), store.action_usage().expect("counted"));
    drop(store);

    for generation in 2..5 {
        let store = open(&path).expect("whole");
        assert_eq!(store.generation().expect("known"), generation);
        assert_eq!(store.owner(), &owner());
        assert_eq!(store.identity().expect("there").to_bytes(), key(1).to_bytes());
        assert_eq!(store.artefact_key(), artefacts);
        assert_eq!(store.pending_shares(1).expect("readable"), [pending(1)]);
        let activation = store.activation(1, SCHEMES[0]).expect("readable").expect("recorded");
        assert_eq!((activation.attempt, activation.confirmations.len()), (attempt(1), 500));
        assert_eq!(store.root_keys().expect("readable"), Some(root_keys(1)));
        assert_eq!(store.active_share(1, SCHEMES[0]).expect("readable"), Some(active(1)));
        assert_eq!(store.last_time().expect("known"), 1234);
        assert_eq!(store.action(&signed.action_id()).expect("readable").expect("there").signed, signed);
        assert_eq!(store.action_usage().expect("counted"), usage);
    }
}

#[test]
fn the_folder_is_for_its_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let (new, empty) = (folder.path().join("new"), folder.path().join("empty"));
    fs::create_dir(&empty).expect("a folder");
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).expect("a mode");
    for path in [new, empty] {
        create(&path);
        let mode = fs::metadata(&path).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[test]
fn a_missing_database_says_how_to_make_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().to_path_buf(), folder.path().join("none")] {
        let error = open(&path).expect_err("there is none");
        assert!(matches!(error, OpenError::Missing { .. }), "{error}");
        let told = error.to_string();
        for way in ["countersign node join", "countersign node restore", "key shares"] {
            assert!(told.contains(way), "{told}");
        }
        assert!(matches!(Store::read_owner(&path), Err(OpenError::Missing { .. })));
    }
}

#[test]
fn nothing_is_created_over_what_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(create(&path));
    let again = Store::create(&path, network(), &key(2), &passphrase(), kdf());
    assert!(matches!(again, Err(CreateError::NotEmpty { .. })), "{again:?}");
    assert_eq!(Store::read_owner(&path).expect("still the first's"), owner());
    open(&path).expect("untouched");

    let other = folder.path().join("other");
    fs::create_dir(&other).expect("a folder");
    fs::write(other.join("letter"), "mine").expect("a file");
    let over = Store::create(&other, network(), &key(2), &passphrase(), kdf());
    assert!(matches!(over, Err(CreateError::NotEmpty { .. })), "{over:?}");
    assert_eq!(fs::read(other.join("letter")).expect("untouched"), b"mine");
}

#[test]
fn an_empty_passphrase_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let error = Store::create(&path, network(), &key(1), &"".into(), kdf());
    assert!(matches!(error, Err(CreateError::EmptyPassphrase)));
    assert!(!path.exists());
}

#[test]
fn a_wrong_passphrase_is_told_from_every_other_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(create(&path));
    for wrong in ["", "correct horsE", "correct horse "] {
        let error = Store::open(&path, &owner(), &wrong.into()).expect_err("wrong");
        assert!(matches!(error, OpenError::Passphrase), "{error}");
    }
    assert_eq!(open(&path).expect("the right one").generation().expect("known"), 2);
}

#[test]
fn the_default_cost_is_64_mib_and_three_passes() {
    let cost = KdfParameters::default();
    assert_eq!((cost.memory_kib(), cost.passes()), (65_536, 3));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(Store::create(&path, network(), &key(1), &passphrase(), cost).expect("a new folder"));
    open(&path).expect("the cost is stored with the database");
}

#[test]
fn the_database_of_another_node_or_network_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(create(&path));
    let other = Owner { network: NetworkId::from([2; 32]), ..owner() };
    let error = Store::open(&path, &other, &passphrase()).expect_err("another network");
    assert!(matches!(error, OpenError::Network { got, .. } if got == network()), "{error}");

    let other = Owner { node: key(2).public_key(), ..owner() };
    let error = Store::open(&path, &other, &passphrase()).expect_err("another node");
    assert!(matches!(error, OpenError::Node { got, .. } if got == owner().node), "{error}");
    assert!(error.to_string().contains("belongs to node 0x"), "{error}");
}

#[test]
fn a_database_is_open_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    let error = open(&path).expect_err("it is open");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    let told = error.to_string();
    assert!(told.contains("in use by another process") && told.contains("stop it first"), "{told}");
    assert_eq!(Store::read_owner(&path).expect("without the lock"), owner());
    drop(store);
    open(&path).expect("it was closed");
}

#[test]
fn whether_there_are_key_shares_is_seen_without_a_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    let error = Store::has_shares(&path).expect_err("it is open");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(store);
    assert!(!Store::has_shares(&path).expect("readable"), "it has just joined");

    let store = open(&path).expect("nobody else has it");
    let before = store.generation().expect("known");
    // in the log, and not in a table yet
    store.put_pending_shares(&pending(1)).expect("writable");
    drop(store);
    assert!(Store::has_shares(&path).expect("readable"));
    assert!(Store::has_shares(&path).expect("readable"));
    assert_eq!(open(&path).expect("whole").generation().expect("known"), before + 1, "looking is no start");

    let error = Store::has_shares(&folder.path().join("none")).expect_err("there is none");
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    fs::remove_dir_all(path.join("rocksdb")).expect("removed");
    Store::has_shares(&path).expect_err("nobody can tell");
    assert!(!path.join("rocksdb").exists(), "one was made");
}

#[test]
fn a_copy_of_the_header_that_is_not_whole_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(create(&path));
    assert!(Store::damaged_headers(&path).is_empty());
    let whole = fs::read(path.join("header")).expect("readable");
    fs::write(path.join("header"), &whole[..10]).expect("cut");
    assert_eq!(Store::damaged_headers(&path), ["header"]);
    assert_eq!(Store::read_owner(&path).expect("the other one will do"), owner());
    // what mends it
    fs::copy(path.join("header.copy"), path.join("header")).expect("copied");
    assert!(Store::damaged_headers(&path).is_empty());
    fs::remove_file(path.join("header.copy")).expect("removed");
    assert_eq!(Store::damaged_headers(&path), ["header.copy"]);
}

#[test]
fn a_copy_that_is_not_whole_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(create(&path));
    let copied = |name: &str, without: &[&str]| {
        let target = folder.path().join(name);
        copy(&path, &target);
        for file in without {
            fs::remove_file(target.join(file)).expect("it is there");
        }
        open(&target)
    };
    copied("whole", &[]).expect("whole");
    copied("one-header", &["header"]).expect("the other copy will do");
    copied("other-header", &["header.copy"]).expect("the other copy will do");
    let error = copied("no-header", &["header", "header.copy"]).expect_err("no data key");
    assert!(matches!(error, OpenError::Incomplete { file: "header", .. }), "{error}");
    let error = copied("no-watermark", &["watermark"]).expect_err("no watermark");
    assert!(matches!(error, OpenError::Incomplete { file: "watermark", .. }), "{error}");
    let error = copied("no-current", &["rocksdb/CURRENT"]).expect_err("never an empty one instead");
    assert!(matches!(error, OpenError::Store(StoreError::Corrupt { .. })), "{error}");
}

#[test]
fn time_never_runs_backwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    assert_eq!(store.last_time().expect("known"), 0);
    for (put, last) in [(100, 100), (50, 100), (101, 101)] {
        store.put_time(put).expect("writable");
        assert_eq!(store.last_time().expect("known"), last);
    }
    drop(store);
    let store = open(&path).expect("whole");
    store.put_time(7).expect("writable");
    assert_eq!(store.last_time().expect("known"), 101);
}

#[test]
fn debug_output_shows_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let shown = format!("{store:?} {:?} {:?}", pending(77), passphrase());
    for secret in ["178, 178", "b2b2", "1, 1, 1", "01010101", "horse"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert_eq!(SCHEMA, 2);
}

#[test]
fn no_secret_is_on_disk_in_the_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    store.put_pending_shares(&pending(0xa7)).expect("writable");
    drop(store);
    drop(open(&path).expect("whole"));
    let secrets = [vec![!0xa7; 8], key(1).to_bytes()[..8].to_vec(), b"correct horse".to_vec()];
    let folders = [path.clone(), path.join("rocksdb")];
    for entry in folders.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder")) {
        let file = entry.expect("an entry").path();
        let bytes = if file.is_file() { fs::read(&file).expect("readable") } else { Vec::new() };
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{file:?}");
        }
    }
}
