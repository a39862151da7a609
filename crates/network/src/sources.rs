//! How many connections may be in the making, by where they come from.
//!
//! A connection that has not yet shown who it is costs a place. Strangers share theirs, and every address that a member
//! is configured at has its own, so that a flood from elsewhere does not keep members out.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::IpAddr,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
    },
};

use crate::address;

/// Incoming connections from one source that have not yet shown who they are.
const MAX_PENDING: usize = 16;

/// There are too many already.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_PENDING} connections from {source_name} are being made, which is the most")]
struct TooMany {
    source_name: String,
}

/// Where a connection comes from, as places are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// An address that a member is configured at.
    Member(IpAddr),
    /// Anywhere else.
    Elsewhere,
}

/// Refuses connections from a source that has too many in the making.
#[derive(Debug)]
pub(crate) struct Behaviour {
    members: BTreeSet<IpAddr>,
    pending: BTreeMap<ConnectionId, Source>,
}

impl Behaviour {
    /// `addresses` are those of the members.
    pub(crate) fn new<'a>(addresses: impl Iterator<Item = &'a Multiaddr>) -> Self {
        let members = addresses.filter_map(address::parse).map(|endpoint| endpoint.socket.ip());
        Self { members: members.map(|ip| ip.to_canonical()).collect(), pending: BTreeMap::new() }
    }

    fn source(&self, remote: &Multiaddr) -> Source {
        ip(remote).filter(|ip| self.members.contains(ip)).map_or(Source::Elsewhere, Source::Member)
    }
}

/// A dialler's address; unlike one that can be dialled, it may go on in any way.
#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else begins with an IP address")]
fn ip(remote: &Multiaddr) -> Option<IpAddr> {
    match remote.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::from(ip).to_canonical()),
        _ => None,
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let source = self.source(remote);
        if self.pending.values().filter(|pending| **pending == source).count() >= MAX_PENDING {
            let source_name = match source {
                Source::Member(ip) => ip.to_string(),
                Source::Elsewhere => "addresses that are no member's".to_owned(),
            };
            return Err(ConnectionDenied::new(TooMany { source_name }));
        }
        self.pending.insert(connection, source);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) = event {
            self.pending.remove(&connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use libp2p::swarm::ListenError;

    use super::*;

    const MEMBER: &str = "/ip4/192.0.2.1/udp/4870/quic-v1";

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddress")
    }

    fn behaviour() -> Behaviour {
        Behaviour::new([address(MEMBER)].iter())
    }

    fn connect(behaviour: &mut Behaviour, number: usize, from: &str) -> Result<(), ConnectionDenied> {
        let number = ConnectionId::new_unchecked(number);
        behaviour.handle_pending_inbound_connection(number, &address("/ip4/192.0.2.9/tcp/1"), &address(from))
    }

    #[test]
    fn strangers_share_their_places_and_leave_members_theirs() {
        let mut behaviour = behaviour();
        for number in 0..MAX_PENDING {
            let from = format!("/ip4/198.51.100.{number}/tcp/1");
            connect(&mut behaviour, number, &from).expect("a place");
        }
        connect(&mut behaviour, 100, "/ip6/2001:db8::1/tcp/1").expect_err("no place for another stranger");
        connect(&mut behaviour, 101, "/ip4/192.0.2.1/tcp/50000").expect("a member's own place");
        connect(&mut behaviour, 102, "/ip6/::ffff:192.0.2.1/tcp/50000").expect("the same, mapped");
    }

    #[test]
    fn a_member_s_address_has_no_more_places_than_the_others() {
        let mut behaviour = behaviour();
        for number in 0..MAX_PENDING {
            connect(&mut behaviour, number, "/ip4/192.0.2.1/tcp/1").expect("a place");
        }
        connect(&mut behaviour, 100, "/ip4/192.0.2.1/tcp/1").expect_err("all are taken");
        connect(&mut behaviour, 101, "/ip4/198.51.100.1/tcp/1").expect("a stranger's place");
    }

    #[test]
    fn a_place_is_free_again_once_the_connection_is_made() {
        let mut behaviour = behaviour();
        let (stranger, here) = (address("/ip4/198.51.100.1/tcp/1"), address("/ip4/192.0.2.9/tcp/1"));
        for number in 0..10 * MAX_PENDING {
            connect(&mut behaviour, number, "/ip4/198.51.100.1/tcp/1").expect("a place");
            let (connection, peer) = (ConnectionId::new_unchecked(number), PeerId::random());
            behaviour
                .handle_established_inbound_connection(connection, peer, &here, &stranger)
                .expect("not this one's to refuse");
        }
        assert!(behaviour.pending.is_empty());
    }

    #[test]
    fn a_place_is_free_again_once_the_connection_has_failed() {
        let mut behaviour = behaviour();
        let (stranger, here) = (address("/ip4/198.51.100.1/tcp/1"), address("/ip4/192.0.2.9/tcp/1"));
        for number in 0..2 * MAX_PENDING {
            connect(&mut behaviour, number, "/ip4/198.51.100.1/tcp/1").expect("a place");
            behaviour.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
                local_addr: &here,
                send_back_addr: &stranger,
                error: &ListenError::Aborted,
                connection_id: ConnectionId::new_unchecked(number),
                peer_id: None,
            }));
        }
    }
}
