//! A dishonest relay between a node and others. It has everybody's keys, so that each takes it for the other, and changes what
//! it likes: a man in the middle at its worst, and a node that lies where it changes what one says.

mod frame;
mod liar;

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use countersign_network::{
    Boot, BootId, Config, Event, Handle, Hello, Lane, Multiaddr, boots::Forgotten, start,
};
use countersign_types::{EngineId, NetworkId, NodeKey, NodePublicKey};
use secrecy::SecretString;
use tokio::task::JoinSet;

pub use self::{frame::Frame, liar::false_shares};
use crate::{Network, node::Node};

/// What becomes of a frame on its way: another one of its lane, or none, where it stays as it is.
pub type Changes = Box<dyn FnMut(&Frame, &Passage) -> Option<Frame> + Send>;

/// Between whom a frame is on its way.
#[derive(Debug, Clone, Copy)]
pub struct Passage {
    /// Who sent it.
    pub from: NodePublicKey,
    /// Whom it is for.
    pub to: NodePublicKey,
    /// Which of the two is not the one that is asked.
    pub member: NodePublicKey,
}

/// A relay, as long as this lives.
#[derive(Debug)]
pub struct Relay {
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Starts the nodes of a network that has never run, with a relay between one of them, which is asked for signatures, and
    /// some others.
    pub async fn start(
        network: &mut Network,
        asked: usize,
        behind: &[usize],
        changes: Changes,
    ) -> Result<Self> {
        let relayed = network.nodes[asked].public_key;
        for number in (0..network.nodes.len()).filter(|number| *number != asked) {
            let node = &mut network.nodes[number];
            if behind.contains(&number) {
                // the relay comes to it
                let mut config = node.config()?;
                config.network.peers.remove(&relayed);
                node.write_config(&config)?;
            }
            node.start()?;
        }
        let first = behind.first().context("nobody is behind the relay")?;
        let engine = network.engine(*first).await?;
        let members: Vec<&Node> = behind.iter().map(|number| &network.nodes[*number]).collect();
        let id = network.genesis.network_id();
        let (relay, addresses) = Self::between(&network.nodes[asked], &members, id, engine, changes).await?;
        let node = &mut network.nodes[asked];
        let mut config = node.config()?;
        config.network.peers.extend(addresses);
        node.write_config(&config)?;
        node.start()?;
        Ok(relay)
    }

    /// Stands between nodes that run: the first is to find each other one at the address that is returned.
    async fn between(
        asked: &Node,
        members: &[&Node],
        network: NetworkId,
        engine: EngineId,
        changes: Changes,
    ) -> Result<(Self, BTreeMap<NodePublicKey, Vec<Multiaddr>>)> {
        let asked = identity(asked)?;
        let identities = members.iter().map(|node| identity(node)).collect::<Result<Vec<_>>>()?;
        let keys: Vec<NodePublicKey> = identities.iter().map(NodeKey::public_key).collect();
        let everybody: Vec<NodePublicKey> = keys.iter().copied().chain([asked.public_key()]).collect();
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
        let (to_members, mut from_members) = start(&asked, hello.clone(), &everybody, dials, boots()).await?;
        // nothing of the first one's is lost: it comes when the others are there
        for _ in members {
            while !matches!(from_members.recv().await.context("it runs")?, Event::Connected { .. }) {}
        }
        let changes = Arc::new(Mutex::new(changes));
        let (mut addresses, mut to_asked, mut tasks) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        for (identity, key) in identities.iter().zip(keys) {
            let (to, mut from) = start(identity, hello.clone(), &everybody, waits.clone(), boots()).await?;
            addresses.insert(key, to.listen_addresses());
            to_asked.insert(key, to);
            let (to_members, changes) = (to_members.clone(), Arc::clone(&changes));
            tasks.spawn(async move {
                while let Some(event) = from.recv().await {
                    carry(event, |_| Some((&to_members, key, key)), &changes);
                }
            });
        }
        let to = asked.public_key();
        tasks.spawn(async move {
            while let Some(event) = from_members.recv().await {
                carry(event, |member| Some((to_asked.get(&member)?, to, member)), &changes);
            }
        });
        Ok((Self { _tasks: tasks }, addresses))
    }
}

/// A node's identity key: test networks have the passphrases in files.
pub fn identity(node: &Node) -> Result<NodeKey> {
    let passphrase = fs::read_to_string(node.folder.join("passphrase"))?;
    let passphrase = SecretString::from(passphrase.trim().to_owned());
    Ok(countersign_store::IdentityFile::open(&node.folder.join("identity.sealed"), &passphrase)?)
}

/// Passes on what a node sent, if it did: by whom, to whom, and which member of the two it is, depends on who sent it. What
/// cannot be read or passed on is lost, as on any connection.
fn carry<'a>(
    event: Event,
    way: impl FnOnce(NodePublicKey) -> Option<(&'a Handle, NodePublicKey, NodePublicKey)>,
    changes: &Mutex<Changes>,
) {
    let Event::Frame { from, lane, bytes } = event else { return };
    let Some((by, to, member)) = way(from) else { return };
    if let Ok(bytes) = changed(lane, bytes, &Passage { from, to, member }, changes) {
        let _ = by.send(&to, lane, bytes);
    }
}

fn changed(lane: Lane, bytes: Bytes, passage: &Passage, changes: &Mutex<Changes>) -> Result<Bytes> {
    let frame = Frame::decode(lane, &bytes)?;
    let Some(other) = changes.lock().unwrap_or_else(PoisonError::into_inner)(&frame, passage) else {
        return Ok(bytes);
    };
    ensure!(other.lane() == lane, "a frame of another lane");
    other.encode()
}
