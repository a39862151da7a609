//! A disk without room, played by the limit on file sizes: it needs no privilege.

use countersign_store::{CreateError, PutActionError, Store, StoreError};
use countersign_types::action::Content;

use crate::{
    fixture::{
        BOUNDS, SCHEMES, Seeded, attempt, create, kdf, key, network, open, passphrase, pending, publication,
    },
    killed::{child, path_from_parent},
};

/// Files of at most 2 MiB; what goes beyond is an error, not a signal.
const SMALL: &str = "trap '' XFSZ; ulimit -f 4096; exec \"$@\"";
/// Files of at most 512 bytes.
const TINY: &str = "trap '' XFSZ; ulimit -f 1; exec \"$@\"";

#[test]
#[ignore = "the process whose disk its parent test fills"]
fn writes_until_the_disk_is_full() {
    let Some(path) = path_from_parent() else { return };
    let store = open(&path).expect("whole");
    let mut seeded = Seeded(1);
    let mut stored = 0;
    let error = loop {
        let component = seeded.bytes(100_000);
        let signed = publication(5, &format!("action-{stored}"), &component);
        match store.put_action(&signed, &Content::component(component.clone()), &BOUNDS) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "the limit does not hold");
    };
    let full =
        matches!(&error, PutActionError::Store(error @ StoreError::DiskFull { .. }) if error.is_fatal());
    assert!(full, "{error:?}");
    assert!(error.to_string().contains("no space left"), "{error}");

    assert!(matches!(store.put_time(99), Err(StoreError::Stopped)));
    assert_eq!(store.pending_shares(1).expect("reads go on"), [pending(1)]);
    assert_eq!(store.actions(None, 1000).expect("reads go on").len(), stored);
    println!("\nstored {stored}");
}

#[test]
fn a_full_disk_stops_writes_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    store.put_pending_shares(&pending(1)).expect("new");
    store.record_activation(1, attempt(1), vec![1].into()).expect("the first");
    drop(store);

    let child = child("full_disk::writes_until_the_disk_is_full", &path, Some(SMALL));
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let stored: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("stored ")?.parse().ok())
        .expect("it says how many it stored");
    assert!(stored > 5, "{stored}");

    let store = open(&path).expect("room again");
    assert_eq!(store.pending_shares(1).expect("readable"), [pending(1)]);
    assert_eq!(store.activation(1, SCHEMES[0]).expect("readable").expect("recorded").attempt, attempt(1));
    let actions = store.actions(None, 1000).expect("readable");
    assert_eq!(actions.len(), stored);
    for action in actions {
        let component = store.component(&action.signed.publish.manifest.component).expect("whole");
        assert_eq!(component.map(|bytes| bytes.len()), Some(100_000));
    }
    store.put_time(99).expect("writable again");
}

#[test]
#[ignore = "the process that has no room from the start"]
fn cannot_create() {
    let Some(path) = path_from_parent() else { return };
    let error = Store::create(&path, network(), &key(1), &passphrase(), kdf()).expect_err("no room");
    assert!(
        matches!(error, CreateError::Io { .. } | CreateError::Store(StoreError::DiskFull { .. })),
        "{error:?}"
    );
}

#[test]
fn a_creation_that_found_no_room_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let output = child("full_disk::cannot_create", &path, Some(TINY)).wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    create(&path);
}
