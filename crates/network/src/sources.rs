//! How many connections may be in the making, by where they come from.
//!
//! A connection that has not yet shown who it is costs a place. Every address that a member is configured at, or was last
//! seen at, has places of its own; strangers share theirs, of which one address takes a few, so that a flood from elsewhere keeps
//! nobody out. TCP and QUIC are counted apart: whoever dials over TCP is where it says, while the first datagram of a QUIC
//! connection may bear a member's address and come from anybody.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
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

use crate::address::{self, Carrier};

/// Connections in the making from one address of a member, on one carrier: several members may be behind it.
const MAX_OF_MEMBER: usize = 16;
/// Connections in the making from one address that is no member's, on one carrier: members that are not known yet may be behind it.
const MAX_OF_STRANGER: usize = 8;
/// Connections in the making from all addresses that are no member's, on one carrier.
const MAX_OF_STRANGERS: usize = 128;
/// As many of these go to whoever asks; the others only to addresses that have none.
const SHARED_FREELY: usize = MAX_OF_STRANGERS / 2;
/// Addresses of one member that are remembered, beside those that are configured: it may have one of IPv4 and one of IPv6.
const MAX_SEEN: usize = 2;
/// The bits of an IPv6 address that tell networks apart: whoever has one address of a network has all of them.
const IPV6_NETWORK: u128 = u128::MAX << 64;

/// Why a connection gets no place.
#[derive(Debug, thiserror::Error)]
enum NoPlace {
    #[error("{most} connections over {carrier} from {from} are being made, which is the most")]
    OfAddress { most: usize, carrier: Carrier, from: IpAddr },
    #[error("{taken} connections over {carrier} from strangers are being made, too many for one more")]
    OfStrangers { taken: usize, carrier: Carrier },
    #[error("it comes from no IP address")]
    NoAddress,
}

/// Where a connection comes from, as places are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    carrier: Carrier,
    owner: Owner,
}

/// Whose places it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Those of an address of a member.
    Member(IpAddr),
    /// Those of anybody else: an IPv4 address, or an IPv6 network.
    Stranger(IpAddr),
}

/// Refuses connections from a source that has too many in the making.
#[derive(Debug)]
pub(crate) struct Behaviour {
    configured: BTreeSet<IpAddr>,
    /// Where each member has last connected from since the start, the latest first.
    seen: BTreeMap<PeerId, VecDeque<IpAddr>>,
    pending: BTreeMap<ConnectionId, Source>,
}

impl Behaviour {
    /// `addresses` are those that the members are configured at.
    pub(crate) fn new<'a>(
        members: impl Iterator<Item = PeerId>,
        addresses: impl Iterator<Item = &'a Multiaddr>,
    ) -> Self {
        let configured = addresses.filter_map(address::parse).map(|endpoint| endpoint.socket.ip());
        Self {
            configured: configured.map(|ip| ip.to_canonical()).collect(),
            seen: members.map(|member| (member, VecDeque::new())).collect(),
            pending: BTreeMap::new(),
        }
    }

    fn source(&self, remote: &Multiaddr) -> Option<Source> {
        let (ip, carrier) = origin(remote)?;
        let known = self.configured.contains(&ip) || self.seen.values().any(|seen| seen.contains(&ip));
        let owner = if known { Owner::Member(ip) } else { Owner::Stranger(network(ip)) };
        Some(Source { carrier, owner })
    }

    /// Whether there is a place for one more.
    fn admit(&self, source: Source) -> Result<(), NoPlace> {
        let carrier = source.carrier;
        let own = self.pending.values().filter(|pending| **pending == source).count();
        match source.owner {
            Owner::Member(from) if own >= MAX_OF_MEMBER => {
                Err(NoPlace::OfAddress { most: MAX_OF_MEMBER, carrier, from })
            }
            Owner::Stranger(from) if own >= MAX_OF_STRANGER => {
                Err(NoPlace::OfAddress { most: MAX_OF_STRANGER, carrier, from })
            }
            Owner::Member(_) => Ok(()),
            Owner::Stranger(_) => {
                let taken = self.strangers(carrier);
                let most = if own == 0 { MAX_OF_STRANGERS } else { SHARED_FREELY };
                if taken < most { Ok(()) } else { Err(NoPlace::OfStrangers { taken, carrier }) }
            }
        }
    }

    /// The places of strangers that are taken.
    fn strangers(&self, carrier: Carrier) -> usize {
        let of_strangers =
            |pending: &&Source| pending.carrier == carrier && matches!(pending.owner, Owner::Stranger(_));
        self.pending.values().filter(of_strangers).count()
    }

    /// Notes where a member has connected from: it has shown who it is, and answers were received there.
    fn remember(&mut self, member: &PeerId, remote: &Multiaddr) {
        let Some((ip, _)) = origin(remote) else { return };
        let Some(seen) = self.seen.get_mut(member) else { return };
        if self.configured.contains(&ip) {
            return;
        }
        seen.retain(|known| *known != ip);
        seen.push_front(ip);
        seen.truncate(MAX_SEEN);
    }
}

