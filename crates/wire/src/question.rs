//! What nodes ask and tell each other outside sessions.

use countersign_types::{ActionId, B256, Bytes, ComponentDigest, Pin, SignedPublishAction};
use serde::{Deserialize, Serialize};

/// A question or an answer, with the number that the asking node gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// A question.
    Ask {
        /// Its number.
        id: u64,
        /// What is asked.
        ask: Ask,
    },
    /// An answer.
    Answer {
        /// The question's number.
        id: u64,
        /// What is answered.
        answer: Answer,
    },
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Something that is stored.
    Stored(Wanted),
    /// The final block of a chain in the peer's view.
    FinalBlock {
        /// The chain.
        chain_id: u64,
    },
}

/// What may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// An action's publication.
    Action(ActionId),
    /// A chunk of what an action's manifest names.
    Chunk {
        /// What it is a chunk of.
        of: Piece,
        /// Where it begins, in bytes.
        offset: u32,
    },
}

/// What a manifest names, by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Piece {
    /// A component.
    Component(ComponentDigest),
    /// A script.
    Script(B256),
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// An action that is stored.
    Action {
        /// Its publication.
        signed: Box<SignedPublishAction>,
        /// The length of its component, in bytes.
        component_bytes: u32,
        /// The length of its script, in bytes.
        script_bytes: u32,
    },
    /// A chunk.
    Chunk(Bytes),
    /// A final block.
    FinalBlock(Pin),
    /// There is no such thing here.
    Unknown,
    /// Too much is asked at once.
    Busy,
}

/// What nodes tell each other about actions without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The sender stores this action now.
    pub action: ActionId,
}
