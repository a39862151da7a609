//! Addresses that this crate listens on and dials: an IP address with QUIC or TCP.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// How a connection is carried. The order is that of dialling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Carrier {
    Quic,
    Tcp,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "QUIC",
            Self::Tcp => "TCP",
        })
    }
}

/// An address, parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) carrier: Carrier,
    pub(crate) socket: SocketAddr,
    /// Who is expected there, if the address says so.
    pub(crate) peer: Option<PeerId>,
}

/// What an address must look like, for messages.
pub(crate) const FORM: &str = "/ip4/<address> or /ip6/<address>, then /udp/<port>/quic-v1 or /tcp/<port>, then /p2p/<peer id> or nothing";

/// Parses an address; none where it has not the [`FORM`].
#[expect(clippy::wildcard_enum_match_arm, reason = "libp2p knows many more parts, and none of them is taken")]
pub(crate) fn parse(address: &Multiaddr) -> Option<Endpoint> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    let (carrier, port) = match parts.next()? {
        Protocol::Tcp(port) => (Carrier::Tcp, port),
        Protocol::Udp(port) if parts.next()? == Protocol::QuicV1 => (Carrier::Quic, port),
        _ => return None,
    };
    let peer = match parts.next() {
        None => None,
        Some(Protocol::P2p(peer)) => Some(peer),
        Some(_) => return None,
    };
    parts.next().is_none().then_some(Endpoint { carrier, socket: SocketAddr::new(ip, port), peer })
}

/// Checks that nobody listens there yet.
///
/// libp2p's TCP sockets share their port with every other that allows it, so two nodes on one port would both start
/// and each get half of the connections. A plain socket does not share.
pub(crate) fn probe(address: &Multiaddr) -> std::io::Result<()> {
    match parse(address) {
        Some(Endpoint { carrier: Carrier::Quic, socket, .. }) => UdpSocket::bind(socket).map(drop),
        Some(Endpoint { carrier: Carrier::Tcp, socket, .. }) => TcpListener::bind(socket).map(drop),
        None => Err(std::io::ErrorKind::Unsupported.into()),
    }
}

/// Sorts addresses for dialling: QUIC before TCP, else as configured.
pub(crate) fn in_dialling_order(addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut sorted = addresses.to_vec();
    sorted.sort_by_key(|address| parse(address).map(|endpoint| endpoint.carrier));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("a multiaddress")
    }

    #[test]
    fn only_ip_addresses_with_quic_or_tcp_are_taken() {
        let quic = parse(&address("/ip4/127.0.0.1/udp/1/quic-v1")).expect("taken");
        assert_eq!((quic.carrier, quic.socket.port()), (Carrier::Quic, 1));
        assert_eq!(parse(&address("/ip6/::1/tcp/2")).map(|tcp| tcp.carrier), Some(Carrier::Tcp));
        for other in
            ["/dns4/a.example/tcp/1", "/ip4/127.0.0.1/udp/1", "/ip4/127.0.0.1/tcp/1/ws", "/ip4/127.0.0.1"]
        {
            assert_eq!(parse(&address(other)), None, "{other}");
        }
    }

    #[test]
    fn quic_is_dialled_first() {
        let [tcp, quic] = [address("/ip4/127.0.0.1/tcp/1"), address("/ip4/127.0.0.1/udp/1/quic-v1")];
        assert_eq!(in_dialling_order(&[tcp.clone(), quic.clone()]), [quic, tcp]);
    }
}
