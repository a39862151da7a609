//! Where a live run's values come from.

use async_trait::async_trait;
use countersign_types::{
    Pin,
    evm::{EvmRead, EvmValue},
    http::{HttpRead, HttpResponse, ProjectionError},
    read::WrongValue,
};

/// A read that could not be made: local to the node, and never seen by the action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ReadFailure {
    /// What happened, for the operator and, as this node's reason, for the caller.
    pub reason: String,
    /// Whether the source was reached, and what it said cannot be used, or there is none of its name: to ask again
    /// does not help until that has changed.
    pub answered: bool,
}

impl ReadFailure {
    /// The source was not reached, or not by this node now.
    pub fn unreached(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), answered: false }
    }

    /// The source answered, and the answer cannot be used; or there is no such source.
    pub fn unusable(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), answered: true }
    }

    /// The same failure of a fetch, with the host in front of it. Nothing more of the URL is told: a path or a query may hold what a
    /// caller said.
    pub(crate) fn of_host(self, host: &str) -> Self {
        Self { reason: format!("{host}: {}", self.reason), ..self }
    }
}

impl From<WrongValue> for ReadFailure {
    fn from(error: WrongValue) -> Self {
        let reason = error.to_string();
        match error {
            WrongValue::Projection(ProjectionError::Status { got: 429 | 500.. }) => Self::unreached(reason),
            WrongValue::Projection(_) | WrongValue::Response { .. } => Self::unusable(reason),
            WrongValue::Sort => Self::unreached(reason),
        }
    }
}

/// Where a live run's values come from.
///
/// A reader must answer with the value that belongs to the read, bound what it reads, and end by itself: a
/// run that ends drops the reads that it waits for.
#[async_trait]
pub trait Reader: Send + Sync {
    /// Reads a chain's state at `pin`.
    async fn evm(&self, pin: &Pin, read: &EvmRead) -> Result<EvmValue, ReadFailure>;

    /// Fetches, and follows redirects to none but `hosts`: those of the manifest, of which the read's is one.
    async fn http(&self, hosts: &[String], read: &HttpRead) -> Result<HttpResponse, ReadFailure>;
}
