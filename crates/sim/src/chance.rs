//! The one source of randomness of a world, with the few questions that a simulation asks it.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// A seeded generator; every part of a world has one of its own, so that a change in one part leaves the
/// choices of the others alone.
pub(crate) struct Chance(pub(crate) ChaCha20Rng);

impl Chance {
    /// The generator of a world's part.
    pub(crate) fn of(seed: u64, part: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        rng.set_stream(part);
        Self(rng)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.next_u64() % (high.saturating_sub(low) + 1)
    }

    /// True so often in a thousand.
    pub(crate) fn permille(&mut self, often: u64) -> bool {
        self.0.next_u64() % 1000 < often
    }

    /// One of them; none of none.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let count = items.len() as u64;
        (count > 0).then(|| items[usize::try_from(self.between(0, count - 1)).unwrap_or(0)])
    }

    /// In an order of its own (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.between(0, last as u64)).unwrap_or(0);
            items.swap(last, other);
        }
    }

    /// 32 bytes.
    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
