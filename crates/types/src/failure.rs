//! Failures are values: what kind, why, and what each node said.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ReadId;

/// What kind of failure it is. The names are stable: programs match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Malformed: the body, a field, an id.
    Invalid,
    /// The request is for another network.
    WrongNetwork,
    /// The request has expired.
    Expired,
    /// The request was issued in the node's future.
    NotYetIssued,
    /// The request was issued before the node started: what it knew of requests is gone.
    BeforeBoot,
    /// Signed by somebody else, or not by the owner.
    Unauthorised,
    /// The action refuses, on so many nodes that no threshold can allow.
    Refused,
    /// The operator does not list this publisher.
    PublisherNotListed,
    /// No such thing.
    NotFound,
    /// No node that was asked has the action.
    UnknownAction,
    /// The nodes read different values.
    Disagreement,
    /// The callers used this nonce for another request.
    NonceReused,
    /// The request names other nodes to coordinate it.
    NotCoordinator,
    /// Too many bytes.
    TooLarge,
    /// A bound on concurrent work or memory is reached: try again later.
    Busy,
    /// Stored actions reach a bound that the operator set.
    StorageFull,
    /// The node cannot sign yet: no root keys, or too few members connected.
    NotReady,
    /// Too few nodes answered, or could answer, to make a signature.
    Unavailable,
    /// The deadline passed.
    Deadline,
    /// A fault of the node itself.
    Internal,
    /// The action ended without a decision, as it does everywhere: it trapped, ran out of fuel, or threw.
    ActionFailed,
    /// What the action reads answered so many nodes with something that cannot be used.
    UnusableSource,
}

impl FailureKind {
    /// Every kind, for documents and tests.
    pub const ALL: [Self; 22] = [
        Self::Invalid,
        Self::WrongNetwork,
        Self::Expired,
        Self::NotYetIssued,
        Self::BeforeBoot,
        Self::Unauthorised,
        Self::Refused,
        Self::PublisherNotListed,
        Self::NotFound,
        Self::UnknownAction,
        Self::Disagreement,
        Self::NonceReused,
        Self::NotCoordinator,
        Self::TooLarge,
        Self::Busy,
        Self::StorageFull,
        Self::NotReady,
        Self::Unavailable,
        Self::Deadline,
        Self::Internal,
        Self::ActionFailed,
        Self::UnusableSource,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::WrongNetwork => "wrong-network",
            Self::Expired => "expired",
            Self::NotYetIssued => "not-yet-issued",
            Self::BeforeBoot => "before-boot",
            Self::Unauthorised => "unauthorised",
            Self::Refused => "refused",
            Self::PublisherNotListed => "publisher-not-listed",
            Self::NotFound => "not-found",
            Self::UnknownAction => "unknown-action",
            Self::Disagreement => "disagreement",
            Self::NonceReused => "nonce-reused",
            Self::NotCoordinator => "not-coordinator",
            Self::TooLarge => "too-large",
            Self::Busy => "busy",
            Self::StorageFull => "storage-full",
            Self::NotReady => "not-ready",
            Self::Unavailable => "unavailable",
            Self::Deadline => "deadline",
            Self::Internal => "internal",
            Self::ActionFailed => "action-failed",
            Self::UnusableSource => "unusable-source",
        }
    }

    /// The kind with this stable name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind in words: the same for every failure of this kind.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "what was sent is malformed",
            Self::WrongNetwork => "the request is for another network",
            Self::Expired => "the request has expired",
            Self::NotYetIssued => "the request was issued in the future",
            Self::BeforeBoot => "the request was issued before the node started",
            Self::Unauthorised => "not signed by whoever may ask",
            Self::Refused => "the action refuses",
            Self::PublisherNotListed => "the operator does not list this publisher",
            Self::NotFound => "there is no such thing here",
            Self::UnknownAction => "no node that was asked has the action",
            Self::Disagreement => "the nodes read different values",
            Self::NonceReused => "the nonce was used for another request",
            Self::NotCoordinator => "the request names other nodes to coordinate it",
            Self::TooLarge => "too many bytes",
            Self::Busy => "a bound on concurrent work is reached",
            Self::StorageFull => "the bound on stored actions is reached",
            Self::NotReady => "the node cannot sign yet",
            Self::Unavailable => "too few nodes could answer",
            Self::Deadline => "the deadline passed",
            Self::Internal => "the node failed",
            Self::ActionFailed => "the action ended without a decision",
            Self::UnusableSource => "a source's answer cannot be used",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Invalid | Self::WrongNetwork | Self::Expired | Self::NotYetIssued | Self::BeforeBoot => 400,
            Self::Unauthorised => 401,
            Self::Refused | Self::PublisherNotListed => 403,
            Self::NotFound | Self::UnknownAction => 404,
            Self::Disagreement | Self::NonceReused => 409,
            Self::TooLarge => 413,
            Self::NotCoordinator => 421,
            Self::ActionFailed => 422,
            Self::Busy => 429,
            Self::StorageFull | Self::NotReady | Self::Unavailable => 503,
            Self::Deadline => 504,
            Self::Internal => 500,
            Self::UnusableSource => 502,
        }
    }

    /// Whether the same request may succeed at another node or later.
    pub const fn is_transient(self) -> bool {
        match self {
            Self::Busy
            | Self::NotReady
            | Self::Unavailable
            | Self::Deadline
            | Self::Internal
            | Self::BeforeBoot
            | Self::StorageFull => true,
            Self::Invalid
            | Self::WrongNetwork
            | Self::Expired
            | Self::NotYetIssued
            | Self::Unauthorised
            | Self::Refused
            | Self::PublisherNotListed
            | Self::NotFound
            | Self::UnknownAction
            | Self::Disagreement
            | Self::NonceReused
            | Self::NotCoordinator
            | Self::TooLarge
            | Self::ActionFailed
            | Self::UnusableSource => false,
        }
    }
}

