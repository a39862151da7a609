//! A guest's arguments, parsed: what is malformed is told to the guest, in the same words on every node.

use alloy_primitives::{Address, B256};
use countersign_types::evm::{EvmRead, MAX_LOG_BLOCKS};

use crate::bindings::countersign::action::{evm as wit, types::Error};

/// The most bytes of calldata.
const MAX_CALLDATA_BYTES: usize = 32 << 10;
/// The most addresses of a log filter, and the most alternatives of one topic.
const MAX_FILTER_ITEMS: usize = 16;
/// The most topics of a log.
const MAX_TOPICS: usize = 4;

pub(super) fn address(bytes: &[u8]) -> Result<Address, Error> {
    Address::try_from(bytes)
        .map_err(|_| Error::Invalid(format!("an address has 20 bytes, got {}", bytes.len())))
}

pub(super) fn word(what: &str, bytes: &[u8]) -> Result<B256, Error> {
    B256::try_from(bytes).map_err(|_| Error::Invalid(format!("a {what} has 32 bytes, got {}", bytes.len())))
}

pub(super) fn call_len(call: &wit::Call) -> usize {
    call.to.len() + call.data.len() + call.from.as_ref().map_or(0, Vec::len)
}

pub(super) fn call(call: wit::Call) -> Result<EvmRead, Error> {
    at_most("bytes of calldata", call.data.len(), MAX_CALLDATA_BYTES)?;
    Ok(EvmRead::Call {
        chain_id: call.chain_id,
        to: address(&call.to)?,
        data: call.data.into(),
        from: call.from.map_or(Ok(Address::ZERO), |from| address(&from))?,
    })
}

pub(super) fn filter_len(filter: &wit::Filter) -> usize {
    let topics = filter.topics.iter().flatten().map(Vec::len);
    filter.addresses.iter().map(Vec::len).chain(topics).sum()
}

/// A filter whose range has a legal length; whether it ends at or below the pin is seen later.
pub(super) fn filter(filter: wit::Filter) -> Result<EvmRead, Error> {
    let wit::Filter { chain_id, addresses, topics, from_block, to_block } = filter;
    at_most("addresses", addresses.len(), MAX_FILTER_ITEMS)?;
    at_most("topics", topics.len(), MAX_TOPICS)?;
    let Some(after_first) = to_block.checked_sub(from_block) else {
        return Err(Error::Invalid(format!("the range {from_block} to {to_block} is empty")));
    };
    if after_first >= MAX_LOG_BLOCKS {
        return Err(Error::Invalid(format!(
            "a range has at most {MAX_LOG_BLOCKS} blocks, got {from_block} to {to_block}"
        )));
    }
    let addresses = addresses.iter().map(|bytes| address(bytes)).collect::<Result<_, _>>()?;
    let topics = topics.iter().map(|any| alternatives(any)).collect::<Result<_, _>>()?;
    Ok(EvmRead::Logs { chain_id, addresses, topics, from_block, to_block })
}

fn alternatives(topics: &[Vec<u8>]) -> Result<Vec<B256>, Error> {
    at_most("alternatives of a topic", topics.len(), MAX_FILTER_ITEMS)?;
    topics.iter().map(|topic| word("topic", topic)).collect()
}

fn at_most(what: &str, got: usize, most: usize) -> Result<(), Error> {
    if got > most { Err(Error::Invalid(format!("at most {most} {what}, got {got}"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(from_block: u64, to_block: u64) -> wit::Filter {
        wit::Filter { chain_id: 1, addresses: vec![], topics: vec![], from_block, to_block }
    }

    fn refused(read: Result<EvmRead, Error>) -> bool {
        matches!(read, Err(Error::Invalid(_)))
    }

    #[test]
    fn lengths_are_exact() {
        for length in [0, 19, 21, 32] {
            assert!(address(&vec![0; length]).is_err(), "{length}");
        }
        assert!(word("slot", &[0; 31]).is_err());
        assert!(address(&[0; 20]).is_ok());
    }

    #[test]
    fn a_call_without_sender_is_by_the_zero_address() {
        let without = wit::Call { chain_id: 1, to: vec![1; 20], data: vec![], from: None };
        let zero = wit::Call { from: Some(vec![0; 20]), ..without.clone() };
        assert_eq!(call(without.clone()).expect("a call"), call(zero).expect("a call"));
        assert!(refused(call(wit::Call { data: vec![0; MAX_CALLDATA_BYTES + 1], ..without })));
    }

    #[test]
    fn ranges_are_bounded_without_overflow() {
        assert!(filter(logs(5, 5)).is_ok());
        assert!(filter(logs(0, MAX_LOG_BLOCKS - 1)).is_ok());
        assert!(refused(filter(logs(0, MAX_LOG_BLOCKS))));
        assert!(refused(filter(logs(0, u64::MAX))));
        assert!(refused(filter(logs(6, 5))));
    }

    #[test]
    fn filters_are_bounded() {
        let many = vec![vec![0; 20]; MAX_FILTER_ITEMS + 1];
        assert!(refused(filter(wit::Filter { addresses: many, ..logs(0, 1) })));
        let topics = vec![vec![]; MAX_TOPICS + 1];
        assert!(refused(filter(wit::Filter { topics, ..logs(0, 1) })));
        let topics = vec![vec![vec![0; 32]; MAX_FILTER_ITEMS + 1]];
        assert!(refused(filter(wit::Filter { topics, ..logs(0, 1) })));
    }
}
