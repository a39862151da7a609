//! Why a client has no answer, and what each node did.

use std::time::Duration;

use countersign_receipt::CheckError;
use countersign_types::{
    ActionId, Failure, GenesisError, NetworkId, NodePublicKey, RequestDigest, RequestError,
    action::ManifestError,
};
use reqwest::Url;

use crate::{SignerError, TrustError, VerifyError};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The genesis is not one.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// No node was named.
    #[error("a client needs the address of at least one node")]
    NoNodes,
    /// A member was named for a node that is not asked.
    #[error("{node} is none of the client's nodes, so it is no member's either")]
    UnknownNode {
        /// The node.
        node: Url,
    },
    /// A node was said to be somebody who is no member.
    #[error("{member} is no member of the network")]
    NotAMember {
        /// Who it was said to be.
        member: NodePublicKey,
    },
    /// The HTTP client cannot be made: TLS, proxies.
    #[error("the HTTP client cannot be made")]
    Http(#[source] reqwest::Error),
    /// The request is for another network than the client's.
    #[error("the request is for network {got}, this client's is {expected}")]
    Network {
        /// The client's.
        expected: NetworkId,
        /// The request's.
        got: NetworkId,
    },
    /// The request is malformed, or not signed by whoever may ask: no node was asked.
    #[error("the request cannot be asked: {0}")]
    Request(RequestError),
    /// The publication is malformed, not signed by its publisher, or of other content: no node was asked.
    #[error("the publication cannot be made: {0}")]
    Publication(ManifestError),
    /// The key is none of this network.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Whoever asks did not sign that it does.
    #[error(transparent)]
    Signer(SignerError),
    /// A node's answer that asking others does not change.
    #[error("{node} answers: {failure}")]
    Failed {
        /// The node.
        node: Url,
        /// What it answers.
        failure: Box<Failure>,
        /// What was tried before.
        passed_over: Vec<NodeFailure>,
    },
    /// No node gave an answer that counts.
    #[error("{}: {}", none_counts(*waited), alike(nodes).join("; "))]
    NoAnswer {
        /// How long the client tried.
        waited: Duration,
        /// The last that was heard of each node.
        nodes: Vec<NodeFailure>,
    },
}

impl ClientError {
    /// The error on several lines, for a terminal: after the first, what nodes did, once for those that did the same.
    pub fn in_lines(&self) -> Vec<String> {
        match self {
            Self::NoAnswer { waited, nodes } => {
                std::iter::once(none_counts(*waited)).chain(alike(nodes)).collect()
            }
            Self::Genesis(_)
            | Self::NoNodes
            | Self::UnknownNode { .. }
            | Self::NotAMember { .. }
            | Self::Http(_)
            | Self::Network { .. }
            | Self::Request(_)
            | Self::Publication(_)
            | Self::Trust(_)
            | Self::Signer(_)
            | Self::Failed { .. } => vec![self.to_string()],
        }
    }
}

/// What one node did instead of answering.
#[derive(Debug, thiserror::Error)]
#[error("{node}: {error}")]
pub struct NodeFailure {
    /// The node.
    pub node: Url,
    /// What it did.
    pub error: NodeError,
}

/// Why one node's answer does not count.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// It was not reached, or the connection broke.
    #[error("not reached: {reason}")]
    Unreachable {
        /// The innermost cause.
        reason: String,
    },
    /// It did not answer in time.
    #[error("no answer within {} ms", whole_ms(*waited))]
    Timeout {
        /// How long it was given.
        waited: Duration,
    },
    /// Its answer is longer than any that is right.
    #[error("the answer is longer than {most} bytes")]
    TooLong {
        /// The most that is read.
        most: usize,
    },
    /// Its answer is not of this interface.
    #[error("unexpected answer with status {status}: {reason}")]
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// What is wrong with the body.
        reason: String,
    },
    /// It says why not.
    #[error(transparent)]
    Failure(Failure),
    /// It says that the action refuses, and too few members stand behind that.
    #[error("it says refused and names {got} members that refuse, at least {expected} must")]
    Unfounded {
        /// How many members must refuse so that no threshold can allow.
        expected: usize,
        /// How many it names.
        got: usize,
    },
    /// It belongs to another network.
    #[error("it is of network {got}, expected {expected}")]
    OtherNetwork {
        /// The client's network.
        expected: NetworkId,
        /// The node's.
        got: NetworkId,
    },
    /// It names a node that is no member.
    #[error("it says that it is {got}, which is no member of the network")]
    Stranger {
        /// Who it says that it is.
        got: NodePublicKey,
    },
    /// It names another member than the caller.
    #[error("it says that it is {got}, expected {expected}")]
    OtherMember {
        /// Who it is, as the caller said.
        expected: NodePublicKey,
        /// Who it says that it is.
        got: NodePublicKey,
    },
    /// Its receipt proves nothing.
    #[error("its receipt does not count: {0}")]
    Receipt(Box<CheckError>),
    /// Its receipt is another request's.
    #[error("its receipt is of request {got}, expected {expected}")]
    OtherReceipt {
        /// The request that was asked for.
        expected: RequestDigest,
        /// The request of the receipt.
        got: RequestDigest,
    },
    /// It has no root keys yet.
    #[error("it has no root keys yet")]
    NoRootKeys,
    /// Its root keys are not those of the genesis.
    #[error("its root keys do not count: {0}")]
    RootKeys(TrustError),
    /// Its answer is none to the request.
    #[error("its answer does not count: {0}")]
    Wrong(Box<VerifyError>),
    /// It answers for another action.
    #[error("it answers for action {got}, expected {expected}")]
    OtherAction {
        /// What was asked.
        expected: ActionId,
        /// What is answered.
        got: ActionId,
    },
    /// It hands out another component or script than the manifest names.
    #[error("what it hands out for the action does not count: {0}")]
    Component(ManifestError),
}

