//! Actions, their bounds and their counters.

use countersign_store::{ActionUsage, Bounds, MAX_LISTED, Put, PutActionError, Store};
use countersign_types::{
    B256, ComponentDigest,
    action::{Content, ManifestError, script_digest},
};

use crate::fixture::{BOUNDS, create, key, open, publication, publication_of};

fn component() -> Content {
    Content::component(b"component".as_slice())
}

fn used_by(store: &Store, publisher: u8) -> ActionUsage {
    store.publisher_usage(&key(publisher).public_key().address()).expect("counted")
}

#[test]
fn an_action_is_stored_once_under_its_own_content() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let signed = publication(5, "gate", b"component");
    assert_eq!(store.action(&signed.action_id()).expect("readable"), None);
    assert_eq!(store.component(&ComponentDigest::of(b"component")).expect("readable"), None);
    assert_eq!(store.put_action(&signed, &component(), &BOUNDS).expect("in bounds"), Put::Stored);
    assert_eq!(store.put_action(&signed, &component(), &BOUNDS).expect("the same"), Put::AlreadyThere);
    let by_another = publication(6, "gate", b"component");
    assert_eq!(store.put_action(&by_another, &component(), &BOUNDS).expect("the same"), Put::AlreadyThere);

    let stored = store.action(&signed.action_id()).expect("readable").expect("there");
    assert_eq!((stored.signed, stored.component_bytes), (signed, 9));
    let component = store.component(&ComponentDigest::of(b"component")).expect("whole");
    assert_eq!(component.as_deref(), Some(b"component".as_slice()));
    assert_eq!(used_by(&store, 6), ActionUsage::default());
}

#[test]
fn what_does_not_match_its_manifest_or_signature_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let signed = publication(5, "gate", b"component");
    let other = store.put_action(&signed, &Content::component(b"another".as_slice()), &BOUNDS);
    assert!(matches!(other, Err(PutActionError::Invalid(ManifestError::Component { .. }))), "{other:?}");
    let mut forged = signed.clone();
    forged.publish.publisher = key(6).public_key().address();
    let forged = store.put_action(&forged, &component(), &BOUNDS);
    assert!(matches!(forged, Err(PutActionError::Invalid(ManifestError::Signature { .. }))), "{forged:?}");
    assert_eq!(store.action_usage().expect("counted"), ActionUsage::default());
    assert_eq!(store.component(&signed.publish.manifest.component).expect("readable"), None);
}

#[test]
fn a_shared_component_is_stored_once_and_counts_for_each_publisher() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    let component = vec![7; 10_000];
    for (publisher, name) in [(5, "one"), (5, "two"), (6, "three")] {
        store
            .put_action(
                &publication(publisher, name, &component),
                &Content::component(component.clone()),
                &BOUNDS,
            )
            .expect("in bounds");
    }
    let check = |store: &Store| {
        let (all, five, six) = (store.action_usage().expect("counted"), used_by(store, 5), used_by(store, 6));
        assert_eq!((all.actions, five.actions, six.actions), (3, 2, 1));
        assert!((10_000..12_000).contains(&all.bytes), "{all:?}");
        assert!((20_000..22_000).contains(&five.bytes), "{five:?}");
        assert!((10_000..11_000).contains(&six.bytes), "{six:?}");
        assert_eq!(all.bytes + 20_000, five.bytes + six.bytes);
        (all, five, six)
    };
    let before = check(&store);
    drop(store);
    assert_eq!(check(&open(&path).expect("whole")), before);
}

