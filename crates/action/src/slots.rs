//! Bounded concurrency with bounded waiting.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use countersign_types::ActionId;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// So many at once, so many more waiting, for so long.
pub(crate) struct Slots {
    free: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
    wait: Duration,
}

impl Slots {
    pub(crate) fn new(slots: u32, most_waiting: u32, wait: Duration) -> Self {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            free: Semaphore::new(count(slots).clamp(1, Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
            most_waiting: count(most_waiting),
            wait,
        }
    }

    /// A slot, where one is free now.
    pub(crate) fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.free.try_acquire().ok()
    }

    /// A slot, held until the permit is dropped; none if too many wait already or the wait is over.
    pub(crate) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        if let Some(permit) = self.try_acquire() {
            return Some(permit);
        }
        let _place = Place::take(self)?;
        timeout(self.wait, self.free.acquire()).await.ok()?.ok()
    }
}

/// A place in the queue, given back also where the caller goes away.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(slots: &'a Slots) -> Option<Self> {
        let before = slots.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(&slots.waiting);
        (before < slots.most_waiting).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Slots for each action apart: one whose reads are slow takes its own, and leaves the others theirs.
pub(crate) struct Shares {
    slots: u32,
    most_waiting: u32,
    wait: Duration,
    of: Mutex<BTreeMap<ActionId, Arc<Slots>>>,
}

impl Shares {
    /// So many slots for each action.
    pub(crate) fn new(slots: u32, most_waiting: u32, wait: Duration) -> Self {
        Self { slots, most_waiting, wait, of: Mutex::new(BTreeMap::new()) }
    }

    /// The slots of an action, for whoever holds them while it uses one. Those that nobody holds are forgotten, so that
    /// there are never more than runs.
    pub(crate) fn of(&self, action: ActionId) -> Arc<Slots> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.retain(|_, slots| Arc::strong_count(slots) > 1);
        let slots = of.entry(action);
        slots.or_insert_with(|| Arc::new(Slots::new(self.slots, self.most_waiting, self.wait))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_action_uses_up_its_own_slots_only() {
        let shares = Shares::new(1, 0, Duration::from_secs(3600));
        let [one, other] = [[1; 32], [2; 32]].map(ActionId::from);
        let held = shares.of(one);
        let slot = held.acquire().await;
        assert!(shares.of(one).acquire().await.is_none(), "its only one is taken");
        assert!(shares.of(other).acquire().await.is_some());
        assert!(held.try_acquire().is_none());
        drop(slot);
        assert!(held.try_acquire().is_some());
        assert!(shares.of(one).acquire().await.is_some());
        drop(held);
        shares.of(other);
        assert_eq!(shares.of.lock().expect("not poisoned").len(), 1, "nobody holds the first");
    }

    #[tokio::test]
    async fn one_more_than_may_wait_is_turned_away_at_once() {
        let slots = Slots::new(1, 0, Duration::from_secs(3600));
        let held = slots.acquire().await;
        assert!(held.is_some());
        assert!(slots.acquire().await.is_none(), "nobody may wait");
        drop(held);
        assert!(slots.acquire().await.is_some(), "free again");
    }

    #[tokio::test]
    async fn waiting_ends() {
        let slots = Slots::new(1, 1, Duration::from_millis(1));
        let _held = slots.acquire().await;
        assert!(slots.acquire().await.is_none());
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0, "the place is free again");
    }
}
