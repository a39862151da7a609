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
        let most_liars = usize::from(committee.size().saturating_sub(committee.threshold()));
        let cost =
            |id| Cost { slow: self.standings.times_slow(id), declined: self.standings.times_objecting(id) };
        by_failures(members, cost, self.standings.objecting() <= most_liars, &self.tried)
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

/// What a member has cost a session.
#[derive(Clone, Copy)]
struct Cost {
    /// How often an attempt waited for it in vain.
    slow: u32,
    /// How often it declined a package.
    declined: u32,
}

/// Members in the order of preference, but for those that cost attempts: the most often last, and of equals those that were in the most
/// sets that failed (C7). An honest member may be slow once; a liar costs an attempt whenever it is asked.
///
/// Whoever declines what this node sends has a reason that holds for every package, or lies: there are sets without all of those. Only
/// where this node has forgotten what it sent before, as after a restart, may those be right that decline, and the one that
/// repeats its commitments the liar. So where more decline than there can be liars, those are not `believed` that have not.
fn by_failures(
    members: &[Identifier],
    cost: impl Fn(Identifier) -> Cost,
    believed: bool,
    tried: &BTreeSet<BTreeSet<Identifier>>,
) -> Vec<Identifier> {
    let failures = |id: &Identifier| tried.iter().filter(|set| set.contains(id)).count();
    let key = |id: &Identifier| {
        let Cost { slow, declined } = cost(*id);
        if believed {
            (slow.saturating_add(declined), false, failures(id))
        } else {
            (slow, declined == 0, failures(id))
        }
    };
    let mut members = members.to_vec();
    members.sort_by_cached_key(key);
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

    /// How many attempts it takes until a set without liars is tried, where in each other one somebody declines; some honest members
    /// were slow once before. None: more than there are.
    fn attempts(
        size: u16,
        threshold: u16,
        liars: &BTreeSet<Identifier>,
        slow: &[Identifier],
        declines: impl Fn(&BTreeSet<Identifier>) -> Identifier,
    ) -> Option<usize> {
        let members = ids(&(1..=size).collect::<Vec<_>>());
        let mut tried = BTreeSet::new();
        let mut declined: BTreeMap<Identifier, u32> = BTreeMap::new();
        for attempt in 1..=crate::message::MAX_ATTEMPTS as usize {
            let cost = |id| Cost {
                slow: slow.contains(&id).into(),
                declined: declined.get(&id).copied().unwrap_or(0),
            };
            let believed = declined.len() <= usize::from(size - threshold);
            let ranked = by_failures(&members, cost, believed, &tried);
            let set = first_untried(&ranked, threshold.into(), &tried).expect("an honest set is left");
            if set.is_disjoint(liars) {
                return Some(attempt);
            }
            *declined.entry(declines(&set)).or_default() += 1;
            tried.insert(set);
        }
        None
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
                    let attempts = attempts(size, threshold, &liars, &[], one);
                    let within = attempts.is_some_and(|attempts| attempts <= usize::from(most) + 1);
                    assert!(within, "{attempts:?} attempts, {threshold} of {size}");
                }
            }
        }
    }

    /// A replay took long, or a link was down: that must not put honest members behind those that decline whenever they are asked.
    #[test]
    fn honest_members_that_were_slow_once_do_not_come_after_liars() {
        for size in 3..=13 {
            for threshold in size / 2 + 1..size {
                let most = size - threshold;
                for liars in liars(size, most) {
                    let honest: Vec<Identifier> = ids(&(1..=size).collect::<Vec<_>>())
                        .into_iter()
                        .filter(|id| !liars.contains(id))
                        .collect();
                    for slow in 1..=honest.len() {
                        let one = |set: &BTreeSet<Identifier>| *set.intersection(&liars).next().expect("one");
                        let attempts = attempts(size, threshold, &liars, &honest[..slow], one);
                        assert!(attempts.is_some(), "{slow} slow, {threshold} of {size}, {liars:?} lie");
                    }
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
                    let attempts = attempts(size, threshold, &liars, &[], one);
                    assert!(attempts.is_some(), "{threshold} of {size}");
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
