//! The genesis of a network; its hash is the network id.

use alloy_primitives::B256;
use alloy_sol_types::SolStruct;
use serde::{Deserialize, Serialize};

use crate::{Committee, CommitteeError, NetworkId, NodePublicKey, canonical::sol_types};

/// The most chains that a network may read.
pub const MAX_CHAINS: usize = 16;

/// What a network starts from. Addresses are not in it: each node keeps them in its own configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// 32 random bytes, so that two networks of the same members differ.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Hex32))]
    pub nonce: B256,
    /// The members' identity keys; any order in the file, sorted where they are hashed.
    pub members: Vec<NodePublicKey>,
    /// How many members make a signature: more than half.
    pub threshold: u16,
    /// The chains that actions may read, by EIP-155 id.
    pub chains: Vec<u64>,
}

/// Why a genesis is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Members and threshold do not fit.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    /// Too many chains, or one twice.
    #[error("a network reads at most {MAX_CHAINS} distinct chains, got {got:?}")]
    Chains {
        /// The chains.
        got: Vec<u64>,
    },
}

impl Genesis {
    /// The first epoch's committee, checked.
    pub fn committee(&self) -> Result<Committee, GenesisError> {
        let mut chains = self.chains.clone();
        chains.sort_unstable();
        chains.dedup();
        if chains.len() != self.chains.len() || chains.len() > MAX_CHAINS {
            return Err(GenesisError::Chains { got: self.chains.iter().take(64).copied().collect() });
        }
        Ok(Committee::new(self.members.clone(), self.threshold)?)
    }

    /// The network id: the hash of this genesis, members and chains sorted.
    pub fn network_id(&self) -> NetworkId {
        let mut members = self.members.clone();
        members.sort();
        let mut chains = self.chains.clone();
        chains.sort_unstable();
        NetworkId(
            sol_types::Genesis {
                nonce: self.nonce,
                members: members.iter().map(|member| member.as_bytes().to_vec().into()).collect(),
                threshold: self.threshold,
                chains,
            }
            .eip712_hash_struct(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeKey;

    fn genesis() -> Genesis {
        let members =
            (1..=3u8).map(|i| NodeKey::from_bytes([i; 32]).expect("a scalar").public_key()).collect();
        Genesis { nonce: B256::repeat_byte(7), members, threshold: 2, chains: vec![1, 10] }
    }

    #[test]
    fn the_order_in_the_file_does_not_matter() {
        let mut reordered = genesis();
        reordered.members.reverse();
        reordered.chains.reverse();
        assert_eq!(reordered.network_id(), genesis().network_id());
    }

    #[test]
    fn every_field_is_in_the_id() {
        let id = genesis().network_id();
        let changes: [fn(&mut Genesis); 4] = [
            |g| g.nonce = B256::ZERO,
            |g| g.members.truncate(2),
            |g| g.threshold = 3,
            |g| g.chains = vec![1],
        ];
        for change in changes {
            let mut changed = genesis();
            change(&mut changed);
            assert_ne!(changed.network_id(), id);
        }
    }

    #[test]
    fn a_chain_twice_is_refused() {
        let mut twice = genesis();
        twice.chains = vec![1, 1];
        assert!(matches!(twice.committee(), Err(GenesisError::Chains { .. })));
    }
}
