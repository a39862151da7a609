//! Accesses of an action to the outside: what was asked, what came back.

use async_trait::async_trait;
use countersign_types::{
    Pin, ReadId, RecordEntry,
    evm::{EvmRead, EvmValue},
};

/// One access to the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// To a chain's state at the session's pin.
    Evm(EvmRead),
}

impl Read {
    /// Import and arguments, hashed.
    pub fn id(&self) -> ReadId {
        match self {
            Self::Evm(read) => read.id(),
        }
    }
}

/// What an access brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadValue {
    /// From a chain.
    Evm(EvmValue),
}

/// A read as this node made it, and as it stands in the node's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRead {
    /// What was asked.
    pub read: Read,
    /// What came back.
    pub value: ReadValue,
    /// How it travels.
    pub entry: RecordEntry,
}

impl RecordedRead {
    /// A read with its value.
    pub fn new(read: Read, value: ReadValue) -> Self {
        let (digest, length) = match &value {
            ReadValue::Evm(value) => value.digest(),
        };
        let entry = RecordEntry::Identical { read: read.id(), value: digest, length };
        Self { read, value, entry }
    }

    /// The value's length in its encoded form, in bytes.
    pub(crate) fn value_len(&self) -> usize {
        match &self.entry {
            RecordEntry::Identical { length, .. } => usize::try_from(*length).unwrap_or(usize::MAX),
        }
    }
}

/// A read that could not be made: local to the node, and never seen by the action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ReadFailure {
    /// What happened, for the operator and, as this node's reason, for the caller.
    pub reason: String,
}

impl ReadFailure {
    /// A failure with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
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
}

/// Whether a value is of the sort that a read brings.
pub(crate) fn belongs(read: &EvmRead, value: &EvmValue) -> bool {
    match read {
        EvmRead::Call { .. } => matches!(value, EvmValue::Call { .. }),
        EvmRead::Balance { .. } => matches!(value, EvmValue::Balance(_)),
        EvmRead::Nonce { .. } => matches!(value, EvmValue::Nonce(_)),
        EvmRead::CodeHash { .. } => matches!(value, EvmValue::CodeHash(_)),
        EvmRead::Storage { .. } => matches!(value, EvmValue::Storage(_)),
        EvmRead::Logs { .. } => matches!(value, EvmValue::Logs(_)),
        EvmRead::Receipt { .. } => matches!(value, EvmValue::Receipt(_)),
    }
}
