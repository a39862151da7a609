//! The latest commitments, with what is known of each.

use std::collections::{BTreeMap, VecDeque};

use countersign_threshold::Commitments;

/// The latest `MOST` commitments: the oldest are forgotten.
pub(crate) struct Recent<V, const MOST: usize> {
    known: BTreeMap<Commitments, V>,
    /// The oldest first.
    order: VecDeque<Commitments>,
}

impl<V, const MOST: usize> Default for Recent<V, MOST> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<V, const MOST: usize> Recent<V, MOST> {
    pub(crate) fn get(&self, commitments: &Commitments) -> Option<&V> {
        self.known.get(commitments)
    }

    /// Remembers something of commitments, in place of what was known of them; they do not become younger by that.
    pub(crate) fn insert(&mut self, commitments: &Commitments, value: V) {
        if self.known.insert(commitments.clone(), value).is_none() {
            self.order.push_back(commitments.clone());
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.known.len().max(self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::Bytes;

    use super::*;

    /// Bytes that no two numbers share: what they commit to is looked at elsewhere.
    fn commitments(number: u8) -> Commitments {
        Commitments::try_from(Bytes::copy_from_slice(&[number])).expect("it is short")
    }

    #[test]
    fn the_oldest_are_forgotten_however_often_they_come() {
        let mut recent = Recent::<u8, 2>::default();
        for (number, value) in [(1, 1), (2, 2), (1, 3)] {
            recent.insert(&commitments(number), value);
        }
        assert_eq!(recent.get(&commitments(1)), Some(&3));
        recent.insert(&commitments(3), 4);
        assert_eq!(
            [1, 2, 3].map(|number| recent.get(&commitments(number)).copied()),
            [None, Some(2), Some(4)]
        );
        assert_eq!(recent.len(), 2);
    }
}
