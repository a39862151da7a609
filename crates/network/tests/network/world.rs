//! Members for the tests.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use countersign_network::{
    Boot, BootId, Boots, Config, Event, EventReceiver, Handle, Hello, Lane, Multiaddr, PeerStatus,
    boots::Forgotten, keypair, start,
};
use countersign_types::{EngineId, NetworkId, NodeKey, NodePublicKey};
use libp2p::PeerId;
use tokio::time::{Instant, sleep, timeout};

/// No condition takes longer, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn hello(generation: u64) -> Hello {
    Hello {
        network: NetworkId::from([1; 32]),
        protocol: 1,
        engine: EngineId::from([2; 32]),
        boot: boot(generation),
        version: "test".into(),
    }
}

/// The boot of a generation, unless a test says otherwise.
pub(crate) fn boot(generation: u64) -> Boot {
    Boot { generation, id: BootId([u8::try_from(generation).expect("small"); 16]) }
}

/// What a node keeps that had all boots up to this one, and has seen nobody yet.
pub(crate) fn boots(hello: &Hello) -> Arc<dyn Boots> {
    let before = (1..hello.boot.generation).map(boot);
    Arc::new(Forgotten::new(before.chain([hello.boot]).collect()))
}

/// Keys of members, ascending by PeerId: each dials those after it.
pub(crate) fn keys(count: u8) -> Vec<NodeKey> {
    let key = |byte| NodeKey::from_bytes([byte; 32]).expect("a scalar");
    let mut keys: Vec<_> = (1..=count).map(key).collect();
    keys.sort_by_key(|key| PeerId::from_public_key(&keypair(key).public()));
    keys
}

pub(crate) fn members(keys: &[NodeKey]) -> Vec<NodePublicKey> {
    keys.iter().map(NodeKey::public_key).collect()
}

pub(crate) fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
    texts.iter().map(|text| text.parse().expect("a multiaddress")).collect()
}

/// A configuration with free ports and short waits.
pub(crate) fn config(peers: &[(NodePublicKey, Vec<Multiaddr>)]) -> Config {
    Config {
        listen: addresses(&["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"]),
        peers: peers.iter().cloned().collect::<BTreeMap<_, _>>(),
        reconnect_max_ms: 500,
        ..Config::default()
    }
}

pub(crate) struct Node {
    pub(crate) own: NodePublicKey,
    pub(crate) handle: Handle,
    pub(crate) events: EventReceiver,
}

impl Node {
    pub(crate) async fn start(
        key: &NodeKey,
        members: &[NodePublicKey],
        hello: Hello,
        config: Config,
    ) -> Self {
        let boots = boots(&hello);
        Self::start_with(key, members, hello, config, boots).await
    }

    /// With what it keeps of boots.
    pub(crate) async fn start_with(
        key: &NodeKey,
        members: &[NodePublicKey],
        hello: Hello,
        config: Config,
        boots: Arc<dyn Boots>,
    ) -> Self {
        let (handle, events) = start(key, hello, members, config, boots).await.expect("starts");
        Self { own: key.public_key(), handle, events }
    }

    /// All members of a network, each knowing the addresses of those that it dials.
    pub(crate) async fn start_all(keys: &[NodeKey]) -> Vec<Self> {
        Self::start_all_with(keys, |_| {}).await
    }

    pub(crate) async fn start_all_with(keys: &[NodeKey], change: impl Fn(&mut Config)) -> Vec<Self> {
        let members = members(keys);
        let mut nodes: Vec<Self> = Vec::new();
        for key in keys.iter().rev() {
            let known: Vec<_> = nodes.iter().map(|node| (node.own, node.handle.listen_addresses())).collect();
            let mut config = config(&known);
            change(&mut config);
            nodes.push(Self::start(key, &members, hello(1), config).await);
        }
        nodes.reverse();
        nodes
    }

    pub(crate) async fn next(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("not shut down")
    }

    /// Skips to the connection with a member.
    pub(crate) async fn connected(&mut self, to: NodePublicKey) {
        self.until(|event| matches!(event, Event::Connected { peer, .. } if *peer == to)).await;
    }

    /// Skips to the loss of a member, and says its reason.
    pub(crate) async fn disconnected(&mut self, from: NodePublicKey) -> String {
        let event =
            self.until(|event| matches!(event, Event::Disconnected { peer, .. } if *peer == from)).await;
        match event {
            Event::Disconnected { reason, .. } => reason,
            Event::Connected { .. } | Event::Frame { .. } => unreachable!("just matched"),
        }
    }

    /// Sends a frame, which is the next that the other hears.
    pub(crate) async fn reaches(&self, other: &mut Self, lane: Lane, bytes: Bytes) {
        self.handle.send(&other.own, lane, bytes.clone()).expect("connected");
        assert_eq!(other.next().await, Event::Frame { from: self.own, lane, bytes });
    }

    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await;
            if wanted(&event) {
                return event;
            }
        }
    }

    pub(crate) fn status(&self, of: NodePublicKey) -> PeerStatus {
        self.handle.peers().into_iter().find(|status| status.member == of).expect("a member")
    }

    pub(crate) fn last_error(&self, of: NodePublicKey) -> String {
        self.status(of).last_error.unwrap_or_default()
    }
}

/// Skips, at both, to the connection with each other.
pub(crate) async fn meet(one: &mut Node, other: &mut Node) {
    one.connected(other.own).await;
    other.connected(one.own).await;
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
