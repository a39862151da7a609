//! Who signs: members whose records agree, in the order of preference.

use std::collections::{BTreeMap, BTreeSet};

use countersign_agreement::{alike, check_own, choose, most_compatible};
use countersign_types::{Identifier, OutcomeHash, Record};

use super::{Coordinator, Kept};
use crate::message::Observation;

/// Members that allow, those who may sign together in one group.
pub(super) struct Groups<'a> {
    groups: Vec<Group<'a>>,
    /// How many allow, in a group or not.
    allowing: usize,
}

/// Members whose records are alike, in the order of preference.
struct Group<'a> {
    members: Vec<Identifier>,
    records: Vec<&'a Record>,
    payloads: usize,
}

/// What is to be expected where no threshold can be selected now.
#[derive(Clone, Copy)]
pub(super) struct Prospects {
    /// No threshold can come together any more, whatever those answer that have not.
    pub(super) exhausted: bool,
    /// Those that allow cannot sign all together: others are needed.
    pub(super) disagree: bool,
}

impl Coordinator {
    /// A threshold of members that allow, that agree, and that accept, every one of them, what they agree on. Nobody
    /// else's values count: one that is far off, or lies, costs no attempt.
    ///
    /// In a further attempt what is agreed is fixed, and any set that was not tried in vain will do.
    pub(super) fn select(&self, groups: &Groups<'_>) -> Option<BTreeSet<Identifier>> {
        let threshold = self.setup.membership.threshold();
        groups.groups.iter().find_map(|group| match self.kept {
            Some(_) => {
                let candidates = by_votes(&group.members, &self.voted);
                candidates
                    .iter()
                    .find_map(|members| first_untried(&self.ranked(members), threshold, &self.tried))
            }
            None => {
                let places = choose(&group.records, threshold)?;
                Some(places.into_iter().filter_map(|place| group.members.get(place)).copied().collect())
            }
        })
    }

    fn ranked(&self, members: &[Identifier]) -> Vec<Identifier> {
        let committee = &self.setup.membership.committee;
        let liars = usize::from(committee.size().saturating_sub(committee.threshold()));
        let doubted = |id| self.standings.objection(id).is_some() == (self.standings.objecting() <= liars);
        by_failures(members, |id| self.standings.times_slow(id), doubted, &self.tried)
    }

    /// What can still come, given that nobody can be selected now.
    pub(super) fn prospects(&self, groups: &Groups<'_>) -> Prospects {
        let size = |group: &Group<'_>| match self.kept {
            Some(_) => group.members.len(),
            None => most_compatible(&group.records),
        };
        let largest = groups.groups.iter().map(size).max().unwrap_or(0);
        let (threshold, pending) = (self.setup.membership.threshold(), self.standings.pending());
        Prospects {
            // too few are left; or every set of those that agree was tried, and nobody else can come
            exhausted: largest + pending < threshold || pending == 0,
            disagree: groups.allowing > largest || largest >= threshold,
        }
    }

    /// Members that allow, grouped so that the records of each group differ only where a rule leaves room.
    ///
    /// In a further attempt the agreed record is fixed, and only members whose own record holds it count.
    pub(super) fn groups(&self) -> Groups<'_> {
        let allowing = self.standings.allowing();
        let mut groups = Groups { groups: Vec::new(), allowing: allowing.len() };
        for (id, observation) in allowing {
            match &self.kept {
                Some(kept) if kept.fits(id, observation) => groups.add(id, observation, |_| true),
                Some(_) => {}
                None if alike(&observation.record, &observation.record) => {
                    groups.add(id, observation, |first| alike(first, &observation.record));
                }
                // a text under a rule about numbers: nobody can sign over that
                None => {}
            }
        }
        groups
    }
}

impl Kept {
    /// Whether a member can sign over what is kept. One that has come back with another record than the kept one cannot.
    fn fits(&self, id: Identifier, observation: &Observation) -> bool {
        observation.commitments.len() == self.payloads
            && self.records.get(&id).is_none_or(|record| *record == observation.record)
            && check_own(&self.agreed, &observation.record).is_ok()
    }
}

impl<'a> Groups<'a> {
    fn add(&mut self, id: Identifier, observation: &'a Observation, belongs: impl Fn(&Record) -> bool) {
        let payloads = observation.commitments.len();
        let home = self.groups.iter_mut().find(|group| {
            group.payloads == payloads && group.records.first().is_some_and(|first| belongs(first))
        });
        match home {
            Some(group) => {
                group.members.push(id);
                group.records.push(&observation.record);
            }
            None => {
                self.groups.push(Group { members: vec![id], records: vec![&observation.record], payloads })
            }
        }
    }
}

/// Members that may sign together, by what they have voted for over the same agreed record: all that voted for one outcome with all
/// that have not voted, the most votes first. Honest members vote alike, so that each set that mixes them with liars is the last one
/// of its sort.
fn by_votes(members: &[Identifier], voted: &BTreeMap<Identifier, OutcomeHash>) -> Vec<Vec<Identifier>> {
    let mut votes: BTreeMap<OutcomeHash, usize> = BTreeMap::new();
    for outcome in members.iter().filter_map(|id| voted.get(id)) {
        *votes.entry(*outcome).or_default() += 1;
    }
    let mut outcomes: Vec<(OutcomeHash, usize)> = votes.into_iter().collect();
    outcomes.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
    if outcomes.is_empty() {
        return vec![members.to_vec()];
    }
    let with = |(outcome, _)| {
        let fits = |id: &&Identifier| voted.get(id).is_none_or(|voted| *voted == outcome);
        members.iter().filter(fits).copied().collect()
    };
    outcomes.into_iter().map(with).collect()
}

