//! Why a read gives nothing.

use crate::{Refusal, bindings::countersign::action::types};

/// Why a read gave nothing. The same on every node: what fails on one node only ends the run there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The chain or the host is not in the manifest, or the key does not allow it.
    #[error("the action may not read this: {0}")]
    Denied(String),
    /// A budget of this run is used up, or the value is too large.
    #[error("a limit of the action is reached: {0}")]
    Limit(String),
    /// The arguments are malformed.
    #[error("the action asked for something malformed: {0}")]
    Invalid(String),
}

impl From<types::Error> for ReadError {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(what) => Self::Denied(what),
            types::Error::Limit(what) => Self::Limit(what),
            types::Error::Invalid(what) => Self::Invalid(what),
        }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self::new(error.to_string())
    }
}
