//! Nonces that nobody has seen the commitments of, made while a node has nothing else to do: whoever waits for an answer does
//! not wait for them.

use std::collections::BTreeMap;

use countersign_threshold::{Commitments, SigningNonces};
use countersign_types::Scheme;
use rand_core::{CryptoRng, RngCore};

use super::{MAX_BATCH, Participant};
use crate::Millis;

/// The most of each scheme. A whole batch for another member, and some for sessions.
pub const MAX_SPARE: usize = 2 * MAX_BATCH;

/// How long after the last use they are wiped. Milliseconds. Not longer than a pause of the process that goes unnoticed: whatever
/// copies an idle node finds none.
pub(super) const SPARE_MS: Millis = 5_000;

/// By scheme, of those that are in use. They leave by value, in memory only, like all nonces; they do not depend on the key.
#[derive(Default)]
pub(super) struct Spare {
    of: BTreeMap<Scheme, Vec<(SigningNonces, Commitments)>>,
    /// Whether one was taken since the time was last told.
    taken: bool,
    taken_at: Millis,
}

impl Spare {
    /// One that is there, or a fresh one.
    pub(super) fn take(
        &mut self,
        scheme: Scheme,
        fresh: impl FnOnce() -> (SigningNonces, Commitments),
    ) -> (SigningNonces, Commitments) {
        self.taken = true;
        // with room for all: growing would leave copies behind
        let spare = self.of.entry(scheme).or_insert_with(|| Vec::with_capacity(MAX_SPARE));
        spare.pop().unwrap_or_else(fresh)
    }

    /// Wipes all; which schemes are in use stays known.
    pub(super) fn clear(&mut self) {
        self.of.values_mut().for_each(Vec::clear);
    }

    /// Wipes all some time after the last was taken, until one is asked for again.
    pub(super) fn forget(&mut self, now: Millis) {
        if std::mem::take(&mut self.taken) {
            self.taken_at = now;
        } else if now >= self.taken_at.saturating_add(SPARE_MS) {
            self.of.clear();
        }
    }

    /// How many are kept of one scheme, at most.
    pub(super) fn most(&self) -> usize {
        self.of.values().map(Vec::len).max().unwrap_or(0)
    }

    fn len(&self) -> usize {
        self.of.values().map(Vec::len).sum()
    }

    fn wanting(&self) -> Option<Scheme> {
        self.of.iter().find(|(_, spare)| spare.len() < MAX_SPARE).map(|(scheme, _)| *scheme)
    }
}

impl<R> Participant<R> {
    /// Whether [`Participant::prepare`] has something to do.
    pub fn wants_spare_nonces(&self) -> bool {
        self.spare.wanting().is_some()
    }

    /// Makes one pair of nonces for a scheme that is in use, if fewer than [`MAX_SPARE`] are there.
    pub fn prepare(&mut self, rng: &mut (impl RngCore + CryptoRng)) {
        let Some(scheme) = self.spare.wanting() else { return };
        let made = self.keys.root(scheme).map(|share| share.commit(rng));
        if let Some(spare) = self.spare.of.get_mut(&scheme) {
            spare.extend(made);
        }
    }

    /// How many unused nonces are kept that nobody knows of.
    pub fn spare_nonces(&self) -> usize {
        self.spare.len()
    }
}
