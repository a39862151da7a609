//! Which requests were counted against their callers' rates.

use std::collections::BTreeSet;

use countersign_session::Millis;
use countersign_types::{Address, RequestDigest};

/// The most that is remembered: requests of 131,072 callers. Beyond, the one that ends first is forgotten, and is counted once more where
/// somebody sends it again: whoever wants that has to fill all of it with requests of its own, each time.
const MAX_COUNTED: usize = 131_072;

/// Requests that were counted, each by caller, until they end.
///
/// They are remembered longer than requests that fail: whoever has a caller's request that fails may send it again and again, and must
/// not use up what is the caller's.
pub(super) struct Counted {
    most: usize,
    by_end: BTreeSet<(Millis, RequestDigest, Address)>,
}

impl Default for Counted {
    fn default() -> Self {
        Self { most: MAX_COUNTED, by_end: BTreeSet::new() }
    }
}

impl Counted {
    /// Counts a request against each of its callers by whom it is not counted yet, up to the first that may not ask now.
    ///
    /// What was counted stays counted: a request that a further caller's rate refuses is free for those before when it is sent again.
    pub(super) fn count<'a, E>(
        &mut self,
        request: RequestDigest,
        ends: Millis,
        callers: impl IntoIterator<Item = &'a Address>,
        mut count: impl FnMut(&Address) -> Result<(), E>,
    ) -> Result<(), E> {
        for caller in callers {
            let mark = (ends, request, *caller);
            if !self.by_end.contains(&mark) {
                count(caller)?;
                self.by_end.insert(mark);
                if self.by_end.len() > self.most {
                    self.by_end.pop_first();
                }
            }
        }
        Ok(())
    }

    /// Forgets requests that have ended: nobody takes them any more.
    pub(super) fn forget(&mut self, now: Millis) {
        while self.by_end.first().is_some_and(|(ends, ..)| *ends <= now) {
            self.by_end.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Address = Address::repeat_byte(1);
    const BOB: Address = Address::repeat_byte(2);

    fn request(number: u8) -> RequestDigest {
        [number; 32].into()
    }

    /// Who is counted, where all of these callers may ask.
    fn count(counted: &mut Counted, number: u8, ends: Millis, callers: &[Address]) -> Vec<Address> {
        let mut asked = Vec::new();
        let count = |caller: &Address| {
            asked.push(*caller);
            Ok::<_, ()>(())
        };
        counted.count(request(number), ends, callers, count).expect("all may ask");
        asked
    }

    #[test]
    fn a_request_is_counted_once_until_it_ends() {
        let mut counted = Counted::default();
        assert_eq!(count(&mut counted, 1, 100, &[ALICE, BOB]), [ALICE, BOB]);
        assert!(count(&mut counted, 1, 100, &[ALICE, BOB]).is_empty());
        assert_eq!(count(&mut counted, 2, 100, &[ALICE]), [ALICE], "another request");
        counted.forget(99);
        assert!(count(&mut counted, 1, 100, &[ALICE, BOB]).is_empty());
        counted.forget(100);
        assert!(counted.by_end.is_empty());
    }

    #[test]
    fn what_one_caller_may_not_ask_now_costs_another_nothing_further() {
        let mut counted = Counted::default();
        let refused = |caller: &Address| if *caller == BOB { Err("too often") } else { Ok(()) };
        assert_eq!(counted.count(request(1), 100, &[ALICE, BOB], refused), Err("too often"));
        assert_eq!(count(&mut counted, 1, 100, &[ALICE, BOB]), [BOB]);
    }

    #[test]
    fn what_is_remembered_is_bounded_where_requests_are_refused_too() {
        let mut counted = Counted { most: 3, ..Counted::default() };
        let refused = |caller: &Address| if *caller == BOB { Err("too often") } else { Ok(()) };
        for number in 1..=10 {
            assert_eq!(counted.count(request(number), 100, &[ALICE, BOB], refused), Err("too often"));
            assert!(counted.by_end.len() <= 3, "{number}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut counted = Counted { most: 3, ..Counted::default() };
        for number in 1..=3 {
            count(&mut counted, number, u64::from(number), &[ALICE]);
        }
        count(&mut counted, 4, 4, &[ALICE]);
        assert_eq!(counted.by_end.len(), 3);
        for number in 2..=4 {
            assert!(count(&mut counted, number, u64::from(number), &[ALICE]).is_empty(), "{number}");
        }
        assert_eq!(count(&mut counted, 1, 1, &[ALICE]), [ALICE], "the one that ends first was forgotten");
    }
}
