//! The network section of a node's configuration.

use std::{collections::BTreeMap, time::Duration};

use countersign_types::NodePublicKey;
use libp2p::{Multiaddr, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

use crate::{address, identity};

/// The port that a node listens on by default, UDP and TCP.
pub const DEFAULT_PORT: u16 = 4870;
/// The most addresses of one list.
const MAX_ADDRESSES: usize = 16;

/// Where to listen, where the members are, and how long to wait. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen. Default: QUIC and TCP on loopback at [`DEFAULT_PORT`]. Port 0 takes a free one.
    pub listen: Vec<Multiaddr>,
    /// The other members' addresses, by public key or PeerId. QUIC addresses are dialled first. Of two members one is
    /// enough to know the other's address; where both do, a lost connection is back sooner. A member without an address
    /// here, or that connects from another one, shares the places of strangers until it has connected once since this
    /// node's start: whoever floods the node from many addresses can keep it out until then. This node's own entry is
    /// ignored.
    #[serde(with = "by_member")]
    pub peers: BTreeMap<NodePublicKey, Vec<Multiaddr>>,
    /// How often a peer is asked whether it is there: 100 to 10,000, default 1,000.
    pub heartbeat_ms: u64,
    /// How long a peer may be silent before it is disconnected: at least two heartbeats, at most 60,000, default 4,000.
    pub silence_ms: u64,
    /// How long a write may stall before the peer is disconnected: 100 to 60,000, default 5,000.
    pub write_timeout_ms: u64,
    /// The first wait before dialling again: 10 to 60,000, default 100. It doubles up to the longest.
    pub reconnect_min_ms: u64,
    /// The longest wait before dialling again: up to 60,000, default 5,000.
    pub reconnect_max_ms: u64,
    /// New connections are refused while the process holds more memory than this, in MiB: at least 64, default 2,048.
    pub max_memory_mib: u64,
}

/// Which setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number out of its range.
    #[error("network.{key} is {lowest} to {highest}, got {got}")]
    Range {
        /// The setting.
        key: &'static str,
        /// The lowest that is accepted.
        lowest: u64,
        /// The highest.
        highest: u64,
        /// The setting's value.
        got: u64,
    },
    /// A list of the wrong length.
    #[error("network.{key} has {lowest} to {MAX_ADDRESSES} addresses, got {got}")]
    Count {
        /// The setting.
        key: String,
        /// The fewest that are accepted.
        lowest: usize,
        /// How many there are.
        got: usize,
    },
    /// An address that cannot be listened on or dialled.
    #[error("network.{key} has the address {got}; it must be {}", address::FORM)]
    Address {
        /// The setting.
        key: String,
        /// The address.
        got: Multiaddr,
    },
    /// An address that names another peer.
    #[error("network.{key} has the address {got}, which names another peer")]
    OtherPeer {
        /// The setting.
        key: String,
        /// The address.
        got: Multiaddr,
    },
}

impl Config {
    /// Checks ranges and addresses. [`crate::start`] does so too.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("heartbeat_ms", 100, 10_000, self.heartbeat_ms),
            ("silence_ms", self.heartbeat_ms.saturating_mul(2), 60_000, self.silence_ms),
            ("write_timeout_ms", 100, 60_000, self.write_timeout_ms),
            ("reconnect_min_ms", 10, 60_000, self.reconnect_min_ms),
            ("reconnect_max_ms", self.reconnect_min_ms, 60_000, self.reconnect_max_ms),
            ("max_memory_mib", 64, 1 << 20, self.max_memory_mib),
        ];
        for (key, lowest, highest, got) in ranges {
            if !(lowest..=highest).contains(&got) {
                return Err(ConfigError::Range { key, lowest, highest, got });
            }
        }
        check_addresses("listen", 1, &self.listen, None)?;
        self.peers.iter().try_for_each(|(member, addresses)| {
            check_addresses(&format!("peers.{member}"), 0, addresses, Some(member))
        })
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(crate) fn silence(&self) -> Duration {
        Duration::from_millis(self.silence_ms)
    }

    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    pub(crate) fn reconnect(&self) -> (Duration, Duration) {
        (Duration::from_millis(self.reconnect_min_ms), Duration::from_millis(self.reconnect_max_ms))
    }

    pub(crate) fn max_memory_bytes(&self) -> usize {
        usize::try_from(self.max_memory_mib << 20).unwrap_or(usize::MAX)
    }
}

