//! What is put together wrongly is no backup.

use countersign_types::{B256, Scheme};
use zeroize::Zeroizing;

use super::fixture::{content, key, member, share};
use crate::{Backup, Boot, Content, ContentError, MAX_BOOTS, MAX_CONFIG_BYTES};

/// The reason why content is refused once it is changed.
fn refused(change: impl FnOnce(&mut Content)) -> ContentError {
    let mut content = content();
    change(&mut content);
    Backup::new(content).expect_err("it was changed")
}

#[test]
fn a_members_own_keys_are_a_backup() {
    let backup = Backup::new(content()).expect("all of one member");
    assert_eq!(backup.node(), member(0).public_key());
    assert_eq!(backup.network(), content().genesis.network_id());
}

#[test]
fn another_network_or_node_is_named() {
    let error = refused(|content| content.genesis.nonce = B256::ZERO);
    assert!(matches!(error, ContentError::RootKeys(_)), "{error}");
    let error = refused(|content| content.genesis.threshold = 9);
    assert!(matches!(error, ContentError::Genesis(_)), "{error}");
    let error = refused(|content| content.identity = key(9));
    assert!(matches!(error, ContentError::NotAMember { .. }), "{error}");
    let error = refused(|content| content.identity = member(1));
    assert!(matches!(error, ContentError::Peer { .. }), "{error}");
    let other = |content: &mut Content| {
        content.identity = member(2);
        content.peers.clear();
    };
    assert_eq!(refused(other), ContentError::OtherShare { scheme: Scheme::SchnorrSecp256k1 });
}

#[test]
fn root_keys_count_with_all_activations_only() {
    let error = refused(|content| content.root_keys.ceremonies[1].signatures.truncate(2));
    assert!(matches!(error, ContentError::RootKeys(_)), "{error}");
    let error = refused(|content| content.root_keys.epoch = 2);
    assert!(matches!(error, ContentError::RootKeys(_)), "{error}");
    assert_eq!(refused(|content| content.root_keys.ceremonies.clear()), ContentError::NoRootKeys);
}

#[test]
fn shares_are_those_of_the_root_keys() {
    let attempt = |error: ContentError| matches!(error, ContentError::Attempt { .. });
    let without_one = |content: &mut Content| drop(content.ceremonies.pop());
    assert_eq!(refused(without_one), ContentError::Ceremonies { expected: 2, got: 1 });
    assert!(attempt(refused(|content| content.ceremonies.swap(0, 1))));
    assert!(attempt(refused(|content| content.ceremonies[0].terms.number += 1)));
    assert!(attempt(refused(|content| drop(content.ceremonies[0].shares.pop()))));
    assert!(attempt(refused(|content| content.ceremonies[1].shares.push(share(Scheme::Bip340, 0)))));

    let error = refused(|content| content.ceremonies[1].shares[0] = share(Scheme::Bip340, 1));
    assert_eq!(error, ContentError::OtherShare { scheme: Scheme::Bip340 });
    let error = refused(|content| content.ceremonies[1].shares[0] = Zeroizing::new(vec![1; 40]));
    assert!(matches!(error, ContentError::Share { scheme: Scheme::Bip340, .. }), "{error}");
    // any byte of a share: it does not match what is public of it
    for place in 0..share(Scheme::Ed25519, 0).len() {
        let error = refused(|content| content.ceremonies[0].shares[1][place] ^= 1);
        let scheme = Scheme::Ed25519;
        let other = error == ContentError::OtherShare { scheme };
        assert!(other || matches!(error, ContentError::Share { scheme: Scheme::Ed25519, .. }), "{error}");
    }
}

#[test]
fn starts_are_this_nodes_and_other_members() {
    assert_eq!(refused(|content| content.boots.clear()), ContentError::Boots { got: 0 });
    for (place, generation) in [(0, 0), (0, 3), (1, 2), (1, 4), (2, MAX_BOOTS + 1)] {
        let error = refused(|content| content.boots[place].generation = generation);
        assert_eq!(error, ContentError::Boots { got: 3 });
    }
    let boot = Boot { generation: 1, id: [1; 16] };
    for stranger in [key(9).public_key(), member(0).public_key()] {
        let error = refused(|content| content.peers.extend([(stranger, boot)]));
        assert_eq!(error, ContentError::Peer { peer: stranger });
    }
}

#[test]
fn a_configuration_is_bounded() {
    let got = MAX_CONFIG_BYTES + 1;
    assert_eq!(refused(|content| content.config = "x".repeat(got)), ContentError::Config { got });
}
