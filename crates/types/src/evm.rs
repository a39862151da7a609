//! Reads of a chain's state at a pinned block: what is asked, what is answered, and their canonical bytes.
//!
//! Arguments and values are ABI-encoded parameter lists, so that a contract or a TypeScript program can
//! compute a read's id and a value's digest too.

use std::fmt;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

use crate::{ReadId, canonical, canonical::sol_types};

/// The most bytes that one read may bring, in canonical form: 32 KiB.
pub const MAX_VALUE_BYTES: usize = 32 << 10;
/// The most blocks that one log query may span.
pub const MAX_LOG_BLOCKS: u64 = 10_000;

/// One access to a chain's state. Which block is the session's to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EvmRead {
    /// The result of a call that changes nothing.
    Call {
        /// The chain.
        chain_id: u64,
        /// The contract.
        to: Address,
        /// The calldata.
        data: Bytes,
        /// As whom; the zero address if none.
        from: Address,
    },
    /// An account's balance in wei.
    Balance {
        /// The chain.
        chain_id: u64,
        /// The account.
        address: Address,
    },
    /// An account's nonce.
    Nonce {
        /// The chain.
        chain_id: u64,
        /// The account.
        address: Address,
    },
    /// The keccak-256 of an account's code; of the empty string where there is none.
    CodeHash {
        /// The chain.
        chain_id: u64,
        /// The account.
        address: Address,
    },
    /// One storage slot.
    Storage {
        /// The chain.
        chain_id: u64,
        /// The account.
        address: Address,
        /// The slot.
        slot: B256,
    },
    /// The logs of a range of blocks, none above the pin.
    Logs {
        /// The chain.
        chain_id: u64,
        /// By whom; anybody if empty.
        addresses: Vec<Address>,
        /// By position: any of these; anything where empty.
        topics: Vec<Vec<B256>>,
        /// The first block.
        from_block: u64,
        /// The last block; at most the pin.
        to_block: u64,
    },
    /// A transaction's receipt, if it is in a block at or below the pin.
    Receipt {
        /// The chain.
        chain_id: u64,
        /// The transaction.
        tx_hash: B256,
    },
}

/// What a read brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EvmValue {
    /// A call's result.
    Call {
        /// Whether the call reverted.
        reverted: bool,
        /// What it returned, or reverted with.
        data: Bytes,
    },
    /// Wei.
    Balance(U256),
    /// A nonce.
    Nonce(u64),
    /// A code hash.
    CodeHash(B256),
    /// A slot's content.
    Storage(B256),
    /// Logs in the chain's order.
    Logs(Vec<Log>),
    /// A receipt, if there is one.
    Receipt(Option<Receipt>),
}

/// A log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Who emitted it.
    pub address: Address,
    /// Its topics.
    pub topics: Vec<B256>,
    /// Its data.
    pub data: Bytes,
    /// The block.
    pub block_number: u64,
    /// The transaction.
    pub tx_hash: B256,
    /// Its place in the block.
    pub index: u32,
}

/// A transaction's receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Whether the transaction succeeded.
    pub success: bool,
    /// The block.
    pub block_number: u64,
    /// The block's hash.
    pub block_hash: B256,
    /// Its logs.
    pub logs: Vec<Log>,
}

type LogTuple = (Address, Vec<B256>, Bytes, u64, B256, u32);

impl Log {
    fn held_bytes(&self) -> usize {
        size_of::<Self>() + size_of::<B256>() * self.topics.len() + self.data.len()
    }

    fn tuple(&self) -> LogTuple {
        (self.address, self.topics.clone(), self.data.clone(), self.block_number, self.tx_hash, self.index)
    }
}

fn log_tuples(logs: &[Log]) -> Vec<LogTuple> {
    logs.iter().map(Log::tuple).collect()
}

impl EvmRead {
    /// The chain that is read.
    pub fn chain_id(&self) -> u64 {
        match self {
            Self::Call { chain_id, .. }
            | Self::Balance { chain_id, .. }
            | Self::Nonce { chain_id, .. }
            | Self::CodeHash { chain_id, .. }
            | Self::Storage { chain_id, .. }
            | Self::Logs { chain_id, .. }
            | Self::Receipt { chain_id, .. } => *chain_id,
        }
    }

    /// The import that reads it, as in the action's interface.
    pub fn import(&self) -> &'static str {
        match self {
            Self::Call { .. } => "evm.eth-call",
            Self::Balance { .. } => "evm.balance",
            Self::Nonce { .. } => "evm.nonce",
            Self::CodeHash { .. } => "evm.code-hash",
            Self::Storage { .. } => "evm.storage-at",
            Self::Logs { .. } => "evm.logs",
            Self::Receipt { .. } => "evm.transaction-receipt",
        }
    }

    /// The arguments, ABI-encoded in the order of the fields.
    pub fn arguments(&self) -> Vec<u8> {
        match self {
            Self::Call { chain_id, to, data, from } => {
                (*chain_id, *to, data.clone(), *from).abi_encode_params()
            }
            Self::Balance { chain_id, address }
            | Self::Nonce { chain_id, address }
            | Self::CodeHash { chain_id, address } => (*chain_id, *address).abi_encode_params(),
            Self::Storage { chain_id, address, slot } => (*chain_id, *address, *slot).abi_encode_params(),
            Self::Logs { chain_id, addresses, topics, from_block, to_block } => {
                (*chain_id, addresses.clone(), topics.clone(), *from_block, *to_block).abi_encode_params()
            }
            Self::Receipt { chain_id, tx_hash } => (*chain_id, *tx_hash).abi_encode_params(),
        }
    }

    /// The read's id: the hash of import and arguments. With its position it says which read this is.
    pub fn id(&self) -> ReadId {
        let read = sol_types::Read { import: self.import().into(), arguments: self.arguments().into() };
        ReadId(canonical::struct_hash(&read))
    }
}

