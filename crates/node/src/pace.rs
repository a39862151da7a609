//! Whether this process ran all the time: one that stood still may have been copied meanwhile.
//!
//! Somebody who stops a process, a machine or a virtual one can take its memory, and run it twice. Both would then hold the
//! same nonces. What can be noticed is that time has passed in which the process did not run: the monotonic clock went on
//! (a stopped process), or the system's clock did and the monotonic one did not (a suspended machine, a snapshot that was
//! put back). A clock that somebody sets looks the same, and costs no more than the sessions under way.

use std::time::Instant;

use countersign_session::Millis;

/// The longest that the driver may not have come round, in milliseconds. It does twice a second.
pub(crate) const MAX_PAUSE_MS: Millis = 5_000;

/// The last time that the driver came round.
pub(crate) struct Pace {
    at: Instant,
    system: Millis,
}

/// Why what is secret and used once must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Gap {
    #[error("this process did not run for {ms} ms")]
    Stopped { ms: Millis },
    #[error(
        "the system's clock moved by {system} ms in {ms} ms: the machine was suspended, or the clock set"
    )]
    Jumped { system: i64, ms: Millis },
}

impl Pace {
    pub(crate) fn new(now: Instant, system: Millis) -> Self {
        Self { at: now, system }
    }

    /// Comes round; says what is wrong with the time since the last.
    pub(crate) fn step(&mut self, now: Instant, system: Millis) -> Option<Gap> {
        let ms = u64::try_from(now.duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        let moved = i64::try_from(i128::from(system) - i128::from(self.system)).unwrap_or(i64::MAX);
        (self.at, self.system) = (now, system);
        if ms > MAX_PAUSE_MS {
            return Some(Gap::Stopped { ms });
        }
        let off = i128::from(moved) - i128::from(ms);
        (off.unsigned_abs() > u128::from(MAX_PAUSE_MS)).then_some(Gap::Jumped { system: moved, ms })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// One step over so many milliseconds of each clock.
    fn step(ms: u64, system: i64) -> Option<Gap> {
        let start = Instant::now();
        let mut pace = Pace::new(start, 1_700_000_000_000);
        assert_eq!(pace.step(start, 1_700_000_000_000), None);
        pace.step(start + Duration::from_millis(ms), 1_700_000_000_000_u64.saturating_add_signed(system))
    }

    #[test]
    fn a_process_that_is_late_is_not_one_that_stood_still() {
        for ms in [0, 500, MAX_PAUSE_MS] {
            let system = i64::try_from(ms).expect("small");
            assert_eq!(step(ms, system), None);
            assert_eq!(step(ms, system - 400), None);
            assert_eq!(step(ms, system + 400), None);
        }
    }

    #[test]
    fn a_stopped_process_and_a_clock_that_jumps_are_noticed() {
        assert_eq!(step(5_001, 5_001), Some(Gap::Stopped { ms: 5_001 }));
        assert_eq!(step(500, 60_500), Some(Gap::Jumped { system: 60_500, ms: 500 }));
        assert_eq!(step(500, -60_000), Some(Gap::Jumped { system: -60_000, ms: 500 }));
    }

    #[test]
    fn each_step_counts_from_the_last() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 0);
        for round in 1..100_u64 {
            assert_eq!(pace.step(start + Duration::from_millis(500 * round), 500 * round), None);
        }
    }
}
