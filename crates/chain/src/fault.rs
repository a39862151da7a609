//! What went wrong at one provider.

use std::fmt;

use alloy::primitives::B256;

/// Why one operator has no answer that counts. It holds no URL and nothing of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// Silence.
    #[error("no answer within {ms} ms")]
    Timeout {
        /// How long was waited, in milliseconds.
        ms: u64,
    },
    /// Not what a JSON-RPC endpoint answers with.
    #[error("HTTP status {0}")]
    Status(u16),
    /// More bytes than any answer needs.
    #[error("answer of more than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// Not JSON-RPC, or not what was asked for.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// The provider says that it cannot.
    #[error("error {code}: {message}")]
    Rpc {
        /// The JSON-RPC error code.
        code: i64,
        /// What it says, shortened.
        message: String,
    },
    /// The endpoint is one of another chain.
    #[error("is on chain {got}, not {expected}")]
    WrongChain {
        /// The chain that is configured.
        expected: u64,
        /// The chain that it is on.
        got: u64,
    },
    /// A header that does not hash to the hash that comes with it.
    #[error("header of block {number} hashes to {computed}, not to {claimed}")]
    FalseHeader {
        /// The block's number.
        number: u64,
        /// What the provider says.
        claimed: B256,
        /// What the header's fields hash to.
        computed: B256,
    },
    /// A header that no quorum has.
    #[error("has block {number} as {hash}, others do not")]
    OtherHeader {
        /// The block's number.
        number: u64,
        /// Its hash there.
        hash: B256,
    },
    /// The provider does not follow the chain.
    #[error("lags: its final block {number} is {age_s} s old")]
    Lagging {
        /// Its final block.
        number: u64,
        /// That block's age, in seconds.
        age_s: u64,
    },
    /// A block that is final elsewhere is not final there yet.
    #[error("does not call block {number} final, but {own}")]
    NotYetFinal {
        /// The block that was asked for.
        number: u64,
        /// Its final block.
        own: u64,
    },
    /// It has no final block.
    #[error("has no final block")]
    NotFinal,
    /// The block that is read at is not known there, or no longer part of the chain.
    #[error("does not know the block, or no longer as part of the chain")]
    UnknownBlock,
    /// An answer that contradicts the question or itself.
    #[error("false answer: {0}")]
    FalseAnswer(&'static str),
}

/// A fault and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provider {operator}: {fault}")]
pub struct OperatorFault {
    /// The operator.
    pub operator: String,
    /// What happened.
    pub fault: Fault,
}

/// The faults of all operators that have one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(pub Vec<OperatorFault>);

impl Faults {
    pub(crate) fn push(&mut self, operator: &str, fault: Fault) {
        self.0.push(OperatorFault { operator: operator.into(), fault });
    }
}

impl FromIterator<OperatorFault> for Faults {
    fn from_iter<I: IntoIterator<Item = OperatorFault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}