impl fmt::Display for EvmValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { reverted: true, data } => write!(f, "reverted with {data}"),
            Self::Call { reverted: false, data } => data.fmt(f),
            Self::Balance(wei) => write!(f, "{wei} wei"),
            Self::Nonce(nonce) => nonce.fmt(f),
            Self::CodeHash(hash) | Self::Storage(hash) => hash.fmt(f),
            Self::Logs(logs) => write!(f, "{} logs (digest {})", logs.len(), self.digest().0),
            Self::Receipt(None) => f.write_str("no such transaction"),
            Self::Receipt(Some(receipt)) => {
                let how = if receipt.success { "succeeded" } else { "failed" };
                let (block, logs, digest) = (receipt.block_number, receipt.logs.len(), self.digest().0);
                write!(f, "{how} in block {block} with {logs} logs (digest {digest})")
            }
        }
    }
}

impl EvmValue {
    /// About how many bytes of memory it takes to keep it.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Call { data, .. } => data.len(),
                Self::Logs(logs) => logs.iter().map(Log::held_bytes).sum(),
                Self::Receipt(Some(receipt)) => receipt.logs.iter().map(Log::held_bytes).sum(),
                Self::Balance(_)
                | Self::Nonce(_)
                | Self::CodeHash(_)
                | Self::Storage(_)
                | Self::Receipt(None) => 0,
            }
    }

    /// The value, ABI-encoded.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Call { reverted, data } => (*reverted, data.clone()).abi_encode_params(),
            Self::Balance(wei) => wei.abi_encode(),
            Self::Nonce(nonce) => nonce.abi_encode(),
            Self::CodeHash(word) | Self::Storage(word) => word.abi_encode(),
            Self::Logs(logs) => (log_tuples(logs),).abi_encode_params(),
            Self::Receipt(None) => {
                (false, B256::ZERO, false, 0u64, Vec::<LogTuple>::new()).abi_encode_params()
            }
            Self::Receipt(Some(receipt)) => {
                (true, receipt.block_hash, receipt.success, receipt.block_number, log_tuples(&receipt.logs))
                    .abi_encode_params()
            }
        }
    }

    /// The keccak-256 and the length of the encoded value: how an identical read travels.
    pub fn digest(&self) -> (B256, u32) {
        let encoded = self.encode();
        (keccak256(&encoded), u32::try_from(encoded.len()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_and_arguments_are_in_the_id() {
        let (a, b) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let reads = [
            EvmRead::Balance { chain_id: 1, address: a },
            EvmRead::Balance { chain_id: 1, address: b },
            EvmRead::Balance { chain_id: 2, address: a },
            EvmRead::Nonce { chain_id: 1, address: a },
            EvmRead::CodeHash { chain_id: 1, address: a },
            EvmRead::Call { chain_id: 1, to: a, data: Bytes::new(), from: b },
            EvmRead::Call { chain_id: 1, to: a, data: vec![0].into(), from: b },
        ];
        let ids: std::collections::BTreeSet<_> = reads.iter().map(EvmRead::id).collect();
        assert_eq!(ids.len(), reads.len());
    }

    #[test]
    fn an_absent_receipt_is_not_an_empty_one() {
        let empty = Receipt { success: false, block_number: 0, block_hash: B256::ZERO, logs: vec![] };
        assert_ne!(EvmValue::Receipt(None).digest(), EvmValue::Receipt(Some(empty)).digest());
    }

    #[test]
    fn as_many_other_logs_differ_in_words() {
        let log = |data| Log {
            address: Address::ZERO,
            topics: vec![],
            data,
            block_number: 2,
            tx_hash: B256::ZERO,
            index: 0,
        };
        let logs = |data: &'static [u8]| vec![log(Bytes::from_static(data))];
        let (one, other) = (EvmValue::Logs(logs(b"1")), EvmValue::Logs(logs(b"2")));
        assert_eq!(one.to_string(), format!("1 logs (digest {})", one.digest().0));
        assert_ne!(one.to_string(), other.to_string());
        let empty = Receipt { success: true, block_number: 2, block_hash: B256::ZERO, logs: vec![] };
        let receipt =
            |data: &'static [u8]| EvmValue::Receipt(Some(Receipt { logs: logs(data), ..empty.clone() }));
        let (one, other) = (receipt(b"1"), receipt(b"2"));
        assert_ne!(one.to_string(), other.to_string());
    }
}
