//! What is looked up for peers at once. Each has places of its own: one that floods keeps no other from an answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use countersign_types::NodePublicKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many questions of one peer are looked up at once; one more is answered that the node is busy.
const EACH: usize = 2;

/// The places, by peer. Only members ask, so there are few.
#[derive(Default)]
pub(crate) struct Lookups {
    of: Mutex<BTreeMap<NodePublicKey, Arc<Semaphore>>>,
}

impl Lookups {
    /// A place for a peer's question, for as long as it is held; none where the peer has all of its own.
    pub(crate) fn place(&self, peer: NodePublicKey) -> Option<OwnedSemaphorePermit> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let places = of.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(EACH)));
        Arc::clone(places).try_acquire_owned().ok()
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
        let lookups = Lookups::default();
        let held: Vec<_> = (0..10).filter_map(|_| lookups.place(flooding)).collect();
        assert_eq!(held.len(), EACH);
        assert!(lookups.place(other).is_some());
        drop(held);
        assert!(lookups.place(flooding).is_some());
    }
}
