//! Whether a member can be reached, asked by somebody who is nobody to it.

use std::net::TcpListener;

use countersign_network::{
    Multiaddr, Transport,
    reach::{ReachError, is_free, reach},
};
use libp2p::{PeerId, multiaddr::Protocol};

use crate::world::{Node, keys};

fn with_peer(address: &Multiaddr, peer: &str) -> Multiaddr {
    let peer: PeerId = peer.parse().expect("a PeerId");
    address.clone().with(Protocol::P2p(peer))
}

#[tokio::test]
async fn a_member_is_reached_on_either_carrier_and_nothing_of_it_changes() {
    let mut nodes = Node::start_all(&keys(2)).await;
    let (one, two) = (nodes[0].own, nodes[1].own);
    nodes[0].connected(two).await;
    nodes[1].connected(one).await;
    let addresses = nodes[0].handle.listen_addresses();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for address in &addresses {
        for named in [address.clone(), with_peer(address, &one.peer_id())] {
            reach(&one, &named).await.expect("it is there");
        }
    }
    // it took all of them for strangers, and said no hello to any
    assert_eq!(nodes[0].handle.stats().refused_hellos, 0);
    assert!(nodes[0].status(two).connected && nodes[1].status(one).connected);
    assert_eq!(nodes[0].handle.peers().len(), 1);
    // the connection is the one of before: nobody has heard of a loss
    nodes[0].handle.shutdown().await;
    assert_eq!(nodes[1].disconnected(one).await, "the peer closed the connection");
}

#[tokio::test]
async fn whoever_else_is_there_is_named() {
    let nodes = Node::start_all(&keys(2)).await;
    let (one, two) = (nodes[0].own, nodes[1].own);
    for address in nodes[0].handle.listen_addresses() {
        let other = Err(ReachError::OtherPeer { obtained: one.peer_id() });
        assert_eq!(reach(&two, &address).await.map(drop), other, "{address}");
        // said by the address itself: nobody is dialled
        let named = with_peer(&address, &one.peer_id());
        assert_eq!(reach(&two, &named).await.map(drop), other);
    }
    assert_eq!(Transport::own(&nodes[1].handle), two);
}

#[tokio::test]
async fn nobody_and_nonsense_are_told_apart() {
    let key = &keys(1)[0];
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let port = closed.port();
    for (address, said) in [
        (format!("/ip4/127.0.0.1/tcp/{port}"), "refused"),
        (format!("/ip4/127.0.0.1/udp/{port}/quic-v1"), "timed out"),
    ] {
        let reached = reach(&key.public_key(), &address.parse().expect("an address")).await;
        let Err(ReachError::Unreached { reason }) = &reached else { panic!("{address}: {reached:?}") };
        assert!(reason.contains(said), "{address}: {reason:?}");
    }
    let named = "/dns4/member.example/tcp/1".parse().expect("an address");
    assert_eq!(reach(&key.public_key(), &named).await.map(drop), Err(ReachError::Address));
}

#[tokio::test]
async fn what_a_member_listens_on_is_not_free() {
    let nodes = Node::start_all(&keys(1)).await;
    for address in nodes[0].handle.listen_addresses() {
        let taken = is_free(&address).expect_err("it listens there");
        assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse, "{address}");
    }
    assert!(is_free(&"/ip4/127.0.0.1/tcp/0".parse().expect("an address")).is_ok());
}
