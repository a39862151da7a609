//! Who signs: members whose records agree, in the order of preference.

use std::collections::BTreeSet;

use countersign_agreement::{alike, check_own, choose, most_compatible};
use countersign_types::{Identifier, Record};

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
                let slow = |id| self.standings.slow(id).is_some();
                first_untried(&by_failures(&group.members, slow, &self.tried), threshold, &self.tried)
            }
            None => {
                let places = choose(&group.records, threshold)?;
                Some(places.into_iter().filter_map(|place| group.members.get(place)).copied().collect())
            }
        })
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

/// Members in the order of preference, but for those that are slow, and before them those that were in most sets that failed without
/// a culprit: whoever makes sets fail is in each of them, so it comes last after a few (C7). Who objected counts for nothing: that
/// may be the honest ones.
fn by_failures(
    members: &[Identifier],
    slow: impl Fn(Identifier) -> bool,
    tried: &BTreeSet<BTreeSet<Identifier>>,
) -> Vec<Identifier> {
    let failures = |id: &Identifier| tried.iter().filter(|set| set.contains(id)).count();
    let mut members = members.to_vec();
    members.sort_by_cached_key(|id| (slow(*id), failures(id)));
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
    use super::*;

    fn ids(numbers: &[u16]) -> Vec<Identifier> {
        numbers.iter().filter_map(|n| Identifier::new(*n)).collect()
    }

    /// Liars that keep every set from signing in which they are, and that nobody can name, as those that repeat commitments.
    #[test]
    fn liars_that_nobody_can_name_cost_few_attempts() {
        for (size, threshold) in [(3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (7, 5), (9, 5), (10, 7), (15, 8)] {
            let members = ids(&(1..=size).collect::<Vec<_>>());
            // wherever they are, with a threshold of honest members left
            for first in 0..usize::from(size) {
                for count in 1..=usize::from(size) - threshold {
                    let liars: BTreeSet<Identifier> =
                        members.iter().cycle().skip(first).take(count).copied().collect();
                    let mut tried = BTreeSet::new();
                    let attempts = loop {
                        let set = first_untried(&by_failures(&members, |_| false, &tried), threshold, &tried)
                            .expect("an honest set is left");
                        if set.is_disjoint(&liars) {
                            break tried.len() + 1;
                        }
                        tried.insert(set);
                    };
                    assert!(
                        attempts <= crate::message::MAX_ATTEMPTS as usize,
                        "{count} of {size} from {first}, threshold {threshold}: {attempts} attempts"
                    );
                }
            }
        }
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
