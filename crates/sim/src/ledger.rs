//! Every commitment that honest nodes show: for what, and in which package it was used.
//!
//! A nonce is committed to once, for one session and attempt or handed out in advance to one member, and stands in one
//! package. What was handed out is gone when it is used, when the member that has it goes, and when the node dies.

use std::collections::{BTreeMap, BTreeSet};

use countersign_session::{
    message::{Package, Preprocess, ToCoordinator},
    participant::MAX_ADVANCE,
};
use countersign_threshold::Commitments;
use countersign_types::{Identifier, PackageHash, SessionId};

use crate::{node::Wire, violation::Violation};

/// What commitments are shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// An attempt in a session that this member coordinates.
    Attempt(SessionId, u32, Identifier),
    /// Any session that this member will coordinate.
    Advance(Identifier),
}

#[derive(Default)]
pub(crate) struct Ledger {
    shown: BTreeMap<Commitments, (Identifier, Purpose)>,
    /// The own commitments of signers, with the package in which they were used.
    used: BTreeMap<Commitments, PackageHash>,
    /// By signer and coordinator: everybody's commitments in packages that the signer gave shares for.
    seen: BTreeMap<(Identifier, Identifier, Identifier, Commitments), PackageHash>,
    /// By node and receiver: what was handed out, and has made no share.
    handed_out: BTreeMap<(Identifier, Identifier), BTreeSet<Commitments>>,
}

impl Ledger {
    /// An honest node sends a message.
    pub(crate) fn sends(&mut self, node: Identifier, to: Identifier, wire: &Wire) -> Result<(), Violation> {
        match wire {
            Wire::ToCoordinator(ToCoordinator::Observed(observation)) => {
                let purpose = Purpose::Attempt(observation.session, 1, to);
                observation.commitments.iter().try_for_each(|one| self.show(node, purpose, one))
            }
            Wire::ToCoordinator(ToCoordinator::Committed { session, attempt, commitments }) => {
                let purpose = Purpose::Attempt(*session, *attempt, to);
                commitments.iter().try_for_each(|one| self.show(node, purpose, one))
            }
            Wire::Preprocess(Preprocess::HandOut { commitments, .. }) => {
                commitments.iter().try_for_each(|one| self.hand_out(node, to, one))
            }
            Wire::ToCoordinator(ToCoordinator::Declined { .. } | ToCoordinator::Signed(_))
            | Wire::ToParticipant(_)
            | Wire::Preprocess(Preprocess::Ask { .. }) => Ok(()),
        }
    }

    fn show(&mut self, node: Identifier, purpose: Purpose, one: &Commitments) -> Result<(), Violation> {
        let (_, first) = *self.shown.entry(one.clone()).or_insert((node, purpose));
        if first == purpose { Ok(()) } else { Err(Violation::CommittedTwice { node }) }
    }

    fn hand_out(&mut self, node: Identifier, to: Identifier, one: &Commitments) -> Result<(), Violation> {
        if self.shown.insert(one.clone(), (node, Purpose::Advance(to))).is_some() {
            return Err(Violation::CommittedTwice { node });
        }
        self.handed_out.entry((node, to)).or_default().insert(one.clone());
        Ok(())
    }

    /// An honest node gives shares for a package of this coordinator.
    pub(crate) fn signs(
        &mut self,
        node: Identifier,
        coordinator: Identifier,
        package: &Package,
        hash: PackageHash,
    ) -> Result<(), Violation> {
        let session = package.session;
        for one in package.signers.get(&node).into_iter().flatten() {
            if *self.used.entry(one.clone()).or_insert(hash) != hash {
                return Err(Violation::NonceReused { node, session });
            }
            let attempt = Purpose::Attempt(session, package.attempt, coordinator);
            let advance = Purpose::Advance(coordinator);
            match self.shown.get(one) {
                Some((of, purpose)) if *of == node && (*purpose == attempt || *purpose == advance) => {}
                Some(_) | None => return Err(Violation::NotItsCommitments { node, session }),
            }
            if let Some(kept) = self.handed_out.get_mut(&(node, coordinator)) {
                kept.remove(one);
            }
        }
        for (of, all) in &package.signers {
            for one in all {
                let place = (node, coordinator, *of, one.clone());
                if *self.seen.entry(place).or_insert(hash) != hash {
                    return Err(Violation::CommitmentsReused { node, session, of: *of });
                }
            }
        }
        Ok(())
    }

    /// A node has lost its memory.
    pub(crate) fn restarted(&mut self, node: Identifier) {
        self.handed_out.retain(|(of, _), _| *of != node);
        self.seen.retain(|(of, ..), _| *of != node);
    }

    /// A node learns that a member is gone.
    pub(crate) fn parted(&mut self, node: Identifier, member: Identifier) {
        self.handed_out.remove(&(node, member));
    }

    /// How many nonces a node says that it keeps in advance.
    pub(crate) fn keeps(&self, node: Identifier, kept: usize) -> Result<(), Violation> {
        let own = self.handed_out.iter().filter(|((of, _), _)| *of == node);
        // which of them were wiped because there were too many, only the node knows
        let most = own.map(|(_, kept)| kept.len().min(MAX_ADVANCE)).sum();
        if kept <= most { Ok(()) } else { Err(Violation::NoncesKept { node, kept, most }) }
    }
}
