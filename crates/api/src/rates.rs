//! How often one of many may ask.

use std::{
    hash::Hash,
    num::{NonZeroU32, NonZeroUsize},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use lru::LruCache;
use serde::{Deserialize, Serialize};

/// The most askers that are remembered at once.
const MAX_KNOWN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

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
/// What it remembers is bounded: of more than 65,536 askers, whoever has not asked for the longest time is forgotten, and begins anew.
/// So whoever fills it takes nothing from others.
pub struct Rates<K: Hash + Eq + Clone, C: Clock + Clone = DefaultClock> {
    rate: Rate,
    clock: C,
    known: Mutex<LruCache<K, Limiter<C>>>,
}

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl<K: Hash + Eq + Clone> Rates<K> {
    /// Nobody has asked yet.
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, DefaultClock::default(), MAX_KNOWN)
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Rates<K, C> {
    fn with_clock(rate: Rate, clock: C, most: NonZeroUsize) -> Self {
        Self { rate, clock, known: Mutex::new(LruCache::new(most)) }
    }

    /// Counts one call.
    pub fn count(&self, asker: &K) -> Result<(), TooOften> {
        let quota = Quota::per_minute(self.rate.per_minute).allow_burst(self.rate.burst);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter =
            known.get_or_insert(asker.clone(), || RateLimiter::direct_with_clock(quota, self.clock.clone()));
        limiter
            .check()
            .map_err(|early| TooOften { rate: self.rate, wait: early.wait_time_from(self.clock.now()) })
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

    fn some(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("not zero")
    }

    #[test]
    fn each_asker_has_a_rate_and_a_burst_of_their_own() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(rate(60, 3), clock.clone(), some(10));
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
    fn what_is_remembered_is_bounded_and_nobody_is_locked_out() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(rate(60, 1), clock, some(100));
        rates.count(&0).expect("the first");
        for asker in 1..100 {
            rates.count(&asker).expect("each has a burst of their own");
        }
        rates.count(&0).expect_err("still known, and asked last");
        for asker in 100..300 {
            rates.count(&asker).expect("there is always room");
        }
        assert_eq!(rates.known.lock().expect("not poisoned").len(), 100);
        rates.count(&0).expect("forgotten");
    }
}
