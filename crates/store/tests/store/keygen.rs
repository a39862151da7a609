//! The journal of key generation.

use std::sync::Barrier;

use countersign_store::{
    ActivateError, ActiveShare, JoinError, JoinedRecord, MAX_CONFIRMATIONS_BYTES, MAX_NOTE_BYTES,
    MAX_PENDING_SHARES, MAX_SHARE_BYTES, PendingShares, Put, PutRootKeysError, PutShareError,
};
use countersign_types::{AttemptTerms, B256, Bytes, NetworkId, RootKeys, Scheme};
use zeroize::Zeroizing;

use crate::fixture::{
    SCHEMES, attempt, ceremony, create, open, pending, pending_for, root_keys, roots, under,
};

#[test]
fn a_share_is_never_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    assert_eq!(store.put_pending_shares(&pending(1)).expect("new"), Put::Stored);
    assert_eq!(store.put_pending_shares(&pending(1)).expect("the same"), Put::AlreadyThere);

    let mut other = pending(1);
    other.shares[1] = Zeroizing::new(vec![9; 32]);
    let error = store.put_pending_shares(&other).expect_err("another share");
    assert!(matches!(error, PutShareError::Different { attempt: got } if got == attempt(1)), "{error}");
    let mut other = pending(1);
    other.roots = roots(&SCHEMES, 9);
    assert!(matches!(store.put_pending_shares(&other), Err(PutShareError::Different { .. })));
    assert_eq!(store.pending_shares(1).expect("readable"), [pending(1)]);
}

#[test]
fn a_share_that_is_not_of_its_terms_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let changes: [fn(&mut PendingShares); 7] = [
        |pending| pending.epoch = 2,
        |pending| pending.attempt = attempt(2),
        |pending| pending.terms.number = 2,
        |pending| pending.roots.swap(0, 1),
        |pending| drop(pending.roots.pop()),
        |pending| drop(pending.shares.pop()),
        |pending| *pending = pending_for(&[], 1),
    ];
    for change in changes {
        let mut share = pending(1);
        change(&mut share);
        let result = store.put_pending_shares(&share);
        assert!(matches!(result, Err(PutShareError::Mismatch { .. })), "{result:?}");
    }
    assert_eq!(store.pending_shares(1).expect("readable"), []);
}

#[test]
fn shares_are_listed_for_their_epoch() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    for number in 1..=5 {
        store.put_pending_shares(&pending(number)).expect("new");
    }
    let later = under(AttemptTerms { epoch: 2, ..pending(6).terms }, pending(6));
    store.put_pending_shares(&later).expect("new");
    let mut expected: Vec<_> = (1..=5).map(pending).collect();
    expected.sort_by_key(|share| share.attempt);
    assert_eq!(store.pending_shares(1).expect("readable"), expected);
    assert_eq!(store.pending_shares(2).expect("readable"), [later]);
    assert_eq!(store.pending_shares(3).expect("readable"), []);
    assert_eq!(store.pending_shares_of(1, attempt(3)).expect("readable"), Some(pending(3)));
    assert_eq!(store.pending_shares_of(2, attempt(3)).expect("readable"), None);
}

#[test]
fn shares_and_confirmations_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let mut long = pending(1);
    long.shares[1] = Zeroizing::new(vec![1; MAX_SHARE_BYTES + 1]);
    assert!(matches!(store.put_pending_shares(&long), Err(PutShareError::TooLong { .. })));
    long.shares[1].pop();
    store.put_pending_shares(&long).expect("the longest");
    assert_eq!(store.pending_shares_of(1, attempt(1)).expect("readable"), Some(long));

    let confirmations = Bytes::from(vec![1; MAX_CONFIRMATIONS_BYTES + 1]);
    let error = store.record_activation(1, attempt(1), confirmations);
    assert!(matches!(error, Err(ActivateError::TooLong { .. })));

    for number in 1..MAX_PENDING_SHARES {
        let entropy = B256::left_padding_from(&number.to_be_bytes());
        let share = under(AttemptTerms { entropy, ..pending(2).terms }, pending(2));
        store.put_pending_shares(&share).expect("below the bound");
    }
    let shorter = store.put_pending_shares(&pending(1));
    assert!(matches!(shorter, Err(PutShareError::Different { .. })), "{shorter:?}");
    // a later one takes the place of the oldest, and that has no way back
    assert_eq!(store.put_pending_shares(&pending(3)).expect("the latest"), Put::Stored);
    assert_eq!(store.pending_shares_of(1, attempt(1)).expect("readable"), None);
    let error = store.put_pending_shares(&pending(1)).expect_err("at the bound");
    assert!(matches!(error, PutShareError::TooMany { .. }), "{error}");
    assert_eq!(store.pending_shares(1).expect("readable").len(), MAX_PENDING_SHARES);
}

