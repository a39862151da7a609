//! Own starts and those of others.

use countersign_store::{Store, StoredBoot};

use crate::fixture::{copy, create, kdf, key, network, open, passphrase};

fn boot(generation: u64, id: u8) -> StoredBoot {
    StoredBoot { generation, id: [id; 16] }
}

#[test]
fn each_start_has_an_id_that_stays_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(create(&path));
    let mut ids = Vec::new();
    for generation in 2..6 {
        let store = open(&path).expect("whole");
        ids.push(store.own_boot(generation).expect("readable").expect("it has one"));
        assert_eq!(store.own_boot(generation + 1).expect("readable"), None);
        for (known, id) in (2..).zip(&ids) {
            assert_eq!(store.own_boot(known).expect("readable").as_ref(), Some(id));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "two starts have one id");
}

#[test]
fn two_copies_start_as_two() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, other) = (folder.path().join("store"), folder.path().join("copy"));
    drop(create(&path));
    copy(&path, &other);
    let ids = [&path, &other].map(|path| open(path).expect("whole").own_boot(2).expect("readable"));
    assert!(ids[0].is_some() && ids[0] != ids[1]);
}

#[test]
fn of_a_member_the_last_start_is_kept_until_it_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let (one, two) = (key(2).public_key(), key(3).public_key());
    let store = create(&path);
    assert_eq!(store.peer_boot(&one).expect("readable"), None);
    for (put, kept) in [
        (boot(4, 4), boot(4, 4)),
        (boot(3, 3), boot(4, 4)),
        (boot(4, 9), boot(4, 4)),
        (boot(7, 7), boot(7, 7)),
    ] {
        store.put_peer_boot(&one, put).expect("writable");
        assert_eq!(store.peer_boot(&one).expect("readable"), Some(kept));
    }
    store.put_peer_boot(&two, boot(1, 1)).expect("writable");
    drop(store);

    let store = open(&path).expect("whole");
    assert_eq!(store.peer_boot(&one).expect("readable"), Some(boot(7, 7)));
    assert_eq!(store.forget_peer_boot(&one).expect("writable"), Some(boot(7, 7)));
    assert_eq!(store.forget_peer_boot(&one).expect("writable"), None);
    drop(store);
    let store = open(&path).expect("whole");
    assert_eq!(store.peer_boot(&one).expect("readable"), None);
    assert_eq!(store.peer_boot(&two).expect("readable"), Some(boot(1, 1)));
    store.put_peer_boot(&one, boot(2, 2)).expect("writable");
    assert_eq!(store.peer_boot(&one).expect("readable"), Some(boot(2, 2)));
}

#[test]
fn a_database_after_another_goes_on_with_its_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let past = [boot(2, 2), boot(3, 3), boot(7, 7)];
    let make = |name: &str| {
        let path = folder.path().join(name);
        Store::create_after(&path, network(), &key(1), &passphrase(), kdf(), &past).expect("a new folder")
    };
    let store = make("store");
    assert_eq!(store.generation().expect("readable"), 8);
    let own = store.own_boots().expect("readable");
    assert_eq!((&own[..3], own.len(), own[3].generation), (&past[..], 4, 8));
    assert_eq!(store.own_boot(1).expect("readable"), None);
    assert_ne!(make("other").own_boot(8).expect("readable"), Some(own[3].id), "another start of that number");
    drop(store);
    let store = open(&folder.path().join("store")).expect("whole");
    assert_eq!(store.own_boots().expect("readable").len(), 5);
    assert_eq!(store.boot().expect("readable").generation, 9);
}
