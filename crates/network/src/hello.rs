//! What two members tell each other before anything else, and why one refuses the other.
//!
//! Each side opens a stream, writes its [`Hello`] as the first frame and reads a verdict. A connection serves
//! only when both verdicts accept. The protocol number stands first and alone, and the verdict is text, so that
//! nodes of different versions still understand why they part.

use countersign_types::{EngineId, NetworkId};
use serde::{Deserialize, Serialize};

/// The most bytes of a hello on the wire.
pub const MAX_HELLO_BYTES: usize = 1024;
/// The most bytes of [`Hello::version`].
pub const MAX_VERSION_BYTES: usize = 64;
/// The most bytes of a verdict on the wire.
pub const MAX_VERDICT_BYTES: usize = 512;

/// The first byte of a verdict that accepts; nothing follows it.
const ACCEPTED: u8 = 0;
/// The first byte of a verdict that refuses; the reason follows as UTF-8.
const REFUSED: u8 = 1;

/// What a member says of itself when it connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The network that it belongs to. Another is refused.
    pub network: NetworkId,
    /// The version of the frames above this crate. Another is refused.
    pub protocol: u16,
    /// What runs its actions. Only announced: whether to share a session is the node's to decide.
    pub engine: EngineId,
    /// The boot generation of its database, which rises with every start. An older one than this process has seen
    /// of the peer is refused: the peer was rolled back.
    pub generation: u64,
    /// Its software version, for people: at most [`MAX_VERSION_BYTES`].
    pub version: String,
}

/// Everything of a hello behind the protocol number.
#[derive(Serialize, Deserialize)]
struct Body {
    network: [u8; 32],
    engine: [u8; 32],
    generation: u64,
    version: String,
}

/// Why a member is not talked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another protocol version.
    #[error("its protocol version is {got}, ours is {expected}")]
    Protocol {
        /// Our version.
        expected: u16,
        /// The peer's.
        got: u16,
    },
    /// Another network.
    #[error("its network is {got}, ours is {expected}")]
    Network {
        /// Our network.
        expected: NetworkId,
        /// The peer's.
        got: NetworkId,
    },
    /// Its database is older than the one that it ran with before.
    #[error("it was rolled back: its boot generation is {got}, it has been at {highest}")]
    RolledBack {
        /// The highest generation that was seen.
        highest: u64,
        /// The peer's.
        got: u64,
    },
    /// The hello does not parse.
    #[error("its hello is malformed")]
    Malformed,
}

impl Hello {
    /// The wire form: the protocol in two bytes, big-endian, then the rest in postcard.
    pub fn encode(&self) -> Vec<u8> {
        let body = Body {
            network: *self.network.as_bytes(),
            engine: *self.engine.as_bytes(),
            generation: self.generation,
            version: self.version.clone(),
        };
        let mut bytes = self.protocol.to_be_bytes().to_vec();
        bytes.extend(postcard::to_stdvec(&body).expect("plain data in memory"));
        bytes
    }

    /// Reads a peer's hello, of the same protocol as ours. Refuses [`Refusal::Protocol`] before reading on.
    pub fn decode(&self, bytes: &[u8]) -> Result<Self, Refusal> {
        let (got, body) = bytes.split_first_chunk::<2>().ok_or(Refusal::Malformed)?;
        let (expected, got) = (self.protocol, u16::from_be_bytes(*got));
        if got != expected {
            return Err(Refusal::Protocol { expected, got });
        }
        let (body, rest) = postcard::take_from_bytes::<Body>(body).map_err(|_| Refusal::Malformed)?;
        if !rest.is_empty() || body.version.len() > MAX_VERSION_BYTES {
            return Err(Refusal::Malformed);
        }
        Ok(Self {
            network: body.network.into(),
            protocol: got,
            engine: body.engine.into(),
            generation: body.generation,
            version: printable(&body.version),
        })
    }

    /// Whether we talk to a peer with this hello; `highest` is the highest generation that we have seen of it.
    pub fn judge(&self, peer: &Self, highest: Option<u64>) -> Result<(), Refusal> {
        if peer.network != self.network {
            return Err(Refusal::Network { expected: self.network, got: peer.network });
        }
        match highest {
            Some(highest) if peer.generation < highest => {
                Err(Refusal::RolledBack { highest, got: peer.generation })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The wire form of a verdict: a byte, and the reason where refused.
pub fn encode_verdict(verdict: Result<(), &Refusal>) -> Vec<u8> {
    match verdict {
        Ok(()) => vec![ACCEPTED],
        Err(refusal) => {
            let mut bytes = vec![REFUSED];
            bytes.extend(refusal.to_string().into_bytes());
            bytes.truncate(MAX_VERDICT_BYTES);
            bytes
        }
    }
}

/// Reads a peer's verdict on us: accepted, or refused with its reason in printable characters.
pub fn decode_verdict(bytes: &[u8]) -> Result<(), String> {
    match bytes.split_first() {
        Some((&ACCEPTED, [])) => Ok(()),
        Some((&REFUSED, reason)) => Err(printable(&String::from_utf8_lossy(reason))),
        Some(_) | None => Err("its verdict is malformed".into()),
    }
}

/// What a peer says ends up in logs and terminals: without control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello() -> Hello {
        Hello {
            network: NetworkId::from([1; 32]),
            protocol: 7,
            engine: EngineId::from([2; 32]),
            generation: 5,
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn a_hello_is_read_back() {
        let bytes = hello().encode();
        assert!(bytes.len() <= MAX_HELLO_BYTES);
        assert_eq!(hello().decode(&bytes), Ok(hello()));
    }

    #[test]
    fn another_protocol_is_named_whatever_follows() {
        assert_eq!(hello().decode(&[0, 8, 0xff]), Err(Refusal::Protocol { expected: 7, got: 8 }));
    }

    #[test]
    fn another_network_is_refused() {
        let other = Hello { network: NetworkId::from([9; 32]), ..hello() };
        assert!(matches!(hello().judge(&other, None), Err(Refusal::Network { .. })));
    }

    #[test]
    fn only_an_older_generation_is_a_rollback() {
        let older = Refusal::RolledBack { highest: 6, got: 5 };
        assert_eq!(hello().judge(&hello(), Some(6)), Err(older));
        assert_eq!(hello().judge(&hello(), Some(5)), Ok(()));
        assert_eq!(hello().judge(&hello(), None), Ok(()));
    }

    #[test]
    fn a_verdict_is_read_back_without_control_characters() {
        assert_eq!(decode_verdict(&encode_verdict(Ok(()))), Ok(()));
        let refusal = Refusal::RolledBack { highest: 6, got: 5 };
        assert_eq!(decode_verdict(&encode_verdict(Err(&refusal))), Err(refusal.to_string()));
        assert_eq!(decode_verdict(b"\x01a\x1b[2J"), Err("a\u{fffd}[2J".into()));
        assert!(decode_verdict(&[]).is_err());
        assert!(decode_verdict(&[0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..MAX_HELLO_BYTES)) {
            let _ = hello().decode(&bytes);
            let _ = decode_verdict(&bytes);
        }

        #[test]
        fn a_changed_hello_does_not_pass_for_ours(at in 2_usize..34, flip in 1_u8..) {
            let mut bytes = hello().encode();
            bytes[at] ^= flip;
            let judged = hello().decode(&bytes).and_then(|peer| hello().judge(&peer, None));
            prop_assert!(judged.is_err());
        }
    }
}
