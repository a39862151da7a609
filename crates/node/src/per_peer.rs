//! Places of which each peer has its own: one that floods takes nobody else's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use countersign_types::NodePublicKey;
use tokio::sync::Semaphore;

/// How many questions of one sort and one peer are looked up at once; one more is answered that the node is busy.
pub(crate) const LOOKUPS: usize = 2;

/// So many places for each peer. Only members ask and are asked, so there are few.
pub(crate) struct PerPeer {
    places: usize,
    of: Mutex<BTreeMap<NodePublicKey, Arc<Semaphore>>>,
}

impl PerPeer {
    pub(crate) fn new(places: usize) -> Self {
        Self { places, of: Mutex::default() }
    }

    /// The places of a peer.
    pub(crate) fn of(&self, peer: NodePublicKey) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(of.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(self.places))))
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::NodeKey;

    use super::*;

    #[test]
    fn a_peer_that_floods_takes_nobody_elses_place() {
        let [flooding, other] =
            [1, 2].map(|byte| NodeKey::from_bytes([byte; 32]).expect("a key").public_key());
        let lookups = PerPeer::new(LOOKUPS);
        let place = |peer| lookups.of(peer).try_acquire_owned().ok();
        let held: Vec<_> = (0..10).filter_map(|_| place(flooding)).collect();
        assert_eq!(held.len(), LOOKUPS);
        assert!(place(other).is_some());
        drop(held);
        assert!(place(flooding).is_some());
    }
}
