//! What is durable, and how a member takes it up again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_types::{
    Activation, AttemptId, NodeKey, NodeSignature, Scheme,
    mutant::{Mutant, broken},
};
use serde::{Deserialize, Serialize};

use super::{KeyGen, Pending, Refusal, pending::Candidate};
use crate::{Membership, Millis};

/// What a member stores before it takes part in an attempt (K2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its number: this member never takes part in another of this one or a lower.
    pub number: u64,
    /// The number of the first attempt that it took part in by the rules of this version. Of earlier ones, which an
    /// older version stored, it follows any that another member activated.
    pub first: u64,
    /// The refusal of the attempt that this member had confirmed last before; none if there was no such attempt.
    pub released: Option<Refusal>,
}

/// What a member finds in its store when it starts.
#[derive(Debug, Default)]
pub struct Journal {
    /// The attempt that it took part in last; none in a new network, or if an older version wrote the store.
    pub joined: Option<Joined>,
    /// The shares that it stored, without the secrets. Of earlier attempts than the latest some may be missing.
    pub pending: Vec<Pending>,
    /// What it stored before it signed activations, one for each ceremony: the attempt and all confirmations, by
    /// identifier.
    pub activated: Vec<(AttemptId, Vec<NodeSignature>)>,
    /// The ceremonies that are done.
    pub complete: Vec<Activation>,
}

impl KeyGen {
    /// A member that resumes from its journal; an empty one for a new network. The schemes are those for which
    /// there shall be roots.
    pub fn resume(
        membership: Arc<Membership>,
        identity: Arc<NodeKey>,
        schemes: impl IntoIterator<Item = Scheme>,
        journal: Journal,
        now: Millis,
    ) -> Self {
        let schemes: BTreeSet<Scheme> = schemes.into_iter().collect();
        let Journal { joined, pending, activated, complete } = journal;
        // an older version may have taken part in whatever began before now
        let floor = joined.map_or(now, |joined| joined.number);
        let mut machine = Self {
            membership,
            identity,
            schemes: schemes.into_iter().collect(),
            connected: BTreeSet::new(),
            running: None,
            pending: BTreeMap::new(),
            latest: None,
            latest_number: 0,
            settled: None,
            floor,
            durable: floor,
            first: joined.map(|joined| joined.first),
            released: joined.and_then(|joined| joined.released),
            activated: None,
            complete,
            named: BTreeSet::new(),
            last_failure: None,
            failures: 0,
            start_at: now,
            resend_at: now,
        };
        machine.resume_pending(pending);
        for (attempt, confirmations) in activated {
            machine.resume_activation(attempt, &confirmations);
        }
        machine
    }

    /// Of what was stored by the rules of this version, the latest attempt counts: this member may have confirmed it,
    /// so it activates no earlier one.
    fn resume_pending(&mut self, pending: Vec<Pending>) {
        let network = self.membership.network;
        let is_ours = |terms_number: u64| self.first.is_some_and(|first| terms_number >= first);
        let latest = pending.iter().filter(|stored| is_ours(stored.terms.number));
        let latest = latest.max_by_key(|stored| stored.terms.number);
        let latest = latest.map(|stored| (stored.terms.id(network), stored.terms.number));
        for stored in pending {
            let id = stored.terms.id(network);
            let counts = latest.is_none_or(|(latest, _)| latest == id);
            if counts || broken(Mutant::KeepsEarlierAttempts) {
                self.pending.insert(id, Candidate::new(stored.terms, stored.roots));
            }
        }
        self.forget_done();
        let Some((attempt, number)) = latest else { return };
        self.latest_number = number;
        let Some(candidate) = self.pending.get_mut(&attempt) else { return };
        self.latest = Some(attempt);
        candidate.confirm_own(&self.membership, &self.identity, attempt);
        if let Some(refusal) = self.released.filter(|refusal| refusal.attempt == attempt) {
            candidate.refuse(refusal);
        }
    }

    fn resume_activation(&mut self, attempt: AttemptId, confirmations: &[NodeSignature]) {
        let is_done = self.complete.iter().any(|done| done.attempt == attempt);
        if is_done {
            return;
        }
        self.activated = Some(attempt);
        if let Some(candidate) = self.pending.get_mut(&attempt) {
            candidate.revive();
            candidate.resume(&self.membership, &self.identity, attempt, confirmations);
        }
    }
}
