use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use countersign_network::{Config, Lane};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UdpSocket},
    time::Instant,
};

use crate::{
    ways::{Flood, Narrow, Proxy, free_tcp_port, quic, strangers, tcp, tcp_port, udp_socket},
    world::{Node, addresses, config, eventually, hello, keys, meet, members},
};

#[tokio::test]
async fn a_restarted_member_is_connected_again_whoever_dials() {
    for restarted in [0, 1] {
        let keys = keys(2);
        let mut nodes = Node::start_all(&keys).await;
        let mut leaver = nodes.remove(restarted);
        let mut stayer = nodes.remove(0);
        meet(&mut stayer, &mut leaver).await;
        let listen = leaver.handle.listen_addresses();
        leaver.handle.shutdown().await;
        stayer.disconnected(leaver.own).await;

        let known = [(stayer.own, stayer.handle.listen_addresses())];
        let again = Config { listen, ..config(&known) };
        let mut back = Node::start(&keys[restarted], &members(&keys), hello(2), again).await;
        meet(&mut stayer, &mut back).await;
        stayer.reaches(&mut back, Lane::Signing, Bytes::from_static(b"again")).await;
    }
}

#[tokio::test]
async fn tcp_carries_where_quic_does_not_pass() {
    let keys = keys(2);
    let members = members(&keys);
    let listen = Config { listen: addresses(&["/ip4/127.0.0.1/tcp/0"]), ..config(&[]) };
    let mut higher = Node::start(&keys[1], &members, hello(1), listen).await;
    // A socket that swallows everything, as a firewall does.
    let hole = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
    let mut known = higher.handle.listen_addresses();
    known.push(quic(hole.local_addr().expect("bound")));
    let mut lower = Node::start(&keys[0], &members, hello(1), config(&[(higher.own, known)])).await;
    meet(&mut lower, &mut higher).await;
    let address = lower.status(higher.own).address.expect("connected").to_string();
    assert!(address.contains("/tcp/"), "{address}");
    for lane in Lane::ALL {
        lower.reaches(&mut higher, lane, Bytes::from(vec![1; lane.max_frame_bytes()])).await;
    }
}

/// Notices after 1.5 s that a peer is silent.
fn impatient() -> Config {
    Config { heartbeat_ms: 250, silence_ms: 1_500, ..config(&[]) }
}

#[tokio::test]
async fn a_partition_is_noticed_by_both_and_healed() {
    let keys = keys(2);
    let members = members(&keys);
    let mut settings = impatient();
    let mut higher = Node::start(&keys[1], &members, hello(1), settings.clone()).await;
    let proxy = Proxy::start(udp_socket(&higher.handle.listen_addresses())).await;
    settings.peers.insert(higher.own, vec![quic(proxy.address)]);
    let mut lower = Node::start(&keys[0], &members, hello(1), settings).await;
    meet(&mut lower, &mut higher).await;

    proxy.open.store(false, Ordering::Relaxed);
    assert_eq!(lower.disconnected(higher.own).await, "the peer was silent for 1.5s");
    assert_eq!(higher.disconnected(lower.own).await, "the peer was silent for 1.5s");

    proxy.open.store(true, Ordering::Relaxed);
    let healed = Instant::now();
    meet(&mut lower, &mut higher).await;
    assert!(healed.elapsed() < Duration::from_secs(5), "{:?}", healed.elapsed());
}

#[tokio::test]
async fn a_crashed_member_is_back_before_its_silence_is_noticed() {
    // what it dials is as the old one was by the other: the old one is dead, or has crossed it
    let reason = crash_and_come_back(1).await;
    assert_eq!(reason, "replaced by another connection");
    let reason = crash_and_come_back(0).await;
    let either = ["the member has started again", "replaced by another connection"];
    assert!(either.contains(&&*reason), "{reason}");
}

