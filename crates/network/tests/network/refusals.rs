use countersign_network::Hello;
use countersign_types::{NetworkId, NodeKey};

use crate::{
    raw::Raw,
    world::{Node, config, eventually, hello, keys, members},
};

/// Two members that differ in their hello.
async fn pair(lower: Hello, higher: Hello) -> [Node; 2] {
    let keys = keys(2);
    let members = members(&keys);
    let higher = Node::start(&keys[1], &members, higher, config(&[])).await;
    let known = config(&[(higher.own, higher.handle.listen_addresses())]);
    [Node::start(&keys[0], &members, lower, known).await, higher]
}

#[tokio::test]
async fn unknown_dialers_are_refused_and_disturb_nobody() {
    let mut nodes = Node::start_all(&keys(2)).await;
    let (one, two) = (nodes[0].own, nodes[1].own);
    nodes[0].connected(two).await;
    nodes[1].connected(one).await;
    for byte in 100..200 {
        let stranger = NodeKey::from_bytes([byte; 32]).expect("a scalar");
        let mut raw = Raw::start(&stranger, true).await;
        let addresses = nodes[0].handle.listen_addresses();
        for address in &addresses {
            let refused = || nodes[0].handle.stats().refused_connections;
            let before = refused();
            // a handshake that a busy machine does not finish in time is nobody's refusal: it dials again
            while refused() == before {
                // The dialler may see the connection made before it is closed, but never a stream on it.
                if raw.dial(one, address).await.is_none() {
                    let greeted = raw.open(one, countersign_network::HELLO_PROTOCOL).await;
                    assert!(greeted.is_none());
                }
                for _ in 0..200 {
                    if refused() > before {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            }
        }
    }
    assert!(nodes[0].status(two).connected && nodes[1].status(one).connected);
    nodes[0].handle.shutdown().await;
    assert_eq!(nodes[1].disconnected(one).await, "the peer closed the connection");
}

#[tokio::test]
async fn a_member_of_another_network_is_refused_and_both_say_why() {
    let other = Hello { network: NetworkId::from([9; 32]), ..hello(1) };
    let [lower, higher] = pair(hello(1), other).await;
    for (node, of) in [(&lower, higher.own), (&higher, lower.own)] {
        eventually("the reason is known", || node.last_error(of).contains("its network is")).await;
        let error = node.last_error(of);
        assert!(error.contains("we refuse the peer") && error.contains("the peer refuses us"), "{error}");
        assert!(!node.status(of).connected);
    }
    let first = lower.handle.stats().refused_hellos;
    eventually("it tries again", || lower.handle.stats().refused_hellos > first).await;
}

#[tokio::test]
async fn a_member_of_another_protocol_is_refused() {
    let [lower, higher] = pair(hello(1), Hello { protocol: 2, ..hello(1) }).await;
    for (node, of) in [(&lower, higher.own), (&higher, lower.own)] {
        eventually("the reason is known", || node.last_error(of).contains("its protocol version is")).await;
    }
}

#[tokio::test]
async fn another_engine_is_only_announced() {
    let theirs = Hello { engine: [7; 32].into(), ..hello(1) };
    let [mut lower, higher] = pair(hello(1), theirs.clone()).await;
    lower.connected(higher.own).await;
    assert_eq!(lower.status(higher.own).hello, Some(theirs));
}

#[tokio::test]
async fn a_member_that_was_rolled_back_is_refused_until_it_is_not() {
    let keys = keys(2);
    let members = members(&keys);
    let mut stays = Node::start(&keys[1], &members, hello(1), config(&[])).await;
    let known = config(&[(stays.own, stays.handle.listen_addresses())]);

    let mut first = Node::start(&keys[0], &members, hello(5), known.clone()).await;
    first.connected(stays.own).await;
    stays.connected(first.own).await;
    first.handle.shutdown().await;
    stays.disconnected(first.own).await;

    let back = Node::start(&keys[0], &members, hello(4), known.clone()).await;
    let reason = "it was rolled back: its boot generation is 4, it has been at 5";
    eventually("it is refused", || stays.last_error(back.own).contains(reason)).await;
    eventually("it is told", || back.last_error(stays.own).contains(reason)).await;
    assert!(!stays.status(back.own).connected);
    back.handle.shutdown().await;

    let mut restarted = Node::start(&keys[0], &members, hello(6), known).await;
    restarted.connected(stays.own).await;
    stays.connected(restarted.own).await;
}