/// A dialler's address; unlike one that can be dialled, it may go on in any way.
#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is listened on")]
fn origin(remote: &Multiaddr) -> Option<(IpAddr, Carrier)> {
    let mut parts = remote.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip).to_canonical(),
        _ => return None,
    };
    let carrier = match parts.next()? {
        Protocol::Tcp(_) => Carrier::Tcp,
        Protocol::Udp(_) => Carrier::Quic,
        _ => return None,
    };
    Some((ip, carrier))
}

/// What a stranger's places are counted by.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & IPV6_NETWORK).into(),
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
        let source = self.source(remote).ok_or_else(|| ConnectionDenied::new(NoPlace::NoAddress))?;
        self.admit(source).map_err(ConnectionDenied::new)?;
        self.pending.insert(connection, source);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        self.remember(&peer, remote);
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

    /// With two members, of which one is configured.
    fn behaviour() -> (Behaviour, PeerId) {
        let [known, unknown] = [PeerId::random(), PeerId::random()];
        (Behaviour::new([known, unknown].into_iter(), [address(MEMBER)].iter()), unknown)
    }

    fn connect(behaviour: &mut Behaviour, number: usize, from: &str) -> Result<(), ConnectionDenied> {
        let number = ConnectionId::new_unchecked(number);
        behaviour.handle_pending_inbound_connection(number, &address("/ip4/192.0.2.9/tcp/1"), &address(from))
    }

    /// The connection shows who it is from.
    fn show(behaviour: &mut Behaviour, number: usize, peer: PeerId, from: &str) {
        let (number, here) = (ConnectionId::new_unchecked(number), address("/ip4/192.0.2.9/tcp/1"));
        behaviour
            .handle_established_inbound_connection(number, peer, &here, &address(from))
            .expect("not this one's to refuse");
    }

    /// Strangers take this many places over TCP, each from an address of its own.
    fn strangers(behaviour: &mut Behaviour, count: usize) {
        for number in 0..count {
            connect(behaviour, number, &format!("/ip4/198.51.100.{number}/tcp/1")).expect("a place");
        }
    }

    #[test]
    fn strangers_share_their_places_and_leave_members_theirs() {
        let (mut behaviour, _) = behaviour();
        strangers(&mut behaviour, MAX_OF_STRANGERS);
        connect(&mut behaviour, 1000, "/ip6/2001:db8::1/tcp/1").expect_err("no place for another stranger");
        connect(&mut behaviour, 1001, "/ip4/192.0.2.1/tcp/50000").expect("a member's own place");
        connect(&mut behaviour, 1002, "/ip6/::ffff:192.0.2.1/tcp/50000").expect("the same, mapped");
    }

    #[test]
    fn one_address_does_not_take_the_places_of_all_strangers() {
        for of_one in ["/ip4/198.51.100.1/tcp/", "/ip6/2001:db8:0:1::1/tcp/"] {
            let (mut behaviour, _) = behaviour();
            for number in 0..MAX_OF_STRANGER {
                connect(&mut behaviour, number, &format!("{of_one}{number}")).expect("a place");
            }
            connect(&mut behaviour, 1000, &format!("{of_one}1000")).expect_err("it has its part");
            connect(&mut behaviour, 1001, "/ip4/198.51.100.2/tcp/1").expect("another's place");
            connect(&mut behaviour, 1002, "/ip6/2001:db8:0:2::1/tcp/1").expect("another network's place");
        }
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let (mut behaviour, _) = behaviour();
        for number in 0..MAX_OF_STRANGER {
            connect(&mut behaviour, number, &format!("/ip6/2001:db8::{number}/tcp/1")).expect("a place");
        }
        connect(&mut behaviour, 1000, "/ip6/2001:db8::ffff:1/tcp/1").expect_err("the network has its part");
    }

    #[test]
    fn whoever_has_a_place_leaves_the_last_ones_to_those_that_have_none() {
        let (mut behaviour, _) = behaviour();
        strangers(&mut behaviour, SHARED_FREELY);
        connect(&mut behaviour, 1000, "/ip4/198.51.100.0/tcp/2").expect_err("it has one");
        connect(&mut behaviour, 1001, "/ip4/203.0.113.1/tcp/1").expect("its first");
    }

    #[test]
    fn a_member_s_address_has_no_more_places_than_the_others() {
        let (mut behaviour, _) = behaviour();
        for number in 0..MAX_OF_MEMBER {
            connect(&mut behaviour, number, "/ip4/192.0.2.1/tcp/1").expect("a place");
        }
        connect(&mut behaviour, 1000, "/ip4/192.0.2.1/tcp/1").expect_err("all are taken");
        connect(&mut behaviour, 1001, "/ip4/198.51.100.1/tcp/1").expect("a stranger's place");
    }

    #[test]
    fn what_comes_over_quic_takes_no_place_of_tcp() {
        let (mut behaviour, _) = behaviour();
        for number in 0..MAX_OF_MEMBER {
            connect(&mut behaviour, number, MEMBER).expect("a place");
        }
        connect(&mut behaviour, 1000, MEMBER).expect_err("all of QUIC are taken");
        connect(&mut behaviour, 1001, "/ip4/192.0.2.1/tcp/1").expect("a place of TCP");

        for number in 0..MAX_OF_STRANGERS {
            let from = format!("/ip4/198.51.100.{number}/udp/1/quic-v1");
            connect(&mut behaviour, 2000 + number, &from).expect("a place");
        }
        connect(&mut behaviour, 3000, "/ip4/203.0.113.1/udp/1/quic-v1").expect_err("all of QUIC are taken");
        connect(&mut behaviour, 3001, "/ip4/203.0.113.1/tcp/1").expect("a place of TCP");
    }

    #[test]
    fn the_address_that_a_member_was_seen_at_has_places_of_its_own() {
        let (mut behaviour, member) = behaviour();
        let from = "/ip4/203.0.113.1/tcp/1";
        strangers(&mut behaviour, MAX_OF_STRANGERS);
        connect(&mut behaviour, 1000, from).expect_err("nobody knows it");
        behaviour.pending.clear();
        connect(&mut behaviour, 1001, from).expect("a place");
        show(&mut behaviour, 1001, member, from);

        strangers(&mut behaviour, MAX_OF_STRANGERS);
        connect(&mut behaviour, 1002, "/ip4/203.0.113.1/tcp/2").expect("the member's own place");
        connect(&mut behaviour, 1003, "/ip4/203.0.113.1/udp/2/quic-v1").expect("and on the other carrier");
        connect(&mut behaviour, 1004, "/ip4/203.0.113.2/tcp/1").expect_err("no place for another stranger");
    }

    #[test]
    fn only_the_last_addresses_of_members_are_remembered() {
        let (mut behaviour, member) = behaviour();
        let stranger = PeerId::random();
        show(&mut behaviour, 1, stranger, "/ip4/203.0.113.9/tcp/1");
        for from in ["203.0.113.1", "203.0.113.2", "203.0.113.1", "203.0.113.3", "192.0.2.1"] {
            show(&mut behaviour, 1, member, &format!("/ip4/{from}/tcp/1"));
        }
        let seen: Vec<String> = behaviour.seen.values().flatten().map(IpAddr::to_string).collect();
        assert_eq!(seen, ["203.0.113.3", "203.0.113.1"], "what is configured takes no room");
    }

    #[test]
    fn a_place_is_free_again_once_the_connection_is_made() {
        let (mut behaviour, _) = behaviour();
        for number in 0..10 * MAX_OF_STRANGER {
            connect(&mut behaviour, number, "/ip4/198.51.100.1/tcp/1").expect("a place");
            show(&mut behaviour, number, PeerId::random(), "/ip4/198.51.100.1/tcp/1");
        }
        assert!(behaviour.pending.is_empty());
    }

    #[test]
    fn a_place_is_free_again_once_the_connection_has_failed() {
        let (mut behaviour, _) = behaviour();
        let (stranger, here) = (address("/ip4/198.51.100.1/tcp/1"), address("/ip4/192.0.2.9/tcp/1"));
        for number in 0..2 * MAX_OF_STRANGER {
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
