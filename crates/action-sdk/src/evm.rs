//! Reads of a chain's state at the pinned block. Every node reads for itself, and all must see the same.
//!
//! Each read costs one of the manifest's `chain_reads`. Its arguments must not depend on anything but the
//! context and earlier reads.

use crate::{Address, U256, bindings::countersign::action::evm as host, context::array};

pub use crate::read::ReadError;
pub use host::{Call, CallResult};

/// A log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Who emitted it.
    pub address: Address,
    /// At most 4.
    pub topics: Vec<[u8; 32]>,
    /// The data that are not indexed.
    pub data: Vec<u8>,
    /// The block.
    pub block_number: u64,
    /// The transaction.
    pub tx_hash: [u8; 32],
    /// The entry's place in its block.
    pub index: u32,
}

/// Which log entries are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The chain, by EIP-155 id.
    pub chain_id: u64,
    /// By any of these, at most 16; by anybody if empty.
    pub addresses: Vec<Address>,
    /// By position, at most 4: any of these, at most 16. Anything where empty.
    pub topics: Vec<Vec<[u8; 32]>>,
    /// The first block.
    pub from_block: u64,
    /// The last block, included; not above the pin.
    pub to_block: u64,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whether it succeeded; false if it reverted.
    pub success: bool,
    /// The block that it is in.
    pub block_number: u64,
    /// That block's hash.
    pub block_hash: [u8; 32],
    /// What it logged.
    pub logs: Vec<Log>,
}

/// An account's balance, in wei.
pub fn balance(chain_id: u64, account: Address) -> Result<U256, ReadError> {
    Ok(word(&host::balance(chain_id, &account.0)?))
}

/// An account's nonce.
pub fn nonce(chain_id: u64, account: Address) -> Result<u64, ReadError> {
    Ok(host::nonce(chain_id, &account.0)?)
}

/// The keccak-256 of an account's code; that of the empty string where there is none.
pub fn code_hash(chain_id: u64, account: Address) -> Result<[u8; 32], ReadError> {
    Ok(array(&host::code_hash(chain_id, &account.0)?))
}

/// One storage slot of a contract.
pub fn storage_at(chain_id: u64, contract: Address, slot: U256) -> Result<U256, ReadError> {
    Ok(word(&host::storage_at(chain_id, &contract.0, &slot.to_be_bytes::<32>())?))
}

/// Calls a contract, as the zero address, with calldata of at most 32 KiB. A revert is an answer.
pub fn call(chain_id: u64, contract: Address, data: Vec<u8>) -> Result<CallResult, ReadError> {
    Ok(host::eth_call(&Call { chain_id, to: contract.0.to_vec(), data, from: None })?)
}

/// Several calls at once, answered in their order; each costs a read. The nodes make them side by side.
pub fn call_all(calls: &[Call]) -> Result<Vec<CallResult>, ReadError> {
    Ok(host::eth_call_all(calls)?)
}

/// Log entries in the chain's order.
pub fn logs(filter: &Filter) -> Result<Vec<Log>, ReadError> {
    let entries = host::logs(&host::Filter {
        chain_id: filter.chain_id,
        addresses: filter.addresses.iter().map(|address| address.0.to_vec()).collect(),
        topics: filter.topics.iter().map(|any| any.iter().map(|topic| topic.to_vec()).collect()).collect(),
        from_block: filter.from_block,
        to_block: filter.to_block,
    })?;
    Ok(entries.into_iter().map(Log::from).collect())
}

/// A transaction's receipt; none unless it is in a block at or below the pin.
pub fn transaction_receipt(chain_id: u64, transaction: [u8; 32]) -> Result<Option<Receipt>, ReadError> {
    Ok(host::transaction_receipt(chain_id, &transaction)?.map(|receipt| Receipt {
        success: receipt.success,
        block_number: receipt.block_number,
        block_hash: array(&receipt.block_hash),
        logs: receipt.logs.into_iter().map(Log::from).collect(),
    }))
}

/// The calldata of a function whose arguments are all words: the selector, then the words.
pub fn calldata(selector: [u8; 4], words: &[[u8; 32]]) -> Vec<u8> {
    selector.iter().chain(words.iter().flatten()).copied().collect()
}

impl From<host::Log> for Log {
    fn from(log: host::Log) -> Self {
        Self {
            address: Address(array(&log.address)),
            topics: log.topics.iter().map(|topic| array(topic)).collect(),
            data: log.data,
            block_number: log.block_number,
            tx_hash: array(&log.tx_hash),
            index: log.index,
        }
    }
}

fn word(bytes: &[u8]) -> U256 {
    U256::from_be_bytes(array::<32>(bytes))
}
