//! Reads at a pinned block.

use alloy::primitives::{B256, Bytes, U64, U256, keccak256};
use countersign_types::{
    Pin,
    evm::{EvmRead, EvmValue, MAX_LOG_BLOCKS, MAX_VALUE_BYTES},
};
use serde::Serialize;

use crate::{
    Fault, Faults, call,
    endpoint::Endpoint,
    logs::{self, LogFilter},
    quorum::{Question, Tally},
};

/// The most topics of a log.
pub const MAX_TOPICS: usize = 4;
/// The most addresses of a log query, and the most alternatives for one topic.
pub const MAX_LOG_ALTERNATIVES: usize = 64;
/// The most bytes of calldata: 32 KiB.
pub const MAX_CALLDATA_BYTES: usize = 32 << 10;

/// Why there is no value. Every variant but [`ReadError::Invalid`] and [`ReadError::TooLarge`] is this
/// node's own trouble: it abstains, and the action does not learn of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The chain is not configured.
    #[error("chain {0} is not configured")]
    UnknownChain(u64),
    /// The read cannot be made, on any node.
    #[error(transparent)]
    Invalid(#[from] InvalidRead),
    /// The value is larger than a record may bring, on every node that agrees on it.
    #[error("the value has {got} bytes, more than {limit}")]
    TooLarge {
        /// Its length in canonical form.
        got: usize,
        /// The bound, [`MAX_VALUE_BYTES`].
        limit: usize,
    },
    /// Operators say different things, and no quorum the same.
    #[error("{import}: providers disagree: {}", display(answers))]
    Disagree {
        /// What was read.
        import: &'static str,
        /// Who said what, in short.
        answers: Vec<Answer>,
        /// Who said nothing that counts.
        faults: Faults,
    },
    /// The pinned block is not part of the chain any more, or is not known here. Pin again; it is never a
    /// condition that is false.
    #[error("block {number} ({hash}) is not known, or not part of the chain any more")]
    Reorged {
        /// The pinned block's number.
        number: u64,
        /// The pinned block's hash.
        hash: B256,
    },
    /// Too few operators answered.
    #[error("{import}: no answer of {quorum} operators: {faults}")]
    Unavailable {
        /// What was read.
        import: &'static str,
        /// How many have to say the same.
        quorum: usize,
        /// What happened at the others.
        faults: Faults,
    },
}

/// What one operator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The operator.
    pub operator: String,
    /// The value's keccak-256 in canonical form.
    pub value: B256,
}

/// A read that no node can make: it follows from read and pin alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRead {
    /// Read and pin are of different chains.
    #[error("a read of chain {read} at a pin of chain {pin}")]
    OtherChain {
        /// The pin's chain.
        pin: u64,
        /// The read's chain.
        read: u64,
    },
    /// A range of blocks that ends before it begins, or above the pin.
    #[error("blocks {from} to {to} at block {pin}")]
    LogRange {
        /// The first block.
        from: u64,
        /// The last block.
        to: u64,
        /// The pin.
        pin: u64,
    },
    /// More of something than a read may have.
    #[error("{got} {what}, at most {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        got: u64,
        /// The bound.
        limit: u64,
    },
}

/// Checks what can be checked without asking anybody. All nodes come to the same result.
///
/// # Errors
///
/// What is wrong with the read.
pub fn validate(pin: &Pin, read: &EvmRead) -> Result<(), InvalidRead> {
    if read.chain_id() != pin.chain_id {
        return Err(InvalidRead::OtherChain { pin: pin.chain_id, read: read.chain_id() });
    }
    let bounded = |what, got: usize, limit: usize| match got <= limit {
        true => Ok(()),
        false => Err(InvalidRead::TooMany { what, got: got as u64, limit: limit as u64 }),
    };
    match read {
        EvmRead::Call { data, .. } => bounded("bytes of calldata", data.len(), MAX_CALLDATA_BYTES),
        EvmRead::Logs { addresses, topics, from_block: from, to_block: to, .. } => {
            if from > to || *to > pin.number {
                return Err(InvalidRead::LogRange { from: *from, to: *to, pin: pin.number });
            }
            if to - from >= MAX_LOG_BLOCKS {
                let got = (to - from).saturating_add(1);
                return Err(InvalidRead::TooMany { what: "blocks", got, limit: MAX_LOG_BLOCKS });
            }
            bounded("addresses", addresses.len(), MAX_LOG_ALTERNATIVES)?;
            bounded("topics", topics.len(), MAX_TOPICS)?;
            topics.iter().try_for_each(|any| bounded("alternatives", any.len(), MAX_LOG_ALTERNATIVES))
        }
        EvmRead::Balance { .. }
        | EvmRead::Nonce { .. }
        | EvmRead::CodeHash { .. }
        | EvmRead::Storage { .. }
        | EvmRead::Receipt { .. } => Ok(()),
    }
}

/// A read at its pin, to be asked of any endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PinnedRead<'a> {
    pub(crate) pin: &'a Pin,
    pub(crate) read: &'a EvmRead,
}

/// A block by hash, and only as part of the chain (EIP-1898).
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AtBlock {
    block_hash: B256,
    require_canonical: bool,
}