impl Default for Config {
    fn default() -> Self {
        let loopback = Multiaddr::from(std::net::Ipv4Addr::LOCALHOST);
        Self {
            listen: vec![
                loopback.clone().with(Protocol::Udp(DEFAULT_PORT)).with(Protocol::QuicV1),
                loopback.with(Protocol::Tcp(DEFAULT_PORT)),
            ],
            peers: BTreeMap::new(),
            heartbeat_ms: 1_000,
            silence_ms: 4_000,
            write_timeout_ms: 5_000,
            reconnect_min_ms: 100,
            reconnect_max_ms: 5_000,
            max_memory_mib: 2_048,
        }
    }
}

fn check_addresses(
    key: &str,
    lowest: usize,
    addresses: &[Multiaddr],
    member: Option<&NodePublicKey>,
) -> Result<(), ConfigError> {
    let key = || key.to_owned();
    let got = addresses.len();
    if !(lowest..=MAX_ADDRESSES).contains(&got) {
        return Err(ConfigError::Count { key: key(), lowest, got });
    }
    for got in addresses {
        let endpoint =
            address::parse(got).ok_or_else(|| ConfigError::Address { key: key(), got: got.clone() })?;
        if endpoint.peer.is_some() && endpoint.peer != member.map(identity::peer_id) {
            return Err(ConfigError::OtherPeer { key: key(), got: got.clone() });
        }
    }
    Ok(())
}

/// Members as keys of a table: public key or PeerId when read, public key when written.
mod by_member {
    use std::collections::BTreeMap;

    use countersign_types::NodePublicKey;
    use libp2p::{Multiaddr, PeerId};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    use crate::identity;

    pub(super) fn serialize<S: Serializer>(
        peers: &BTreeMap<NodePublicKey, Vec<Multiaddr>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        peers.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<NodePublicKey, Vec<Multiaddr>>, D::Error> {
        let named = BTreeMap::<String, Vec<Multiaddr>>::deserialize(deserializer)?;
        let mut peers = BTreeMap::new();
        for (name, addresses) in named {
            let member = parse(&name).ok_or_else(|| {
                D::Error::custom(format!(
                    "{name:?} is neither a public key (0x and 66 hexadecimal digits) nor the PeerId of one"
                ))
            })?;
            if peers.insert(member, addresses).is_some() {
                return Err(D::Error::custom(format!("the peer {member} is listed twice")));
            }
        }
        Ok(peers)
    }

    fn parse(name: &str) -> Option<NodePublicKey> {
        name.parse().ok().or_else(|| identity::member(&name.parse::<PeerId>().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::NodeKey;

    use super::*;

    fn member(byte: u8) -> NodePublicKey {
        NodeKey::from_bytes([byte; 32]).expect("a scalar").public_key()
    }

    fn read(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_is_valid_and_what_an_empty_section_gives() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert_eq!(read(""), Ok(Config::default()));
    }

    #[test]
    fn peers_are_named_by_public_key_or_peer_id() {
        let (one, two) = (member(1), member(2));
        let text = format!(
            "[peers]\n{one} = ['/ip4/10.0.0.1/tcp/1']\n{} = ['/ip4/10.0.0.2/udp/1/quic-v1']",
            two.peer_id()
        );
        let config = read(&text).expect("valid");
        assert_eq!(config.peers.keys().copied().collect::<Vec<_>>().len(), 2);
        assert!(config.peers.contains_key(&one) && config.peers.contains_key(&two));
        assert_eq!(config.validate(), Ok(()));
        let written = toml::to_string(&config).expect("writable");
        assert_eq!(read(&written), Ok(config));
    }

    #[test]
    fn a_peer_under_both_names_and_a_misspelt_key_are_refused() {
        let one = member(1);
        let twice = read(&format!("[peers]\n{one} = []\n{} = []", one.peer_id()));
        assert!(twice.expect_err("twice").contains("listed twice"));
        assert!(read("[peers]\nabc = []").expect_err("no key").contains("abc"));
        assert!(read("hartbeat_ms = 1").expect_err("unknown").contains("hartbeat_ms"));
    }

    #[test]
    fn senseless_values_are_refused_by_name() {
        let changes: [fn(&mut Config); 7] = [
            |c| c.heartbeat_ms = 0,
            |c| c.silence_ms = c.heartbeat_ms,
            |c| c.write_timeout_ms = 0,
            |c| c.reconnect_max_ms = c.reconnect_min_ms - 1,
            |c| c.listen.clear(),
            |c| c.listen = vec!["/dns4/a.example/tcp/1".parse().expect("an address")],
            |c| {
                let other = format!("/ip4/10.0.0.1/tcp/1/p2p/{}", member(2).peer_id());
                c.peers.insert(member(1), vec![other.parse().expect("an address")]);
            },
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut config = Config::default();
            change(&mut config);
            let error = config.validate().expect_err("senseless");
            assert!(error.to_string().starts_with("network."), "change {index}: {error}");
        }
    }
}