impl NodeError {
    /// What the node says, where it answers that it cannot.
    pub fn failure(&self) -> Option<&Failure> {
        if let Self::Failure(failure) = self { Some(failure) } else { None }
    }

    /// Whether the node answered what no honest, healthy node of the network answers.
    pub fn is_lie(&self) -> bool {
        match self {
            Self::OtherNetwork { .. }
            | Self::Stranger { .. }
            | Self::OtherMember { .. }
            | Self::RootKeys(_)
            | Self::Wrong(_)
            | Self::Unfounded { .. }
            | Self::OtherAction { .. }
            | Self::OtherReceipt { .. }
            | Self::Component(_) => true,
            // of a session that its coordinator never closed
            Self::Receipt(error) => !matches!(error.as_ref(), CheckError::Incomplete { .. }),
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::TooLong { .. }
            | Self::Unexpected { .. }
            | Self::Failure(_)
            | Self::NoRootKeys => false,
        }
    }
}

impl From<VerifyError> for NodeError {
    fn from(error: VerifyError) -> Self {
        Self::Wrong(Box::new(error))
    }
}

/// The milliseconds that a time has begun: a short one is not told as none.
fn whole_ms(time: Duration) -> u128 {
    time.as_nanos().div_ceil(1_000_000).max(1)
}

fn none_counts(waited: Duration) -> String {
    format!("no node gave an answer that counts within {} ms", whole_ms(waited))
}

/// What nodes did, each thing once, with all of whom it is true before it.
fn alike(nodes: &[NodeFailure]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for NodeFailure { node, error } in nodes {
        let did = error.to_string();
        match groups.iter_mut().find(|(known, _)| *known == did) {
            Some((_, who)) => who.push(node.as_str()),
            None => groups.push((did, vec![node.as_str()])),
        }
    }
    groups.into_iter().map(|(did, who)| format!("{}: {did}", who.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_nodes_did_alike_is_told_once() {
        let refused = || NodeError::Unreachable { reason: "connection refused".into() };
        let failure = |port: u16, error| {
            let node = format!("http://127.0.0.1:{port}/").parse().expect("an address");
            NodeFailure { node, error }
        };
        let nodes = vec![failure(1, refused()), failure(2, NodeError::NoRootKeys), failure(3, refused())];
        let error = ClientError::NoAnswer { waited: Duration::from_secs(1), nodes };
        let lines = error.in_lines();
        let expected = [
            "no node gave an answer that counts within 1000 ms",
            "http://127.0.0.1:1/, http://127.0.0.1:3/: not reached: connection refused",
            "http://127.0.0.1:2/: it has no root keys yet",
        ];
        assert_eq!(lines, expected);
        assert_eq!(error.to_string(), format!("{}: {}; {}", lines[0], lines[1], lines[2]));
        assert_eq!(ClientError::NoNodes.in_lines(), [ClientError::NoNodes.to_string()]);
    }

    #[test]
    fn a_short_time_is_not_told_as_none() {
        let late = |waited| NodeError::Timeout { waited }.to_string();
        for short in [Duration::ZERO, Duration::from_micros(999)] {
            assert_eq!(late(short), "no answer within 1 ms");
        }
        assert_eq!(late(Duration::from_millis(1_500)), "no answer within 1500 ms");
    }
}
