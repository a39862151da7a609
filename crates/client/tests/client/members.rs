//! Which member a node is: what it says is held against the genesis, and against what the caller knows.

use std::{sync::Arc, time::Duration};

use countersign_client::{ClientError, NodeError, RequestSigner};
use countersign_types::{Address, NodeKey, NodePublicKey, api::NetworkInfo, failure::FailureKind};

use crate::{
    nodes::{Behaviour, Node, client, dead},
    world::World,
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Until when a caller's word counts, in milliseconds since 1970.
const UNTIL: u64 = 60_000;

fn stranger() -> NodePublicKey {
    NodeKey::from_bytes([9; 32]).expect("a scalar").public_key()
}

/// A node that says who it is, and has no receipt.
async fn named(world: &Arc<World>, node: NodePublicKey) -> Node {
    let info = NetworkInfo { node, ..world.info() };
    let receipt = Err(FailureKind::Unauthorised);
    Node::start(Behaviour { info, receipt, ..Behaviour::honest(world) }).await
}

fn member(world: &World, index: usize) -> NodePublicKey {
    world.keys[index].public_key()
}

#[tokio::test]
async fn a_node_that_names_a_stranger_is_passed_over_and_the_next_one_goes_on() {
    let world = Arc::new(World::new());
    let (liar, honest) = (named(&world, stranger()).await, named(&world, member(&world, 1)).await);
    let both = client(&world, vec![liar.url.clone(), honest.url.clone()], TIMEOUT);
    assert_eq!(both.coordinators().await.expect("one is a member"), [member(&world, 1).address()]);
    assert_eq!(both.network().await.expect("from the second node").node, member(&world, 1));
    let (info, passed_over) = both.status().await.expect("from the second node");
    assert_eq!(info.node, member(&world, 1));
    let [passed_over] = passed_over.as_slice() else { panic!("{passed_over:?}") };
    assert_eq!(passed_over.node.port(), liar.url.port());
    assert!(matches!(passed_over.error, NodeError::Stranger { got } if got == stranger()), "{passed_over}");

    let alone = client(&world, vec![liar.url.clone()], TIMEOUT);
    let error = alone.coordinators().await.expect_err("nobody is a member");
    let ClientError::NoAnswer { nodes, .. } = &error else { panic!("{error}") };
    assert!(nodes[0].error.is_lie(), "{error}");
}

#[tokio::test]
async fn a_node_that_is_known_is_held_to_its_name() {
    let world = Arc::new(World::new());
    let (liar, honest) = (named(&world, member(&world, 2)).await, named(&world, member(&world, 1)).await);
    let known = client(&world, vec![liar.url.clone(), honest.url.clone()], TIMEOUT)
        .with_members([(liar.url.clone(), member(&world, 0)), (honest.url.clone(), member(&world, 1))])
        .expect("members, and nodes of the client");
    assert_eq!(known.coordinators().await.expect("one says the truth"), [member(&world, 1).address()]);
    let (_, passed_over) = known.status().await.expect("from the second node");
    let error = &passed_over.first().expect("the first one lies").error;
    let (truth, lie) = (member(&world, 0), member(&world, 2));
    assert!(
        matches!(error, NodeError::OtherMember { expected, got } if (*expected, *got) == (truth, lie)),
        "{error}"
    );
    assert!(error.is_lie());
}

#[tokio::test]
async fn a_name_is_a_members_and_for_a_node_that_is_asked() {
    let world = World::new();
    let (node, other) = (dead().await, dead().await);
    let new = || client(&world, vec![node.clone()], TIMEOUT);
    let error = new().with_members([(node.clone(), stranger())]).expect_err("no member");
    assert!(matches!(error, ClientError::NotAMember { member } if member == stranger()), "{error}");
    let error = new().with_members([(other.clone(), member(&world, 0))]).expect_err("not asked");
    assert!(matches!(&error, ClientError::UnknownNode { node } if node.port() == other.port()), "{error}");
}

/// For whom the words are that a node was shown; each counts there.
fn addressees(world: &World, node: &Node) -> Vec<Address> {
    let (network, request) = (world.network(), world.request(1).request.digest());
    let words = node.words();
    for word in &words {
        let asker = word.asker(network, word.node, request, UNTIL - 1);
        assert_eq!(asker, Ok(world.caller.address()));
    }
    words.into_iter().map(|word| word.node).collect()
}

#[tokio::test]
async fn a_caller_signs_for_each_node_that_it_asks_for_a_receipt() {
    let world = Arc::new(World::new());
    let digest = world.request(1).request.digest();
    let nodes = [named(&world, member(&world, 0)).await, named(&world, member(&world, 1)).await];
    let liar = named(&world, stranger()).await;
    let urls = vec![liar.url.clone(), nodes[0].url.clone(), nodes[1].url.clone()];
    let asking = client(&world, urls, TIMEOUT);
    asking.receipt(digest, Some(&world.caller), UNTIL).await.expect_err("nobody shows it");
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(addressees(&world, node), [member(&world, index).address()]);
    }
    assert_eq!(liar.asked(), 0, "a stranger is shown nothing");
    // where nobody has to be a caller, nothing is signed
    asking.receipt(digest, None, UNTIL).await.expect_err("nobody has it");
    assert_eq!((nodes[0].asked(), nodes[0].words().len()), (2, 1));
}

#[tokio::test]
async fn a_node_that_is_known_is_shown_no_word_for_another() {
    let world = Arc::new(World::new());
    let digest = world.request(1).request.digest();
    let liar = named(&world, member(&world, 1)).await;
    let asking = client(&world, vec![liar.url.clone()], TIMEOUT)
        .with_members([(liar.url.clone(), member(&world, 0))])
        .and_then(|client| client.with_root_keys(world.root_keys.clone()))
        .expect("a member, and the network's own keys");
    asking.receipt(digest, Some(&world.caller), UNTIL).await.expect_err("it shows nothing");
    assert_eq!(addressees(&world, &liar), [member(&world, 0).address()]);
}
