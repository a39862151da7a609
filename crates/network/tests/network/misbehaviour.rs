use bytes::Bytes;
use countersign_network::{Event, Lane, SIGNING_PROTOCOL, frame};
use futures::AsyncWriteExt;

use crate::{
    raw::{Greeted, Raw, read_frame, write_frame},
    world::{Node, config, eventually, hello, keys, members},
};

/// A node, and a dishonest member with the higher or the lower PeerId that has greeted it.
async fn greeted(node_is_lower: bool, answers_ping: bool) -> (Node, Raw, Greeted) {
    let keys = keys(2);
    let (ours, theirs) = if node_is_lower { (&keys[0], &keys[1]) } else { (&keys[1], &keys[0]) };
    let mut raw = Raw::start(theirs, answers_ping).await;
    let mut known = Vec::new();
    if node_is_lower {
        known.push((theirs.public_key(), vec![raw.address.clone()]));
    }
    let mut settings = config(&known);
    settings.heartbeat_ms = 250;
    settings.silence_ms = 1_500;
    let mut node = Node::start(ours, &members(&keys), hello(1), settings).await;
    if node_is_lower {
        raw.until_connections(1).await;
    } else {
        let address = node.handle.listen_addresses().swap_remove(1);
        assert_eq!(raw.dial(node.own, &address).await, None);
    }
    let greeted = raw.greet(node.own, &hello(1)).await;
    node.connected(theirs.public_key()).await;
    (node, raw, greeted)
}

fn other(node: &Node) -> countersign_types::NodePublicKey {
    node.handle.peers()[0].member
}

#[tokio::test]
async fn a_member_that_speaks_the_protocol_is_heard() {
    let (mut node, _raw, mut greeted) = greeted(false, true).await;
    write_frame(&mut greeted.background, b"hello").await;
    let frame =
        Event::Frame { from: other(&node), lane: Lane::Background, bytes: Bytes::from_static(b"hello") };
    assert_eq!(node.next().await, frame);
    node.handle.send(&other(&node), Lane::Signing, Bytes::from_static(b"back")).expect("connected");
    assert_eq!(read_frame(&mut greeted.incoming[0]).await, b"back");
}

#[tokio::test]
async fn an_oversize_length_ends_the_connection() {
    let (mut node, raw, mut greeted) = greeted(false, true).await;
    let most = u32::try_from(Lane::Signing.max_frame_bytes()).expect("small");
    greeted.signing.write_all(&(most + 1).to_be_bytes()).await.expect("writes");
    greeted.signing.flush().await.expect("flushes");
    let reason = node.disconnected(other(&node)).await;
    assert!(reason.contains("262145 were announced"), "{reason}");
    assert_eq!(node.handle.stats().violations, 1);
    raw.until_connections(0).await;
}

#[tokio::test]
async fn a_second_stream_of_a_lane_ends_the_connection() {
    let (mut node, mut raw, _greeted) = greeted(false, true).await;
    if let Some(mut second) = raw.open(node.own, SIGNING_PROTOCOL).await {
        // The node may be faster than this write.
        let _ = second.flush().await;
    }
    let reason = node.disconnected(other(&node)).await;
    assert!(reason.contains("a stream twice"), "{reason}");
    assert_eq!(node.handle.stats().violations, 1);
}

#[tokio::test]
async fn writing_against_the_direction_ends_the_connection() {
    let (mut node, _raw, mut greeted) = greeted(false, true).await;
    write_frame(&mut greeted.incoming[1], b"wrong way").await;
    let reason = node.disconnected(other(&node)).await;
    assert!(reason.contains("against the direction"), "{reason}");
}

#[tokio::test]
async fn half_a_frame_is_not_a_frame() {
    let (mut node, _raw, mut greeted) = greeted(false, true).await;
    let mut bytes = Vec::new();
    frame::append(&mut bytes, b"hello");
    greeted.signing.write_all(&bytes[..6]).await.expect("writes");
    greeted.signing.close().await.expect("closes");
    let reason = node.disconnected(other(&node)).await;
    assert!(reason.contains("ended within a frame"), "{reason}");
}

