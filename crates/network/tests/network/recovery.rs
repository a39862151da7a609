use std::{
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
use tokio::{net::UdpSocket, task::JoinHandle, time::Instant};

use crate::world::{Node, addresses, config, hello, keys, members};

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
