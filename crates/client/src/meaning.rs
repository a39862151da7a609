//! What a node's word means for a call: whether it ends the call, whom to ask next, and whether to ask the same node again.
//!
//! A node is not believed where the client can see for itself. Form, signatures, owner and network of a request are checked
//! before anybody is asked, so a node that calls such a request malformed or unauthorised speaks for itself only, and the next
//! one is asked. What only the nodes can know - what the action decides over what it reads - is a verdict: every honest node
//! would give the same, at the price of another run on all of them.
//!
//! | a node's answer | status | meaning | what the client does |
//! |---|---|---|---|
//! | an answer that verifies | 200 | - | returns it |
//! | `refused` that names more refusing members than may be missing | 403 | verdict | ends the call, once as many nodes say so as are to be heard; first waits a little for nodes that were asked too and may have signatures already |
//! | `disagreement`, `nonce-reused` | 409 | verdict | the same |
//! | `action-failed` | 422 | verdict | the same |
//! | `unusable-source` | 502 | verdict | the same |
//! | `not-found`, `unknown-action` | 404 | not here | asks the others; does not wait for those that are silent or cannot be reached. A request for signatures waits for everybody who was asked, as who is silent may be signing, and gives up those that cannot be reached once as many nodes say so as are to be heard |
//! | `publisher-not-listed` | 403 | not here | the same |
//! | `invalid`, `wrong-network`, `expired`, `not-yet-issued`, `before-boot` | 400 | one view | asks the others, and this one not again: its clock, its start, its version, or a lie |
//! | `unauthorised` | 401 | one view | the same |
//! | `too-large` | 413 | one view | the same |
//! | `not-coordinator` | 421 | one view | the same |
//! | `storage-full` | 503 | one view | the same |
//! | `busy` | 429 | later | asks the next; this one again after `Retry-After`, or a pause that doubles |
//! | `not-ready`, `unavailable` | 503 | later | the same |
//! | `deadline` | 504 | later | the same |
//! | `internal` | 500 | later | the same |
//! | 429 or 5xx from something before the node | | later | the same |
//! | no connection, one that breaks, silence | | silence | asks the next while it waits for a silent one; this one again after a pause |
//! | root keys are not there yet | 200 | later | asks the next; this one again after a pause |
//! | another network, member, keys, request, action or receipt; a signature or vote that does not verify | 200 | nonsense | names the node, asks the next, and this one last from then on |
//! | a `refused` that too few members stand behind | 403 | nonsense | the same |
//! | no JSON of this interface, too many bytes, a redirect | any | nonsense | the same |
//!
//! Asking again is always the same signed request: nodes join it to what they have of it, and a member gives shares for one list
//! of bytes only, whichever node coordinates.

use std::time::Duration;

use countersign_types::FailureKind;

use crate::NodeError;

/// The longest that a node may put off the next question: what it asks for beyond that is cut.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// What a node's word means for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Any other node would say the same.
    Verdict,
    /// This node has no such thing; another may.
    NotHere,
    /// This node's own view of what the client has checked, or of itself.
    OneView,
    /// Not now; after so long, if the node says when.
    Later(Option<Duration>),
    /// Nothing was heard.
    Silence,
    /// No honest node of the network says that.
    Nonsense,
}

impl Meaning {
    /// What an error of one node means; `retry_after` is what its answer said beside it.
    pub(crate) fn of(error: &NodeError, retry_after: Option<Duration>) -> Self {
        let later = Self::Later(retry_after.map(|after| after.min(MAX_RETRY_AFTER)));
        match error {
            NodeError::Failure(failure) => Self::of_failure(failure.kind, later),
            NodeError::Unexpected { status: 429 | 500.., .. } => later,
            NodeError::NoRootKeys => Self::Later(None),
            NodeError::Unreachable { .. } | NodeError::Timeout { .. } => Self::Silence,
            // of a session that its coordinator never closed: this node has no more
            NodeError::Receipt(_) if !error.is_lie() => Self::NotHere,
            NodeError::TooLong { .. }
            | NodeError::Unexpected { .. }
            | NodeError::OtherNetwork { .. }
            | NodeError::Stranger { .. }
            | NodeError::OtherMember { .. }
            | NodeError::Receipt(_)
            | NodeError::OtherReceipt { .. }
            | NodeError::RootKeys(_)
            | NodeError::Wrong(_)
            | NodeError::Unfounded { .. }
            | NodeError::OtherAction { .. }
            | NodeError::Component(_) => Self::Nonsense,
        }
    }

