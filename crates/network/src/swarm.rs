//! The libp2p swarm: carriers, limits and behaviours.

use std::time::Duration;

use countersign_types::NodeKey;
use libp2p::{
    PeerId, Swarm, SwarmBuilder, Transport as _, core::upgrade::Version, identify, identity::Keypair, noise,
    ping, swarm::NetworkBehaviour, tcp, yamux,
};
use libp2p_allow_block_list::{AllowedPeers, Behaviour as AllowList};
use libp2p_connection_limits::{Behaviour as Limits, ConnectionLimits};
use libp2p_memory_connection_limits::Behaviour as MemoryLimit;

use crate::{Config, Hello, closing::Closing, identity, sources, streams};

/// Connections with one member: one that serves and, for a moment, those that replace it, one from either side.
const MAX_CONNECTIONS_PER_PEER: u32 = 3;
/// Streams that one connection may have open. Three each way are ours; libp2p's own protocols take a few.
const MAX_STREAMS: u16 = 32;
/// Incoming streams of one connection that have not yet named their protocol.
const MAX_NEGOTIATING_STREAMS: usize = 8;
/// What a peer may send on one QUIC stream before it is read.
const QUIC_STREAM_WINDOW: u32 = 512 << 10;
/// What a peer may send on one QUIC connection before it is read.
const QUIC_CONNECTION_WINDOW: u32 = 1536 << 10;
/// How long a QUIC handshake may take before the next address is tried: UDP is often blocked without a word.
pub(crate) const QUIC_HANDSHAKE: Duration = Duration::from_millis(1500);
/// How long a connection may take to be made, on any carrier.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(3);
/// How identify calls this protocol family.
const IDENTIFY: &str = "/countersign/1";

/// What runs on every connection. Those that refuse connections come first; streams come last, so that a refused
/// connection never gets any.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    members: AllowList<AllowedPeers>,
    sources: sources::Behaviour,
    limits: Limits,
    memory: MemoryLimit,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    pub(crate) streams: streams::Behaviour,
}

/// Builds the swarm; it neither listens nor dials yet.
pub(crate) fn build(
    key: &NodeKey,
    hello: &Hello,
    members: impl Iterator<Item = PeerId>,
    config: &Config,
) -> Result<Swarm<Behaviour>, noise::Error> {
    let keypair = identity::keypair(key);
    let behaviour = behaviour(&keypair, hello, members, config);
    let noise = noise::Config::new(&keypair)?;
    let Ok(builder) = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_quic_config(|mut config| {
            config.handshake_timeout = QUIC_HANDSHAKE;
            config.max_concurrent_stream_limit = u32::from(MAX_STREAMS);
            config.max_stream_data = QUIC_STREAM_WINDOW;
            config.max_connection_data = QUIC_CONNECTION_WINDOW;
            config
        })
        .with_other_transport(|_| {
            let mut multiplexer = yamux::Config::default();
            multiplexer.set_max_num_streams(usize::from(MAX_STREAMS));
            tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
                .upgrade(Version::V1Lazy)
                .authenticate(noise)
                .multiplex(multiplexer)
                .map(|(peer, muxer), _| (peer, Closing::new(muxer)))
        });
    let Ok(builder) = builder.with_behaviour(|_| behaviour);
    Ok(builder
        .with_swarm_config(|config| {
            config
                .with_substream_upgrade_protocol_override(Version::V1Lazy)
                .with_max_negotiating_inbound_streams(MAX_NEGOTIATING_STREAMS)
                .with_idle_connection_timeout(Duration::MAX)
        })
        .with_connection_timeout(CONNECTION_TIMEOUT)
        .build())
}

fn behaviour(
    keypair: &Keypair,
    hello: &Hello,
    peers: impl Iterator<Item = PeerId>,
    config: &Config,
) -> Behaviour {
    let peers: Vec<PeerId> = peers.collect();
    let mut members = AllowList::<AllowedPeers>::default();
    for peer in &peers {
        members.allow_peer(*peer);
    }
    let limits = ConnectionLimits::default().with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER));
    // A peer counts as silent by its last answer, which the driver watches: ping's own failures come too late.
    let ping = ping::Config::new().with_interval(config.heartbeat()).with_timeout(config.silence());
    let identify = identify::Config::new(IDENTIFY.into(), keypair.public())
        .with_agent_version(format!("countersign/{}", hello.version))
        .with_hide_listen_addrs(true)
        .with_cache_size(0);
    Behaviour {
        members,
        sources: sources::Behaviour::new(peers.into_iter(), config.peers.values().flatten()),
        limits: Limits::new(limits),
        memory: MemoryLimit::with_max_bytes(config.max_memory_bytes()),
        ping: ping::Behaviour::new(ping),
        identify: identify::Behaviour::new(identify),
        streams: streams::Behaviour::default(),
    }
}
