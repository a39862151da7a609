//! What is still to happen, in the order of time; what falls on the same moment, in the order of planning.

use std::collections::BTreeMap;

use countersign_session::Millis;

pub(crate) struct Queue<E> {
    planned: u64,
    events: BTreeMap<(Millis, u64), E>,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { planned: 0, events: BTreeMap::new() }
    }
}

impl<E> Queue<E> {
    pub(crate) fn plan(&mut self, at: Millis, event: E) {
        self.planned += 1;
        self.events.insert((at, self.planned), event);
    }

    /// The next event that is due by `end`, with its time.
    pub(crate) fn next(&mut self, end: Millis) -> Option<(Millis, E)> {
        let first = self.events.first_entry().filter(|entry| entry.key().0 <= end)?;
        let ((at, _), event) = first.remove_entry();
        Some((at, event))
    }
}
