//! What a node is in its committee: the same for every machine that it drives.

use countersign_types::{Committee, EngineId, Identifier, NetworkId};

/// A node's place in the network.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The network.
    pub network: NetworkId,
    /// The epoch of the committee.
    pub epoch: u64,
    /// The committee.
    pub committee: Committee,
    /// This node's identifier in it.
    pub me: Identifier,
    /// The engine that this node runs actions with.
    pub engine: EngineId,
}

impl Membership {
    /// The threshold, as a count.
    pub(crate) fn threshold(&self) -> usize {
        usize::from(self.committee.threshold())
    }

    /// A member's libp2p PeerId, for people; empty for a member that does not exist.
    pub fn peer_id(&self, member: Identifier) -> String {
        self.committee.member(member).map(|key| key.peer_id()).unwrap_or_default()
    }
}
