//! Who can sign together over what: records of up to a whole committee, from liars too.

use std::collections::BTreeMap;

use countersign_agreement::{agree, alike, can_sign, check_own, choose, explain, most_compatible};
use countersign_types::{Identifier, MAX_MEMBERS, Record, record::MAX_READS};

use crate::choices::Choices;

/// Up to so many records every set is tried, to know what the search must find.
const ALL_SETS: usize = 6;

/// Records that are alike more often than not: what is chosen can sign, and what can sign is found.
pub(crate) fn agreement(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let first = choices.record();
    let count = choices.below(MAX_MEMBERS + 2);
    let size = choices.below(MAX_MEMBERS / 2 + 3);
    let mut records = vec![first.clone()];
    for _ in 1..count {
        records.push(if choices.rarely(8) { choices.record() } else { choices.record_like(&first) });
    }
    let all: Vec<&Record> = records.iter().collect();
    says_why(&all);
    let group: Vec<&Record> = all.iter().copied().filter(|record| alike(record, &first)).collect();
    if group.is_empty() {
        return false;
    }
    let most = most_compatible(&group);
    let chosen = choose(&group, size);
    match &chosen {
        Some(places) => {
            assert_eq!(places.len(), size);
            assert!(size > 0 && places.windows(2).all(|pair| pair[0] < pair[1]));
            let set: Vec<&Record> = places.iter().map(|place| group[*place]).collect();
            accepts_itself(&set);
            assert!(most >= size, "{most} of {size}");
        }
        None => {
            if group.len() <= ALL_SETS && size > 0 {
                let found = sets(&group, size).find(|set| can_sign(&numbered(set)));
                assert!(found.is_none(), "{found:?} can sign, and was not found");
            }
        }
    }
    chosen.is_some()
}

/// Every one of a set accepts what all agree on, whoever has which number.
fn accepts_itself(set: &[&Record]) {
    let agreed = agree(&numbered(set));
    assert!(agreed.ended.is_none() && agreed.entries.len() == set[0].entries.len().min(MAX_READS));
    set.iter().for_each(|record| assert_eq!(check_own(&agreed, record), Ok(())));
    let reversed: Vec<&Record> = set.iter().rev().copied().collect();
    assert_eq!(agree(&numbered(&reversed)), agreed, "the order of the nodes does not matter");
    assert!(can_sign(&numbered(set)));
}

/// There is a reason exactly where a set cannot sign.
fn says_why(set: &[&Record]) {
    let set = numbered(set);
    let reason = explain(&set);
    assert_eq!(reason.is_none(), can_sign(&set));
    if let Some(reason) = reason {
        assert_eq!(reason.seen.len(), set.len());
        assert!(!reason.to_string().is_empty());
        assert!(reason.position < set.values().map(|record| record.entries.len()).max().unwrap_or(0));
    }
}

fn numbered<'a>(records: &[&'a Record]) -> BTreeMap<Identifier, &'a Record> {
    (1..).filter_map(Identifier::new).zip(records.iter().copied()).collect()
}

/// All sets of a size.
fn sets<'a>(records: &'a [&'a Record], size: usize) -> impl Iterator<Item = Vec<&'a Record>> {
    (0_u32..1 << records.len()).filter(move |set| set.count_ones() as usize == size).map(move |set| {
        records
            .iter()
            .enumerate()
            .filter(|(place, _)| set & 1 << place != 0)
            .map(|(_, record)| *record)
            .collect()
    })
}
