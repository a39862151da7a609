//! Where each member stands in one session.

use std::collections::{BTreeMap, BTreeSet};

use countersign_threshold::Commitments;
use countersign_types::{
    Committee, FailureKind, Identifier, NodeSignature, Record,
    mutant::{Mutant, broken},
};

use crate::message::{Decline, Observation, Provisional};

/// How many attempts a member's connection may end in.
const MAX_LOST: u32 = 2;

/// Where one member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Cannot be reached.
    NotConnected { asked: bool },
    /// Held back so far.
    NotAsked,
    /// Asked, no answer yet.
    Waiting,
    /// Sent its record and provisional decision.
    Observed(Box<Observation>),
    /// Refused, by its live run's decline or by its replay.
    Refused { reason: String },
    /// Cannot, or will not, judge.
    Abstained { kind: FailureKind, reason: String },
    /// Broke the protocol, provably to this node.
    Misbehaved { reason: String },
}

/// What members did again and again: how often, and why at last.
#[derive(Default)]
struct Tally(BTreeMap<Identifier, (u32, String)>);

impl Tally {
    fn add(&mut self, member: Identifier, reason: &str) {
        let (times, why) = self.0.entry(member).or_default();
        *times += 1;
        *why = countersign_types::outcome::cut(reason.to_owned());
    }

    fn times(&self, member: Identifier) -> u32 {
        self.0.get(&member).map_or(0, |(times, _)| *times)
    }

    fn why(&self, member: Identifier) -> Option<&str> {
        self.0.get(&member).map(|(_, why)| why.as_str())
    }

    fn members(&self) -> impl Iterator<Item = Identifier> + '_ {
        self.0.keys().copied()
    }
}

/// Where all members stand.
pub(super) struct Standings {
    of: BTreeMap<Identifier, Standing>,
    /// In which order to ask.
    order: Vec<Identifier>,
    /// Those that an attempt waited for in vain: chosen again only where nobody else is left.
    slow: Tally,
    /// How often an attempt was given up because their connection ended.
    lost: BTreeMap<Identifier, u32>,
    /// Those that did not sign a package. They may be right.
    objecting: Tally,
    /// Counts the changes, so that what follows from them is worked out once for each.
    version: u64,
}

impl Standings {
    pub(super) fn new(committee: &Committee, order: &[Identifier]) -> Self {
        let mut of: BTreeMap<Identifier, Standing> =
            committee.identifiers().map(|id| (id, Standing::NotConnected { asked: false })).collect();
        let mut known = Vec::new();
        for id in order {
            if of.insert(*id, Standing::NotAsked) == Some(Standing::NotConnected { asked: false }) {
                known.push(*id);
            }
        }
        known.extend(committee.identifiers().filter(|id| !order.contains(id)));
        Self {
            of,
            order: known,
            slow: Tally::default(),
            lost: BTreeMap::new(),
            objecting: Tally::default(),
            version: 0,
        }
    }

