//! The node's clock: milliseconds since 1970, never backwards, not even across restarts.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use countersign_session::Millis;

/// How far ahead of the clock the stored time lies, in milliseconds: after a crash the clock resumes there.
pub(crate) const LEASE_MS: Millis = 1_000;

/// A clock with a floor.
pub(crate) struct Clock {
    latest: AtomicU64,
}

impl Clock {
    /// A clock that never shows less than `floor`.
    pub(crate) fn new(floor: Millis) -> Self {
        Self { latest: AtomicU64::new(floor) }
    }

    /// The time.
    pub(crate) fn now(&self) -> Millis {
        let system = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        self.latest.fetch_max(system, Ordering::Relaxed).max(system)
    }
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
}
