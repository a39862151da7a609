//! Nonces whose commitments a coordinator has in advance (RFC 9591 section 5.1), so that it can ask for shares with its
//! first message.
//!
//! They live in memory only: gone when the process ends, and when the coordinator's connection does. They leave by
//! value, so that each serves once.

use std::collections::{BTreeMap, VecDeque};

use countersign_threshold::{Commitments, SigningNonces};
use countersign_types::{
    Identifier, Scheme,
    mutant::{Mutant, broken},
};
use rand_core::{CryptoRng, RngCore};

use super::{Participant, rate::Rate};
use crate::Millis;

/// The most unused nonces for one coordinator and scheme; beyond, the oldest are wiped. Far more than a coordinator keeps in
/// stock: what it has taken out of there and is on its way here is the oldest.
pub const MAX_ADVANCE: usize = 256;
/// The most commitments that are handed out at once.
pub const MAX_BATCH: usize = 16;
/// The most batches of one scheme that a coordinator gets within a second: commitments for far more sessions than it can have.
pub(super) const MAX_BATCHES_PER_SECOND: u32 = 32;

/// By coordinator and scheme. They do not depend on the key: what a signature is over binds them to it.
#[derive(Default)]
pub(super) struct Advance {
    of: BTreeMap<(Identifier, Scheme), Pool>,
}

#[derive(Default)]
struct Pool {
    nonces: BTreeMap<Commitments, SigningNonces>,
    /// The oldest first.
    order: VecDeque<Commitments>,
    /// How often a batch was asked for.
    batches: Rate,
}

impl Pool {
    /// Counts a batch, if one more is to be had within this second.
    fn admit(&mut self, now: Millis) -> bool {
        let batches = self.batches.within(now);
        *batches += 1;
        *batches <= MAX_BATCHES_PER_SECOND
    }
}

impl Advance {
    /// With what mutants keep over a restart.
    #[cfg(countersign_mutants)]
    pub(super) fn with_survivors(mut self, me: Identifier) -> Self {
        crate::mutant::survived(me, |to, scheme, nonces, commitments| {
            self.keep(to, scheme, nonces, commitments)
        });
        self
    }

    /// Keeps nonces whose commitments go to a coordinator.
    pub(super) fn keep(
        &mut self,
        coordinator: Identifier,
        scheme: Scheme,
        nonces: SigningNonces,
        commitments: Commitments,
    ) {
        let pool = self.of.entry((coordinator, scheme)).or_default();
        if pool.order.len() >= MAX_ADVANCE
            && let Some(oldest) = pool.order.pop_front()
        {
            pool.nonces.remove(&oldest);
        }
        pool.order.push_back(commitments.clone());
        pool.nonces.insert(commitments, nonces);
    }

    /// The nonces behind commitments that this coordinator was given, in the same order. They are out of here in any case: where
    /// one is not there, the others are wiped.
    pub(super) fn take(
        &mut self,
        coordinator: Identifier,
        scheme: Scheme,
        wanted: &[Commitments],
    ) -> Option<Vec<SigningNonces>> {
        let pool = self.of.get_mut(&(coordinator, scheme))?;
        #[cfg(countersign_mutants)]
        if broken(Mutant::TakesAdvanceTwice) {
            return wanted.iter().map(|one| Some(pool.nonces.get(one)?.copied())).collect();
        }
        pool.order.retain(|commitments| !wanted.contains(commitments));
        let taken: Vec<Option<SigningNonces>> =
            wanted.iter().map(|commitments| pool.nonces.remove(commitments)).collect();
        taken.into_iter().collect()
    }

    /// A coordinator is gone, and with it what it was given.
    pub(super) fn forget(&mut self, coordinator: Identifier) {
        if broken(Mutant::KeepsAdvance) {
            return;
        }
        self.of.retain(|(of, _), _| *of != coordinator);
    }

    /// Wipes all.
    pub(super) fn clear(&mut self) {
        self.of.clear();
    }

    /// How many nonces are kept for one coordinator and scheme, at most.
    pub(super) fn most(&self) -> usize {
        self.of.values().map(|pool| pool.nonces.len().max(pool.order.len())).max().unwrap_or(0)
    }

    /// How many nonces are kept.
    pub(super) fn len(&self) -> usize {
        self.of.values().map(|pool| pool.nonces.len()).sum()
    }
}

impl<R> Participant<R> {
    /// Hands out commitments for sessions that a member will coordinate, at most [`MAX_BATCH`]; none without a root key
    /// of the scheme, and none to whoever asks more often than it can make use of.
    pub fn hand_out(
        &mut self,
        to: Identifier,
        scheme: Scheme,
        count: u16,
        now: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Commitments> {
        let Some(share) = self.keys.root(scheme) else { return Vec::new() };
        if !self.advance.of.entry((to, scheme)).or_default().admit(now) {
            return Vec::new();
        }
        let one = |_| {
            let (nonces, commitments) = self.spare.take(scheme, || share.commit(rng));
            #[cfg(countersign_mutants)]
            crate::mutant::hands_out(self.membership.me, to, scheme, &nonces, &commitments);
            self.advance.keep(to, scheme, nonces, commitments.clone());
            commitments
        };
        (0..usize::from(count).min(MAX_BATCH)).map(one).collect()
    }

    /// A member's connection is gone: what it was handed out is wiped.
    pub fn disconnected(&mut self, member: Identifier) {
        self.advance.forget(member);
    }

    /// How many unused nonces are kept for commitments that were handed out.
    pub fn nonces_in_advance(&self) -> usize {
        self.advance.len()
    }
}
