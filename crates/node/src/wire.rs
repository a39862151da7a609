//! Frames between nodes: a version, then postcard.

use bytes::Bytes;
use countersign_network::{Lane, Transport};
use countersign_session::{
    keygen,
    message::{Preprocess, ToCoordinator, ToParticipant},
};
use countersign_types::NodePublicKey;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{questions::Message as Question, replication::Announcement};

/// The first byte of every frame. The members' protocol version is compared when they connect; this one
/// keeps a frame from being read as what it is not.
const FRAME_VERSION: u8 = 1;

/// What travels on the signing lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SigningFrame {
    ToParticipant(ToParticipant),
    ToCoordinator(ToCoordinator),
    Preprocess(Preprocess),
}

/// What travels on the background lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum BackgroundFrame {
    KeyGeneration(keygen::Message),
    Announcement(Announcement),
    Question(Question),
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("frame version {got:?}, expected {FRAME_VERSION}")]
    Version { got: Option<u8> },
    #[error("the frame does not decode")]
    Postcard(#[from] postcard::Error),
    #[error("{0} bytes behind the frame")]
    Trailing(usize),
}

pub(crate) fn encode<T: Serialize>(frame: &T) -> Result<Bytes, FrameError> {
    let bytes = postcard::to_extend(frame, vec![FRAME_VERSION])?;
    Ok(bytes.into())
}

/// Sends a frame to a member, where its lane has room; what is not sent is not missed: whoever needs it asks again.
pub(crate) fn send<T: Serialize>(transport: &dyn Transport, to: &NodePublicKey, lane: Lane, frame: &T) {
    let sent = encode(frame)
        .map_err(|error| error.to_string())
        .and_then(|frame| transport.send(to, lane, frame).map_err(|error| error.to_string()));
    if let Err(error) = sent {
        tracing::debug!(peer = %to.peer_id(), lane = lane.name(), error, "a frame was not sent");
    }
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
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
        assert_eq!(format!("{read:?}"), format!("{:?}", frame()));
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