#[test]
fn what_is_activated_is_never_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    store.put_pending_shares(&pending(1)).expect("new");
    store.record_activation(1, attempt(1), Bytes::new()).expect("the first");
    for number in 1..MAX_PENDING_SHARES {
        let entropy = B256::left_padding_from(&number.to_be_bytes());
        let share = under(AttemptTerms { entropy, ..pending(2).terms }, pending(2));
        store.put_pending_shares(&share).expect("below the bound");
    }
    store.put_pending_shares(&pending(3)).expect("the latest");
    assert_eq!(store.pending_shares_of(1, attempt(1)).expect("readable"), Some(pending(1)));
    drop(store);
    let store = open(&path).expect("the head counts what is there");
    assert_eq!(store.pending_shares(1).expect("readable").len(), MAX_PENDING_SHARES);
}

#[test]
fn the_latest_attempt_only_rises() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let store = create(&path);
    let joined = |number: u64| JoinedRecord { number, note: number.to_be_bytes().to_vec().into() };
    assert_eq!(store.joined(1).expect("readable"), None);
    assert_eq!(store.record_joined(1, &joined(5)).expect("the first"), Put::Stored);
    assert_eq!(store.record_joined(1, &joined(4)).expect("an earlier one"), Put::AlreadyThere);
    assert_eq!(store.record_joined(2, &joined(3)).expect("another epoch"), Put::Stored);
    let long = JoinedRecord { number: 9, note: vec![0; MAX_NOTE_BYTES + 1].into() };
    assert!(matches!(store.record_joined(1, &long), Err(JoinError::TooLong { .. })));
    drop(store);
    let store = open(&path).expect("whole");
    assert_eq!(store.joined(1).expect("readable"), Some(joined(5)));
    assert_eq!(store.joined(2).expect("readable"), Some(joined(3)));
}

#[test]
fn one_attempt_is_activated_for_an_epoch() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    for number in 1..=2 {
        store.put_pending_shares(&pending(number)).expect("new");
    }
    let early = store.record_activation(1, attempt(3), Bytes::new());
    assert!(matches!(early, Err(ActivateError::NoShare { .. })), "{early:?}");
    assert_eq!(store.activation(1, SCHEMES[1]).expect("readable"), None);

    let first: Bytes = vec![1].into();
    assert_eq!(store.record_activation(1, attempt(2), first.clone()).expect("the first"), Put::Stored);
    let again = store.record_activation(1, attempt(2), vec![2].into()).expect("the same");
    assert_eq!(again, Put::AlreadyThere);
    assert_eq!(store.activation(1, SCHEMES[1]).expect("readable").expect("recorded").confirmations, first);

    let second = store.record_activation(1, attempt(1), first);
    let refused =
        matches!(&second, Err(ActivateError::AlreadyActivated { attempt: got, .. }) if *got == attempt(2));
    assert!(refused, "{second:?}");
}

#[test]
fn of_racing_activations_one_succeeds() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    for epoch in 1..=20 {
        let shares =
            [1, 2].map(|number| under(AttemptTerms { epoch, ..pending(number).terms }, pending(number)));
        for share in &shares {
            store.put_pending_shares(share).expect("new");
        }
        let start = Barrier::new(shares.len());
        let results = std::thread::scope(|scope| {
            let race = |share: &PendingShares| {
                let attempt = share.attempt;
                let (start, store) = (&start, &store);
                scope.spawn(move || {
                    start.wait();
                    store.record_activation(epoch, attempt, Bytes::new()).map(|_| attempt)
                })
            };
            shares.each_ref().map(race).map(|thread| thread.join().expect("no panic"))
        });
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{results:?}");
        let recorded = store.activation(epoch, SCHEMES[0]).expect("readable").expect("recorded").attempt;
        assert_eq!(recorded, *won[0]);
    }
}

