//! Logs and receipts: read by number or transaction, so everything that came back is held against the
//! question, and the chain against the pin.

use alloy::{
    primitives::{Address, B256, U64},
    rpc::types::Log as WireLog,
};
use countersign_types::{
    Pin,
    evm::{EvmValue, Log, Receipt},
};
use serde::{Deserialize, Serialize};

use crate::{Fault, endpoint::Endpoint};

/// Which logs are asked for. An empty place in `topics` matches anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogFilter<'a> {
    pub(crate) addresses: &'a [Address],
    pub(crate) topics: &'a [Vec<B256>],
    pub(crate) from_block: u64,
    pub(crate) to_block: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireFilter<'a> {
    from_block: U64,
    to_block: U64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    address: &'a [Address],
    topics: Vec<Option<&'a [B256]>>,
}

/// The few fields that are used: receipts of other chains have transaction types that alloy does not know.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReceipt {
    transaction_hash: B256,
    block_hash: B256,
    block_number: U64,
    status: Option<U64>,
    logs: Vec<WireLog>,
}

/// The logs of a range. A query by number is not bound to the pinned hash, so the endpoint must still have
/// the pinned block as part of its chain afterwards.
pub(crate) async fn logs(endpoint: &Endpoint, pin: &Pin, filter: LogFilter<'_>) -> Result<EvmValue, Fault> {
    let logs: Vec<WireLog> = endpoint.request("eth_getLogs", (filter.wire(),)).await?;
    let logs = logs.into_iter().map(|log| filter.checked(log, pin)).collect::<Result<_, _>>()?;
    let logs = in_order(logs)?;
    endpoint.canonical(pin.number, pin.hash).await?;
    Ok(EvmValue::Logs(logs))
}

/// A transaction's receipt; none where it is in no block, or in one above the pin.
pub(crate) async fn receipt(endpoint: &Endpoint, pin: &Pin, tx_hash: B256) -> Result<EvmValue, Fault> {
    let receipt: Option<WireReceipt> = endpoint.request("eth_getTransactionReceipt", (tx_hash,)).await?;
    let receipt = receipt.filter(|receipt| receipt.block_number.to::<u64>() <= pin.number);
    let receipt = receipt.map(|receipt| receipt.checked(tx_hash)).transpose()?;
    match &receipt {
        Some(receipt) if receipt.block_number < pin.number => {
            endpoint.canonical(receipt.block_number, receipt.block_hash).await?;
        }
        Some(receipt) if receipt.block_hash != pin.hash => return Err(Fault::UnknownBlock),
        Some(_) | None => {}
    }
    endpoint.canonical(pin.number, pin.hash).await?;
    Ok(EvmValue::Receipt(receipt))
}

impl LogFilter<'_> {
    fn wire(&self) -> WireFilter<'_> {
        // Clients do not agree whether a trailing wildcard asks for a topic to be there.
        let positions = self.topics.iter().rposition(|topics| !topics.is_empty()).map_or(0, |last| last + 1);
        WireFilter {
            from_block: U64::from(self.from_block),
            to_block: U64::from(self.to_block),
            address: self.addresses,
            topics: self.topics[..positions]
                .iter()
                .map(|any| (!any.is_empty()).then_some(any.as_slice()))
                .collect(),
        }
    }

    fn checked(&self, log: WireLog, pin: &Pin) -> Result<Log, Fault> {
        let block_hash = log.block_hash;
        let log = mined(log)?;
        if !(self.from_block..=self.to_block).contains(&log.block_number) {
            return Err(Fault::FalseAnswer("a log outside the range"));
        }
        if log.block_number == pin.number && block_hash != Some(pin.hash) {
            return Err(Fault::UnknownBlock);
        }
        if !self.addresses.is_empty() && !self.addresses.contains(&log.address) {
            return Err(Fault::FalseAnswer("a log of another contract"));
        }
        let matches = |(place, wanted): (usize, &Vec<B256>)| {
            wanted.is_empty() || log.topics.get(place).is_some_and(|topic| wanted.contains(topic))
        };
        if !self.topics.iter().enumerate().all(matches) {
            return Err(Fault::FalseAnswer("a log with other topics"));
        }
        Ok(log)
    }
}

impl WireReceipt {
    fn checked(self, tx_hash: B256) -> Result<Receipt, Fault> {
        let block_number = self.block_number.to();
        let logs = self.logs.into_iter().map(mined).collect::<Result<Vec<_>, _>>()?;
        let foreign = |log: &Log| log.tx_hash != tx_hash || log.block_number != block_number;
        if self.transaction_hash != tx_hash || logs.iter().any(foreign) {
            return Err(Fault::FalseAnswer("a receipt of another transaction"));
        }
        let success = match self.status.map(|status| status.to::<u64>()) {
            Some(0) => false,
            Some(1) => true,
            Some(_) | None => return Err(Fault::FalseAnswer("a receipt without status")),
        };
        Ok(Receipt { success, block_number, block_hash: self.block_hash, logs: in_order(logs)? })
    }
}