#[tokio::test]
async fn a_silent_member_is_disconnected() {
    let (mut node, _raw, _greeted) = greeted(false, false).await;
    assert_eq!(node.disconnected(other(&node)).await, "the peer was silent for 1.5s");
}

#[tokio::test]
async fn a_member_that_never_greets_is_dropped() {
    let keys = keys(2);
    let node = Node::start(&keys[1], &members(&keys), hello(1), config(&[])).await;
    let mut raw = Raw::start(&keys[0], true).await;
    let address = node.handle.listen_addresses().swap_remove(0);
    assert_eq!(raw.dial(node.own, &address).await, None);
    eventually("it is given up", || node.last_error(other(&node)).contains("did not greet")).await;
    raw.until_connections(0).await;
}

#[tokio::test]
async fn garbage_for_a_hello_is_refused() {
    let keys = keys(2);
    let node = Node::start(&keys[1], &members(&keys), hello(1), config(&[])).await;
    let mut raw = Raw::start(&keys[0], true).await;
    let address = node.handle.listen_addresses().swap_remove(0);
    assert_eq!(raw.dial(node.own, &address).await, None);
    let mut said = raw.open(node.own, countersign_network::HELLO_PROTOCOL).await.expect("opens");
    write_frame(&mut said, &[0, 1, 0xff, 0xff]).await;
    let verdict = read_frame(&mut said).await;
    let refusal = countersign_network::hello::decode_verdict(&verdict);
    assert_eq!(refusal, Err("its hello is malformed".into()));
}

#[tokio::test]
async fn a_second_connection_leaves_one_that_works() {
    // The node dialled; the other dials as if it did not know.
    let (mut node, mut raw, mut greeted) = greeted(true, true).await;
    let address = node.handle.listen_addresses().swap_remove(0);
    assert_eq!(raw.dial(node.own, &address).await, None);
    raw.until_connections(1).await;
    write_frame(&mut greeted.signing, b"still here").await;
    let frame =
        Event::Frame { from: other(&node), lane: Lane::Signing, bytes: Bytes::from_static(b"still here") };
    assert_eq!(node.next().await, frame);
    node.handle.send(&other(&node), Lane::Background, Bytes::from_static(b"me too")).expect("connected");
    assert_eq!(read_frame(&mut greeted.incoming[1]).await, b"me too");
}

#[tokio::test]
async fn a_flood_of_streams_costs_little_and_disturbs_nobody_else() {
    const STREAMS: usize = 10_000;
    let keys = keys(3);
    let members = members(&keys);
    let mut honest = Node::start(&keys[2], &members, hello(1), config(&[])).await;
    let known = config(&[(honest.own, honest.handle.listen_addresses())]);
    let mut node = Node::start(&keys[1], &members, hello(1), known).await;
    node.connected(honest.own).await;
    honest.connected(node.own).await;

    let mut raw = Raw::start(&keys[0], true).await;
    let address = node.handle.listen_addresses().swap_remove(0);
    assert_eq!(raw.dial(node.own, &address).await, None);
    let _greeted = raw.greet(node.own, &hello(1)).await;
    node.connected(members[0]).await;
    let before = resident_bytes();
    for _ in 0..STREAMS {
        let unknown = libp2p::StreamProtocol::new("/unknown/1");
        assert!(raw.open(node.own, unknown).await.is_none());
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    assert!(node.status(members[0]).connected, "unknown protocols are refused, not punished");
    honest.handle.send(&node.own, Lane::Signing, Bytes::from_static(b"undisturbed")).expect("connected");
    let frame =
        Event::Frame { from: honest.own, lane: Lane::Signing, bytes: Bytes::from_static(b"undisturbed") };
    assert_eq!(node.next().await, frame);
}

/// The memory that this process holds.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = status.split(' ').nth(1).expect("resident").parse().expect("a number");
    pages * 4096
}