/// Members in the order of preference, but for those that were in sets that failed, then those that declined a package, then those
/// that were slow, the most often last (C7): an honest one may be slow once, and a liar is whenever it is asked.
///
/// Whoever declines what this node sends has a reason that holds for every package, or lies: each failure puts one more last, and
/// there are sets without all of those. Only where this node has forgotten what it sent before, as after a restart, may those be right
/// that decline, and the one that repeats its commitments the liar. So where more decline than there can be liars, those are
/// `doubted` that have not.
fn by_failures(
    members: &[Identifier],
    slow: impl Fn(Identifier) -> u32,
    doubted: impl Fn(Identifier) -> bool,
    tried: &BTreeSet<BTreeSet<Identifier>>,
) -> Vec<Identifier> {
    let failures = |id: &Identifier| tried.iter().filter(|set| set.contains(id)).count();
    let mut members = members.to_vec();
    members.sort_by_cached_key(|id| (slow(*id), doubted(*id), failures(id)));
    members
}

/// The first set of `size` members, in order of preference, that was not tried.
fn first_untried(
    group: &[Identifier],
    size: usize,
    tried: &BTreeSet<BTreeSet<Identifier>>,
) -> Option<BTreeSet<Identifier>> {
    if group.len() < size {
        return None;
    }
    let mut places: Vec<usize> = (0..size).collect();
    // at most one round more than there are tried sets
    loop {
        let set: BTreeSet<Identifier> =
            places.iter().filter_map(|place| group.get(*place)).copied().collect();
        if !tried.contains(&set) {
            return Some(set);
        }
        let last = (0..size).rev().find(|i| places[*i] < group.len() - size + i)?;
        places[last] += 1;
        for i in last + 1..size {
            places[i] = places[i - 1] + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::MAX_MEMBERS;

    use super::*;

    fn ids(numbers: &[u16]) -> Vec<Identifier> {
        numbers.iter().filter_map(|n| Identifier::new(*n)).collect()
    }

    /// How many attempts it takes until a set without liars is tried, where in each other one somebody declines.
    fn attempts(
        size: u16,
        threshold: u16,
        liars: &BTreeSet<Identifier>,
        declines: impl Fn(&BTreeSet<Identifier>) -> Identifier,
    ) -> usize {
        let members = ids(&(1..=size).collect::<Vec<_>>());
        let (mut tried, mut declined) = (BTreeSet::new(), BTreeSet::new());
        loop {
            let doubted = |id| declined.contains(&id) == (declined.len() <= usize::from(size - threshold));
            let ranked = by_failures(&members, |_| 0, doubted, &tried);
            let set = first_untried(&ranked, threshold.into(), &tried).expect("an honest set is left");
            if set.is_disjoint(liars) {
                return tried.len() + 1;
            }
            declined.insert(declines(&set));
            tried.insert(set);
        }
    }

    /// So many liars side by side, wherever they are.
    fn liars(size: u16, count: u16) -> impl Iterator<Item = BTreeSet<Identifier>> {
        let members = ids(&(1..=size).collect::<Vec<_>>());
        let of = move |first| members.iter().cycle().skip(first).take(count.into()).copied().collect();
        (0..usize::from(size)).map(of)
    }

    /// Every committee, and as many liars as there may be; also every other member.
    #[test]
    fn whoever_declines_what_is_good_costs_one_attempt() {
        for size in 1..=u16::try_from(MAX_MEMBERS).expect("few") {
            for threshold in size / 2 + 1..=size {
                let most = size - threshold;
                let every_other = ids(&(1..=size).step_by(2).take(most.into()).collect::<Vec<_>>());
                for liars in liars(size, most).chain([every_other.into_iter().collect()]) {
                    let one = |set: &BTreeSet<Identifier>| *set.intersection(&liars).next().expect("one");
                    let attempts = attempts(size, threshold, &liars, one);
                    assert!(attempts <= usize::from(most) + 1, "{attempts} attempts, {threshold} of {size}");
                }
            }
        }
    }

    /// Liars whom this node cannot name, because it has forgotten what it sent before: they repeat commitments, and the honest
    /// ones decline.
    #[test]
    fn liars_that_make_others_decline_come_last_too() {
        for size in 1..=9 {
            for threshold in size / 2 + 1..=size {
                for liars in liars(size, size - threshold) {
                    let one = |set: &BTreeSet<Identifier>| *set.difference(&liars).next().expect("one");
                    let attempts = attempts(size, threshold, &liars, one);
                    let most = crate::message::MAX_ATTEMPTS as usize;
                    assert!(attempts <= most, "{attempts} attempts, {threshold} of {size}");
                }
            }
        }
    }

    #[test]
    fn who_voted_for_another_outcome_is_in_another_set() {
        let members = ids(&[1, 2, 3, 4, 5]);
        assert_eq!(by_votes(&members, &BTreeMap::new()), std::slice::from_ref(&members));
        let [one, other] = [[1; 32], [2; 32]].map(OutcomeHash::from);
        let voted = members.iter().copied().zip([one, other, other]).collect();
        assert_eq!(by_votes(&members, &voted), [ids(&[2, 3, 4, 5]), ids(&[1, 4, 5])]);
    }

    #[test]
    fn sets_come_in_order_of_preference_and_each_once() {
        let group = ids(&[4, 1, 3, 2]);
        let mut tried = BTreeSet::new();
        let mut seen = Vec::new();
        while let Some(set) = first_untried(&group, 2, &tried) {
            seen.push(set.clone());
            tried.insert(set);
        }
        assert_eq!(seen.len(), 6, "every pair of four");
        assert_eq!(seen[0], ids(&[1, 4]).into_iter().collect());
    }

    #[test]
    fn too_small_a_group_gives_no_set() {
        assert_eq!(first_untried(&ids(&[1, 2]), 3, &BTreeSet::new()), None);
    }
}
