//! Accesses in words, for people: one line of bounded length, by which they are told apart.

use std::fmt;

use alloy_primitives::keccak256;

use super::Read;
use crate::{Address, B256, Bytes, evm::EvmRead, http::HttpRead};

/// The most bytes of calldata that are shown whole: a selector and three words.
const MAX_CALLDATA_SHOWN: usize = 100;
/// How much is shown of longer calldata, in bytes: the selector.
const SELECTOR_BYTES: usize = 4;
/// The most elements of a list that are shown.
const MAX_LISTED: usize = 4;

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evm(read) => evm(read, f),
            Self::Http(read) => read.fmt(f),
        }
    }
}

/// Headers are named, without their values.
impl fmt::Display for HttpRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}", self.url())?;
        if self.headers().is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.headers().iter().map(|header| header.name.as_str()).collect();
        write!(f, " with headers {}", few(&names))
    }
}

fn evm(read: &EvmRead, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match read {
        EvmRead::Call { to, data, from, .. } => {
            write!(f, "call of {to}")?;
            if *from != Address::ZERO {
                write!(f, " from {from}")?;
            }
            calldata(data, f)?;
        }
        EvmRead::Balance { address, .. } => write!(f, "balance of {address}")?,
        EvmRead::Nonce { address, .. } => write!(f, "nonce of {address}")?,
        EvmRead::CodeHash { address, .. } => write!(f, "code hash of {address}")?,
        EvmRead::Storage { address, slot, .. } => write!(f, "storage slot {slot} of {address}")?,
        EvmRead::Logs { addresses, topics, from_block, to_block, .. } => {
            write!(f, "logs of the blocks {from_block} to {to_block}")?;
            filter(addresses, topics, f)?;
        }
        EvmRead::Receipt { tx_hash, .. } => write!(f, "receipt of the transaction {tx_hash}")?,
    }
    write!(f, " on chain {}", read.chain_id())
}

fn calldata(data: &Bytes, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if data.len() <= MAX_CALLDATA_SHOWN {
        return write!(f, " with calldata {data}");
    }
    let selector = Bytes::copy_from_slice(&data[..SELECTOR_BYTES]);
    write!(f, " with calldata {selector}… ({} bytes, keccak-256 {})", data.len(), keccak256(data))
}

/// By whom, and the topics by their positions. Of what the filter leaves open nothing is said.
fn filter(addresses: &[Address], topics: &[Vec<B256>], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !addresses.is_empty() {
        write!(f, " by {}", few(addresses))?;
    }
    if topics.is_empty() {
        return Ok(());
    }
    let positions: Vec<String> = topics.iter().map(|any| alternatives(any)).collect();
    write!(f, " with topics {}", few(&positions))
}

fn alternatives(topics: &[B256]) -> String {
    if topics.is_empty() { "[any]".into() } else { format!("[{}]", few(topics)) }
}