    /// Another number after each change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn set(&mut self, member: Identifier, standing: Standing) {
        self.version += 1;
        self.of.insert(member, standing);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Identifier, &Standing)> {
        self.of.iter().map(|(id, standing)| (*id, standing))
    }

    /// Why a member that allows gave no share, if it was asked for one in vain.
    pub(super) fn slow(&self, member: Identifier) -> Option<&str> {
        self.slow.why(member)
    }

    /// How often an attempt waited for a member in vain.
    pub(super) fn times_slow(&self, member: Identifier) -> u32 {
        self.slow.times(member)
    }

    /// Why a member that allows did not sign the last package that it declined.
    pub(super) fn objection(&self, member: Identifier) -> Option<&str> {
        self.objecting.why(member)
    }

    /// How often a member did not sign a package.
    pub(super) fn times_objecting(&self, member: Identifier) -> u32 {
        self.objecting.times(member)
    }

    /// How many members have cost an attempt, by what they did or did not do.
    pub(super) fn costly(&self) -> usize {
        let is_costly = |(id, standing): &(&Identifier, &Standing)| {
            let misbehaved = matches!(standing, Standing::Misbehaved { .. });
            misbehaved || self.slow.times(**id) > 0 || self.objecting.times(**id) > 0
        };
        self.of.iter().filter(is_costly).count()
    }

    /// How many have declined a package.
    pub(super) fn objecting(&self) -> usize {
        self.objecting.0.len()
    }

    /// Those that an attempt waited for in vain.
    pub(super) fn late(&self) -> impl Iterator<Item = Identifier> + '_ {
        self.slow.members()
    }

    /// Marks up to `count` members that were held back as asked, and returns them.
    pub(super) fn ask(&mut self, count: usize) -> Vec<Identifier> {
        let held_back = |id: &&Identifier| self.of.get(*id) == Some(&Standing::NotAsked);
        let asked: Vec<Identifier> = self.order.iter().filter(held_back).take(count).copied().collect();
        for id in &asked {
            self.set(*id, Standing::Waiting);
        }
        asked
    }

    /// Marks one member as asked, if it was held back.
    pub(super) fn ask_one(&mut self, member: Identifier) -> bool {
        let held_back = self.is_held_back(member);
        if held_back {
            self.set(member, Standing::Waiting);
        }
        held_back
    }

    pub(super) fn is_held_back(&self, member: Identifier) -> bool {
        self.of.get(&member) == Some(&Standing::NotAsked)
    }

    pub(super) fn was_asked(&self, member: Identifier) -> bool {
        match self.of.get(&member) {
            None | Some(Standing::NotAsked | Standing::NotConnected { asked: false }) => false,
            Some(
                Standing::Waiting
                | Standing::NotConnected { asked: true }
                | Standing::Observed(_)
                | Standing::Refused { .. }
                | Standing::Abstained { .. }
                | Standing::Misbehaved { .. },
            ) => true,
        }
    }

    pub(super) fn asked(&self) -> impl Iterator<Item = Identifier> + '_ {
        self.of.keys().copied().filter(|id| self.was_asked(*id))
    }

    pub(super) fn is_waiting(&self, member: Identifier) -> bool {
        matches!(self.of.get(&member), Some(Standing::Waiting | Standing::NotConnected { asked: true }))
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = Identifier> + '_ {
        self.of.iter().filter(|(_, s)| **s == Standing::Waiting).map(|(id, _)| *id)
    }

    pub(super) fn anybody_waiting(&self) -> bool {
        self.waiting().next().is_some()
    }

    /// Whether those asked so far can still make a threshold.
    pub(super) fn asked_may_suffice(&self, threshold: usize) -> bool {
        let may = |standing: &&Standing| match standing {
            Standing::Waiting => true,
            Standing::Observed(observation) => observation.decision == Provisional::Allow,
            Standing::NotAsked
            | Standing::NotConnected { .. }
            | Standing::Refused { .. }
            | Standing::Abstained { .. }
            | Standing::Misbehaved { .. } => false,
        };
        self.of.values().filter(may).count() >= threshold
    }

    /// Members that may still send an observation.
    pub(super) fn pending(&self) -> usize {
        self.of.values().filter(|s| matches!(s, Standing::Waiting | Standing::NotAsked)).count()
    }

    pub(super) fn refusals(&self) -> usize {
        let refuses = |standing: &&Standing| match standing {
            Standing::Refused { .. } => true,
            Standing::Observed(observation) => observation.decision != Provisional::Allow,
            Standing::NotConnected { .. }
            | Standing::NotAsked
            | Standing::Waiting
            | Standing::Abstained { .. }
            | Standing::Misbehaved { .. } => false,
        };
        self.of.values().filter(refuses).count()
    }

    /// Observations that allow, in the order of asking, those of slow members last, of the slowest at the end.
    pub(super) fn allowing(&self) -> Vec<(Identifier, &Observation)> {
        let mut allowing: Vec<(Identifier, &Observation)> = self
            .order
            .iter()
            .filter_map(|id| match self.of.get(id) {
                Some(Standing::Observed(o)) if o.decision == Provisional::Allow => Some((*id, o.as_ref())),
                Some(
                    Standing::Observed(_)
                    | Standing::NotConnected { .. }
                    | Standing::NotAsked
                    | Standing::Waiting
                    | Standing::Refused { .. }
                    | Standing::Abstained { .. }
                    | Standing::Misbehaved { .. },
                )
                | None => None,
            })
            .collect();
        allowing.sort_by_key(|(id, _)| self.times_slow(*id));
        allowing
    }

    pub(super) fn observation(&self, member: Identifier) -> Option<&Observation> {
        match self.of.get(&member) {
            Some(Standing::Observed(observation)) => Some(observation),
            Some(
                Standing::NotConnected { .. }
                | Standing::NotAsked
                | Standing::Waiting
                | Standing::Refused { .. }
                | Standing::Abstained { .. }
                | Standing::Misbehaved { .. },
            )
            | None => None,
        }
    }

    /// How many payloads a member committed to.
    pub(super) fn payloads(&self, member: Identifier) -> Option<usize> {
        self.observation(member).map(|observation| observation.commitments.len())
    }

    pub(super) fn first_commitments(
        &self,
        signers: &BTreeSet<Identifier>,
    ) -> BTreeMap<Identifier, Vec<Commitments>> {
        signers.iter().filter_map(|id| Some((*id, self.observation(*id)?.commitments.clone()))).collect()
    }

    pub(super) fn observed(&mut self, member: Identifier, observation: Observation) {
        self.set(member, Standing::Observed(Box::new(observation)));
    }

    pub(super) fn declined(&mut self, member: Identifier, decline: Decline) {
        let standing = match decline {
            Decline::Refused { reason } => {
                Standing::Refused { reason: countersign_types::outcome::cut(reason) }
            }
            Decline::Abstain { kind, reason } => {
                Standing::Abstained { kind, reason: countersign_types::outcome::cut(reason) }
            }
        };
        self.set(member, standing);
    }

    pub(super) fn misbehaved(&mut self, member: Identifier, reason: impl Into<String>) {
        let reason = reason.into();
        if broken(Mutant::BlamesNobody) {
            return self.mark_slow(BTreeSet::from([member]), &reason);
        }
        let next = || self.of.keys().copied().find(|other| *other > member);
        let blamed = if broken(Mutant::BlamesTheNext) { next() } else { None }.unwrap_or(member);
        self.set(blamed, Standing::Misbehaved { reason });
    }

    pub(super) fn mark_slow(&mut self, members: BTreeSet<Identifier>, reason: &str) {
        self.version += 1;
        members.into_iter().for_each(|member| self.slow.add(member, reason));
    }

    /// An attempt is given up because a member's connection ended: it is chosen again only where nobody else is left, and after
    /// the second time not at all. Otherwise one that comes and goes uses all attempts up.
    pub(super) fn mark_lost(&mut self, member: Identifier) {
        *self.lost.entry(member).or_default() += 1;
        self.mark_slow(BTreeSet::from([member]), "its connection ended while it was to sign");
    }

    /// Whether a member's connection ended too often: what it says counts no longer.
    pub(super) fn comes_and_goes(&self, member: Identifier) -> bool {
        self.lost.get(&member).is_some_and(|times| *times >= MAX_LOST)
    }

    pub(super) fn mark_objecting(&mut self, member: Identifier, reason: &str) {
        self.version += 1;
        self.objecting.add(member, reason);
    }

    pub(super) fn disconnected(&mut self, member: Identifier) {
        let asked = self.was_asked(member);
        match self.of.get(&member) {
            Some(Standing::NotAsked | Standing::Waiting | Standing::Observed(_)) => {
                self.set(member, Standing::NotConnected { asked });
            }
            Some(
                Standing::NotConnected { .. }
                | Standing::Refused { .. }
                | Standing::Abstained { .. }
                | Standing::Misbehaved { .. },
            )
            | None => {}
        }
    }

    /// Whether a member that could not be reached can be asked now.
    pub(super) fn connected(&mut self, member: Identifier) -> bool {
        let gone = matches!(self.of.get(&member), Some(Standing::NotConnected { .. }))
            && !self.comes_and_goes(member);
        if gone {
            self.set(member, Standing::NotAsked);
        }
        gone
    }
}

/// The signatures of the records of members that were chosen, where they need one.
pub(super) fn signatures_of(
    standings: &Standings,
    members: &BTreeSet<Identifier>,
) -> BTreeMap<Identifier, NodeSignature> {
    members.iter().filter_map(|id| Some((*id, standings.observation(*id)?.signature?))).collect()
}

/// The records of members that were chosen; empty where a member has none.
pub(super) fn records_of(
    standings: &Standings,
    members: &BTreeSet<Identifier>,
) -> BTreeMap<Identifier, Record> {
    members.iter().filter_map(|id| Some((*id, standings.observation(*id)?.record.clone()))).collect()
}
