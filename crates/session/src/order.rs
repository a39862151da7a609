//! In which order a coordinator asks members: those that keep sessions waiting come last, for longer each time.

use std::collections::{BTreeMap, BTreeSet};

use countersign_types::{Decision, Failure, Identifier};

use crate::{Membership, Millis, coordinator::Signed};

/// How long a member that kept a session waiting is asked last, the first time. Milliseconds.
pub const FIRST_MS: Millis = 10_000;
/// The longest that it is, however often it did. Milliseconds.
pub const LONGEST_MS: Millis = 10 * 60_000;

/// What a coordinator knows of how fast the members are.
#[derive(Default)]
pub struct Order {
    late: BTreeMap<Identifier, Late>,
}

struct Late {
    until: Millis,
    for_ms: Millis,
}

impl Order {
    /// Learns from how a session went, and for whom it [waited in vain](crate::coordinator::Coordinator::late).
    pub fn learn(
        &mut self,
        membership: &Membership,
        result: &Result<Signed, Failure>,
        late: BTreeSet<Identifier>,
        now: Millis,
    ) {
        let nodes = match result {
            Ok(signed) => {
                signed.signers.keys().for_each(|signer| self.signed(*signer, now));
                &signed.nodes
            }
            Err(failure) => &failure.nodes,
        };
        late.into_iter().for_each(|member| self.kept_waiting(member, now));
        for node in nodes.iter().filter(|node| node.decision == Decision::Misbehaved) {
            let mut members = membership.committee.identifiers();
            if let Some(member) = members.find(|id| membership.peer_id(*id) == node.peer_id) {
                self.kept_waiting(member, now);
            }
        }
    }

    /// A member kept a session waiting, or misbehaved in it: it is asked last for a while, and for twice as long where it is
    /// the first thing that it does after such a while.
    fn kept_waiting(&mut self, member: Identifier, now: Millis) {
        let for_ms = match self.late.get(&member) {
            // other sessions that began before
            Some(late) if now < late.until => return,
            Some(late) => late.for_ms.saturating_mul(2).min(LONGEST_MS),
            None => FIRST_MS,
        };
        self.late.insert(member, Late { until: now.saturating_add(for_ms), for_ms });
    }

    /// A member signed. That it did while it was asked last proves little: it may have been waited for.
    fn signed(&mut self, member: Identifier, now: Millis) {
        if self.late.get(&member).is_some_and(|late| late.until <= now) {
            self.late.remove(&member);
        }
    }

    /// Members in the order in which to ask them: the coordinator's own node, then the others from another start for each
    /// `salt`, so that all carry an equal load, and those that are asked last, the ones that are so for longest at the end: a member
    /// that is always slow comes after one that was once.
    pub fn of(&self, me: Identifier, others: Vec<Identifier>, salt: u8, now: Millis) -> Vec<Identifier> {
        let mut others = others;
        if !others.is_empty() {
            let shift = usize::from(salt) % others.len();
            others.rotate_left(shift);
        }
        let last_for = |member: &Identifier| {
            self.late.get(member).filter(|late| now < late.until).map_or(0, |late| late.for_ms)
        };
        others.sort_by_key(last_for);
        let mut order = vec![me];
        order.extend(others);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> Identifier {
        Identifier::new(number).expect("not zero")
    }

    fn asked(order: &Order, salt: u8, now: Millis) -> Vec<u16> {
        order.of(id(1), [2, 3, 4].map(id).into(), salt, now).into_iter().map(Identifier::get).collect()
    }

    #[test]
    fn all_carry_an_equal_load_and_late_ones_come_last() {
        let mut order = Order::default();
        assert_eq!([0, 1, 2].map(|salt| asked(&order, salt, 0)), [[1, 2, 3, 4], [1, 3, 4, 2], [1, 4, 2, 3]]);
        order.kept_waiting(id(3), 0);
        assert_eq!(
            [0, 1, 2].map(|salt| asked(&order, salt, 9_999)),
            [[1, 2, 4, 3], [1, 4, 2, 3], [1, 4, 2, 3]]
        );
        assert_eq!(asked(&order, 0, FIRST_MS), [1, 2, 3, 4]);
        assert!(order.of(id(1), Vec::new(), 7, 0) == [id(1)]);
    }

    #[test]
    fn who_is_late_more_often_comes_after_who_is_late() {
        let mut order = Order::default();
        order.kept_waiting(id(2), 0);
        order.kept_waiting(id(2), FIRST_MS);
        order.kept_waiting(id(3), FIRST_MS);
        for salt in 0..3 {
            assert_eq!(asked(&order, salt, FIRST_MS), [1, 4, 3, 2], "{salt}");
        }
    }

    #[test]
    fn who_is_late_again_comes_last_for_twice_as_long_until_it_is_not() {
        let mut order = Order::default();
        let comes_last_for = |order: &Order, now: Millis| {
            (0..=LONGEST_MS).step_by(1_000).find(|after| asked(order, 1, now + after) == [1, 3, 4, 2])
        };
        let (mut now, mut lengths) = (0, Vec::new());
        for _ in 0..8 {
            order.kept_waiting(id(3), now);
            order.kept_waiting(id(3), now + 1);
            order.signed(id(3), now + 1);
            let length = comes_last_for(&order, now).expect("not for ever");
            lengths.push(length / 1_000);
            now += length;
        }
        assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 600, 600]);
        order.signed(id(3), now);
        order.kept_waiting(id(3), now);
        assert_eq!(comes_last_for(&order, now), Some(FIRST_MS));
    }
}
