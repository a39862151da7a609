//! A member's disk: what was written before a crash is there after it, and nothing else.

use std::collections::BTreeSet;

use countersign_session::keygen::{Joined, Journal, Pending};
use countersign_threshold::RootShare;
use countersign_types::{Activation, AttemptId, NodeSignature, Scheme};

use crate::roots::NETWORK;

/// How many attempts that are neither activated nor done it keeps: few, so that it drops some.
const MAX_PENDING: usize = 2;

/// Something to be stored.
pub(super) enum Write {
    Joined(Joined),
    Pending { pending: Pending, shares: Vec<Vec<u8>> },
    Activation { attempt: AttemptId, confirmations: Vec<NodeSignature> },
    Complete(Box<Activation>),
}

#[derive(Default)]
pub(super) struct Disk {
    pub(super) joined: Option<Joined>,
    /// Every attempt that it was ever written that this member takes part in.
    joined_ever: BTreeSet<AttemptId>,
    pub(super) pending: Vec<(Pending, Vec<Vec<u8>>)>,
    /// One for each ceremony.
    pub(super) activated: Vec<(AttemptId, Vec<NodeSignature>)>,
    pub(super) complete: Vec<Activation>,
}

impl Disk {
    /// Whether it was stored: an activation is not where one of another attempt for one of its schemes stands.
    pub(super) fn write(&mut self, write: Write) -> bool {
        match write {
            Write::Joined(joined) => {
                self.joined_ever.insert(joined.attempt);
                if self.joined.is_none_or(|stored| stored.number < joined.number) {
                    self.joined = Some(joined);
                }
            }
            Write::Pending { pending, shares } => {
                self.drop_oldest(MAX_PENDING - 1);
                self.pending.push((pending, shares));
            }
            Write::Activation { attempt, confirmations } => {
                let schemes = self.schemes(attempt);
                let clashes = |stored: &AttemptId| self.schemes(*stored).iter().any(|s| schemes.contains(s));
                match self.activated.iter().find(|(stored, _)| clashes(stored)) {
                    Some((stored, _)) if *stored != attempt => return false,
                    Some(_) => {}
                    None => self.activated.push((attempt, confirmations)),
                }
            }
            Write::Complete(activation) => self.complete.push(*activation),
        }
        true
    }

    /// As a store does that is full: attempts that are neither activated nor done.
    fn drop_oldest(&mut self, most: usize) {
        let counts = |attempt: AttemptId| {
            self.activated.iter().any(|(activated, _)| *activated == attempt)
                || self.complete.iter().any(|done| done.attempt == attempt)
        };
        let idle =
            self.pending.iter().map(|(pending, _)| pending.terms.id(NETWORK)).filter(|id| !counts(*id));
        let mut dropped: Vec<AttemptId> = idle.collect();
        dropped.truncate(dropped.len().saturating_sub(most));
        self.pending.retain(|(pending, _)| !dropped.contains(&pending.terms.id(NETWORK)));
    }

    pub(super) fn journal(&self) -> Journal {
        Journal {
            joined: self.joined,
            pending: self.pending.iter().map(|(pending, _)| pending.clone()).collect(),
            activated: self.activated.clone(),
            complete: self.complete.clone(),
        }
    }

    fn stored(&self, attempt: AttemptId) -> Option<&(Pending, Vec<Vec<u8>>)> {
        self.pending.iter().find(|(pending, _)| pending.terms.id(NETWORK) == attempt)
    }

    pub(super) fn has_joined(&self, attempt: AttemptId) -> bool {
        self.joined_ever.contains(&attempt)
    }

    pub(super) fn has_pending(&self, attempt: AttemptId) -> bool {
        self.stored(attempt).is_some()
    }

    /// The schemes of an attempt whose shares are here.
    pub(super) fn schemes(&self, attempt: AttemptId) -> &[Scheme] {
        self.stored(attempt).map_or(&[], |(pending, _)| &pending.terms.schemes)
    }

    /// Whether the finished root keys are of all these schemes.
    pub(super) fn is_complete(&self, schemes: &[Scheme]) -> bool {
        let done =
            |scheme: &Scheme| self.complete.iter().any(|done| done.schemes().any(|own| own == *scheme));
        schemes.iter().all(done)
    }

    /// The share that belongs to the finished root key of a scheme.
    pub(super) fn share(&self, scheme: Scheme) -> Option<RootShare> {
        let done = self.complete.iter().find(|done| done.schemes().any(|own| own == scheme))?;
        let (pending, shares) = self.stored(done.attempt)?;
        let index = pending.terms.schemes.iter().position(|own| *own == scheme)?;
        RootShare::from_bytes(scheme, &shares[index]).ok()
    }
}
