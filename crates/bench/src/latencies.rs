//! How long answers took.

use std::{fmt, time::Duration};

/// How long each of some answers took; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Latencies {
    /// In milliseconds, ascending.
    sorted: Vec<f64>,
}

impl Latencies {
    /// Those of these answers, in any order; none of no answer.
    pub fn new(taken: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut sorted: Vec<f64> = taken.into_iter().map(|taken| taken.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self { sorted })
    }

    /// What a share of all answers took at most, in milliseconds: the nearest rank. `share` is brought between 0, the
    /// fastest, and 1, the slowest.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (share.clamp(0.0, 1.0) * self.sorted.len() as f64).ceil() as usize;
        self.sorted[rank.saturating_sub(1).min(self.sorted.len() - 1)]
    }

    /// How many they are.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one")]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| self.quantile(share));
        write!(f, "p50 {p50:.2} ms   p90 {p90:.2} ms   p99 {p99:.2} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Option<Latencies> {
        Latencies::new(milliseconds.into_iter().map(Duration::from_millis))
    }

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        let hundred = of((1..=100).rev()).expect("some");
        let quantiles = [0.0, 0.5, 0.9, 0.99, 1.0].map(|share| hundred.quantile(share));
        assert_eq!(quantiles, [1.0, 50.0, 90.0, 99.0, 100.0]);
        let few = of([30, 10, 20]).expect("some");
        assert_eq!([0.5, 0.9].map(|share| few.quantile(share)), [20.0, 30.0]);
        assert_eq!(of([7]).expect("one").quantile(f64::NAN), 7.0);
    }

    #[test]
    fn of_no_answer_there_is_none() {
        assert_eq!(of([]), None);
    }
}
