//! The node's clock: milliseconds since 1970, never backwards, not even across restarts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use countersign_session::{Millis, participant::MAX_SKEW_MS};

/// How far ahead of the clock the stored time lies, in milliseconds: after a crash the clock resumes there.
pub(crate) const LEASE_MS: Millis = 1_000;

/// A clock with a floor.
pub(crate) struct Clock {
    latest: AtomicU64,
    /// Where the node was restored: from when on it signs.
    signs_from: Option<Millis>,
}

impl Clock {
    /// A clock that never shows less than `floor`.
    pub(crate) fn new(floor: Millis) -> Self {
        Self { latest: AtomicU64::new(floor), signs_from: None }
    }

    /// The clock of a node that was restored, if it was, and signs from a time on.
    pub(crate) fn of_restored(self, signs_from: Option<Millis>) -> Self {
        Self { signs_from, ..self }
    }

    /// The time.
    pub(crate) fn now(&self) -> Millis {
        let system = system();
        self.latest.fetch_max(system, Ordering::Relaxed).max(system)
    }

    /// How far the system's clock is behind this one, in milliseconds, where that is more than a lease: it was
    /// wrong before, or is now.
    pub(crate) fn stands_still(&self) -> Option<Millis> {
        let ahead = self.ahead();
        (ahead > LEASE_MS).then_some(ahead)
    }

    /// Why the node does not sign now as far as time goes, in words: it waits after it was restored, or the system's clock is
    /// wrong.
    pub(crate) fn problem(&self) -> Option<String> {
        let ahead = self.stands_still()?;
        if self.waits(ahead) {
            return Some(format!(
                "the node was restored from a backup, and signs nothing that the lost one may have answered: it signs again in {} s, \
                 and nothing is to be done until then",
                ahead.div_ceil(1_000)
            ));
        }
        Some(format!(
            "the system's clock is {ahead} ms behind the time that this node has seen: set the clock right; \
             if it was too far ahead before, the node signs again once that time has come"
        ))
    }

    /// Whether a clock that is so far ahead of the system's is one that a restored node begins with. Longer than nodes bear with, no
    /// node waits whose clock is right.
    fn waits(&self, ahead: Millis) -> bool {
        let latest = self.latest.load(Ordering::Relaxed);
        let is_first = |from: Millis| latest <= from.saturating_add(LEASE_MS);
        ahead <= MAX_SKEW_MS.saturating_add(LEASE_MS) && self.signs_from.is_some_and(is_first)
    }

    fn ahead(&self) -> Millis {
        self.latest.load(Ordering::Relaxed).saturating_sub(system())
    }

    /// Waits until the system's clock has reached the floor, for at most one lease: a request that is signed once
    /// the node answers is not from before its boot then. A system clock that was set back further is left behind.
    pub(crate) async fn catch_up(&self) {
        if let Some(ahead) = self.stands_still() {
            tracing::warn!(ahead_ms = ahead, "the system's clock is behind the time that was stored");
        }
        tokio::time::sleep(Duration::from_millis(self.ahead().min(LEASE_MS))).await;
    }
}

/// The system's clock as it is.
pub(crate) fn system() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_back_behind_its_floor() {
        let ahead = Clock::new(0).now() + 60_000;
        let clock = Clock::new(ahead);
        assert_eq!(clock.now(), ahead);
        assert!(Clock::new(0).now() > 0);
    }

    #[test]
    fn a_clock_that_is_far_ahead_says_so() {
        let ahead = Clock::new(system() + 60_000);
        assert!(ahead.stands_still().is_some_and(|ms| ms > 50_000));
        assert_eq!(Clock::new(system()).stands_still(), None);
    }

    #[test]
    fn a_restored_node_that_waits_does_not_blame_the_clock() {
        let problem = |floor: Millis, signs_from| Clock::new(floor).of_restored(signs_from).problem();
        let soon = system() + 20_000;
        let told = problem(soon, Some(soon)).expect("it waits");
        assert!(told.contains("restored") && told.contains("signs again in"), "{told}");
        assert!(!told.contains("clock"), "{told}");
        assert_eq!(problem(system(), Some(system())), None, "the time has come");

        // it has been set back since, or was wrong when the backup was taken
        let late = system() + 600_000;
        for (floor, signs_from) in [(soon, None), (soon, Some(soon - 10_000)), (late, Some(late))] {
            let told = problem(floor, signs_from).expect("it stands still");
            assert!(told.contains("set the clock right") && !told.contains("restored"), "{told}");
        }
    }

    #[tokio::test]
    async fn after_a_crash_the_clock_waits_for_the_system() {
        let clock = Clock::new(system() + 50);
        let floor = clock.now();
        clock.catch_up().await;
        assert!(system() >= floor, "a request that is signed now would be from before the boot");
    }
}
