//! When to dial again.

use std::time::Duration;

/// Doubles the wait with every failure, up to a bound, and spreads it by a quarter either way.
#[derive(Debug)]
pub(crate) struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, next: shortest }
    }

    /// How long to wait now; `random` spreads it, so that the members of a restarted network do not all dial at once.
    pub(crate) fn wait(&mut self, random: u32) -> Duration {
        let spread = 0.75 + 0.5 * f64::from(random) / f64::from(u32::MAX);
        let wait = self.next.mul_f64(spread).clamp(self.shortest, self.longest);
        self.next = self.next.saturating_mul(2).min(self.longest);
        wait
    }

    /// Starts again from the shortest wait.
    pub(crate) fn reset(&mut self) {
        self.next = self.shortest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_start_again() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(millis(100), millis(5000));
        let middle = u32::MAX / 2;
        let waits: Vec<_> = (0..8).map(|_| backoff.wait(middle).as_millis()).collect();
        assert_eq!(waits[0], 100);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        assert!(waits[7] >= 4999, "{waits:?}");
        backoff.reset();
        assert!(backoff.wait(u32::MAX) <= millis(125));
    }

    #[test]
    fn the_spread_stays_within_the_bounds() {
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        for random in [0, 1, u32::MAX] {
            let mut backoff = Backoff::new(shortest, longest);
            for _ in 0..10 {
                let wait = backoff.wait(random);
                assert!((shortest..=longest).contains(&wait), "{wait:?}");
            }
        }
    }
}
