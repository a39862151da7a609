//! Members whose answers are changed on their way to the coordinator, and what liars say.

use countersign_session::message::{Observation, Signed, ToCoordinator, shares_hash};
use countersign_threshold::Commitments;
use countersign_types::{Bytes, Identifier};

use crate::{
    committee::{NETWORK, id, identity},
    table::Twist,
};

/// A member's observation is changed.
pub(crate) fn observes(by: u16, mut change: impl FnMut(&mut Observation) + 'static) -> Twist {
    Box::new(move |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Observed(mut observation) if from == id(by) => {
            change(&mut observation);
            ToCoordinator::Observed(observation)
        }
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    })
}

/// A member says something else where it has signed.
pub(crate) fn signs(by: u16, mut says: impl FnMut(Signed) -> ToCoordinator + 'static) -> Twist {
    Box::new(move |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Signed(signed) if from == id(by) => says(*signed),
        other @ (ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Committed { .. }
        | ToCoordinator::Signed(_)) => other,
    })
}

/// A share that is none, with a vote for it.
pub(crate) fn spoilt(mut signed: Signed, by: u16) -> ToCoordinator {
    signed.shares = vec![Bytes::from(vec![1; 32]).try_into().expect("32 bytes")];
    signed.vote.vote.shares = shares_hash(&signed.shares);
    signed.vote = signed.vote.vote.sign(NETWORK, &identity(id(by)));
    ToCoordinator::Signed(Box::new(signed))
}

/// A vote for something else.
pub(crate) fn votes_otherwise(mut signed: Signed, by: u16) -> ToCoordinator {
    signed.vote.vote.outcome = [9; 32].into();
    signed.vote = signed.vote.vote.sign(NETWORK, &identity(id(by)));
    ToCoordinator::Signed(Box::new(signed))
}

/// Commitments, for one payload, that are none.
pub(crate) fn garbage() -> Vec<Commitments> {
    vec![Bytes::from(vec![5; 66]).try_into().expect("short enough")]
}