/// Has one of two members go without a word, come back at once, and dial, as the other cannot reach it where it is now; says why the
/// other's old connection ended.
async fn crash_and_come_back(crashed: usize) -> String {
    let keys = keys(2);
    let members = members(&keys);
    let mut goes = Node::start(&keys[crashed], &members, hello(1), config(&[])).await;
    let proxy = Proxy::start(udp_socket(&goes.handle.listen_addresses())).await;
    let mut patient = config(&[(goes.own, vec![quic(proxy.address)])]);
    patient.silence_ms = 60_000;
    let mut stays = Node::start(&keys[1 - crashed], &members, hello(1), patient).await;
    meet(&mut stays, &mut goes).await;

    proxy.open.store(false, Ordering::Relaxed);
    goes.handle.shutdown().await;
    let known = config(&[(stays.own, stays.handle.listen_addresses())]);
    let mut back = Node::start(&keys[crashed], &members, hello(2), known).await;
    let reason = stays.disconnected(back.own).await;
    meet(&mut stays, &mut back).await;
    stays.reaches(&mut back, Lane::Signing, Bytes::from_static(b"again")).await;
    back.reaches(&mut stays, Lane::Signing, Bytes::from_static(b"again")).await;
    reason
}

#[tokio::test]
async fn members_that_dial_each_other_at_once_keep_one_connection() {
    let keys = keys(2);
    let members = members(&keys);
    // each knows where the other will listen
    let listen: Vec<_> = keys.iter().map(|_| vec![tcp(free_tcp_port())]).collect();
    let settings = |own: usize, other: usize| Config {
        listen: listen[own].clone(),
        ..config(&[(members[other], listen[other].clone())])
    };
    let (mut lower, mut higher) = tokio::join!(
        Node::start(&keys[0], &members, hello(1), settings(0, 1)),
        Node::start(&keys[1], &members, hello(1), settings(1, 0)),
    );
    meet(&mut lower, &mut higher).await;
    eventually("both say so", || lower.status(higher.own).connected && higher.status(lower.own).connected)
        .await;
    for number in 0..100_u8 {
        lower.reaches(&mut higher, Lane::Signing, Bytes::from(vec![number])).await;
    }
}

#[tokio::test]
async fn a_dial_that_crosses_a_connection_that_serves_does_not_end_it() {
    let keys = keys(2);
    let members = members(&keys);
    // the lower's dial is taken by the system, and passed on only once the higher's serves
    let way = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let slow = vec![tcp(way.local_addr().expect("bound").port())];
    let mut lower = Node::start(&keys[0], &members, hello(1), config(&[(members[1], slow)])).await;
    let known = config(&[(lower.own, lower.handle.listen_addresses())]);
    let mut higher = Node::start(&keys[1], &members, hello(1), known).await;
    meet(&mut lower, &mut higher).await;

    let port = tcp_port(&higher.handle.listen_addresses());
    let (mut dialled, _) = way.accept().await.expect("it has dialled");
    let mut onwards = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let (there, back) = copy_bidirectional(&mut dialled, &mut onwards).await.expect("both ends close it");
    assert!(there > 0 && back > 0, "the dial has come to nothing");
    lower.reaches(&mut higher, Lane::Signing, Bytes::from_static(b"still")).await;
    higher.reaches(&mut lower, Lane::Signing, Bytes::from_static(b"still")).await;
}

#[tokio::test]
async fn a_flood_of_strangers_does_not_keep_members_out() {
    let keys = keys(2);
    let members = members(&keys);
    // the member is expected here, but does not listen where the node believes
    let known = config(&[(members[1], vec![tcp(free_tcp_port())])]);
    let mut node = Node::start(&keys[0], &members, hello(1), known).await;
    let port = tcp_port(&node.handle.listen_addresses());
    let flood = Flood::start(SocketAddr::from(([127, 0, 0, 1], port)));
    eventually("its places are taken", || node.handle.stats().refused_connections >= 100).await;

    let dials = config(&[(node.own, vec![tcp(port)])]);
    let mut member = Node::start(&keys[1], &members, hello(1), dials).await;
    meet(&mut member, &mut node).await;
    let before = node.handle.stats().refused_connections;
    eventually("the flood goes on", || node.handle.stats().refused_connections > before).await;
    drop(flood);
}

