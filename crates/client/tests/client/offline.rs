//! What a client computes without asking anybody.

use std::time::Duration;

use countersign_client::{
    BitcoinNetwork, Client, ClientConfig, ClientError, DerivedKey, DerivedKeyError, Trust,
};
use countersign_types::{KeySpec, PayloadKind, Scheme};

use crate::{nodes::dead, world::World};

#[tokio::test]
async fn a_key_and_its_addresses_are_those_that_the_network_signs_with() {
    let world = World::new();
    let trust = Trust::new(&world.genesis, world.root_keys.clone()).expect("activated by all");
    let key = DerivedKey::new(&trust, world.spec()).expect("the network has it");
    let answer = world.answer(&world.request(1).request);
    assert_eq!((key.public_key(), key.key_id()), (&answer.public_key, answer.key_id));
    assert_eq!((key.scheme(), key.spec()), (answer.scheme, &world.spec()));
    assert!(key.ethereum_address().is_some());
    assert_eq!((key.bitcoin_address(BitcoinNetwork::Mainnet), key.solana_address()), (None, None));
}

#[test]
fn a_spec_that_is_no_key_of_the_network_has_none() {
    let world = World::new();
    let trust = Trust::new(&world.genesis, world.root_keys.clone()).expect("activated by all");
    let twice = KeySpec { payloads: vec![PayloadKind::Bytes, PayloadKind::Bytes], ..world.spec() };
    assert!(matches!(DerivedKey::new(&trust, twice), Err(DerivedKeyError::Spec(_))));
    let rootless = KeySpec { scheme: Scheme::Ed25519, payloads: vec![PayloadKind::Bytes], ..world.spec() };
    assert!(matches!(DerivedKey::new(&trust, rootless), Err(DerivedKeyError::Trust(_))));
}

#[tokio::test]
async fn root_keys_that_are_at_hand_are_checked_and_no_node_is_asked() {
    let (world, other) = (World::new(), World::new());
    let client = |url| {
        let timeout = Duration::from_secs(30);
        Client::new(ClientConfig { nodes: vec![url], genesis: world.genesis.clone(), timeout })
            .expect("legal")
    };
    let offline = client(dead().await).with_root_keys(world.root_keys.clone()).expect("activated by all");
    let key = offline.public_key(&world.spec()).await.expect("computed here");
    assert_eq!(key, world.answer(&world.request(1).request).public_key);
    let error = client(dead().await).with_root_keys(other.root_keys.clone()).expect_err("another network's");
    assert!(matches!(error, ClientError::Trust(_)), "{error}");
}
