//! Who signs: members whose records agree, in the order of preference.

use std::collections::{BTreeMap, BTreeSet};

use countersign_agreement::{AgreedRecord, agree, check_own};
use countersign_types::{Identifier, Record};

use super::Coordinator;
use crate::message::Observation;

/// Members that allow, each group's records agreeing to the end.
pub(super) type Groups = Vec<Vec<Identifier>>;

impl Coordinator {
    /// A threshold of members that allow and agree, if there is one that was not tried in vain.
    pub(super) fn select(&self, groups: &Groups) -> Option<BTreeSet<Identifier>> {
        let threshold = self.setup.membership.threshold();
        groups.iter().find_map(|group| first_untried(group, threshold, &self.tried))
    }

    /// Whether no threshold can come together any more, whatever those answer that have not, given that none
    /// can be selected now.
    pub(super) fn is_exhausted(&self, groups: &Groups) -> bool {
        let largest = groups.iter().map(Vec::len).max().unwrap_or(0);
        let (threshold, pending) = (self.setup.membership.threshold(), self.standings.pending());
        // too few are left; or every set of those that agree was tried, and nobody else can come
        largest + pending < threshold || pending == 0
    }

    /// Members that allow, grouped so that the records of each group agree to the end.
    ///
    /// In a further attempt the agreed record is fixed, and only members whose own record holds it count.
    pub(super) fn agreeing_groups(&self) -> Groups {
        let allowing = self.standings.allowing();
        if let Some(agreed) = self.agreed() {
            let payloads = self.base_payloads();
            let fits = |(_, o): &(Identifier, &Observation)| {
                check_own(&agreed, &o.record).is_ok() && Some(o.commitments.len()) == payloads
            };
            let group: Vec<Identifier> = allowing.into_iter().filter(fits).map(|(id, _)| id).collect();
            return if group.is_empty() { Vec::new() } else { vec![group] };
        }
        let mut groups: Vec<(BTreeMap<Identifier, &Record>, usize, Vec<Identifier>)> = Vec::new();
        for (id, observation) in allowing {
            let count = observation.commitments.len();
            let home = groups.iter_mut().find(|(records, payloads, _)| {
                let mut records = records.clone();
                records.insert(id, &observation.record);
                *payloads == count && agree(&records).ended.is_none()
            });
            match home {
                Some((records, _, group)) => {
                    records.insert(id, &observation.record);
                    group.push(id);
                }
                None => groups.push((BTreeMap::from([(id, &observation.record)]), count, vec![id])),
            }
        }
        groups.into_iter().map(|(_, _, group)| group).collect()
    }

    fn agreed(&self) -> Option<AgreedRecord> {
        let kept = self.kept.as_ref()?;
        Some(agree(&kept.records.iter().map(|(id, record)| (*id, record)).collect()))
    }

    fn base_payloads(&self) -> Option<usize> {
        self.kept.as_ref().map(|kept| kept.payloads)
    }
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
