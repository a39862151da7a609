//! What two members tell each other before anything else, and why one refuses the other.
//!
//! Each side opens a stream, writes its [`Hello`] as the first frame and reads a verdict. A connection serves
//! only when both verdicts accept. The protocol number stands first and alone, and the verdict is text, so that
//! nodes of different versions still understand why they part.

use countersign_types::{EngineId, NetworkId};
use serde::{Deserialize, Serialize};

use crate::{Boot, BootId, boots::BootsError};

/// The most bytes of a hello on the wire.
pub const MAX_HELLO_BYTES: usize = 1024;
/// The most bytes of [`Hello::version`].
pub const MAX_VERSION_BYTES: usize = 64;
/// The most bytes of a verdict on the wire.
pub const MAX_VERDICT_BYTES: usize = 512;

/// What to do where a database is not the one that ran last.
const WAY_OUT: &str = "stop all but one and run it on the newest database; if that is lost, each peer's operator \
                       runs `countersign node readmit`";

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
    /// Which start of it this is. One that lies before the last one that we have accepted is refused.
    pub boot: Boot,
    /// Its software version, for people: at most [`MAX_VERSION_BYTES`].
    pub version: String,
}

/// Everything of a hello behind the protocol number.
#[derive(Serialize, Deserialize)]
struct Body {
    network: [u8; 32],
    engine: [u8; 32],
    boot: Boot,
    remembered: Option<Boot>,
    version: String,
}

/// A hello to one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// What the member says to everybody.
    pub hello: Hello,
    /// The last boot of the receiver that it has accepted.
    pub remembered: Option<Boot>,
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
    #[error("it was rolled back: its boot generation is {got}, it has been at {highest}; {WAY_OUT}")]
    RolledBack {
        /// The highest generation that was seen.
        highest: u64,
        /// The peer's.
        got: u64,
    },
    /// Two starts of it have one generation.
    #[error(
        "it runs twice: another start of it had the boot generation {generation}, on another copy of its database; {WAY_OUT}"
    )]
    Copied {
        /// The generation.
        generation: u64,
    },
    /// The peer has seen a start of ours of which our database knows nothing.
    #[error(
        "the database of the one that refuses is an old state or a copy: its boot {generation} was another than the peer has seen; {WAY_OUT}"
    )]
    Forked {
        /// The generation of that start.
        generation: u64,
    },
    /// What is kept of boots cannot be used.
    #[error(transparent)]
    Boots(#[from] BootsError),
    /// The hello does not parse.
    #[error("its hello is malformed")]
    Malformed,
}

impl Hello {
    /// The wire form: the protocol in two bytes, big-endian, then the rest in postcard.
    pub fn encode(&self, remembered: Option<Boot>) -> Vec<u8> {
        let body = Body {
            network: *self.network.as_bytes(),
            engine: *self.engine.as_bytes(),
            boot: self.boot,
            remembered,
            version: self.version.clone(),
        };
        let mut bytes = self.protocol.to_be_bytes().to_vec();
        bytes.extend(postcard::to_stdvec(&body).expect("plain data in memory"));
        bytes
    }

    /// Reads a peer's hello, of the same protocol as ours. Refuses [`Refusal::Protocol`] before reading on.
    pub fn decode(&self, bytes: &[u8]) -> Result<Greeting, Refusal> {
        let (got, body) = bytes.split_first_chunk::<2>().ok_or(Refusal::Malformed)?;
        let (expected, got) = (self.protocol, u16::from_be_bytes(*got));
        if got != expected {
            return Err(Refusal::Protocol { expected, got });
        }
        let (body, rest) = postcard::take_from_bytes::<Body>(body).map_err(|_| Refusal::Malformed)?;
        if !rest.is_empty() || body.version.len() > MAX_VERSION_BYTES {
            return Err(Refusal::Malformed);
        }
        let hello = Self {
            network: body.network.into(),
            protocol: got,
            engine: body.engine.into(),
            boot: body.boot,
            version: printable(&body.version),
        };
        Ok(Greeting { hello, remembered: body.remembered })
    }

    /// Whether we talk to a peer that greets us so. `last` is the last boot of it that we have accepted, `own` finds our own
    /// boot of a generation.
    pub fn judge(
        &self,
        peer: &Greeting,
        last: Option<Boot>,
        own: impl FnOnce(u64) -> Result<Option<BootId>, BootsError>,
    ) -> Result<(), Refusal> {
        let Greeting { hello, remembered } = peer;
        if hello.network != self.network {
            return Err(Refusal::Network { expected: self.network, got: hello.network });
        }
        follows(hello.boot, last)?;
        if let Some(Boot { generation, id }) = *remembered
            && own(generation)? != Some(id)
        {
            return Err(Refusal::Forked { generation });
        }
        Ok(())
    }
}

