//! The block that a session pins: this node's own view, or else its peers'.

use std::sync::Arc;

use countersign_chain::{ChainError, Chains};
use countersign_types::{NodePublicKey, Pin};
use countersign_wire::{Answer, Ask};
use futures::future::join_all;

use crate::{
    per_peer::{LOOKUPS, PerPeer},
    questions::Questions,
};

/// Final blocks, as this node and its peers see them.
pub(crate) struct Heads {
    chains: Arc<Chains>,
    questions: Arc<Questions>,
    lookups: PerPeer,
}

impl Heads {
    pub(crate) fn new(chains: Arc<Chains>, questions: Arc<Questions>) -> Self {
        Self { chains, questions, lookups: PerPeer::new(LOOKUPS) }
    }

    /// The block to pin for a session: the own final block; where this node has none, the middle one of what its
    /// peers say.
    ///
    /// A peer that lies can make the session fail, not more: every member checks the pin in its own view, and
    /// this node, which has none, abstains.
    pub(crate) async fn to_pin(&self, chain_id: u64) -> Result<Pin, ChainError> {
        let error = match self.chains.head(chain_id).await {
            Ok(head) => return Ok(head),
            Err(error) => error,
        };
        let asked = self.questions.peers().into_iter().map(|peer| self.of_peer(peer, chain_id));
        let said = join_all(asked).await.into_iter().flatten().collect();
        let pin = middle(said).ok_or(error)?;
        tracing::debug!(
            chain = chain_id,
            block = pin.number,
            "no final block in the own view: a peer's is pinned"
        );
        Ok(pin)
    }

    async fn of_peer(&self, peer: NodePublicKey, chain_id: u64) -> Option<Pin> {
        match self.questions.ask(peer, Ask::FinalBlock { chain_id }).await {
            Ok(Answer::FinalBlock(pin)) => (pin.chain_id == chain_id).then_some(pin),
            Ok(Answer::Action { .. } | Answer::Chunk(_) | Answer::Unknown | Answer::Busy) | Err(_) => None,
        }
    }

    /// Answers a peer from the own view.
    pub(crate) fn answer(&self, from: NodePublicKey, id: u64, chain_id: u64) {
        let Ok(place) = self.lookups.of(from).try_acquire_owned() else {
            return self.questions.answer(from, id, Answer::Busy);
        };
        let (chains, questions) = (Arc::clone(&self.chains), Arc::clone(&self.questions));
        tokio::spawn(async move {
            let answer = chains.head(chain_id).await.map_or(Answer::Unknown, Answer::FinalBlock);
            questions.answer(from, id, answer);
            drop(place);
        });
    }
}

/// The middle one by number, the lower of two: fewer than half of those who answer cannot move it beyond what
/// the others say.
fn middle(mut said: Vec<Pin>) -> Option<Pin> {
    said.sort_by_key(|pin| pin.number);
    said.get(said.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use countersign_types::B256;

    use super::*;

    fn pin(number: u64) -> Pin {
        Pin { chain_id: 1, number, hash: B256::ZERO, timestamp: 0 }
    }

    #[test]
    fn a_minority_does_not_move_the_middle_beyond_the_others() {
        for (said, chosen) in [
            (vec![7], 7),
            (vec![7, 9], 7),
            (vec![9, 0, 8], 8),
            (vec![u64::MAX, 7, 8], 8),
            (vec![u64::MAX, 7, 8, 0], 7),
        ] {
            let said: Vec<Pin> = said.into_iter().map(pin).collect();
            assert_eq!(middle(said).map(|pin| pin.number), Some(chosen));
        }
        assert_eq!(middle(Vec::new()), None);
    }
}
