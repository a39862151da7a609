//! The journal of key generation.

use std::sync::Barrier;

use countersign_store::{
    ActivateError, MAX_CONFIRMATIONS_BYTES, MAX_PENDING_SHARES, MAX_SHARE_BYTES, PendingShare, Put,
    PutRootKeysError, PutShareError,
};
use countersign_types::{AttemptTerms, B256, Bytes, NetworkId, RootKeys};
use zeroize::Zeroizing;

use crate::fixture::{SCHEME, attempt, create, pending, root, root_keys, under};

#[test]
fn a_share_is_never_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    assert_eq!(store.put_pending_share(&pending(1)).expect("new"), Put::Stored);
    assert_eq!(store.put_pending_share(&pending(1)).expect("the same"), Put::AlreadyThere);

    let mut other = pending(1);
    other.share = Zeroizing::new(vec![9; 32]);
    let error = store.put_pending_share(&other).expect_err("another share");
    assert!(matches!(error, PutShareError::Different { attempt: got } if got == attempt(1)), "{error}");
    let mut other = pending(1);
    other.root = root(9);
    assert!(matches!(store.put_pending_share(&other), Err(PutShareError::Different { .. })));
    assert_eq!(store.pending_shares(1, SCHEME).expect("readable"), [pending(1)]);
}

#[test]
fn a_share_that_is_not_of_its_terms_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let changes: [fn(&mut PendingShare); 3] =
        [|share| share.epoch = 2, |share| share.attempt = attempt(2), |share| share.terms.number = 2];
    for change in changes {
        let mut share = pending(1);
        change(&mut share);
        let result = store.put_pending_share(&share);
        assert!(matches!(result, Err(PutShareError::Mismatch { .. })), "{result:?}");
    }
    assert_eq!(store.pending_shares(1, SCHEME).expect("readable"), []);
}

#[test]
fn shares_are_listed_for_their_epoch() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    for number in 1..=5 {
        store.put_pending_share(&pending(number)).expect("new");
    }
    let later = under(AttemptTerms { epoch: 2, ..pending(6).terms }, pending(6));
    store.put_pending_share(&later).expect("new");
    let mut expected: Vec<_> = (1..=5).map(pending).collect();
    expected.sort_by_key(|share| share.attempt);
    assert_eq!(store.pending_shares(1, SCHEME).expect("readable"), expected);
    assert_eq!(store.pending_shares(2, SCHEME).expect("readable"), [later]);
    assert_eq!(store.pending_shares(3, SCHEME).expect("readable"), []);
    assert_eq!(store.pending_share(1, SCHEME, attempt(3)).expect("readable"), Some(pending(3)));
    assert_eq!(store.pending_share(2, SCHEME, attempt(3)).expect("readable"), None);
}

#[test]
fn shares_and_confirmations_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let mut long = pending(1);
    long.share = Zeroizing::new(vec![1; MAX_SHARE_BYTES + 1]);
    assert!(matches!(store.put_pending_share(&long), Err(PutShareError::TooLong { .. })));
    long.share.pop();
    store.put_pending_share(&long).expect("the longest");
    assert_eq!(store.pending_share(1, SCHEME, attempt(1)).expect("readable"), Some(long));

    let confirmations = Bytes::from(vec![1; MAX_CONFIRMATIONS_BYTES + 1]);
    let error = store.record_activation(1, SCHEME, attempt(1), confirmations);
    assert!(matches!(error, Err(ActivateError::TooLong { .. })));

    for number in 1..MAX_PENDING_SHARES {
        let entropy = B256::left_padding_from(&number.to_be_bytes());
        let share = under(AttemptTerms { entropy, ..pending(2).terms }, pending(2));
        store.put_pending_share(&share).expect("below the bound");
    }
    let error = store.put_pending_share(&pending(3)).expect_err("at the bound");
    assert!(matches!(error, PutShareError::TooMany { .. }), "{error}");
    let shorter = store.put_pending_share(&pending(1));
    assert!(matches!(shorter, Err(PutShareError::Different { .. })), "{shorter:?}");
}