impl Question for PinnedRead<'_> {
    type Answer = EvmValue;

    async fn ask(&self, endpoint: &Endpoint) -> Result<EvmValue, Fault> {
        let block = AtBlock { block_hash: self.pin.hash, require_canonical: true };
        match self.read {
            EvmRead::Call { to, data, from, .. } => call::eth_call(endpoint, block, *from, *to, data).await,
            EvmRead::Balance { address, .. } => {
                let wei: U256 = endpoint.request("eth_getBalance", (address, block)).await?;
                Ok(EvmValue::Balance(wei))
            }
            EvmRead::Nonce { address, .. } => {
                let nonce: U64 = endpoint.request("eth_getTransactionCount", (address, block)).await?;
                Ok(EvmValue::Nonce(nonce.to()))
            }
            EvmRead::CodeHash { address, .. } => {
                let code: Bytes = endpoint.request("eth_getCode", (address, block)).await?;
                Ok(EvmValue::CodeHash(keccak256(code)))
            }
            EvmRead::Storage { address, slot, .. } => {
                let slot = U256::from_be_bytes(slot.0);
                let word: U256 = endpoint.request("eth_getStorageAt", (address, slot, block)).await?;
                Ok(EvmValue::Storage(word.into()))
            }
            EvmRead::Logs { addresses, topics, from_block, to_block, .. } => {
                let (from_block, to_block) = (*from_block, *to_block);
                logs::logs(endpoint, self.pin, LogFilter { addresses, topics, from_block, to_block }).await
            }
            EvmRead::Receipt { tx_hash, .. } => logs::receipt(endpoint, self.pin, *tx_hash).await,
        }
    }
}

impl PinnedRead<'_> {
    /// The value, if a record may bring so much.
    pub(crate) fn bounded(value: EvmValue) -> Result<EvmValue, ReadError> {
        let got = value.encode().len();
        if got > MAX_VALUE_BYTES {
            return Err(ReadError::TooLarge { got, limit: MAX_VALUE_BYTES });
        }
        Ok(value)
    }

    /// Why there is no quorum.
    pub(crate) fn split(&self, tally: Tally<EvmValue>, quorum: usize) -> ReadError {
        let Tally { answers, faults, .. } = tally;
        let import = self.read.import();
        let unknown = faults.0.iter().filter(|fault| fault.fault == Fault::UnknownBlock).count();
        if unknown >= quorum {
            return ReadError::Reorged { number: self.pin.number, hash: self.pin.hash };
        }
        if answers.windows(2).all(|pair| pair[0].1 == pair[1].1) {
            return ReadError::Unavailable { import, quorum, faults };
        }
        let answer = |(operator, value): (String, EvmValue)| Answer { operator, value: value.digest().0 };
        ReadError::Disagree { import, answers: answers.into_iter().map(answer).collect(), faults }
    }
}

fn display(answers: &[Answer]) -> String {
    let said = |answer: &Answer| format!("{} says {}", answer.operator, answer.value);
    answers.iter().map(said).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    const PIN: Pin = Pin { chain_id: 1, number: 20_000, hash: B256::ZERO, timestamp: 0 };

    fn logs(from_block: u64, to_block: u64) -> EvmRead {
        EvmRead::Logs { chain_id: 1, addresses: vec![], topics: vec![], from_block, to_block }
    }

    #[test]
    fn ranges_of_logs_are_bounded_by_the_pin_and_by_length() {
        for (from, to) in [(20_000, 20_000), (10_001, 20_000), (0, 9_999), (5, 5)] {
            assert_eq!(validate(&PIN, &logs(from, to)), Ok(()), "{from} to {to}");
        }
        for (from, to) in [(20_000, 20_001), (10_000, 20_000), (0, u64::MAX), (6, 5), (u64::MAX, u64::MAX)] {
            validate(&PIN, &logs(from, to)).expect_err("the range is refused");
        }
    }

    #[test]
    fn a_read_that_no_node_can_make_is_refused_before_anybody_is_asked() {
        let with = |addresses: usize, topics: usize, alternatives: usize| EvmRead::Logs {
            chain_id: 1,
            addresses: vec![Address::ZERO; addresses],
            topics: vec![vec![B256::ZERO; alternatives]; topics],
            from_block: 1,
            to_block: 1,
        };
        let call = |bytes| EvmRead::Call {
            chain_id: 1,
            to: Address::ZERO,
            data: vec![0; bytes].into(),
            from: Address::ZERO,
        };
        for read in [with(64, 4, 64), call(32 << 10)] {
            assert_eq!(validate(&PIN, &read), Ok(()));
        }
        let other_chain = EvmRead::Balance { chain_id: 2, address: Address::ZERO };
        for read in [with(65, 4, 64), with(64, 5, 64), with(64, 4, 65), call((32 << 10) + 1), other_chain] {
            validate(&PIN, &read).expect_err("the read is refused");
        }
    }

    #[test]
    fn a_value_may_fill_a_record_and_no_more() {
        let value = |bytes| EvmValue::Call { reverted: false, data: vec![0; bytes].into() };
        PinnedRead::bounded(value(MAX_VALUE_BYTES - 96)).expect("it fits");
        PinnedRead::bounded(value(MAX_VALUE_BYTES - 95)).expect_err("it does not fit");
    }
}
