//! How often something happens within a second of the clock.

use crate::Millis;

#[derive(Default)]
pub(super) struct Rate {
    second: Millis,
    count: u32,
}

impl Rate {
    /// How often it has happened in the present second, to be counted up.
    pub(super) fn within(&mut self, now: Millis) -> &mut u32 {
        let second = now / 1_000;
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        &mut self.count
    }
}
