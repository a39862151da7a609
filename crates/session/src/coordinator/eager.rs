//! One round: the package travels with the proposal.
//!
//! Where this node expects everybody to read the same (its own last run of the action had identical reads only), it runs the
//! action first, and then asks the others, in one message, to judge the request, to run the action, and to sign if they read
//! exactly what it has read. Whoever reads something else, or no longer has the nonces, answers as in the first of
//! two rounds, and the session goes on from there.

use std::collections::BTreeMap;

use countersign_types::Identifier;

use super::{Coordinator, Effect, HEDGE_MS, Kept, Phase, signing::Signing};
use crate::{
    Millis,
    message::{Eager, Observation, Provisional},
};

/// How long the signers of one round have before others take their places; it includes their live runs. Milliseconds.
const ONE_ROUND_MS: Millis = 450;

/// Where the attempt at one round stands.
pub(super) enum OneRound {
    /// It is not made, or was given up.
    No(Fallback),
    /// This node's own run is under way.
    OwnRun,
    /// The proposals are out, with this, and the attempt may have failed.
    Proposed { eager: Eager, failed: Option<Fallback> },
}

/// Why a session took more than one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fallback {
    /// The action's reads may differ from node to node, or nothing is known of them yet, or too few commitments were in
    /// stock.
    NotTried,
    /// This node's own run did not allow, or took long.
    OwnRun,
    /// A member read something else, or no longer had the nonces behind its commitments.
    Observed,
    /// A member took no part, or its connection ended.
    Declined,
    /// A member did not sign in time.
    Late,
    /// What the members signed made no signature.
    Misbehaved,
}

impl Fallback {
    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotTried => "not-tried",
            Self::OwnRun => "own-run",
            Self::Observed => "observed",
            Self::Declined => "declined",
            Self::Late => "late",
            Self::Misbehaved => "misbehaved",
        }
    }
}

impl Coordinator {
    /// This node's own run has ended: the others are asked, for one round if it fits.
    pub(super) fn after_own_run(&mut self, now: Millis) -> Vec<Effect> {
        self.one_round = OneRound::No(Fallback::OwnRun);
        let me = self.setup.membership.me;
        let advance = std::mem::take(&mut self.setup.advance);
        let eager = self.standings.observation(me).and_then(|own| eager(me, own, advance));
        let eager = eager.filter(|eager| self.all_held_back(eager));
        let Some(eager) = eager.filter(|eager| self.is_new(eager)) else {
            let refuses = self.standings.refusals() > 0;
            let effects =
                self.propose(if refuses { usize::MAX } else { self.setup.membership.threshold() - 1 });
            self.await_first(now);
            return effects;
        };
        self.attempt = 1;
        let package = eager.clone().package(self.id);
        self.kept = Some(Kept::new(package.records.clone(), BTreeMap::new(), package.payloads()));
        let signing = Signing::new(package, self.setup.membership.network, me);
        let mut effects = Vec::new();
        for other in eager.signers.keys().filter(|id| **id != me) {
            self.standings.ask_one(*other);
            effects.push(Effect::Send { to: *other, message: self.proposal(Some(&eager)) });
        }
        self.await_first(now);
        // this node's own part last: the others' takes longer, and begins when they hear of it
        effects.push(signing.request(me));
        self.one_round = OneRound::Proposed { eager, failed: None };
        self.phase = Phase::Signing { signing: Box::new(signing), ends: now.saturating_add(ONE_ROUND_MS) };
        effects
    }

    /// Those that are asked now are asked first: the others' time is counted from here.
    fn await_first(&mut self, now: Millis) {
        self.lateness.begin(self.setup.membership.me, &self.standings);
        self.hedge_at = now.saturating_add(HEDGE_MS);
    }

    /// Whether nobody else is asked yet, because this node's own run comes first.
    pub(super) fn awaits_own_run(&self) -> bool {
        matches!(self.one_round, OneRound::OwnRun) && self.standings.is_waiting(self.setup.membership.me)
    }

    /// This node's own run takes too long for one round to be worth it.
    pub(super) fn give_own_run_up(&mut self) {
        if matches!(self.one_round, OneRound::OwnRun) {
            self.one_round = OneRound::No(Fallback::OwnRun);
        }
    }

    /// Whether all others can be asked, and were not.
    fn all_held_back(&self, eager: &Eager) -> bool {
        let mut others = eager.signers.keys().filter(|id| **id != self.setup.membership.me);
        eager.signers.len() >= self.setup.membership.threshold()
            && others.all(|id| self.standings.is_held_back(*id))
    }

    /// Whether none of what was handed out in advance stood in an earlier package. Where some did, nobody is blamed: what a member
    /// hands out may arrive twice.
    fn is_new(&self, eager: &Eager) -> bool {
        self.setup.sent.package(&eager.signers).is_empty()
    }

    /// The current attempt is over: where it is the one whose package went out with the proposals, it failed for this reason.
    pub(super) fn fell_back(&mut self, why: Fallback) {
        if self.attempt == 1
            && let OneRound::Proposed { failed, .. } = &mut self.one_round
        {
            failed.get_or_insert(why);
        }
    }

    /// Why this session took more than one round, if it did.
    pub(super) fn fallback(&self) -> Option<Fallback> {
        match self.one_round {
            OneRound::No(why) => Some(why),
            OneRound::OwnRun => Some(Fallback::OwnRun),
            OneRound::Proposed { failed, .. } => failed,
        }
    }

    /// What goes with the proposal to a member, while one round is tried.
    pub(super) fn eager_for(&self, to: Identifier) -> Option<&Eager> {
        match (&self.one_round, &self.phase) {
            (OneRound::Proposed { eager, .. }, Phase::Signing { .. }) if self.attempt == 1 => {
                eager.signers.contains_key(&to).then_some(eager)
            }
            (OneRound::No(_) | OneRound::OwnRun | OneRound::Proposed { .. }, _) => None,
        }
    }

    /// A signer signed at once, or took offence at what else is in the package: so it has read what the others have.
    pub(super) fn signed_at_once(&mut self, member: Identifier) {
        let OneRound::Proposed { eager, .. } = &self.one_round else { return };
        let Some(commitments) = eager.signers.get(&member).cloned() else { return };
        if self.standings.is_waiting(member) {
            let record = eager.record.clone();
            let decision = Provisional::Allow;
            let observation =
                Observation { session: self.id, record, signature: None, decision, commitments };
            self.standings.observed(member, observation);
        }
    }

    /// Where no threshold reads what this node has read, the others agree without it: what was kept for one round is
    /// dropped. Members that signed over it refuse everything else, so none gives shares for both.
    pub(super) fn drop_eager_record(&mut self) -> bool {
        let OneRound::Proposed { failed, .. } = self.one_round else { return false };
        self.one_round = OneRound::No(failed.unwrap_or(Fallback::Observed));
        self.kept = None;
        self.tried.clear();
        self.voted.clear();
        true
    }
}

/// The eager package over this node's own record, if it is one that everybody must have read the same.
fn eager(
    me: Identifier,
    own: &Observation,
    advance: BTreeMap<Identifier, Vec<countersign_threshold::Commitments>>,
) -> Option<Eager> {
    let fits = own.decision == Provisional::Allow && own.record.is_identical();
    let payloads = own.commitments.len();
    let enough = advance.values().all(|commitments| commitments.len() == payloads);
    (fits && enough).then(|| {
        let mut signers = advance;
        signers.insert(me, own.commitments.clone());
        Eager { record: own.record.clone(), signers }
    })
}
