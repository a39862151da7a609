//! A dishonest relay between a coordinator and members. It has everybody's keys, so that each takes it for the other, and
//! changes what it likes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use countersign_network::{
    Boot, BootId, Config, Event, Handle, Hello, Lane, Multiaddr, boots::Forgotten, start,
};
use countersign_testnet::node::Node;
use countersign_types::{EngineId, NetworkId, NodeKey, NodePublicKey};
use secrecy::SecretString;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    change::{Change, Seen},
    frame::Frame,
};

/// What it is to do to the next message of a kind.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) label: &'static str,
    pub(super) change: Change,
}

/// What it did.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) order: Order,
    pub(super) before: Frame,
    pub(super) after: Frame,
    /// The member to which the message went, or from which it came.
    pub(super) member: NodePublicKey,
}

/// What it has in mind, and what passed by.
#[derive(Default)]
pub(super) struct Mind {
    /// In this order, each once.
    pub(super) orders: Vec<Order>,
    pub(super) done: Vec<Done>,
    pub(super) seen: Seen,
    /// A message of each kind. Of those that passed by undisturbed the longest, which has most parts.
    pub(super) samples: BTreeMap<&'static str, Value>,
}

impl Mind {
    /// Passes a frame from or to a member on, changed where it is to be.
    fn pass(&mut self, bytes: &Bytes, member: NodePublicKey) -> Result<Bytes> {
        let frame = Frame::decode(bytes)?;
        let (label, value) = (frame.label(), frame.to_value()?);
        let sample = self.samples.entry(label).or_insert_with(|| value.clone());
        let undisturbed = self.orders.is_empty() && self.done.is_empty();
        if undisturbed && value.to_string().len() > sample.to_string().len() {
            *sample = value.clone();
        }
        let changed = match self.orders.first() {
            Some(order) if order.label == label => order.change.apply(&value, &self.seen),
            Some(_) | None => None,
        };
        self.seen.note(&value);
        let Some(changed) = changed else { return Ok(bytes.clone()) };
        let order = self.orders.remove(0);
        let bytes = changed.encode()?.into();
        self.done.push(Done { order, before: frame, after: changed, member });
        Ok(bytes)
    }
}

/// The relay, as long as this lives.
pub(super) struct Relay {
    mind: Arc<Mutex<Mind>>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Stands between nodes that run: the coordinator is to find each member at the address that is returned.
    pub(super) async fn between(
        coordinator: &Node,
        members: &[Node],
        network: NetworkId,
        engine: EngineId,
    ) -> Result<(Self, BTreeMap<NodePublicKey, Vec<Multiaddr>>)> {
        let coordinator = identity(coordinator)?;
        let identities = members.iter().map(identity).collect::<Result<Vec<_>>>()?;
        let keys: Vec<NodePublicKey> = identities.iter().map(NodeKey::public_key).collect();
        let everybody: Vec<NodePublicKey> = keys.iter().copied().chain([coordinator.public_key()]).collect();
        let hello = Hello {
            network,
            protocol: countersign_session::PROTOCOL,
            engine,
            boot: Boot { generation: 1, id: BootId([1; 16]) },
            version: "relay".into(),
        };
        let boots = || Arc::new(Forgotten::new(vec![hello.boot]));
        let listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse()?];
        let waits = Config { listen, reconnect_max_ms: 500, ..Config::default() };
        let mut dials = waits.clone();
        for (node, key) in members.iter().zip(&keys) {
            dials.peers.insert(*key, node.config()?.network.listen);
        }
        let (to_members, mut from_members) =
            start(&coordinator, hello.clone(), &everybody, dials, boots()).await?;
        // nothing of the coordinator's is lost: it comes when the members are there
        for _ in members {
            while !matches!(from_members.recv().await.context("it runs")?, Event::Connected { .. }) {}
        }
        let mind = Arc::new(Mutex::new(Mind::default()));
        let (mut addresses, mut to_coordinator, mut tasks) =
            (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        for (identity, key) in identities.iter().zip(keys) {
            let (to, mut from) = start(identity, hello.clone(), &everybody, waits.clone(), boots()).await?;
            addresses.insert(key, to.listen_addresses());
            to_coordinator.insert(key, to);
            let (to_members, mind) = (to_members.clone(), Arc::clone(&mind));
            tasks.spawn(async move {
                while let Some(event) = from.recv().await {
                    carry(event, |_| Some((&to_members, key, key)), &mind);
                }
            });
        }
        let (to, carries) = (coordinator.public_key(), Arc::clone(&mind));
        tasks.spawn(async move {
            while let Some(event) = from_members.recv().await {
                carry(event, |member| Some((to_coordinator.get(&member)?, to, member)), &carries);
            }
        });
        Ok((Self { mind, _tasks: tasks }, addresses))
    }

    pub(super) fn mind(&self) -> MutexGuard<'_, Mind> {
        self.mind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes on what a node sent, if it did: by whom, to whom, and which member of the two it is, depends on who sent it.
fn carry<'a>(
    event: Event,
    way: impl FnOnce(NodePublicKey) -> Option<(&'a Handle, NodePublicKey, NodePublicKey)>,
    mind: &Mutex<Mind>,
) {
    let Event::Frame { from, lane, bytes } = event else { return };
    let (by, to, member) = way(from).expect("only members are let in");
    let bytes = match lane {
        Lane::Background => bytes,
        Lane::Signing => {
            let passed = mind.lock().unwrap_or_else(PoisonError::into_inner).pass(&bytes, member);
            passed.expect("the relay reads what nodes write")
        }
    };
    // what cannot be passed on is lost, as on any connection
    let _ = by.send(&to, lane, bytes);
}

/// A node's key: test networks have the passphrases in files.
fn identity(node: &Node) -> Result<NodeKey> {
    let passphrase = std::fs::read_to_string(node.folder.join("passphrase"))?;
    let passphrase = SecretString::from(passphrase.trim().to_owned());
    Ok(countersign_store::IdentityFile::open(&node.folder.join("identity.sealed"), &passphrase)?)
}