#[tokio::test]
async fn a_flood_from_one_address_does_not_keep_out_a_member_whose_address_nobody_configured() {
    let keys = keys(2);
    let members = members(&keys);
    let mut node = Node::start(&keys[0], &members, hello(1), config(&[])).await;
    let port = tcp_port(&node.handle.listen_addresses());
    let flood = Flood::start(SocketAddr::from(([127, 0, 0, 1], port)));
    eventually("its places are taken", || node.handle.stats().refused_connections >= 100).await;

    let dials = config(&[(node.own, vec![tcp(port)])]);
    let mut member = Node::start(&keys[1], &members, hello(1), dials).await;
    meet(&mut member, &mut node).await;
    assert_eq!(member.handle.stats().failed_dials, 0, "the first dial finds a place");
    drop(flood);
}

#[tokio::test]
async fn strangers_from_everywhere_do_not_keep_out_a_member_that_was_seen_before() {
    let keys = keys(2);
    let members = members(&keys);
    let mut node = Node::start(&keys[0], &members, hello(1), config(&[])).await;
    let port = tcp_port(&node.handle.listen_addresses());
    let dials = config(&[(node.own, vec![tcp(port)])]);
    let mut member = Node::start(&keys[1], &members, hello(1), dials.clone()).await;
    meet(&mut member, &mut node).await;
    member.handle.shutdown().await;
    node.disconnected(member.own).await;

    let before = node.handle.stats().refused_connections;
    // more than there are places for all of them
    let held = strangers(200, SocketAddr::from(([127, 0, 0, 1], port))).await;
    eventually("all are taken", || node.handle.stats().refused_connections > before).await;
    let mut back = Node::start(&keys[1], &members, hello(2), dials).await;
    meet(&mut back, &mut node).await;
    assert_eq!(back.handle.stats().failed_dials, 0, "the first dial finds a place");
    drop(held);
}

#[tokio::test]
async fn a_member_that_reads_nothing_is_dialled_again() {
    let keys = keys(2);
    let members = members(&keys);
    let mut settings = impatient();
    let mut higher = Node::start(&keys[1], &members, hello(1), settings.clone()).await;
    let port = tcp_port(&higher.handle.listen_addresses());
    let way = Narrow::listen();
    settings.peers.insert(higher.own, vec![tcp(way.port())]);
    let mut lower = Node::start(&keys[0], &members, hello(1), settings).await;
    let passing = way.pass(port).await;
    meet(&mut lower, &mut higher).await;

    // its end of the connection stays open and takes nothing more, so that not even the last frame can be written
    let frozen = passing.freeze().await;
    for lane in Lane::ALL {
        let frame = Bytes::from(vec![1; lane.max_frame_bytes()]);
        lower.handle.send(&higher.own, lane, frame).expect("connected");
    }
    assert_eq!(lower.disconnected(higher.own).await, "the peer was silent for 1.5s");
    let _passing = way.pass(port).await;
    lower.connected(higher.own).await;
    drop(frozen);
}

#[tokio::test]
async fn the_next_address_is_dialled_at_once_and_each_has_its_own_time() {
    let keys = keys(2);
    let members = members(&keys);
    // two that take a connection and never say a word, and one where the member is
    let silent = [
        TcpListener::bind("127.0.0.1:0").await.expect("a free port"),
        TcpListener::bind("127.0.0.1:0").await.expect("a free port"),
    ];
    let mut higher = Node::start(&keys[1], &members, hello(1), config(&[])).await;
    let mut known: Vec<_> =
        silent.iter().map(|silent| tcp(silent.local_addr().expect("bound").port())).collect();
    known.push(tcp(tcp_port(&higher.handle.listen_addresses())));
    let mut lower = Node::start(&keys[0], &members, hello(1), config(&[(higher.own, known)])).await;
    meet(&mut lower, &mut higher).await;
    assert_eq!(lower.handle.stats().failed_dials, 2, "each address is a dial of its own");
}
