//! Distance between nodes: what members send each other goes through proxies that hold each datagram back.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::Network;

/// The longest datagram of UDP.
const MAX_DATAGRAM_BYTES: usize = 65_535;
/// The most datagrams that one direction of a flow holds back; more are lost, as on a real link.
const MAX_HELD_BACK: usize = 8_192;
/// The most flows of one proxy: members dial with a port each, and again after a loss.
const MAX_FLOWS: usize = 1_024;

/// A datagram, and when it goes on.
type Held = (Instant, Vec<u8>);

/// A proxy in front of each node, as long as this lives.
pub struct Delays {
    _proxies: JoinSet<()>,
}

impl Delays {
    /// Puts a proxy in front of each node of a network that has not been started, and has the members dial it, over QUIC
    /// alone. Each datagram takes `one_way`, so a round trip takes twice that.
    pub async fn between(network: &Network, one_way: Duration) -> Result<Self> {
        let mut proxies = JoinSet::new();
        let mut addresses = BTreeMap::new();
        for (node, ports) in network.nodes.iter().zip(&network.settings.nodes) {
            let port = ports.peers;
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for a proxy")?;
            let address = format!("/ip4/127.0.0.1/udp/{}/quic-v1", socket.local_addr()?.port());
            addresses.insert(node.public_key, vec![address.parse()?]);
            proxies.spawn(proxy(socket, (Ipv4Addr::LOCALHOST, port).into(), one_way));
        }
        for node in &network.nodes {
            let mut config = node.config()?;
            config.network.peers.clone_from(&addresses);
            node.write_config(&config)?;
        }
        Ok(Self { _proxies: proxies })
    }
}

/// Hands on what comes to a node's proxy, and what the node answers, each by its flow.
async fn proxy(socket: UdpSocket, node: SocketAddr, one_way: Duration) {
    let socket = Arc::new(socket);
    let mut flows: BTreeMap<SocketAddr, mpsc::Sender<Held>> = BTreeMap::new();
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
            let (sender, held) = mpsc::channel(MAX_HELD_BACK);
            tasks.spawn(hand_on(held, Arc::clone(&inside), node));
            tasks.spawn(answer(inside, Arc::clone(&socket), from, one_way));
            flows.insert(from, sender);
        }
        if let Some(flow) = flows.get(&from) {
            // a full flow loses it
            let _ = flow.try_send((Instant::now() + one_way, buffer[..length].to_vec()));
        }
    }
}

/// What a node answers to one flow.
async fn answer(inside: Arc<UdpSocket>, outside: Arc<UdpSocket>, to: SocketAddr, one_way: Duration) {
    let (sender, held) = mpsc::channel(MAX_HELD_BACK);
    let mut task = JoinSet::new();
    task.spawn(hand_on(held, outside, to));
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let Ok((length, _)) = inside.recv_from(&mut buffer).await else { continue };
        let _ = sender.try_send((Instant::now() + one_way, buffer[..length].to_vec()));
    }
}

async fn hand_on(mut held: mpsc::Receiver<Held>, socket: Arc<UdpSocket>, to: SocketAddr) {
    while let Some((due, datagram)) = held.recv().await {
        sleep_until(due).await;
        // whoever is not there any more loses it
        let _ = socket.send_to(&datagram, to).await;
    }
}
