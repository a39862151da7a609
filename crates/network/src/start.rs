//! From a key, members and configuration to a running transport.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign_types::{MAX_MEMBERS, NodeKey, NodePublicKey};
use futures::StreamExt;
use libp2p::{Multiaddr, Swarm, TransportError, core::transport::ListenerId, noise, swarm::SwarmEvent};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    Boots, BootsError, Config, ConfigError, EventReceiver, Handle, Hello, address,
    driver::Driver,
    event,
    handle::{Counters, Shared},
    hello::MAX_VERSION_BYTES,
    peer::Peer,
    swarm::{self, Behaviour},
};

/// How long the system may take to give the addresses that are listened on.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the transport does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration has addresses for somebody who is not a member.
    #[error("network.peers names {peer}, which is not a member")]
    UnknownPeer {
        /// Who it is.
        peer: NodePublicKey,
    },
    /// The key is not that of a member.
    #[error("this node, {own}, is not among the members")]
    NotAMember {
        /// The key's public key.
        own: NodePublicKey,
    },
    /// More members than connections are made for.
    #[error("a network has at most {MAX_MEMBERS} members, got {got}")]
    Members {
        /// How many there are.
        got: usize,
    },
    /// The version in the hello is too long.
    #[error("a version has at most {MAX_VERSION_BYTES} bytes, got {got}")]
    Version {
        /// How many it has.
        got: usize,
    },
    /// Another program has the port.
    #[error("the address {address} is in use")]
    AddressInUse {
        /// The address.
        address: Multiaddr,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why.
        source: io::Error,
    },
    /// What is kept of members' boots.
    #[error(transparent)]
    Boots(#[from] BootsError),
    /// The encryption of TCP connections cannot be set up.
    #[error("cannot set up the encryption of connections")]
    Encryption(#[from] noise::Error),
}

/// Listens, and from then on keeps connections with all other members. `boots` holds the own boots, with that of the hello, and
/// those of others that were accepted.
///
/// Returns when all addresses are listened on; connections come as events. Must be called in a tokio runtime. The transport
/// runs until [`Handle::shutdown`] or until the receiver is dropped.
pub async fn start(
    key: &NodeKey,
    hello: Hello,
    members: &[NodePublicKey],
    config: Config,
    boots: Arc<dyn Boots>,
) -> Result<(Handle, EventReceiver), StartError> {
    let own = key.public_key();
    let others = check(own, &hello, members, &config)?;
    let known = |other: NodePublicKey| -> Result<_, BootsError> {
        Ok((other, Arc::new(Peer::new(other, boots.last(&other)?))))
    };
    let peers: BTreeMap<_, _> = others.into_iter().map(known).collect::<Result<_, BootsError>>()?;
    let mut swarm = swarm::build(key, &hello, peers.values().map(|peer| peer.id), &config)?;
    let listening = listen(&mut swarm, &config.listen).await?;
    let stop = CancellationToken::new();
    let shared = Arc::new(Shared {
        own,
        peers,
        listening: Mutex::new(listening),
        counters: Arc::new(Counters::default()),
        stop: stop.clone(),
        stopped: CancellationToken::new(),
    });
    let (events, receiver) = event::queues(shared.peers.keys().copied(), Some(stop.drop_guard()));
    let driver = Driver::new(swarm, Arc::clone(&shared), events, hello, boots, config);
    tokio::spawn(driver.run());
    Ok((Handle::new(shared), receiver))
}

/// Checks what was given; returns the other members.
fn check(
    own: NodePublicKey,
    hello: &Hello,
    members: &[NodePublicKey],
    config: &Config,
) -> Result<BTreeSet<NodePublicKey>, StartError> {
    config.validate()?;
    let got = hello.version.len();
    if got > MAX_VERSION_BYTES {
        return Err(StartError::Version { got });
    }
    let mut others: BTreeSet<_> = members.iter().copied().collect();
    if others.len() > MAX_MEMBERS {
        return Err(StartError::Members { got: others.len() });
    }
    if let Some(peer) = config.peers.keys().find(|peer| !others.contains(peer)) {
        return Err(StartError::UnknownPeer { peer: *peer });
    }
    if !others.remove(&own) {
        return Err(StartError::NotAMember { own });
    }
    Ok(others)
}

/// Listens on every address, and waits until the system has given all of them.
async fn listen(swarm: &mut Swarm<Behaviour>, addresses: &[Multiaddr]) -> Result<Vec<Multiaddr>, StartError> {
    // All first: our own IPv4 socket would stand in the way of the probe of IPv6 on the same port.
    for address in addresses {
        address::probe(address).map_err(|source| refused(address, source))?;
    }
    let mut waiting = Vec::new();
    for address in addresses {
        let listener = swarm.listen_on(address.clone()).map_err(|error| match error {
            TransportError::Other(source) => refused(address, source),
            TransportError::MultiaddrNotSupported(_) => {
                refused(address, io::Error::from(io::ErrorKind::Unsupported))
            }
        })?;
        waiting.push((listener, address.clone()));
    }
    let mut listening = Vec::new();
    let all = timeout(LISTEN_TIMEOUT, async {
        while !waiting.is_empty() {
            await_address(swarm, &mut waiting, &mut listening).await?;
        }
        Ok(())
    });
    match all.await {
        Ok(Ok(())) => Ok(listening),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let address = waiting.pop().map_or_else(Multiaddr::empty, |(_, address)| address);
            Err(refused(&address, io::ErrorKind::TimedOut.into()))
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "libp2p's enum is open, and nothing else happens before dialling"
)]
async fn await_address(
    swarm: &mut Swarm<Behaviour>,
    waiting: &mut Vec<(ListenerId, Multiaddr)>,
    listening: &mut Vec<Multiaddr>,
) -> Result<(), StartError> {
    match swarm.select_next_some().await {
        SwarmEvent::NewListenAddr { listener_id, address } => {
            waiting.retain(|(listener, _)| *listener != listener_id);
            listening.push(address);
            Ok(())
        }
        SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
            let closed = waiting.iter().find(|(listener, _)| *listener == listener_id);
            let address = closed.map_or_else(Multiaddr::empty, |(_, address)| address.clone());
            Err(refused(&address, reason.err().unwrap_or_else(|| io::ErrorKind::NotConnected.into())))
        }
        _ => Ok(()),
    }
}

fn refused(address: &Multiaddr, source: io::Error) -> StartError {
    let address = address.clone();
    if is_in_use(&source) {
        StartError::AddressInUse { address }
    } else {
        StartError::Listen { address, source }
    }
}

/// The carriers wrap the system's error.
fn is_in_use(error: &io::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::AddrInUse) {
            return true;
        }
        source = error.source();
    }
    false
}