#[test]
fn the_active_share_is_the_one_that_all_activated() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    for number in 1..=3 {
        store.put_pending_shares(&pending(number)).expect("new");
    }
    store.record_activation(1, attempt(2), Bytes::new()).expect("the first");
    let active = |epoch, scheme| store.active_share(epoch, scheme).expect("readable");
    assert_eq!(active(1, SCHEMES[0]), None);
    assert_eq!(store.put_root_keys(&root_keys(2)).expect("of that attempt"), Put::Stored);
    assert_eq!(store.put_root_keys(&root_keys(2)).expect("the same"), Put::AlreadyThere);
    for (scheme, root) in SCHEMES.into_iter().zip(roots(&SCHEMES, 2)) {
        let share = pending(2).shares[0].clone();
        assert_eq!(active(1, scheme), Some(ActiveShare { root, share }));
    }
    assert_eq!(active(1, Scheme::Bip340), None);
    assert_eq!(active(2, SCHEMES[0]), None);
}

#[test]
fn a_further_ceremony_is_for_other_schemes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let (first, all, further) = (pending(1), pending_for(&Scheme::ALL, 2), pending_for(&[Scheme::Bip340], 3));
    for pending in [&first, &all, &further] {
        store.put_pending_shares(pending).expect("new");
    }
    store.record_activation(1, first.attempt, Bytes::new()).expect("the first");
    let overlaps = store.record_activation(1, all.attempt, Bytes::new());
    assert!(matches!(overlaps, Err(ActivateError::AlreadyActivated { .. })), "{overlaps:?}");
    assert_eq!(store.activation(1, Scheme::Bip340).expect("readable"), None, "all or none");
    store.record_activation(1, further.attempt, Bytes::new()).expect("for another scheme");
    assert_eq!(store.pending_shares(1).expect("readable").len(), 3);

    store.put_root_keys(&root_keys(1)).expect("of that attempt");
    let both = RootKeys { ceremonies: vec![ceremony(&first), ceremony(&further)], ..root_keys(1) };
    store.put_root_keys(&both).expect("one more");
    let without = RootKeys { ceremonies: vec![ceremony(&further)], ..root_keys(1) };
    assert!(matches!(store.put_root_keys(&without), Err(PutRootKeysError::Conflict { .. })));
    for scheme in Scheme::ALL {
        assert!(store.active_share(1, scheme).expect("readable").is_some(), "{scheme}");
    }
}

#[test]
fn root_keys_that_contradict_this_node_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let conflict = |keys: &RootKeys| {
        let result = store.put_root_keys(keys);
        assert!(matches!(result, Err(PutRootKeysError::Conflict { .. })), "{result:?}");
    };
    store.put_pending_shares(&pending(1)).expect("new");
    let mut forged = root_keys(1);
    forged.ceremonies[0].roots = roots(&SCHEMES, 9);
    conflict(&forged);
    store.record_activation(1, attempt(1), Bytes::new()).expect("the first");
    conflict(&root_keys(2));

    store.put_root_keys(&root_keys(1)).expect("of that attempt");
    conflict(&RootKeys { ceremonies: Vec::new(), ..root_keys(1) });
    conflict(&root_keys(2));
    assert_eq!(store.root_keys().expect("readable"), Some(root_keys(1)));

    let elsewhere = RootKeys { network: NetworkId::from([2; 32]), ..root_keys(1) };
    assert!(matches!(store.put_root_keys(&elsewhere), Err(PutRootKeysError::Network { .. })));

    let later = RootKeys { epoch: 2, ..root_keys(2) };
    store.put_root_keys(&later).expect("a new epoch");
    assert_eq!(store.root_keys().expect("readable"), Some(later));
    assert_eq!(store.root_keys_of(1).expect("readable"), Some(root_keys(1)));
}
