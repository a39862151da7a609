//! Accesses of an action to the outside: what was asked, what came back, and how both stand in a record.

mod agreed;
mod recorded;
mod words;

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

/// What an access brought, as the action sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadValue {
    /// From a chain.
    Evm(EvmValue),
    /// From a host: the response as it came, or, where the nodes agree field by field, what was made of the fields.
    Http(HttpResponse),
}