#[test]
fn one_attempt_is_activated_for_an_epoch() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    for number in 1..=2 {
        store.put_pending_share(&pending(number)).expect("new");
    }
    let early = store.record_activation(1, SCHEME, attempt(3), Bytes::new());
    assert!(matches!(early, Err(ActivateError::NoShare { .. })), "{early:?}");
    assert_eq!(store.activation(1, SCHEME).expect("readable"), None);

    let first: Bytes = vec![1].into();
    assert_eq!(
        store.record_activation(1, SCHEME, attempt(2), first.clone()).expect("the first"),
        Put::Stored
    );
    let again = store.record_activation(1, SCHEME, attempt(2), vec![2].into()).expect("the same");
    assert_eq!(again, Put::AlreadyThere);
    assert_eq!(store.activation(1, SCHEME).expect("readable").expect("recorded").confirmations, first);

    let second = store.record_activation(1, SCHEME, attempt(1), first);
    let refused =
        matches!(&second, Err(ActivateError::AlreadyActivated { attempt: got }) if *got == attempt(2));
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
            store.put_pending_share(share).expect("new");
        }
        let start = Barrier::new(shares.len());
        let results = std::thread::scope(|scope| {
            let race = |share: &PendingShare| {
                let attempt = share.attempt;
                let (start, store) = (&start, &store);
                scope.spawn(move || {
                    start.wait();
                    store.record_activation(epoch, SCHEME, attempt, Bytes::new()).map(|_| attempt)
                })
            };
            shares.each_ref().map(race).map(|thread| thread.join().expect("no panic"))
        });
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{results:?}");
        let recorded = store.activation(epoch, SCHEME).expect("readable").expect("recorded").attempt;
        assert_eq!(recorded, *won[0]);
    }
}

#[test]
fn the_active_share_is_the_one_that_all_activated() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    for number in 1..=3 {
        store.put_pending_share(&pending(number)).expect("new");
    }
    store.record_activation(1, SCHEME, attempt(2), Bytes::new()).expect("the first");
    assert_eq!(store.active_share(1, SCHEME).expect("readable"), None);
    assert_eq!(store.put_root_keys(&root_keys(2)).expect("of that attempt"), Put::Stored);
    assert_eq!(store.put_root_keys(&root_keys(2)).expect("the same"), Put::AlreadyThere);
    assert_eq!(store.active_share(1, SCHEME).expect("readable"), Some(pending(2)));
    assert_eq!(store.active_share(2, SCHEME).expect("readable"), None);
}

#[test]
fn root_keys_that_contradict_this_node_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(&folder.path().join("store"));
    let conflict = |keys: &RootKeys| {
        let result = store.put_root_keys(keys);
        assert!(matches!(result, Err(PutRootKeysError::Conflict { .. })), "{result:?}");
    };
    store.put_pending_share(&pending(1)).expect("new");
    let mut forged = root_keys(1);
    forged.keys[0].root = root(9);
    conflict(&forged);
    store.record_activation(1, SCHEME, attempt(1), Bytes::new()).expect("the first");
    conflict(&root_keys(2));

    store.put_root_keys(&root_keys(1)).expect("of that attempt");
    conflict(&RootKeys { keys: Vec::new(), ..root_keys(1) });
    conflict(&root_keys(2));
    assert_eq!(store.root_keys().expect("readable"), Some(root_keys(1)));

    let elsewhere = RootKeys { network: NetworkId::from([2; 32]), ..root_keys(1) };
    assert!(matches!(store.put_root_keys(&elsewhere), Err(PutRootKeysError::Network { .. })));

    let later = RootKeys { epoch: 2, ..root_keys(2) };
    store.put_root_keys(&later).expect("a new epoch");
    assert_eq!(store.root_keys().expect("readable"), Some(later));
    assert_eq!(store.root_keys_of(1).expect("readable"), Some(root_keys(1)));
}
