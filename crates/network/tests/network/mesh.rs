use std::time::Duration;

use bytes::Bytes;
use countersign_network::{Event, Lane, SendError, Transport};
use tokio::time::{Instant, sleep};

use crate::world::{Node, config, eventually, hello, keys, members};

#[tokio::test]
async fn three_members_connect_by_themselves() {
    let keys = keys(3);
    let mut nodes = Node::start_all(&keys).await;
    for node in &mut nodes {
        let mut seen = Vec::new();
        for _ in 1..keys.len() {
            match node.next().await {
                Event::Connected { peer, hello: theirs } => {
                    assert_eq!(theirs, hello(1));
                    seen.push(peer);
                }
                event @ (Event::Disconnected { .. } | Event::Frame { .. }) => panic!("{event:?}"),
            }
        }
        seen.push(node.own);
        seen.sort();
        let mut everybody = members(&keys);
        everybody.sort();
        assert_eq!(seen, everybody);
        assert_eq!(node.handle.own(), node.own);
        eventually("every round trip is measured", || node.handle.peers().iter().all(|p| p.rtt.is_some()))
            .await;
        for status in node.handle.peers() {
            assert!(status.connected && status.last_error.is_none(), "{status:?}");
            let address = status.address.expect("connected").to_string();
            assert!(address.contains("/quic-v1"), "QUIC comes first: {address}");
        }
    }
}

#[tokio::test]
async fn frames_arrive_in_order_and_name_their_sender() {
    const FRAMES: u32 = 500;
    let keys = keys(3);
    let mut nodes = Node::start_all(&keys).await;
    let to = nodes[1].own;
    for sender in [0, 2] {
        nodes[sender].connected(to).await;
        for number in 0..FRAMES {
            for lane in Lane::ALL {
                let frame = Bytes::copy_from_slice(&number.to_be_bytes());
                nodes[sender].handle.send(&to, lane, frame).expect("connected and within the bounds");
            }
        }
    }
    let mut next = std::collections::BTreeMap::new();
    for _ in 0..FRAMES * 4 {
        let (from, lane, bytes) = loop {
            if let Event::Frame { from, lane, bytes } = nodes[1].next().await {
                break (from, lane, bytes);
            }
        };
        let expected = next.entry((from, lane)).or_insert(0_u32);
        assert_eq!(bytes.as_ref(), expected.to_be_bytes());
        *expected += 1;
    }
    assert_eq!(next.len(), 4);
    assert!(next.keys().all(|(from, _)| *from == nodes[0].own || *from == nodes[2].own));
    let stats = nodes[1].handle.stats();
    assert_eq!((stats.frames_in, stats.bytes_in), (u64::from(FRAMES) * 4, u64::from(FRAMES) * 16));
}

#[tokio::test]
async fn the_largest_frame_passes_and_a_larger_one_is_refused() {
    let mut nodes = Node::start_all(&keys(2)).await;
    let (from, to) = (nodes[0].own, nodes[1].own);
    nodes[0].connected(to).await;
    nodes[1].connected(from).await;
    for lane in Lane::ALL {
        let most = lane.max_frame_bytes();
        let got = most + 1;
        let sent = nodes[0].handle.send(&to, lane, Bytes::from(vec![1; got]));
        assert_eq!(sent, Err(SendError::TooLarge { got, most }));
        nodes[0].handle.send(&to, lane, Bytes::from(vec![1; most])).expect("within the bound");
        match nodes[1].next().await {
            Event::Frame { bytes, .. } => assert_eq!(bytes.len(), most),
            event @ (Event::Connected { .. } | Event::Disconnected { .. }) => panic!("{event:?}"),
        }
    }
    assert_eq!(nodes[0].handle.send(&from, Lane::Signing, Bytes::new()), Err(SendError::NotAMember));
}

