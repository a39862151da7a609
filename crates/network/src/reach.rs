//! Whether a member can be reached at an address, asked without being anybody to it.
//!
//! For those who look at a network from beside it: a check before a node starts, or while it runs. The dialler has a key that
//! is drawn for this one connection. The member shows its own key in the handshake and then refuses the stranger, so that no
//! hello is exchanged, no boot is registered, and no connection between members is touched.

use std::{io, time::Duration};

use countersign_types::NodePublicKey;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identity as keys,
    multiaddr::Protocol,
    noise,
    swarm::{DialError, SwarmEvent, dial_opts::DialOpts, dummy},
    tcp, yamux,
};
use tokio::time::Instant;

use crate::{
    address::{self, FORM},
    dial::{describe, innermost},
    identity,
    swarm::{CONNECTION_TIMEOUT, QUIC_HANDSHAKE},
};

/// Why a member is not reached at an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// No node dials such an address.
    #[error("it must be {FORM}")]
    Address,
    /// Somebody else is there.
    #[error("another peer is there, {obtained}")]
    OtherPeer {
        /// Its PeerId.
        obtained: String,
    },
    /// Nobody answers, or not as a member does.
    #[error("{reason}")]
    Unreached {
        /// What happened.
        reason: String,
    },
}

/// How often an address is tried: a busy machine may miss the time of a handshake.
const ATTEMPTS: u32 = 2;

/// Connects to an address, sees that whoever is there holds the member's key, and hangs up. Takes a few seconds at most; returns
/// how long the handshake took.
pub async fn reach(member: &NodePublicKey, at: &Multiaddr) -> Result<Duration, ReachError> {
    let expected = identity::peer_id(member);
    let endpoint = address::parse(at).ok_or(ReachError::Address)?;
    if let Some(named) = endpoint.peer.filter(|named| *named != expected) {
        return Err(ReachError::OtherPeer { obtained: named.to_string() });
    }
    let bare: Multiaddr = at.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
    for _ in 1..ATTEMPTS {
        match attempt(expected, &bare).await {
            Err(ReachError::Unreached { .. }) => {}
            reached => return reached,
        }
    }
    attempt(expected, &bare).await
}

async fn attempt(expected: PeerId, at: &Multiaddr) -> Result<Duration, ReachError> {
    let mut swarm = stranger()?;
    let begun = Instant::now();
    let dial = DialOpts::peer_id(expected).addresses(vec![at.clone()]).build();
    swarm.dial(dial).map_err(|error| failed(&error))?;
    // both carriers give up earlier; this is for what neither foresees
    let outcome = tokio::time::timeout(2 * CONNECTION_TIMEOUT, outcome(&mut swarm)).await;
    outcome.unwrap_or_else(|_| Err(ReachError::Unreached { reason: "no answer".into() }))?;
    Ok(begun.elapsed())
}

/// Whether an address that is listened on is free: nobody listens there, and this machine has it. A port is held for an instant.
///
/// # Errors
///
/// What the system says.
pub fn is_free(listen: &Multiaddr) -> io::Result<()> {
    address::probe(listen)
}

/// The address that reaches, from this machine, whoever listens on an address: loopback where that is every address.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other part stays as it is")]
pub fn from_here(listen: &Multiaddr) -> Multiaddr {
    listen
        .iter()
        .map(|part| match part {
            Protocol::Ip4(ip) if ip.is_unspecified() => Protocol::Ip4(std::net::Ipv4Addr::LOCALHOST),
            Protocol::Ip6(ip) if ip.is_unspecified() => Protocol::Ip6(std::net::Ipv6Addr::LOCALHOST),
            other => other,
        })
        .collect()
}

fn stranger() -> Result<Swarm<dummy::Behaviour>, ReachError> {
    let unready = |error: noise::Error| ReachError::Unreached { reason: error.to_string() };
    let key: keys::Keypair = keys::secp256k1::Keypair::generate().into();
    let builder = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(unready)?
        .with_quic_config(|mut config| {
            config.handshake_timeout = QUIC_HANDSHAKE;
            config
        });
    let Ok(builder) = builder.with_behaviour(|_| dummy::Behaviour);
    let builder = builder.with_swarm_config(|config| config);
    Ok(builder.with_connection_timeout(CONNECTION_TIMEOUT).build())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "libp2p's enum is open, and this swarm only dials")]
async fn outcome(swarm: &mut Swarm<dummy::Behaviour>) -> Result<(), ReachError> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(failed(&error)),
            _ => {}
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told as the driver tells it")]
fn failed(error: &DialError) -> ReachError {
    match error {
        DialError::WrongPeerId { obtained, .. } => ReachError::OtherPeer { obtained: obtained.to_string() },
        DialError::Transport(tried) => {
            let tried: Vec<String> = tried.iter().map(|(_, error)| innermost(error)).collect();
            ReachError::Unreached { reason: tried.join("; ") }
        }
        other => ReachError::Unreached { reason: format!("dialling failed: {}", describe(other)) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_reached_on_loopback() {
        for (listen, here) in [
            ("/ip4/0.0.0.0/tcp/4870", "/ip4/127.0.0.1/tcp/4870"),
            ("/ip6/::/udp/4870/quic-v1", "/ip6/::1/udp/4870/quic-v1"),
            ("/ip4/192.0.2.7/tcp/4870", "/ip4/192.0.2.7/tcp/4870"),
        ] {
            assert_eq!(from_here(&listen.parse().expect("an address")).to_string(), here);
        }
    }
}
