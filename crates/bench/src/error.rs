//! Why nothing was measured.

use countersign_client::{Url, VerifyError};
use countersign_threshold::{AggregateError, DeriveError, SignError, dkg::DkgError};
use countersign_types::Failure;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is nothing to ask for, or nobody to ask.
    #[error("a measurement needs at least one node and one request")]
    Nothing,
    /// A node gave no signature. What was measured until then does not count.
    #[error("{node} did not sign: {failure}")]
    NotSigned {
        /// Which node.
        node: Url,
        /// Why not.
        failure: Box<Failure>,
    },
    /// Something at a node's address answers as no node does.
    #[error("{node} answers as no node does (status {status}): {body}")]
    NoNode {
        /// Where.
        node: Url,
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said.
        body: String,
    },
    /// An answer is longer than any node's.
    #[error("the answer of {node} has more than {most} bytes")]
    TooLong {
        /// Whose.
        node: Url,
        /// The most.
        most: usize,
    },
    /// The answers of a row are longer than any nodes' together.
    #[error("the answers have more than {most} bytes together")]
    TooMuch {
        /// The most.
        most: usize,
    },
    /// A node's answer does not verify.
    #[error("the answer of {node} does not verify")]
    NotVerified {
        /// Which node.
        node: Url,
        /// Why.
        source: Box<VerifyError>,
    },
    /// A node's answer does not parse.
    #[error("the answer of {node} does not parse")]
    Unreadable {
        /// Which node.
        node: Url,
        /// Why.
        source: serde_json::Error,
    },
    /// A call failed.
    #[error("a call failed")]
    Http(#[from] reqwest::Error),
    /// A request cannot be written as JSON.
    #[error("a request cannot be written")]
    Request(#[source] serde_json::Error),
    /// A worker ended before its time.
    #[error("a worker ended before its time")]
    Worker,
    /// A committee that no key can be made for.
    #[error("no committee of {threshold} of {size}")]
    Committee {
        /// How many are needed.
        threshold: u16,
        /// How many there are.
        size: u16,
    },
    /// The ceiling's key generation failed.
    #[error("key generation failed")]
    Dkg(#[from] DkgError),
    /// The ceiling's key derivation failed.
    #[error("key derivation failed")]
    Derive(#[from] DeriveError),
    /// The ceiling's signature share failed.
    #[error("a signature share failed")]
    Sign(#[from] SignError),
    /// The ceiling's aggregation failed.
    #[error("aggregation failed")]
    Aggregate(#[from] AggregateError),
}
