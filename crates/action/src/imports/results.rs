//! Values as the guest sees them; none where the value is of another sort.

use countersign_types::evm::{EvmValue, Log, Receipt};

use crate::bindings::countersign::action::evm as wit;

pub(super) fn call(value: EvmValue) -> Option<wit::CallResult> {
    let EvmValue::Call { reverted, data } = value else { return None };
    Some(if reverted { wit::CallResult::Reverted(data.into()) } else { wit::CallResult::Ok(data.into()) })
}

pub(super) fn balance(value: EvmValue) -> Option<Vec<u8>> {
    let EvmValue::Balance(wei) = value else { return None };
    Some(wei.to_be_bytes::<32>().to_vec())
}

pub(super) fn nonce(value: EvmValue) -> Option<u64> {
    let EvmValue::Nonce(nonce) = value else { return None };
    Some(nonce)
}

pub(super) fn code_hash(value: EvmValue) -> Option<Vec<u8>> {
    let EvmValue::CodeHash(hash) = value else { return None };
    Some(hash.to_vec())
}

pub(super) fn storage(value: EvmValue) -> Option<Vec<u8>> {
    let EvmValue::Storage(content) = value else { return None };
    Some(content.to_vec())
}

pub(super) fn logs(value: EvmValue) -> Option<Vec<wit::Log>> {
    let EvmValue::Logs(logs) = value else { return None };
    Some(logs.into_iter().map(log).collect())
}

pub(super) fn receipt(value: EvmValue) -> Option<Option<wit::Receipt>> {
    let EvmValue::Receipt(receipt) = value else { return None };
    Some(receipt.map(|Receipt { success, block_number, block_hash, logs }| wit::Receipt {
        success,
        block_number,
        block_hash: block_hash.to_vec(),
        logs: logs.into_iter().map(log).collect(),
    }))
}

fn log(log: Log) -> wit::Log {
    wit::Log {
        address: log.address.to_vec(),
        topics: log.topics.iter().map(|topic| topic.to_vec()).collect(),
        data: log.data.into(),
        block_number: log.block_number,
        tx_hash: log.tx_hash.to_vec(),
        index: log.index,
    }
}