#[tokio::test]
async fn a_slow_reader_makes_its_sender_busy_and_loses_nothing() {
    let mut nodes = Node::start_all_with(&keys(2), |config| config.write_timeout_ms = 60_000).await;
    let (from, to) = (nodes[0].own, nodes[1].own);
    nodes[0].connected(to).await;
    nodes[1].connected(from).await;

    // Nobody receives at nodes[1]: send until nothing moves any more.
    let frame = vec![7; 64 << 10];
    let (mut sent, mut moved) = (0_u32, Instant::now());
    while moved.elapsed() < Duration::from_secs(1) {
        let mut numbered = frame.clone();
        numbered[..4].copy_from_slice(&sent.to_be_bytes());
        match nodes[0].handle.send(&to, Lane::Background, numbered.into()) {
            Ok(()) => {
                sent += 1;
                moved = Instant::now();
            }
            Err(SendError::Busy) => sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
    let bytes = sent as usize * frame.len();
    assert!(bytes < 16 << 20, "{bytes} bytes were taken for a reader that reads nothing");
    assert!(nodes[0].handle.stats().busy > 0);

    // The other lane is as fast as ever.
    nodes[0].handle.send(&to, Lane::Signing, Bytes::from_static(b"urgent")).expect("not busy");
    eventually("the signing frame is read", || nodes[1].handle.stats().bytes_in % (64 << 10) == 6).await;
    match nodes[1].next().await {
        Event::Frame { lane, .. } => assert_eq!(lane, Lane::Signing),
        event @ (Event::Connected { .. } | Event::Disconnected { .. }) => panic!("{event:?}"),
    }
    for number in 0..sent {
        match nodes[1].next().await {
            Event::Frame { bytes, .. } => assert_eq!(bytes[..4], number.to_be_bytes()),
            event @ (Event::Connected { .. } | Event::Disconnected { .. }) => panic!("{event:?}"),
        }
    }
    assert!(nodes[0].status(to).connected);
}

#[tokio::test]
async fn a_burst_is_carried_or_refused_but_never_breaks_the_connection() {
    const BURST: u32 = 20_000;
    let mut nodes = Node::start_all(&keys(2)).await;
    let (from, to) = (nodes[0].own, nodes[1].own);
    nodes[0].connected(to).await;
    nodes[1].connected(from).await;
    let frame = Bytes::from_static(&[7; 200]);
    let sent = (0..BURST).filter(|_| nodes[0].handle.send(&to, Lane::Signing, frame.clone()).is_ok()).count();
    assert!(sent >= 3_000, "{sent}");
    assert_eq!(nodes[0].handle.stats().busy, u64::from(BURST) - sent as u64);
    for _ in 0..sent {
        assert!(matches!(nodes[1].next().await, Event::Frame { .. }));
    }
}

#[tokio::test]
async fn a_shutdown_delivers_what_was_queued() {
    const FRAMES: usize = 3_000;
    let mut nodes = Node::start_all(&keys(2)).await;
    let (leaver, other) = (nodes[0].own, nodes[1].own);
    nodes[0].connected(other).await;
    for _ in 0..FRAMES {
        nodes[0]
            .handle
            .send(&other, Lane::Signing, Bytes::from_static(&[1; 200]))
            .expect("within the bounds");
    }
    let handle = nodes[0].handle.clone();
    let shutdown = tokio::spawn(async move { handle.shutdown().await });
    nodes[1].connected(leaver).await;
    for _ in 0..FRAMES {
        assert!(matches!(nodes[1].next().await, Event::Frame { .. }));
    }
    assert_eq!(nodes[1].disconnected(leaver).await, "the peer closed the connection");
    shutdown.await.expect("ends");
    assert_eq!(nodes[0].handle.send(&other, Lane::Signing, Bytes::new()), Err(SendError::NotConnected));
    while nodes[0].events.recv().await.is_some() {}
}

#[tokio::test]
async fn dropping_the_receiver_shuts_down() {
    let keys = keys(2);
    let mut nodes = Node::start_all(&keys).await;
    let (leaver, other) = (nodes[0].own, nodes[1].own);
    nodes[1].connected(leaver).await;
    let gone = nodes.remove(0);
    let address = gone.handle.listen_addresses();
    drop(gone.events);
    gone.handle.shutdown().await;
    assert_eq!(nodes[0].disconnected(gone.own).await, "the peer closed the connection");
    // The ports are free again.
    let again = countersign_network::Config { listen: address, ..config(&[]) };
    let node = Node::start(&keys[0], &members(&keys), hello(2), again).await;
    assert!(!node.status(other).connected);
}
