//! Distance between nodes: what members send each other goes through proxies that hold each datagram back.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{net::UdpSocket, task::JoinSet};

use crate::Network;

/// The longest datagram of UDP.
const MAX_DATAGRAM_BYTES: usize = 65_535;
/// The most datagrams that one direction of a flow holds back; more are lost, as on a real link.
const MAX_HELD_BACK: usize = 8_192;
/// The most flows of one proxy, each with a thread for each direction: members dial with a port each, and again after a loss.
const MAX_FLOWS: usize = 64;

/// A datagram, and when it goes on.
type Held = (Instant, Vec<u8>);

/// A proxy between each two nodes, in each direction of dialling, as long as this lives.
pub struct Delays {
    /// How long a datagram takes, in microseconds, by who dials whom.
    one_way: BTreeMap<(usize, usize), OneWay>,
    proxies: JoinSet<()>,
}

type OneWay = Arc<AtomicU64>;

impl Delays {
    /// Puts proxies between the nodes of a network that has not been started, and has the members dial through them, over QUIC
    /// alone. Each datagram takes `one_way`, so a round trip takes twice that.
    pub async fn between(network: &Network, one_way: Duration) -> Result<Self> {
        let mut delays = Self { one_way: BTreeMap::new(), proxies: JoinSet::new() };
        for (dialling, node) in network.nodes.iter().enumerate() {
            let mut addresses = BTreeMap::new();
            for (dialled, (other, ports)) in network.nodes.iter().zip(&network.settings.nodes).enumerate() {
                if dialled != dialling {
                    let port = delays.proxy((dialling, dialled), ports.peers, one_way).await?;
                    let address = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
                    addresses.insert(other.public_key, vec![address.parse()?]);
                }
            }
            let mut config = node.config()?;
            config.network.peers = addresses;
            node.write_config(&config)?;
        }
        Ok(delays)
    }

    /// Starts the proxy through which one node dials another; says its port.
    async fn proxy(&mut self, between: (usize, usize), port: u16, one_way: Duration) -> Result<u16> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for a proxy")?;
        let own = socket.local_addr()?.port();
        let delay = Arc::new(AtomicU64::new(micros(one_way)));
        self.proxies.spawn(proxy(socket, (Ipv4Addr::LOCALHOST, port).into(), Arc::clone(&delay)));
        self.one_way.insert(between, delay);
        Ok(own)
    }

    /// From now on each datagram to or from one node takes this long.
    pub fn set(&self, node: usize, one_way: Duration) {
        for (_, delay) in self.one_way.iter().filter(|((from, to), _)| [*from, *to].contains(&node)) {
            delay.store(micros(one_way), Ordering::Relaxed);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn due(one_way: &AtomicU64) -> Instant {
    Instant::now() + Duration::from_micros(one_way.load(Ordering::Relaxed))
}

/// Hands on what comes to a node's proxy, and what the node answers, each by its flow.
async fn proxy(socket: UdpSocket, node: SocketAddr, one_way: OneWay) {
    let socket = Arc::new(socket);
    let mut flows: BTreeMap<SocketAddr, SyncSender<Held>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        // an error is that of an earlier datagram, whose receiver is gone
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if !flows.contains_key(&from) {
            if flows.len() >= MAX_FLOWS {
                continue;
            }
            let Ok(inside) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { continue };
            let inside = Arc::new(inside);
            flows.insert(from, way(Arc::clone(&inside), node));
            tasks.spawn(answer(inside, way(Arc::clone(&socket), from), Arc::clone(&one_way)));
        }
        if let Some(flow) = flows.get(&from) {
            // a full flow loses it
            let _ = flow.try_send((due(&one_way), buffer[..length].to_vec()));
        }
    }
}

/// What a node answers to one flow.
async fn answer(inside: Arc<UdpSocket>, outside: SyncSender<Held>, one_way: OneWay) {
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let Ok((length, _)) = inside.recv_from(&mut buffer).await else { continue };
        let _ = outside.try_send((due(&one_way), buffer[..length].to_vec()));
    }
}

/// One direction of a flow.
fn way(socket: Arc<UdpSocket>, to: SocketAddr) -> SyncSender<Held> {
    let (sender, held) = sync_channel(MAX_HELD_BACK);
    thread::spawn(move || hand_on(&held, &socket, to));
    sender
}

/// On a thread of its own until its sender is gone: a task's timer goes by whole milliseconds, of which each message between nodes
/// would take one more.
fn hand_on(held: &Receiver<Held>, socket: &UdpSocket, to: SocketAddr) {
    while let Ok((due, datagram)) = held.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // whoever is not there any more loses it
        let _ = socket.try_send_to(&datagram, to);
    }
}
