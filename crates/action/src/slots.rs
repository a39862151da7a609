//! Bounded concurrency with bounded waiting.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

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

    /// A slot, held until the permit is dropped; none if too many wait already or the wait is over.
    pub(crate) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(permit) = self.free.try_acquire() {
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

#[cfg(test)]
mod tests {
    use super::*;

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
