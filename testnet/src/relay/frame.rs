//! Frames of the signing lane, as values of which each part can be changed, and back.

use anyhow::{Result, bail, ensure};
use countersign_session::message::{Preprocess, ToCoordinator, ToParticipant};
use countersign_types::{B256, NetworkId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The first byte of each frame.
const VERSION: u8 = 1;

/// What travels on the signing lane, as the node has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Frame {
    /// From a coordinator.
    ToParticipant(ToParticipant),
    /// To a coordinator.
    ToCoordinator(ToCoordinator),
    /// Commitments in advance.
    Preprocess(Preprocess),
}

impl Frame {
    /// Reads a frame.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let Some((&VERSION, body)) = bytes.split_first() else { bail!("no frame of version {VERSION}") };
        let (frame, rest) = postcard::take_from_bytes(body)?;
        ensure!(rest.is_empty(), "bytes behind a frame");
        Ok(frame)
    }

    /// As it travels.
    pub fn encode(&self) -> Result<Vec<u8>> {
        Ok(postcard::to_extend(self, vec![VERSION])?)
    }

    /// All that is on the wire, by name.
    pub fn to_value(&self) -> Result<Value> {
        Ok(serde_json::to_value(self)?)
    }

    /// The frame that a value stands for, if it does.
    pub fn from_value(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }

    /// What kind of message it is.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ToParticipant(ToParticipant::Propose(proposal)) if proposal.eager.is_some() => "eager",
            Self::ToParticipant(ToParticipant::Propose(_)) => "propose",
            Self::ToParticipant(ToParticipant::Commit { .. }) => "commit",
            Self::ToParticipant(ToParticipant::Sign { .. }) => "sign",
            Self::ToParticipant(ToParticipant::Close { .. }) => "close",
            Self::ToCoordinator(ToCoordinator::Observed(_)) => "observed",
            Self::ToCoordinator(ToCoordinator::Declined { .. }) => "declined",
            Self::ToCoordinator(ToCoordinator::Committed { .. }) => "committed",
            Self::ToCoordinator(ToCoordinator::Signed(_)) => "signed",
            Self::Preprocess(Preprocess::Ask { .. }) => "ask",
            Self::Preprocess(Preprocess::HandOut { .. }) => "hand-out",
        }
    }

    /// The hash of the package that it brings, if it does.
    pub fn package(&self, network: NetworkId) -> Option<B256> {
        let package = match self {
            Self::ToParticipant(ToParticipant::Sign { package, .. }) => package.as_ref().clone(),
            Self::ToParticipant(ToParticipant::Propose(proposal)) => {
                proposal.eager.as_deref()?.clone().package(proposal.terms.id(network))
            }
            Self::ToParticipant(_) | Self::ToCoordinator(_) | Self::Preprocess(_) => return None,
        };
        Some(package.hash(network).0)
    }
}
