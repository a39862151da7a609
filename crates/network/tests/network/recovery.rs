use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use countersign_network::{Config, Event, Lane, Multiaddr};
use libp2p::multiaddr::Protocol;
use socket2::SockRef;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::world::{Node, PATIENCE, addresses, config, eventually, hello, keys, members};

#[tokio::test]
async fn a_restarted_member_is_connected_again_whoever_dials() {
    for restarted in [0, 1] {
        let keys = keys(2);
        let mut nodes = Node::start_all(&keys).await;
        let mut leaver = nodes.remove(restarted);
        let mut stayer = nodes.remove(0);
        stayer.connected(leaver.own).await;
        leaver.connected(stayer.own).await;
        let listen = leaver.handle.listen_addresses();
        leaver.handle.shutdown().await;
        stayer.disconnected(leaver.own).await;

        let known = [(stayer.own, stayer.handle.listen_addresses())];
        let again = Config { listen, ..config(&known) };
        let mut back = Node::start(&keys[restarted], &members(&keys), hello(2), again).await;
        stayer.connected(back.own).await;
        back.connected(stayer.own).await;
        let frame = Bytes::from_static(b"again");
        stayer.handle.send(&back.own, Lane::Signing, frame.clone()).expect("connected");
        assert_eq!(back.next().await, Event::Frame { from: stayer.own, lane: Lane::Signing, bytes: frame });
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
    lower.connected(higher.own).await;
    higher.connected(lower.own).await;
    let address = lower.status(higher.own).address.expect("connected").to_string();
    assert!(address.contains("/tcp/"), "{address}");
    for lane in Lane::ALL {
        let frame = Bytes::from(vec![1; lane.max_frame_bytes()]);
        lower.handle.send(&higher.own, lane, frame.clone()).expect("connected");
        let expected = Event::Frame { from: lower.own, lane, bytes: frame };
        assert_eq!(higher.next().await, expected);
    }
}

#[tokio::test]
async fn a_partition_is_noticed_by_both_and_healed() {
    let keys = keys(2);
    let members = members(&keys);
    let mut settings = config(&[]);
    settings.heartbeat_ms = 250;
    settings.silence_ms = 1_500;
    let mut higher = Node::start(&keys[1], &members, hello(1), settings.clone()).await;
    let proxy = Proxy::start(udp_socket(&higher.handle.listen_addresses())).await;
    settings.peers.insert(higher.own, vec![quic(proxy.address)]);
    let mut lower = Node::start(&keys[0], &members, hello(1), settings).await;
    lower.connected(higher.own).await;
    higher.connected(lower.own).await;

    proxy.open.store(false, Ordering::Relaxed);
    assert_eq!(lower.disconnected(higher.own).await, "the peer was silent for 1.5s");
    assert_eq!(higher.disconnected(lower.own).await, "the peer was silent for 1.5s");

    proxy.open.store(true, Ordering::Relaxed);
    let healed = Instant::now();
    lower.connected(higher.own).await;
    higher.connected(lower.own).await;
    assert!(healed.elapsed() < Duration::from_secs(5), "{:?}", healed.elapsed());
}

#[tokio::test]
async fn a_crashed_member_is_back_before_its_silence_is_noticed() {
    let keys = keys(2);
    let members = members(&keys);
    let mut higher = Node::start(&keys[1], &members, hello(1), config(&[])).await;
    let proxy = Proxy::start(udp_socket(&higher.handle.listen_addresses())).await;
    let mut patient = config(&[(higher.own, vec![quic(proxy.address)])]);
    patient.silence_ms = 60_000;
    let mut lower = Node::start(&keys[0], &members, hello(1), patient).await;
    lower.connected(higher.own).await;
    higher.connected(lower.own).await;

    // It goes without a word, and the lower cannot reach it where it is now.
    proxy.open.store(false, Ordering::Relaxed);
    higher.handle.shutdown().await;
    let known = config(&[(lower.own, lower.handle.listen_addresses())]);
    let mut back = Node::start(&keys[1], &members, hello(2), known).await;
    assert_eq!(lower.disconnected(back.own).await, "replaced by another connection");
    lower.connected(back.own).await;
    back.connected(lower.own).await;
    let frame = Bytes::from_static(b"again");
    back.handle.send(&lower.own, Lane::Signing, frame.clone()).expect("connected");
    assert_eq!(lower.next().await, Event::Frame { from: back.own, lane: Lane::Signing, bytes: frame });
}

#[tokio::test]
async fn a_crashed_member_is_back_at_once_on_a_connection_that_crosses_its_old_one() {
    let keys = keys(2);
    let members = members(&keys);
    let mut lower = Node::start(&keys[0], &members, hello(1), config(&[])).await;
    let proxy = Proxy::start(udp_socket(&lower.handle.listen_addresses())).await;
    let mut patient = config(&[(lower.own, vec![quic(proxy.address)])]);
    patient.silence_ms = 60_000;
    let mut higher = Node::start(&keys[1], &members, hello(1), patient).await;
    higher.connected(lower.own).await;
    lower.connected(higher.own).await;

    // It goes without a word, and knows nothing of the connection when it comes back.
    proxy.open.store(false, Ordering::Relaxed);
    lower.handle.shutdown().await;
    let known = config(&[(higher.own, higher.handle.listen_addresses())]);
    let mut back = Node::start(&keys[0], &members, hello(2), known).await;
    let reason = higher.disconnected(back.own).await;
    assert!(
        ["the member has started again", "replaced by another connection"].contains(&&*reason),
        "{reason}"
    );
    higher.connected(back.own).await;
    back.connected(higher.own).await;
    let frame = Bytes::from_static(b"again");
    higher.handle.send(&back.own, Lane::Signing, frame.clone()).expect("connected");
    assert_eq!(back.next().await, Event::Frame { from: higher.own, lane: Lane::Signing, bytes: frame });
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
    lower.connected(higher.own).await;
    higher.connected(lower.own).await;
    eventually("both say so", || lower.status(higher.own).connected && higher.status(lower.own).connected)
        .await;
    for number in 0..100_u8 {
        let frame = Bytes::from(vec![number]);
        lower.handle.send(&higher.own, Lane::Signing, frame.clone()).expect("connected");
        let expected = Event::Frame { from: lower.own, lane: Lane::Signing, bytes: frame };
        assert_eq!(higher.next().await, expected);
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
    lower.connected(higher.own).await;
    higher.connected(lower.own).await;

    let port = tcp_port(&higher.handle.listen_addresses());
    let (mut dialled, _) = way.accept().await.expect("it has dialled");
    let mut onwards = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let (there, back) = copy_bidirectional(&mut dialled, &mut onwards).await.expect("both ends close it");
    assert!(there > 0 && back > 0, "the dial has come to nothing");
    let frame = Bytes::from_static(b"still");
    lower.handle.send(&higher.own, Lane::Signing, frame.clone()).expect("connected");
    let expected = Event::Frame { from: lower.own, lane: Lane::Signing, bytes: frame.clone() };
    assert_eq!(higher.next().await, expected, "nothing has come before it");
    higher.handle.send(&lower.own, Lane::Signing, frame.clone()).expect("connected");
    let expected = Event::Frame { from: higher.own, lane: Lane::Signing, bytes: frame };
    assert_eq!(lower.next().await, expected, "nothing has come before it");
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
    eventually("all places of strangers are taken", || node.handle.stats().refused_connections >= 100).await;

    let dials = config(&[(node.own, vec![tcp(port)])]);
    let mut member = Node::start(&keys[1], &members, hello(1), dials).await;
    member.connected(node.own).await;
    node.connected(member.own).await;
    let before = node.handle.stats().refused_connections;
    eventually("the flood goes on", || node.handle.stats().refused_connections > before).await;
    drop(flood);
}

#[tokio::test]
async fn a_member_that_reads_nothing_is_dialled_again() {
    let keys = keys(2);
    let members = members(&keys);
    let mut settings = config(&[]);
    settings.heartbeat_ms = 250;
    settings.silence_ms = 1_500;
    let mut higher = Node::start(&keys[1], &members, hello(1), settings.clone()).await;
    let port = tcp_port(&higher.handle.listen_addresses());
    let way = Narrow::listen();
    settings.peers.insert(higher.own, vec![tcp(way.port())]);
    let mut lower = Node::start(&keys[0], &members, hello(1), settings).await;
    let passing = way.pass(port).await;
    lower.connected(higher.own).await;
    higher.connected(lower.own).await;

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
    lower.connected(higher.own).await;
    higher.connected(lower.own).await;
    assert_eq!(lower.handle.stats().failed_dials, 2, "each address is a dial of its own");
}

/// A way to a member over sockets that hold little.
struct Narrow(TcpListener);

impl Narrow {
    /// The most bytes of a segment, and what waits here: the dialler's system sizes what it holds for a connection by them.
    const SEGMENT: u32 = 536;
    const WAITING: u32 = 4096;

    fn listen() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(Self::WAITING).expect("a size");
        SockRef::from(&socket).set_tcp_mss(Self::SEGMENT).expect("a segment's size");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("binds");
        Self(socket.listen(8).expect("listens"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// Takes the next connection, and passes what it carries on.
    async fn pass(&self, to: u16) -> Passing {
        let accepted = timeout(PATIENCE, self.0.accept()).await.expect("it dials in time");
        let (mut dialled, _) = accepted.expect("a connection");
        let mut onwards = TcpStream::connect(("127.0.0.1", to)).await.expect("it listens");
        let (freeze, mut frozen) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = copy_bidirectional(&mut dialled, &mut onwards) => {}
                _ = &mut frozen => {}
            }
            (dialled, onwards)
        });
        Passing { freeze, task }
    }
}

struct Passing {
    freeze: oneshot::Sender<()>,
    task: JoinHandle<(TcpStream, TcpStream)>,
}

impl Passing {
    /// Passes nothing on any more; both connections are open for as long as they are held.
    async fn freeze(self) -> (TcpStream, TcpStream) {
        self.freeze.send(()).expect("it passes");
        self.task.await.expect("no panic")
    }
}

/// Opens TCP connections from another address, without a word, and keeps the last few hundred.
struct Flood(JoinHandle<()>);

impl Flood {
    const HELD: usize = 256;
    const PAUSE: Duration = Duration::from_millis(2);

    fn start(to: SocketAddr) -> Self {
        Self(tokio::spawn(async move {
            let mut held = VecDeque::new();
            loop {
                let socket = TcpSocket::new_v4().expect("a socket");
                socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).expect("binds");
                if let Ok(stream) = socket.connect(to).await {
                    held.push_back(stream);
                }
                if held.len() > Self::HELD {
                    held.pop_front();
                }
                tokio::time::sleep(Self::PAUSE).await;
            }
        }))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn free_tcp_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("bound").port()
}

fn tcp(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
}

fn tcp_port(addresses: &[Multiaddr]) -> u16 {
    let tcp = |part| if let Protocol::Tcp(port) = part { Some(port) } else { None };
    addresses.iter().flatten().find_map(tcp).expect("listens on TCP")
}

/// Passes datagrams on for one client, while it is open.
struct Proxy {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start(behind: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let back = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let address = front.local_addr().expect("bound");
        let open = Arc::new(AtomicBool::new(true));
        let passes = Arc::clone(&open);
        let task = tokio::spawn(async move {
            let (mut there, mut here) = (vec![0; 65_536], vec![0; 65_536]);
            let mut client = address;
            loop {
                tokio::select! {
                    Ok((got, from)) = front.recv_from(&mut there) => {
                        client = from;
                        if passes.load(Ordering::Relaxed) {
                            let _ = back.send_to(&there[..got], behind).await;
                        }
                    }
                    Ok((got, _)) = back.recv_from(&mut here) => {
                        if passes.load(Ordering::Relaxed) {
                            let _ = front.send_to(&here[..got], client).await;
                        }
                    }
                }
            }
        });
        Self { address, open, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn quic(socket: SocketAddr) -> Multiaddr {
    format!("/ip4/{}/udp/{}/quic-v1", socket.ip(), socket.port()).parse().expect("an address")
}

fn udp_socket(addresses: &[Multiaddr]) -> SocketAddr {
    let udp = |part| if let Protocol::Udp(port) = part { Some(port) } else { None };
    let port = addresses.iter().flatten().find_map(udp).expect("listens on UDP");
    SocketAddr::from(([127, 0, 0, 1], port))
}
