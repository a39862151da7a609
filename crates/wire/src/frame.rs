//! One frame: a version, then postcard.

use bytes::Bytes;
use countersign_session::{
    keygen,
    message::{Preprocess, ToCoordinator, ToParticipant},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Announcement, Question};

/// The first byte of every frame. The members' protocol version is compared when they connect; this one
/// keeps a frame from being read as what it is not.
const FRAME_VERSION: u8 = 1;

/// What travels on the signing lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SigningFrame {
    /// From whoever coordinates a session.
    ToParticipant(ToParticipant),
    /// From a member of a session.
    ToCoordinator(ToCoordinator),
    /// Commitments in advance of any session.
    Preprocess(Preprocess),
}

/// What travels on the background lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BackgroundFrame {
    /// A message of key generation.
    KeyGeneration(keygen::Message),
    /// What nobody asked for.
    Announcement(Announcement),
    /// A question or an answer.
    Question(Question),
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Its first byte is another.
    #[error("frame version {got:?}, expected {FRAME_VERSION}")]
    Version {
        /// The first byte; none of an empty frame.
        got: Option<u8>,
    },
    /// What follows is not of the type that travels there.
    #[error("the frame does not decode")]
    Postcard(#[from] postcard::Error),
    /// It goes on after its end.
    #[error("{0} bytes behind the frame")]
    Trailing(usize),
}

/// A frame as bytes.
pub fn encode<T: Serialize>(frame: &T) -> Result<Bytes, FrameError> {
    let bytes = postcard::to_extend(frame, vec![FRAME_VERSION])?;
    Ok(bytes.into())
}

/// Reads a frame, of which nothing may be left over.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    let Some((&FRAME_VERSION, body)) = bytes.split_first() else {
        return Err(FrameError::Version { got: bytes.first().copied() });
    };
    let (frame, rest) = postcard::take_from_bytes(body)?;
    if rest.is_empty() { Ok(frame) } else { Err(FrameError::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests {
    use countersign_session::message::Decline;
    use countersign_types::{FailureKind, SessionId};

    use super::*;

    fn frame() -> SigningFrame {
        let decline = Decline::Abstain { kind: FailureKind::Busy, reason: "no".into() };
        SigningFrame::ToCoordinator(ToCoordinator::Declined {
            session: SessionId::from([7; 32]),
            attempt: None,
            decline,
        })
    }

    #[test]
    fn a_frame_is_read_back() {
        let bytes = encode(&frame()).expect("encodes");
        let read: SigningFrame = decode(&bytes).expect("decodes");
        assert_eq!(read, frame());
    }

    #[test]
    fn another_version_a_cut_and_a_longer_frame_are_refused() {
        let bytes = encode(&frame()).expect("encodes").to_vec();
        let mut other = bytes.clone();
        other[0] = 2;
        assert!(matches!(decode::<SigningFrame>(&other), Err(FrameError::Version { got: Some(2) })));
        assert!(decode::<SigningFrame>(&bytes[..bytes.len() - 1]).is_err());
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(decode::<SigningFrame>(&longer), Err(FrameError::Trailing(1))));
        assert!(decode::<SigningFrame>(&[]).is_err());
    }
}
