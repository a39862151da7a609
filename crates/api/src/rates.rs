//! How often one of many may ask.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use serde::{Deserialize, Serialize};

/// The most askers that are remembered at once.
const MAX_KNOWN: usize = 65_536;
/// How often those who have asked for nothing of late are forgotten, once there are too many.
const FORGETTING: Duration = Duration::from_secs(1);

/// How often one asker may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// So often in a minute, evenly.
    pub per_minute: NonZeroU32,
    /// So often at once, after a pause.
    pub burst: NonZeroU32,
}

/// Too many asked, or one too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many calls: {} a minute and {} at once are allowed to each; ask again in {} ms", rate.per_minute, rate.burst, wait.as_millis())]
pub struct TooOften {
    /// What is allowed.
    pub rate: Rate,
    /// When to ask again.
    pub wait: Duration,
}

/// Counts how often each asker asks.
///
/// What it remembers is bounded: askers beyond 65,536 who asked within the last moments are told to wait.
pub struct Rates<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    rate: Rate,
    limiter: RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    most: usize,
    forgot: Mutex<C::Instant>,
}

impl<K: Hash + Eq + Clone> Rates<K> {
    /// Nobody has asked yet.
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, DefaultClock::default(), MAX_KNOWN)
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Rates<K, C> {
    fn with_clock(rate: Rate, clock: C, most: usize) -> Self {
        let quota = Quota::per_minute(rate.per_minute).allow_burst(rate.burst);
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), clock.clone());
        let forgot = Mutex::new(clock.now());
        Self { rate, limiter, clock, most, forgot }
    }

    /// Counts one call.
    pub fn count(&self, asker: &K) -> Result<(), TooOften> {
        if self.limiter.len() >= self.most && !self.forget() {
            return Err(TooOften { rate: self.rate, wait: FORGETTING });
        }
        self.limiter
            .check_key(asker)
            .map_err(|early| TooOften { rate: self.rate, wait: early.wait_time_from(self.clock.now()) })
    }

    /// Forgets askers whose calls do not count any more; says whether there is room.
    fn forget(&self) -> bool {
        let mut forgot = self.forgot.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if now.duration_since(*forgot) < FORGETTING.into() {
            return false;
        }
        *forgot = now;
        self.limiter.retain_recent();
        self.limiter.len() < self.most
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rate(per_minute: u32, burst: u32) -> Rate {
        let some = |count| NonZeroU32::new(count).expect("not zero");
        Rate { per_minute: some(per_minute), burst: some(burst) }
    }

    #[test]
    fn each_asker_has_a_rate_and_a_burst_of_their_own() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(rate(60, 3), clock.clone(), 10);
        for _ in 0..3 {
            rates.count(&"alice").expect("within the burst");
        }
        let early = rates.count(&"alice").expect_err("the burst is used up");
        assert!(early.wait <= Duration::from_secs(1) && early.wait > Duration::ZERO, "{early}");
        rates.count(&"bob").expect("another's burst");
        clock.advance(early.wait);
        rates.count(&"alice").expect("the time has passed");
        rates.count(&"alice").expect_err("and gave one");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_room_comes_back() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(rate(60, 1), clock.clone(), 100);
        for asker in 0..100 {
            rates.count(&asker).expect("there is room");
        }
        rates.count(&100).expect_err("all places are taken");
        assert_eq!(rates.limiter.len(), 100);
        clock.advance(Duration::from_secs(5));
        rates.count(&100).expect("those before do not count any more");
        assert!(rates.limiter.len() <= 2);
    }
}
