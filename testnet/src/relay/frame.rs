//! Frames as values of which each part can be changed, and back.

use anyhow::Result;
use bytes::Bytes;
use countersign_network::Lane;
use countersign_session::{
    keygen,
    message::{Preprocess, ToCoordinator, ToParticipant},
};
use countersign_types::{B256, NetworkId};
use countersign_wire::{Answer, Ask, BackgroundFrame, Question, SigningFrame, Wanted};
use serde_json::Value;

/// What travels between two members.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// On the signing lane.
    Signing(SigningFrame),
    /// On the background lane.
    Background(BackgroundFrame),
}

impl Frame {
    /// Reads a frame.
    pub fn decode(lane: Lane, bytes: &[u8]) -> Result<Self> {
        Ok(match lane {
            Lane::Signing => Self::Signing(countersign_wire::decode(bytes)?),
            Lane::Background => Self::Background(countersign_wire::decode(bytes)?),
        })
    }

    /// As it travels.
    pub fn encode(&self) -> Result<Bytes> {
        Ok(match self {
            Self::Signing(frame) => countersign_wire::encode(frame)?,
            Self::Background(frame) => countersign_wire::encode(frame)?,
        })
    }

    /// Where it travels.
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Signing(_) => Lane::Signing,
            Self::Background(_) => Lane::Background,
        }
    }

    /// All that is on the wire, by name. No name at the top is of both lanes.
    pub fn to_value(&self) -> Result<Value> {
        Ok(match self {
            Self::Signing(frame) => serde_json::to_value(frame)?,
            Self::Background(frame) => serde_json::to_value(frame)?,
        })
    }

    /// The frame that a value stands for, if it does.
    pub fn from_value(value: &Value) -> Option<Self> {
        let signing = serde_json::from_value(value.clone()).ok().map(Self::Signing);
        signing.or_else(|| serde_json::from_value(value.clone()).ok().map(Self::Background))
    }

    /// What kind of message it is.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Signing(SigningFrame::ToParticipant(message)) => match message {
                ToParticipant::Propose(proposal) if proposal.eager.is_some() => "eager",
                ToParticipant::Propose(_) => "propose",
                ToParticipant::Commit { .. } => "commit",
                ToParticipant::Sign { .. } => "sign",
                ToParticipant::Close { .. } => "close",
            },
            Self::Signing(SigningFrame::ToCoordinator(message)) => match message {
                ToCoordinator::Observed(_) => "observed",
                ToCoordinator::Declined { .. } => "declined",
                ToCoordinator::Committed { .. } => "committed",
                ToCoordinator::Signed(_) => "signed",
            },
            Self::Signing(SigningFrame::Preprocess(Preprocess::Ask { .. })) => "ask",
            Self::Signing(SigningFrame::Preprocess(Preprocess::HandOut { .. })) => "hand-out",
            Self::Background(BackgroundFrame::KeyGeneration(message)) => of_key_generation(message),
            Self::Background(BackgroundFrame::Announcement(_)) => "announcement",
            Self::Background(BackgroundFrame::Question(question)) => of_question(question),
        }
    }

    /// The hash of the package that it brings, if it does.
    pub fn package(&self, network: NetworkId) -> Option<B256> {
        let Self::Signing(SigningFrame::ToParticipant(message)) = self else { return None };
        let package = match message {
            ToParticipant::Sign { package, .. } => package.as_ref().clone(),
            ToParticipant::Propose(proposal) => {
                proposal.eager.as_deref()?.clone().package(proposal.terms.id(network))
            }
            ToParticipant::Commit { .. } | ToParticipant::Close { .. } => return None,
        };
        Some(package.hash(network).0)
    }
}

fn of_key_generation(message: &keygen::Message) -> &'static str {
    match message {
        keygen::Message::Start { .. } => "start",
        keygen::Message::Round1 { .. } => "round-1",
        keygen::Message::Echo { .. } => "echo",
        keygen::Message::Round2 { .. } => "round-2",
        keygen::Message::Abort { .. } => "abort",
        keygen::Message::Confirm { .. } => "confirm",
        keygen::Message::Refuse(_) => "refuse",
        keygen::Message::Activate { .. } => "activate",
        keygen::Message::Activated(_) => "activated",
    }
}

fn of_question(question: &Question) -> &'static str {
    match question {
        Question::Ask { ask, .. } => match ask {
            Ask::Stored(Wanted::Action(_)) => "ask-action",
            Ask::Stored(Wanted::Chunk { .. }) => "ask-chunk",
            Ask::FinalBlock { .. } => "ask-block",
        },
        Question::Answer { answer, .. } => match answer {
            Answer::Action { .. } => "action",
            Answer::Chunk(_) => "chunk",
            Answer::FinalBlock(_) => "block",
            Answer::Unknown => "unknown",
            Answer::Busy => "busy",
        },
    }
}
