//! What holds for every set of records.

use std::collections::BTreeMap;

use countersign_agreement::{AgreedEntry, Cause, OwnMismatch, agree, check_own, explain};
use countersign_types::{B256, Identifier, ReadId, Record, RecordEntry, Rule, record::MAX_READS};
use proptest::prelude::*;

fn entry(read: u8, value: u8) -> RecordEntry {
    RecordEntry::Identical {
        read: ReadId::from([read; 32]),
        value: B256::repeat_byte(value),
        length: u32::from(value),
    }
}

fn record(entries: &[(u8, u8)]) -> Record {
    Record { entries: entries.iter().map(|&(read, value)| entry(read, value)).collect() }
}

fn id(number: usize) -> Identifier {
    u16::try_from(number).ok().and_then(Identifier::new).expect("a small number")
}

/// The records of nodes 1, 2, ..
fn set(records: &[Record]) -> BTreeMap<Identifier, &Record> {
    records.iter().enumerate().map(|(index, record)| (id(index + 1), record)).collect()
}

/// Records of few distinct reads and values, so that agreement and disagreement both happen.
fn any_record() -> impl Strategy<Value = Record> {
    prop::collection::vec((0..2u8, 0..2u8), 0..6).prop_map(|entries| record(&entries))
}

fn any_set() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(any_record(), 1..6)
}

#[test]
fn equal_records_are_agreed_whole() {
    let records = vec![record(&[(1, 1), (2, 2)]); 3];
    let agreed = agree(&set(&records));
    assert_eq!(agreed.ended, None);
    assert_eq!(
        agreed.entries.iter().map(AgreedEntry::read).collect::<Vec<_>>(),
        [ReadId::from([1; 32]), ReadId::from([2; 32])]
    );
}

#[test]
fn nobody_agrees_on_nothing() {
    let agreed = agree(&BTreeMap::new());
    assert_eq!((agreed.entries.len(), agreed.ended), (0, None));
}

#[test]
fn a_record_that_ends_early_ends_the_agreement() {
    let records = [record(&[(1, 1), (2, 2)]), record(&[(1, 1)])];
    let agreed = agree(&set(&records));
    assert_eq!(agreed.entries.len(), 1);
    let ended = agreed.ended.expect("one is shorter");
    assert_eq!((ended.position, ended.field, ended.cause), (1, None, Cause::Ended));
    let why = explain(&set(&records)).expect("one is shorter");
    assert_eq!(why.seen[&id(2)], None);
    let seen = why.seen[&id(1)].as_ref().map(|seen| seen.value.clone());
    assert_eq!(seen, Some(B256::repeat_byte(2).to_string()));
    assert_eq!(why.to_string(), "no agreement on read 1: some nodes did not make it");
}

#[test]
fn another_read_is_told_from_another_value() {
    let other_read = [record(&[(1, 1)]), record(&[(2, 1)])];
    let why = explain(&set(&other_read)).expect("they differ");
    assert_eq!((why.cause, why.rule), (Cause::Reads, None));
    assert_eq!(why.to_string(), "no agreement on read 0: the nodes made different reads");

    let other_value = [record(&[(1, 1)]), record(&[(1, 2)])];
    let why = explain(&set(&other_value)).expect("they differ");
    assert_eq!((why.cause, why.rule), (Cause::Values, Some(Rule::Identical)));
    assert_eq!(why.to_string(), "no agreement on read 0: the nodes read different values");
}

#[test]
fn another_length_under_the_same_digest_is_another_value() {
    let mut other = record(&[(1, 1)]);
    other.entries[0] =
        RecordEntry::Identical { read: ReadId::from([1; 32]), value: B256::repeat_byte(1), length: 2 };
    let records = [record(&[(1, 1)]), other];
    assert!(agree(&set(&records)).ended.is_some());
    assert!(check_own(&agree(&set(&records[..1])), &records[1]).is_err());
}

#[test]
fn positions_beyond_the_bound_are_not_looked_at() {
    let records = vec![record(&[(1, 1); MAX_READS + 5]); 2];
    assert_eq!(agree(&set(&records)).entries.len(), MAX_READS);
}

#[test]
fn an_own_record_must_hold_every_agreed_read() {
    let records = [record(&[(1, 1), (2, 2)])];
    let agreed = agree(&set(&records));
    let cases = [
        (record(&[(1, 1)]), OwnMismatch::Ended { position: 1, length: 1 }),
        (
            record(&[(1, 1), (3, 2)]),
            OwnMismatch::Read { position: 1, agreed: ReadId::from([2; 32]), own: ReadId::from([3; 32]) },
        ),
        (record(&[(1, 9), (2, 2)]), OwnMismatch::Value { position: 0, read: ReadId::from([1; 32]) }),
        (
            record(&[(2, 2), (1, 1)]),
            OwnMismatch::Read { position: 0, agreed: ReadId::from([1; 32]), own: ReadId::from([2; 32]) },
        ),
    ];
    for (own, expected) in cases {
        assert_eq!(check_own(&agreed, &own), Err(expected));
    }
    assert_eq!(check_own(&agreed, &record(&[(1, 1), (2, 2), (3, 3)])), Ok(()));
}

proptest! {
    #[test]
    fn the_order_of_the_records_does_not_matter(
        (records, shuffled) in any_set().prop_flat_map(|records| (Just(records.clone()), Just(records).prop_shuffle()))
    ) {
        let (one, other) = (agree(&set(&records)), agree(&set(&shuffled)));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_record_agrees_with_itself(own in any_record(), copies in 1..5usize) {
        let records = vec![own.clone(); copies];
        let agreed = agree(&set(&records));
        prop_assert_eq!(agreed.ended.as_ref(), None);
        prop_assert_eq!(agreed.entries.len(), own.entries.len());
        prop_assert_eq!(check_own(&agreed, &own), Ok(()));
    }

    #[test]
    fn one_differing_value_ends_the_record_there(
        own in any_record().prop_filter("not empty", |record| !record.entries.is_empty()),
        copies in 2..6usize,
        liar: prop::sample::Index,
        position: prop::sample::Index,
    ) {
        let mut records = vec![own.clone(); copies];
        let (liar, position) = (liar.index(copies), position.index(own.entries.len()));
        let RecordEntry::Identical { value, .. } = &mut records[liar].entries[position] else {
            panic!("all are identical");
        };
        *value = B256::repeat_byte(0xee);
        let agreed = agree(&set(&records));
        prop_assert_eq!(agreed.entries.len(), position);
        let why = explain(&set(&records)).expect("one differs");
        prop_assert_eq!(why.position, position);
        let lied = why.seen[&id(liar + 1)].as_ref().map(|seen| seen.value.clone());
        prop_assert_eq!(lied, Some(B256::repeat_byte(0xee).to_string()));
    }

    #[test]
    fn every_member_of_the_set_accepts_what_it_agreed_on(records in any_set()) {
        let agreed = agree(&set(&records));
        for own in &records {
            prop_assert_eq!(check_own(&agreed, own), Ok(()));
        }
    }

    #[test]
    fn a_larger_set_never_agrees_on_more(records in any_set(), more in any_record()) {
        let before = agree(&set(&records));
        let mut larger = records;
        larger.push(more);
        let after = agree(&set(&larger));
        prop_assert!(before.entries.starts_with(&after.entries));
    }
}
