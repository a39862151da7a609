//! Accesses of an action to the outside: what was asked, what came back, and how both stand in a record.

mod agreed;
mod recorded;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ReadId,
    evm::{EvmRead, EvmValue},
    http::{HttpRead, HttpResponse},
};

pub use agreed::AgreedError;
pub use recorded::{RecordedRead, WrongValue};

/// One access to the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Read {
    /// To a chain's state at the session's pin.
    Evm(EvmRead),
    /// To a host of the manifest.
    Http(HttpRead),
}

impl Read {
    /// Import and arguments, hashed.
    pub fn id(&self) -> ReadId {
        match self {
            Self::Evm(read) => read.id(),
            Self::Http(read) => read.id(),
        }
    }

    /// About how many bytes of memory it takes to keep it.
    pub fn held_bytes(&self) -> usize {
        let arguments = match self {
            Self::Evm(EvmRead::Call { data, .. }) => data.len(),
            Self::Evm(EvmRead::Logs { addresses, topics, .. }) => {
                20 * addresses.len() + topics.iter().map(|any| 24 + 32 * any.len()).sum::<usize>()
            }
            Self::Evm(
                EvmRead::Balance { .. }
                | EvmRead::Nonce { .. }
                | EvmRead::CodeHash { .. }
                | EvmRead::Storage { .. }
                | EvmRead::Receipt { .. },
            ) => 0,
            Self::Http(read) => read.arguments().len(),
        };
        size_of::<Self>() + arguments
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evm(read) => words(read, f),
            Self::Http(read) => read.fmt(f),
        }
    }
}

fn words(read: &EvmRead, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match read {
        EvmRead::Call { to, data, .. } => {
            write!(f, "call of {to} with {} bytes of calldata", data.len())?;
        }
        EvmRead::Balance { address, .. } => write!(f, "balance of {address}")?,
        EvmRead::Nonce { address, .. } => write!(f, "nonce of {address}")?,
        EvmRead::CodeHash { address, .. } => write!(f, "code hash of {address}")?,
        EvmRead::Storage { address, slot, .. } => write!(f, "storage slot {slot} of {address}")?,
        EvmRead::Logs { from_block, to_block, .. } => {
            write!(f, "logs of the blocks {from_block} to {to_block}")?;
        }
        EvmRead::Receipt { tx_hash, .. } => write!(f, "receipt of the transaction {tx_hash}")?,
    }
    write!(f, " on chain {}", read.chain_id())
}

/// What an access brought, as the action sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadValue {
    /// From a chain.
    Evm(EvmValue),
    /// From a host: the response as it came, or, where the nodes agree field by field, what was made of the fields.
    Http(HttpResponse),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, B256, Bytes, http::Agree};

    #[test]
    fn a_read_is_told_in_words() {
        let (chain_id, address) = (10, Address::repeat_byte(0x11));
        let account = "0x1111111111111111111111111111111111111111";
        let slot = B256::repeat_byte(1);
        let (addresses, topics) = (vec![], vec![]);
        let cases = [
            (
                EvmRead::Call { chain_id, to: address, data: Bytes::from(vec![0; 36]), from: Address::ZERO },
                format!("call of {account} with 36 bytes of calldata on chain 10"),
            ),
            (EvmRead::Balance { chain_id, address }, format!("balance of {account} on chain 10")),
            (EvmRead::Nonce { chain_id, address }, format!("nonce of {account} on chain 10")),
            (EvmRead::CodeHash { chain_id, address }, format!("code hash of {account} on chain 10")),
            (
                EvmRead::Storage { chain_id, address, slot },
                format!("storage slot {slot} of {account} on chain 10"),
            ),
            (
                EvmRead::Logs { chain_id, addresses, topics, from_block: 1, to_block: 2 },
                "logs of the blocks 1 to 2 on chain 10".to_owned(),
            ),
            (
                EvmRead::Receipt { chain_id, tx_hash: slot },
                format!("receipt of the transaction {slot} on chain 10"),
            ),
        ];
        for (read, expected) in cases {
            assert_eq!(Read::Evm(read).to_string(), expected);
        }
        let read = HttpRead::new("https://a.example/p?q=1", vec![], 0, 0, Agree::Identical).expect("a read");
        assert_eq!(Read::Http(read).to_string(), "GET https://a.example/p?q=1");
    }
}