#[test]
fn each_bound_is_enforced_and_a_refusal_stores_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    let component = vec![7; 10_000];
    let bounds = Bounds { total_bytes: 35_000, per_publisher_bytes: 25_000, actions: 4 };
    let put = |store: &Store, publisher: u8, name: &str, fill: u8, bounds: &Bounds| {
        let component = vec![fill; component.len()];
        store.put_action(
            &publication(publisher, name, &component),
            &Content::component(component.clone()),
            bounds,
        )
    };
    put(&store, 5, "a", 1, &bounds).expect("in bounds");
    put(&store, 5, "b", 2, &bounds).expect("in bounds");
    let full = put(&store, 5, "c", 3, &bounds);
    assert!(matches!(full, Err(PutActionError::PublisherFull { most: 25_000, .. })), "{full:?}");
    drop(store);

    let store = open(&path).expect("whole");
    let full = put(&store, 5, "c", 3, &bounds);
    assert!(matches!(full, Err(PutActionError::PublisherFull { .. })), "still after opening again: {full:?}");
    put(&store, 6, "c", 3, &bounds).expect("in bounds");
    let full = put(&store, 7, "d", 4, &bounds);
    assert!(matches!(full, Err(PutActionError::TotalFull { most: 35_000, .. })), "{full:?}");
    let many = put(&store, 7, "d", 4, &Bounds { actions: 3, ..bounds });
    assert!(matches!(many, Err(PutActionError::TooMany { most: 3 })), "{many:?}");

    assert_eq!(store.actions(None, 100).expect("readable").len(), 3);
    assert_eq!(store.component(&ComponentDigest::of(&[4; 10_000])).expect("readable"), None);
    assert_eq!(put(&store, 5, "a", 1, &bounds).expect("the same"), Put::AlreadyThere);
}

#[test]
fn actions_are_listed_in_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let mut ids: Vec<_> = (0..7)
        .map(|number| {
            let signed = publication(5, &format!("action-{number}"), b"component");
            store.put_action(&signed, &component(), &BOUNDS).expect("in bounds");
            signed.action_id()
        })
        .collect();
    ids.sort();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.actions(after, 3).expect("readable");
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.signed.action_id());
        seen.extend(page.iter().map(|action| action.signed.action_id()));
    }
    assert_eq!(seen, ids);
    assert_eq!(store.actions(None, 0).expect("readable"), []);
    assert_eq!(store.actions(None, usize::MAX).expect("readable").len(), ids.len().min(MAX_LISTED));
}

#[test]
fn a_script_is_stored_without_its_built_in_runner() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    let script = "x".repeat(1_000);
    let content = Content::script(script.clone());
    for (publisher, name) in [(5, "one"), (6, "two")] {
        let signed = publication_of(publisher, name, b"runner", script_digest(&script));
        assert_eq!(store.put_action(&signed, &content, &BOUNDS).expect("in bounds"), Put::Stored);
    }
    let check = |store: &Store| {
        assert_eq!(store.component(&ComponentDigest::of(b"runner")).expect("readable"), None);
        assert_eq!(store.script(&script_digest(&script)).expect("whole"), Some(script.clone()));
        let (all, five, six) = (store.action_usage().expect("counted"), used_by(store, 5), used_by(store, 6));
        assert_eq!(all.bytes + 1_000, five.bytes + six.bytes);
        (all, five, six)
    };
    let before = check(&store);
    let lengths = store.actions(None, 9).expect("readable");
    assert!(lengths.iter().all(|stored| (stored.component_bytes, stored.script_bytes) == (0, 1_000)));
    drop(store);
    assert_eq!(check(&open(&path).expect("whole")), before);
}

#[test]
fn another_script_than_the_named_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let signed = publication_of(5, "one", b"runner", script_digest("run"));
    let plain = publication(5, "two", b"component");
    for (signed, content) in [
        (&signed, Content::script("ran")),
        (&signed, Content::component(b"runner".as_slice())),
        (&plain, Content { script: Some("run".into()), ..component() }),
    ] {
        let refused = store.put_action(signed, &content, &BOUNDS);
        assert!(matches!(refused, Err(PutActionError::Invalid(ManifestError::Script { .. }))), "{refused:?}");
    }
    assert_eq!(store.script(&script_digest("run")).expect("readable"), None);
    assert_eq!(store.script(&B256::ZERO).expect("readable"), None);
}