    fn of_failure(kind: FailureKind, later: Self) -> Self {
        match kind {
            FailureKind::Refused
            | FailureKind::Disagreement
            | FailureKind::NonceReused
            | FailureKind::ActionFailed
            | FailureKind::UnusableSource => Self::Verdict,
            FailureKind::NotFound | FailureKind::UnknownAction | FailureKind::PublisherNotListed => {
                Self::NotHere
            }
            FailureKind::Invalid
            | FailureKind::WrongNetwork
            | FailureKind::Expired
            | FailureKind::NotYetIssued
            | FailureKind::BeforeBoot
            | FailureKind::Unauthorised
            | FailureKind::TooLarge
            | FailureKind::NotCoordinator
            | FailureKind::StorageFull => Self::OneView,
            FailureKind::Busy
            | FailureKind::NotReady
            | FailureKind::Unavailable
            | FailureKind::Deadline
            | FailureKind::Internal => later,
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::{Failure, NetworkId};

    use super::*;

    const SAYS: Option<Duration> = Some(Duration::from_secs(5));

    fn failure(kind: FailureKind) -> NodeError {
        NodeError::Failure(Failure::new(kind, "why"))
    }

    #[test]
    fn every_failure_has_the_meaning_of_its_row() {
        use FailureKind as Kind;
        let rows: [(&[Kind], Meaning); 4] = [
            (
                &[
                    Kind::Refused,
                    Kind::Disagreement,
                    Kind::NonceReused,
                    Kind::ActionFailed,
                    Kind::UnusableSource,
                ],
                Meaning::Verdict,
            ),
            (&[Kind::NotFound, Kind::UnknownAction, Kind::PublisherNotListed], Meaning::NotHere),
            (
                &[
                    Kind::Invalid,
                    Kind::WrongNetwork,
                    Kind::Expired,
                    Kind::NotYetIssued,
                    Kind::BeforeBoot,
                    Kind::Unauthorised,
                    Kind::TooLarge,
                    Kind::NotCoordinator,
                    Kind::StorageFull,
                ],
                Meaning::OneView,
            ),
            (
                &[Kind::Busy, Kind::NotReady, Kind::Unavailable, Kind::Deadline, Kind::Internal],
                Meaning::Later(SAYS),
            ),
        ];
        for kind in Kind::ALL {
            let row = rows.iter().find(|(kinds, _)| kinds.contains(&kind)).expect("a row for each kind");
            assert_eq!(Meaning::of(&failure(kind), SAYS), row.1, "{kind:?}");
        }
    }

    #[test]
    fn what_is_before_a_node_may_pass_and_what_is_no_node_does_not() {
        let status = |status| NodeError::Unexpected { status, reason: "<html>".into() };
        for passing in [429, 500, 502, 503, 504] {
            assert_eq!(Meaning::of(&status(passing), SAYS), Meaning::Later(SAYS), "{passing}");
        }
        for lasting in [200, 302, 400, 404, 418] {
            assert_eq!(Meaning::of(&status(lasting), SAYS), Meaning::Nonsense, "{lasting}");
        }
        let unreachable = NodeError::Unreachable { reason: "refused".into() };
        assert_eq!(Meaning::of(&unreachable, None), Meaning::Silence);
        assert_eq!(Meaning::of(&NodeError::NoRootKeys, None), Meaning::Later(None));
        let (expected, got) = (NetworkId::from([1; 32]), NetworkId::from([2; 32]));
        assert_eq!(Meaning::of(&NodeError::OtherNetwork { expected, got }, None), Meaning::Nonsense);
    }

    #[test]
    fn a_node_cannot_put_a_client_off_for_ever() {
        let forever = Some(Duration::from_secs(u64::MAX));
        let meaning = Meaning::of(&failure(FailureKind::Busy), forever);
        assert_eq!(meaning, Meaning::Later(Some(MAX_RETRY_AFTER)));
    }
}
