//! How much a node holds for others, for whoever watches that its bounds hold. Nothing here decides anything.

use super::{Participant, session::Phase};

/// How much a node holds: of what is bounded for each coordinator, session or scheme, the most that one of them has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Open sessions of one coordinator; at most [`MAX_SESSIONS_PER_COORDINATOR`](super::MAX_SESSIONS_PER_COORDINATOR).
    pub sessions: usize,
    /// Attempts of one session; at most [`MAX_ATTEMPTS`](crate::message::MAX_ATTEMPTS).
    pub attempts: usize,
    /// Pins of one session; at most [`MAX_CHAINS`](countersign_types::action::MAX_CHAINS).
    pub pins: usize,
    /// Bytes that live runs of one coordinator's sessions left, where more than one session left some; at most the
    /// coordinator's part of [`MAX_RECORDED_BYTES`](super::MAX_RECORDED_BYTES).
    pub recorded_bytes: usize,
    /// Requests that are remembered; at most [`MAX_REQUESTS`](super::MAX_REQUESTS).
    pub requests: usize,
    /// Requests of this node's own callers that wait for their proposals; at most [`MAX_KEPT`](super::MAX_KEPT).
    pub own_requests: usize,
    /// Commitments that stood in one coordinator's packages; at most [`MAX_SEEN`](super::MAX_SEEN).
    pub seen: usize,
    /// Nonces of one scheme that were handed out in advance to one coordinator; at most [`MAX_ADVANCE`](super::MAX_ADVANCE).
    pub advance: usize,
    /// Nonces of one scheme that nobody knows of; at most [`MAX_SPARE`](super::MAX_SPARE).
    pub spare: usize,
    /// Derived keys; at most [`MAX_KEYS`](super::MAX_KEYS).
    pub keys: usize,
}

impl<R> Participant<R> {
    /// How much this node holds.
    pub fn sizes(&self) -> Sizes {
        let mut sizes = Sizes {
            requests: self.memory.len(),
            own_requests: self.authenticated.len(),
            seen: self.seen.most(),
            advance: self.advance.most(),
            spare: self.spare.most(),
            keys: self.keys.len(),
            ..Sizes::default()
        };
        for coordinator in self.membership.committee.identifiers() {
            let (mut open, mut bytes, mut largest) = (0, 0_usize, 0);
            for session in self.sessions_of(coordinator) {
                open += 1;
                sizes.attempts = sizes.attempts.max(session.attempts.len());
                sizes.pins = sizes.pins.max(session.run.context.pins.len());
                if let Phase::Observed { recorded_bytes, .. } = &session.phase {
                    bytes = bytes.saturating_add(*recorded_bytes);
                    largest = largest.max(*recorded_bytes);
                }
            }
            sizes.sessions = sizes.sessions.max(open);
            if bytes > largest {
                sizes.recorded_bytes = sizes.recorded_bytes.max(bytes);
            }
        }
        sizes
    }
}