/// The first elements of a list, and how many more there are.
fn few(items: &[impl fmt::Display]) -> String {
    let shown: Vec<String> = items.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    let (shown, more) = (shown.join(", "), items.len().saturating_sub(MAX_LISTED));
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::{Agree, Header};

    const ACCOUNT: &str = "0x1111111111111111111111111111111111111111";
    const CALLER: &str = "0x2222222222222222222222222222222222222222";

    fn call(data: Vec<u8>, from: Address) -> Read {
        Read::Evm(EvmRead::Call { chain_id: 10, to: Address::repeat_byte(0x11), data: data.into(), from })
    }

    fn logs(addresses: Vec<Address>, topics: Vec<Vec<B256>>) -> Read {
        Read::Evm(EvmRead::Logs { chain_id: 10, addresses, topics, from_block: 1, to_block: 2 })
    }

    fn get(headers: &[&str]) -> Read {
        let header = |name: &&str| Header { name: (*name).into(), value: "a secret".into() };
        let headers = headers.iter().map(header).collect();
        let read = HttpRead::new("https://a.example/p?q=1", headers, 0, 0, Agree::Identical);
        Read::Http(read.expect("a read"))
    }

    #[test]
    fn a_read_is_told_in_words() {
        let (chain_id, address, caller) = (10, Address::repeat_byte(0x11), Address::repeat_byte(0x22));
        let (slot, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let cases = [
            (
                call(vec![0; 36], Address::ZERO),
                format!("call of {ACCOUNT} with calldata 0x{} on chain 10", "00".repeat(36)),
            ),
            (call(vec![], caller), format!("call of {ACCOUNT} from {CALLER} with calldata 0x on chain 10")),
            (Read::Evm(EvmRead::Balance { chain_id, address }), format!("balance of {ACCOUNT} on chain 10")),
            (Read::Evm(EvmRead::Nonce { chain_id, address }), format!("nonce of {ACCOUNT} on chain 10")),
            (
                Read::Evm(EvmRead::CodeHash { chain_id, address }),
                format!("code hash of {ACCOUNT} on chain 10"),
            ),
            (
                Read::Evm(EvmRead::Storage { chain_id, address, slot }),
                format!("storage slot {slot} of {ACCOUNT} on chain 10"),
            ),
            (logs(vec![], vec![]), "logs of the blocks 1 to 2 on chain 10".to_owned()),
            (
                logs(vec![address, caller], vec![vec![slot, other], vec![], vec![other]]),
                format!(
                    "logs of the blocks 1 to 2 by {ACCOUNT}, {CALLER} with topics [{slot}, {other}], [any], \
                     [{other}] on chain 10"
                ),
            ),
            (
                Read::Evm(EvmRead::Receipt { chain_id, tx_hash: slot }),
                format!("receipt of the transaction {slot} on chain 10"),
            ),
            (get(&[]), "GET https://a.example/p?q=1".to_owned()),
            (
                get(&["accept", "x-api-key"]),
                "GET https://a.example/p?q=1 with headers accept, x-api-key".to_owned(),
            ),
        ];
        for (read, expected) in cases {
            assert_eq!(read.to_string(), expected);
        }
    }

    #[test]
    fn long_calldata_is_told_by_selector_length_and_hash() {
        let whole = vec![7_u8; MAX_CALLDATA_SHOWN];
        let said = call(whole.clone(), Address::ZERO).to_string();
        assert_eq!(said, format!("call of {ACCOUNT} with calldata 0x{} on chain 10", "07".repeat(100)));
        let longer = [whole, vec![7]].concat();
        let hash = keccak256(&longer);
        let said = call(longer, Address::ZERO).to_string();
        let expected = format!("with calldata 0x07070707… (101 bytes, keccak-256 {hash}) on chain 10");
        assert_eq!(said, format!("call of {ACCOUNT} {expected}"));
    }

    #[test]
    fn reads_that_differ_differ_in_words() {
        let (a, b) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
        let (one, two) = (B256::repeat_byte(1), B256::repeat_byte(2));
        // of the same function and length
        let balance_of =
            |whom: Address| [&[0x70, 0xa0, 0x82, 0x31][..], whom.into_word().as_slice()].concat();
        let long = |last: u8| [vec![0; 200], vec![last]].concat();
        let reads = [
            call(balance_of(a), Address::ZERO),
            call(balance_of(b), Address::ZERO),
            call(balance_of(a), a),
            call(balance_of(a), b),
            call(long(1), Address::ZERO),
            call(long(2), Address::ZERO),
            logs(vec![], vec![]),
            logs(vec![a], vec![]),
            logs(vec![b], vec![]),
            logs(vec![a, b], vec![]),
            logs(vec![a], vec![vec![]]),
            logs(vec![a], vec![vec![one]]),
            logs(vec![a], vec![vec![two]]),
            logs(vec![a], vec![vec![one, two]]),
            logs(vec![a], vec![vec![one], vec![two]]),
            logs(vec![a], vec![vec![], vec![one]]),
            get(&[]),
            get(&["accept"]),
            get(&["x-api-key"]),
        ];
        let words: BTreeSet<String> = reads.iter().map(ToString::to_string).collect();
        assert_eq!(words.len(), reads.len(), "{words:#?}");
    }

    #[test]
    fn lists_are_cut() {
        let topic = B256::repeat_byte(1);
        let said = logs(vec![Address::repeat_byte(0x11); 16], vec![vec![topic; 16]; 16]).to_string();
        let addresses = [ACCOUNT; 4].join(", ");
        let topics = format!("[{} and 12 more]", [topic.to_string().as_str(); 4].join(", "));
        let topics = [topics.as_str(); 4].join(", ");
        let filter = format!("by {addresses} and 12 more with topics {topics} and 12 more");
        assert_eq!(said, format!("logs of the blocks 1 to 2 {filter} on chain 10"));
        let five = get(&["a", "b", "c", "d", "e"]).to_string();
        assert_eq!(five, "GET https://a.example/p?q=1 with headers a, b, c, d and 1 more");
    }
}