fn mined(log: WireLog) -> Result<Log, Fault> {
    let (Some(block_number), Some(tx_hash), Some(index), false) =
        (log.block_number, log.transaction_hash, log.log_index, log.removed)
    else {
        return Err(Fault::FalseAnswer("a log that is in no block"));
    };
    let index = u32::try_from(index).map_err(|_| Fault::FalseAnswer("a log with an absurd index"))?;
    let (topics, data) = log.inner.data.split();
    if topics.len() > 4 {
        return Err(Fault::FalseAnswer("a log with more than four topics"));
    }
    Ok(Log { address: log.inner.address, topics, data, block_number, tx_hash, index })
}

fn in_order(mut logs: Vec<Log>) -> Result<Vec<Log>, Fault> {
    let place = |log: &Log| (log.block_number, log.index);
    logs.sort_by_key(place);
    if logs.windows(2).any(|pair| place(&pair[0]) == place(&pair[1])) {
        return Err(Fault::FalseAnswer("two logs in one place"));
    }
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Bytes, LogData};

    use super::*;

    const ADDRESS: Address = Address::repeat_byte(1);
    const TOPIC: B256 = B256::repeat_byte(2);
    const PIN: Pin = Pin { chain_id: 1, number: 20, hash: B256::repeat_byte(20), timestamp: 0 };

    fn log() -> WireLog {
        let data = LogData::new_unchecked(vec![B256::ZERO, TOPIC], Bytes::new());
        WireLog {
            inner: alloy::primitives::Log { address: ADDRESS, data },
            block_hash: Some(B256::repeat_byte(15)),
            block_number: Some(15),
            transaction_hash: Some(B256::repeat_byte(4)),
            log_index: Some(0),
            ..WireLog::default()
        }
    }

    fn check(change: impl FnOnce(&mut WireLog)) -> Result<Log, Fault> {
        let mut changed = log();
        change(&mut changed);
        let topics = [vec![], vec![B256::repeat_byte(9), TOPIC], vec![]];
        LogFilter { addresses: &[ADDRESS], topics: &topics, from_block: 10, to_block: 20 }
            .checked(changed, &PIN)
    }

    #[test]
    fn a_log_that_was_not_asked_for_is_refused() {
        check(|_| {}).expect("the log is as asked for");
        let wrong: [fn(&mut WireLog); 11] = [
            |log| log.block_number = Some(9),
            |log| log.block_number = Some(21),
            |log| log.block_number = Some(20),
            |log| log.block_number = None,
            |log| log.transaction_hash = None,
            |log| log.log_index = None,
            |log| log.log_index = Some(1 << 32),
            |log| log.removed = true,
            |log| log.inner.address = Address::ZERO,
            |log| log.inner.data.set_topics_unchecked(vec![TOPIC]),
            |log| log.inner.data.set_topics_unchecked(vec![TOPIC; 5]),
        ];
        for (index, change) in wrong.into_iter().enumerate() {
            check(change).expect_err(&format!("change {index} went through"));
        }
    }

    #[test]
    fn logs_are_put_in_order_and_none_is_there_twice() {
        let at = |number, index| {
            let mut log = mined(log()).expect("a mined log");
            (log.block_number, log.index) = (number, index);
            log
        };
        let sorted = in_order(vec![at(2, 0), at(1, 5), at(1, 3)]).expect("distinct places");
        let places: Vec<_> = sorted.iter().map(|log| (log.block_number, log.index)).collect();
        assert_eq!(places, [(1, 3), (1, 5), (2, 0)]);
        in_order(vec![at(1, 3), at(1, 3)]).expect_err("one place twice");
    }

    #[test]
    fn a_trailing_wildcard_is_not_sent() {
        let topics = [vec![], vec![TOPIC], vec![], vec![]];
        let filter = LogFilter { addresses: &[], topics: &topics, from_block: 1, to_block: 18 };
        let sent = serde_json::to_value(filter.wire()).expect("JSON");
        let expected = serde_json::json!({"fromBlock": "0x1", "toBlock": "0x12", "topics": [null, [TOPIC]]});
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_receipt_of_something_else_is_refused() {
        let hash = B256::repeat_byte(4);
        let receipt = |status: Option<u64>, block: u64| WireReceipt {
            transaction_hash: hash,
            block_hash: B256::repeat_byte(15),
            block_number: U64::from(block),
            status: status.map(U64::from),
            logs: vec![log()],
        };
        assert!(receipt(Some(1), 15).checked(hash).expect("a receipt").success);
        assert!(!receipt(Some(0), 15).checked(hash).expect("a receipt").success);
        receipt(None, 15).checked(hash).expect_err("no status");
        receipt(Some(2), 15).checked(hash).expect_err("no such status");
        receipt(Some(1), 16).checked(hash).expect_err("a log of another block");
        receipt(Some(1), 15).checked(B256::ZERO).expect_err("another transaction");
    }
}
