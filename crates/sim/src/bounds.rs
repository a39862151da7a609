//! What a node may hold at most, whatever liars send it: the bounds that `countersign-session` declares.

use countersign_session::{
    MAX_ACTIONS, MAX_SENT, MAX_STOCK, coordinator,
    message::MAX_ATTEMPTS,
    participant::{
        self, MAX_ADVANCE, MAX_KEPT, MAX_KEYS, MAX_RECORDED_BYTES, MAX_REQUESTS, MAX_SEEN,
        MAX_SESSIONS_PER_COORDINATOR, MAX_SPARE,
    },
};
use countersign_types::{Identifier, MAX_PAYLOADS, action::MAX_CHAINS, record::MAX_RECORD_BYTES};

use crate::violation::Violation;

/// What a node holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Holds {
    pub(crate) participant: participant::Sizes,
    /// Of its own sessions, the most that one has.
    pub(crate) coordinator: coordinator::Sizes,
    /// Commitments of one member, and known actions.
    pub(crate) stock: (usize, usize),
    /// Commitments that stood in its own packages.
    pub(crate) sent: usize,
}

impl Holds {
    /// Counts one more of its own sessions.
    pub(crate) fn count(&mut self, session: coordinator::Sizes) {
        let most = &mut self.coordinator;
        most.attempts = most.attempts.max(session.attempts);
        most.tried = most.tried.max(session.tried);
        most.record_bytes = most.record_bytes.max(session.record_bytes);
        most.commitments = most.commitments.max(session.commitments);
    }
}

/// The most of one kind.
struct Bound {
    what: &'static str,
    of: fn(&Holds) -> usize,
    most: usize,
}

fn bound(what: &'static str, of: fn(&Holds) -> usize, most: usize) -> Bound {
    Bound { what, of, most }
}

/// All bounds.
pub(crate) struct Bounds(Vec<Bound>);

impl Bounds {
    /// Those of a node in a committee of this size.
    pub(crate) fn of(members: u16) -> Self {
        let attempts = MAX_ATTEMPTS as usize;
        let recorded = MAX_RECORDED_BYTES / usize::from(members);
        Self(vec![
            bound("open sessions of a coordinator", |h| h.participant.sessions, MAX_SESSIONS_PER_COORDINATOR),
            bound("attempts of a session", |h| h.participant.attempts, attempts),
            bound("pins of a session", |h| h.participant.pins, MAX_CHAINS),
            bound("bytes that a coordinator's runs left", |h| h.participant.recorded_bytes, recorded),
            bound("requests", |h| h.participant.requests, MAX_REQUESTS),
            bound("requests of its own callers", |h| h.participant.own_requests, MAX_KEPT),
            bound("commitments in a coordinator's packages", |h| h.participant.seen, MAX_SEEN),
            bound("nonces in advance for a coordinator", |h| h.participant.advance, MAX_ADVANCE),
            bound("spare nonces", |h| h.participant.spare, MAX_SPARE),
            bound("derived keys", |h| h.participant.keys, MAX_KEYS),
            bound("commitments of a member in stock", |h| h.stock.0, MAX_STOCK),
            bound("actions in stock", |h| h.stock.1, MAX_ACTIONS),
            bound("commitments in its own packages", |h| h.sent, MAX_SENT),
            bound("attempts of its own session", |h| h.coordinator.attempts, attempts),
            bound("signer sets that failed", |h| h.coordinator.tried, attempts),
            bound("bytes of a member's record", |h| h.coordinator.record_bytes, MAX_RECORD_BYTES),
            bound("commitments of a member", |h| h.coordinator.commitments, MAX_PAYLOADS),
        ])
    }

    /// Whether a node holds no more than it may.
    pub(crate) fn check(&self, node: Identifier, holds: &Holds) -> Result<(), Violation> {
        match self.0.iter().find(|bound| (bound.of)(holds) > bound.most) {
            Some(Bound { what, of, most }) => {
                let (what, most) = (*what, *most);
                Err(Violation::HoldsTooMuch { node, what, got: of(holds), most })
            }
            None => Ok(()),
        }
    }

    /// Lowers one of them.
    #[cfg(test)]
    pub(crate) fn lower(&mut self, what: &str, most: usize) {
        self.0.iter_mut().filter(|bound| bound.what == what).for_each(|bound| bound.most = most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scenario, World};

    /// What the first world says in which this bound is so low.
    fn seen(scenario: &Scenario, what: &str, most: usize) -> Violation {
        let broken = |seed| {
            let mut world = World::new(scenario.clone(), seed);
            world.lower(what, most);
            world.run().err()
        };
        let found = (0..60).find_map(broken);
        found.unwrap_or_else(|| panic!("nobody sees more than {most} {what}")).violation
    }

    fn is_of(violation: &Violation, bound: &str) -> bool {
        matches!(violation, Violation::HoldsTooMuch { what, .. } if *what == bound)
    }

    /// Liars fill what they can fill up to the very bound, and the watch sees one too many.
    #[test]
    fn a_flood_that_a_bound_does_not_stop_is_seen() {
        let scenario = Scenario::flooded();
        for (what, most) in [
            ("open sessions of a coordinator", MAX_SESSIONS_PER_COORDINATOR - 1),
            ("nonces in advance for a coordinator", MAX_ADVANCE - 1),
            ("pins of a session", MAX_CHAINS - 1),
            ("bytes that a coordinator's runs left", 8 << 20),
        ] {
            let violation = seen(&scenario, what, most);
            assert!(is_of(&violation, what), "{what}: {violation}");
        }
    }

    #[test]
    fn nothing_that_a_node_holds_goes_unseen() {
        for Bound { what, .. } in Bounds::of(5).0 {
            // these only a flood fills, or fills soon
            let flooded = ["bytes that a coordinator's runs left", "pins of a session"].contains(&what);
            let scenario = if flooded { Scenario::flooded() } else { Scenario::default() };
            let violation = seen(&scenario, what, 0);
            assert!(is_of(&violation, what), "{what}: {violation}");
        }
    }
}