/// What one node said to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Its own run allows, and it gave its share where it was asked for one.
    Allow,
    /// Its own run refuses.
    Refuse,
    /// It could not, or would not, judge: its provider is down, the request expired there.
    Abstain,
    /// It gave a bad share or broke the protocol.
    Misbehaved,
    /// It was asked and did not answer in time.
    NoAnswer,
    /// It is not connected to the coordinator.
    NotConnected,
}

impl Decision {
    /// The name in bodies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
            Self::Abstain => "abstain",
            Self::Misbehaved => "misbehaved",
            Self::NoAnswer => "no-answer",
            Self::NotConnected => "not-connected",
        }
    }
}

/// One node's part in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeDecision {
    /// The node, by libp2p PeerId.
    pub peer_id: String,
    /// What it said.
    pub decision: Decision,
    /// Why, where it did not allow.
    pub reason: Option<String>,
}

/// A read on which the nodes do not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Disagreement {
    /// The read's place in the run, from 0.
    pub position: u32,
    /// What was read there, in words, if the answering node made the read too.
    #[serde(default)]
    pub what: Option<String>,
    /// Which field of it, by JSON pointer; none where the whole is agreed on.
    #[serde(default)]
    pub pointer: Option<String>,
    /// The rule that the values break, with its tolerance.
    pub rule: String,
    /// How they break it.
    #[serde(default)]
    pub reason: String,
    /// What each node saw there.
    pub saw: Vec<Saw>,
}

/// What one node saw at one position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Saw {
    /// The node, by libp2p PeerId.
    pub peer_id: String,
    /// Import and arguments; none where the node made no read there.
    pub read: Option<ReadId>,
    /// The value, cut after 128 characters; its digest where the whole is agreed on.
    pub value: Option<String>,
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {detail}", kind.name())]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, with facts, and what to do.
    pub detail: String,
    /// What each node said, where nodes were asked.
    #[serde(default)]
    pub nodes: Vec<NodeDecision>,
    /// Where the nodes disagree.
    #[serde(default)]
    pub disagreement: Option<Box<Disagreement>>,
    /// How long to wait before it is worth asking again, where that is known. It stands in no body: HTTP has a header for it.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure before any node was asked.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), nodes: Vec::new(), disagreement: None, retry_after: None }
    }

    /// With what the nodes said.
    pub fn with_nodes(mut self, nodes: Vec<NodeDecision>) -> Self {
        self.nodes = nodes;
        self
    }

    /// With the wait after which it is worth asking again.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_ones_in_json() {
        for kind in FailureKind::ALL {
            let json = serde_json::to_string(&kind).expect("a name");
            assert_eq!(json, format!("{:?}", kind.name()));
            assert_eq!(FailureKind::from_name(kind.name()), Some(kind));
        }
        let json = serde_json::to_string(&Decision::NoAnswer).expect("a name");
        assert_eq!(json, format!("{:?}", Decision::NoAnswer.name()));
    }
}
