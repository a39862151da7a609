//! What a coordinator is set up with, and what it tells its driver: what to send, and how the session ends.

use std::{collections::BTreeMap, sync::Arc};

use countersign_threshold::{Commitments, DerivedPublic};
use countersign_types::{
    Failure, Identifier, NodeDecision, Outcome, SessionId, SessionTerms, Signature, ValidRequest,
};

use super::Fallback;
use crate::{
    Membership, Millis, Sent,
    message::{SignerPart, ToParticipant},
};

/// What a session starts from.
pub struct Setup {
    /// The coordinating node's place in the network.
    pub membership: Arc<Membership>,
    /// The request.
    pub request: Arc<ValidRequest>,
    /// The terms that this node fixed.
    pub terms: SessionTerms,
    /// The key that is asked to sign.
    pub public: DerivedPublic,
    /// The members that can be reached, in the order in which to ask them.
    pub order: Vec<Identifier>,
    /// Commitments that other members handed out in advance: with those of a threshold, this node included, one round is
    /// tried first. Empty where nothing speaks for it.
    pub advance: BTreeMap<Identifier, Vec<Commitments>>,
    /// What stood in this node's packages, of all its sessions since it started.
    pub sent: Arc<Sent>,
    /// When the session ends, with or without a signature.
    pub deadline: Millis,
}

/// What the driver is to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send to a participant; to oneself too.
    Send {
        /// The participant.
        to: Identifier,
        /// The message.
        message: ToParticipant,
    },
    /// The session is over.
    Finished(Box<Result<Signed, Failure>>),
}

/// What a session that succeeds gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The session.
    pub session: SessionId,
    /// The terms.
    pub terms: SessionTerms,
    /// The outcome that all signers voted for.
    pub outcome: Outcome,
    /// One for each payload.
    pub signatures: Vec<Signature>,
    /// What each signer gave.
    pub signers: BTreeMap<Identifier, SignerPart>,
    /// What every member that was asked said.
    pub nodes: Vec<NodeDecision>,
    /// How many attempts it took.
    pub attempts: u32,
    /// Why it took more than one round; none: it did not.
    pub fallback: Option<Fallback>,
}