/// Whether a boot can come after the last one that we have accepted, or is that one.
pub(crate) fn follows(boot: Boot, last: Option<Boot>) -> Result<(), Refusal> {
    let got = boot.generation;
    match last {
        Some(last) if got < last.generation => Err(Refusal::RolledBack { highest: last.generation, got }),
        Some(last) if got == last.generation && boot.id != last.id => {
            Err(Refusal::Copied { generation: got })
        }
        Some(_) | None => Ok(()),
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

    fn boot(generation: u64, id: u8) -> Boot {
        Boot { generation, id: BootId([id; 16]) }
    }

    /// From somebody who has not seen us.
    fn first(hello: Hello) -> Greeting {
        Greeting { hello, remembered: None }
    }

    /// Our own boots: 1 to 5.
    fn own(generation: u64) -> Result<Option<BootId>, BootsError> {
        Ok((1..=5).contains(&generation).then(|| BootId([u8::try_from(generation).expect("small"); 16])))
    }

    fn hello() -> Hello {
        Hello {
            network: NetworkId::from([1; 32]),
            protocol: 7,
            engine: EngineId::from([2; 32]),
            boot: boot(5, 5),
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn a_hello_is_read_back() {
        for remembered in [None, Some(boot(u64::MAX, 9))] {
            let longest =
                Hello { version: "v".repeat(MAX_VERSION_BYTES), boot: boot(u64::MAX, 7), ..hello() };
            let bytes = longest.encode(remembered);
            assert!(bytes.len() <= MAX_HELLO_BYTES);
            assert_eq!(hello().decode(&bytes), Ok(Greeting { hello: longest, remembered }));
        }
    }

    #[test]
    fn a_hello_that_something_follows_or_with_a_long_version_is_malformed() {
        let long = Hello { version: "v".repeat(MAX_VERSION_BYTES + 1), ..hello() };
        assert_eq!(hello().decode(&long.encode(None)), Err(Refusal::Malformed));
        let followed = [hello().encode(None), vec![0]].concat();
        assert_eq!(hello().decode(&followed), Err(Refusal::Malformed));
    }

    #[test]
    fn a_version_is_read_without_control_characters() {
        let said = Hello { version: "a\x1b[2J".into(), ..hello() };
        let read = Hello { version: "a\u{fffd}[2J".into(), ..hello() };
        assert_eq!(hello().decode(&said.encode(None)), Ok(first(read)));
    }

    #[test]
    fn another_protocol_is_named_whatever_follows() {
        assert_eq!(hello().decode(&[0, 8, 0xff]), Err(Refusal::Protocol { expected: 7, got: 8 }));
    }

    #[test]
    fn another_network_is_refused() {
        let other = Hello { network: NetworkId::from([9; 32]), ..hello() };
        assert!(matches!(hello().judge(&first(other), None, own), Err(Refusal::Network { .. })));
    }

    #[test]
    fn a_boot_before_the_last_one_and_another_of_its_generation_are_refused() {
        let judge = |last| hello().judge(&first(hello()), last, own);
        assert_eq!(judge(Some(boot(6, 6))), Err(Refusal::RolledBack { highest: 6, got: 5 }));
        assert_eq!(judge(Some(boot(5, 9))), Err(Refusal::Copied { generation: 5 }));
        for last in [None, Some(boot(5, 5)), Some(boot(4, 9))] {
            assert_eq!(judge(last), Ok(()));
        }
    }

    #[test]
    fn a_boot_of_ours_that_our_database_does_not_know_ends_it_however_long_ago() {
        let judge = |remembered| hello().judge(&Greeting { hello: hello(), remembered }, None, own);
        for known in [None, Some(boot(1, 1)), Some(boot(5, 5))] {
            assert_eq!(judge(known), Ok(()));
        }
        for forked in [boot(6, 6), boot(5, 6), boot(1, 2)] {
            assert_eq!(judge(Some(forked)), Err(Refusal::Forked { generation: forked.generation }));
        }
        let unread = hello().judge(&Greeting { hello: hello(), remembered: Some(boot(1, 1)) }, None, |_| {
            Err(BootsError("the disk".into()))
        });
        assert_eq!(unread, Err(Refusal::Boots(BootsError("the disk".into()))));
    }

    #[test]
    fn every_refusal_fits_into_a_verdict() {
        for refusal in [
            Refusal::RolledBack { highest: u64::MAX, got: u64::MAX },
            Refusal::Copied { generation: u64::MAX },
            Refusal::Forked { generation: u64::MAX },
            Refusal::Network { expected: NetworkId::from([1; 32]), got: NetworkId::from([2; 32]) },
        ] {
            assert_eq!(decode_verdict(&encode_verdict(Err(&refusal))), Err(refusal.to_string()));
        }
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
            let mut bytes = hello().encode(None);
            bytes[at] ^= flip;
            let judged = hello().decode(&bytes).and_then(|peer| hello().judge(&peer, None, own));
            prop_assert!(judged.is_err());
        }
    }
}
