//! What holds for every set of records whose values may differ.

use std::collections::{BTreeMap, BTreeSet};

use countersign_agreement::{
    AgreedEntry, AgreedRecord, Cause, MAX_SHOWN, OwnMismatch, agree, can_sign, check_own, explain,
};
use countersign_types::{
    Decimal, FieldRead, Identifier, ReadId, Record, RecordEntry, Rule, Tolerance,
    http::{FieldValue, MAX_TEXT_BYTES},
};
use proptest::prelude::*;

fn id(number: usize) -> Identifier {
    u16::try_from(number).ok().and_then(Identifier::new).expect("a small number")
}

/// The records of nodes 1, 2, ..
fn set(records: &[Record]) -> BTreeMap<Identifier, &Record> {
    records.iter().enumerate().map(|(index, record)| (id(index + 1), record)).collect()
}

fn number(units: i64) -> FieldValue {
    FieldValue::Number(units.to_string().parse().expect("a number"))
}

fn abs(abs: u64) -> Tolerance {
    Tolerance { bps: 0, abs: Decimal::from(abs) }
}

fn field(pointer: &str, rule: Rule, value: FieldValue) -> FieldRead {
    FieldRead { pointer: pointer.into(), rule, value }
}

fn fields(fields: Vec<FieldRead>) -> RecordEntry {
    RecordEntry::Fields { read: ReadId::from([1; 32]), fields }
}

fn one(rule: Rule, value: FieldValue) -> Record {
    Record { entries: vec![fields(vec![field("/price", rule, value)])] }
}

fn numbers(rule: Rule, units: &[i64]) -> Vec<Record> {
    units.iter().map(|units| one(rule, number(*units))).collect()
}

/// The agreed value of the only field.
fn agreed_value(agreed: &AgreedRecord) -> Option<FieldValue> {
    match agreed.entries.first()? {
        AgreedEntry::Fields { fields, .. } => Some(fields.first()?.value.clone()),
        AgreedEntry::Identical { .. } => None,
    }
}

#[test]
fn an_agreed_read_carries_pointers_rules_and_agreed_values() {
    let median = Rule::Median(abs(5));
    let record = |price, open: &str| Record {
        entries: vec![fields(vec![
            field("/price", median, number(price)),
            field("/open", Rule::Mode, FieldValue::Text(open.into())),
        ])],
    };
    let agreed = agree(&set(&[record(3, "yes"), record(1, "yes"), record(2, "no")]));
    let expected =
        vec![field("/price", median, number(2)), field("/open", Rule::Mode, FieldValue::Text("yes".into()))];
    let read = ReadId::from([1; 32]);
    assert_eq!(agreed.entries, [AgreedEntry::Fields { read, fields: expected }]);
    assert_eq!(agreed.ended, None);
}

#[test]
fn records_that_do_not_fit_their_read_are_a_disagreement_and_no_panic() {
    let rule = Rule::Median(abs(5));
    let honest = one(rule, number(1));
    let others = [
        Record { entries: vec![fields(vec![field("/other", rule, number(1))])] },
        Record { entries: vec![fields(vec![field("/price", Rule::Min(abs(5)), number(1))])] },
        Record { entries: vec![fields(vec![field("/price", Rule::Median(abs(500)), number(1))])] },
        Record { entries: vec![fields(vec![field("/price", rule, number(1)); 2])] },
        Record { entries: vec![fields(Vec::new())] },
        Record {
            entries: vec![RecordEntry::Identical {
                read: ReadId::from([1; 32]),
                value: Default::default(),
                length: 1,
            }],
        },
    ];
    for (index, other) in others.into_iter().enumerate() {
        for records in [[honest.clone(), other.clone()], [other.clone(), honest.clone()]] {
            let why = explain(&set(&records)).expect("no agreement");
            assert_eq!((why.cause, why.rule, why.pointer), (Cause::Rules, None, None), "lie {index}");
        }
        // catches a check of the own record that looks at values only, with the liar's wide tolerance
        let own = check_own(&agree(&set(std::slice::from_ref(&other))), &honest);
        assert!(matches!(own, Err(OwnMismatch::Rules { position: 0, .. })), "lie {index}: {own:?}");
    }
}

#[test]
fn a_value_that_is_no_number_under_a_rule_about_numbers_is_a_disagreement() {
    let rule = Rule::Median(abs(5));
    let records = [one(rule, number(1)), one(rule, FieldValue::Text("1".into())), one(rule, number(1))];
    let why = explain(&set(&records)).expect("no agreement");
    assert_eq!((why.cause, why.pointer.as_deref(), why.rule), (Cause::NotNumber, Some("/price"), Some(rule)));
    assert!(!can_sign(&set(&records[1..2])), "not even alone");
}

#[test]
fn what_some_node_does_not_accept_is_explained_with_what_each_saw() {
    let rule = Rule::Median(Tolerance { bps: 50, abs: Decimal::ZERO });
    let why = explain(&set(&numbers(rule, &[1_000, 1_005, 1_100]))).expect("one is far off");
    assert_eq!((why.cause, why.rule), (Cause::Tolerance, Some(rule)));
    assert_eq!(why.against, BTreeSet::from([id(3)]));
    assert_eq!(
        why.to_string(),
        "no agreement on read 0, field \"/price\": the agreed 1005 is outside the tolerance of 1 of 3 nodes"
    );
    let seen: Vec<String> = why.seen.into_values().flatten().map(|seen| seen.value).collect();
    assert_eq!(seen, ["1000", "1005", "1100"]);
}

#[test]
fn a_mode_that_is_not_everybodys_is_explained() {
    let text = |text: &str| one(Rule::Mode, FieldValue::Text(text.into()));
    let why = explain(&set(&[text("a"), text("a"), text("b")])).expect("one saw another");
    assert_eq!(why.reason(), "1 of 3 nodes read something else than most, \"a\"");
    let why = explain(&set(&[text("a"), text("b")])).expect("a tie");
    assert_eq!(why.cause, Cause::Tie);
    // the first thing that is wrong is told: here the tolerance, before records that end
    let mut longer = text("b");
    longer.entries.push(longer.entries[0].clone());
    let why = explain(&set(&[text("a"), text("a"), longer])).expect("two things are wrong");
    assert_eq!((why.position, why.cause), (0, Cause::Tolerance));
}

#[test]
fn what_is_shown_is_bounded() {
    let long =
        |fill: char| one(Rule::Identical, FieldValue::Text(fill.to_string().repeat(MAX_TEXT_BYTES / 4)));
    let records = [long('𝄞'), long('x')];
    let why = explain(&set(&records)).expect("they differ");
    for seen in why.seen.into_values().flatten() {
        assert_eq!(seen.value.chars().count(), MAX_SHOWN);
    }
    let mismatch = check_own(&agree(&set(&records[..1])), &records[1]).expect_err("they differ");
    assert!(mismatch.to_string().chars().count() < 4 * MAX_SHOWN);
}

#[test]
fn a_missing_read_is_told_from_a_value_that_is_missing() {
    let rule = Rule::Identical;
    let why = explain(&set(&[one(rule, FieldValue::Null), Record::default()])).expect("one read nothing");
    assert_eq!((why.cause, why.seen[&id(2)].clone()), (Cause::Ended, None));
    assert_eq!(why.seen[&id(1)].as_ref().map(|seen| seen.value.as_str()), Some("/price: null"));
    assert_eq!(explain(&set(&[one(rule, FieldValue::Null), one(rule, FieldValue::Null)])), None);
}

#[test]
fn the_tolerance_is_that_around_the_own_value() {
    let rule = Rule::Min(Tolerance { bps: 1_000, abs: Decimal::ZERO });
    // catches a tolerance that is skipped, and one around the agreed value
    let agreed = agree(&set(&numbers(rule, &[90, 100])));
    assert_eq!(check_own(&agreed, &one(rule, number(100))), Ok(()));
    let refused = check_own(&agreed, &one(rule, number(101)));
    assert!(matches!(refused, Err(OwnMismatch::Field { position: 0, .. })), "{refused:?}");
}

const RULES: usize = 3;

fn numeric(kind: usize, tolerance: Tolerance) -> Rule {
    [Rule::Median(tolerance), Rule::Min(tolerance), Rule::Max(tolerance)][kind % RULES]
}

fn any_tolerance() -> impl Strategy<Value = Tolerance> {
    (prop_oneof![Just(0), 0..500_u32], 0..20_u64).prop_map(|(bps, abs)| Tolerance { bps, abs: abs.into() })
}

fn any_units() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 990..1_010_i64, 2 => -20..20_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

/// What the values' distance is bounded by, computed another way: in units, with room for 10,000.
fn is_within(tolerance: &Tolerance, agreed: i128, own: i128) -> bool {
    let abs: i128 = tolerance.abs.to_string().parse().expect("whole");
    let distance = (agreed - own).abs();
    distance <= abs || distance * 10_000 <= i128::from(tolerance.bps) * own.abs()
}

fn units(value: &FieldValue) -> i128 {
    value.to_string().parse().expect("a whole number")
}

proptest! {
    #[test]
    fn the_order_of_the_nodes_does_not_matter(
        (values, shuffled) in prop::collection::vec(any_units(), 1..8)
            .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
        kind in 0..RULES + 1,
        tolerance in any_tolerance(),
    ) {
        let rule = if kind == RULES { Rule::Mode } else { numeric(kind, tolerance) };
        let (one, other) = (numbers(rule, &values), numbers(rule, &shuffled));
        prop_assert_eq!(agree(&set(&one)), agree(&set(&other)));
        prop_assert_eq!(can_sign(&set(&one)), can_sign(&set(&other)));
    }

    #[test]
    fn the_agreed_number_is_some_nodes_and_where_the_rule_says(
        values in prop::collection::vec(any_units(), 1..10),
        kind in 0..RULES,
    ) {
        let records = numbers(numeric(kind, abs(0)), &values);
        let agreed = units(&agreed_value(&agree(&set(&records))).expect("numbers agree"));
        prop_assert!(values.iter().any(|value| i128::from(*value) == agreed));
        let below = values.iter().filter(|value| i128::from(**value) < agreed).count();
        let above = values.iter().filter(|value| i128::from(**value) > agreed).count();
        // catches the upper median: of an even count, at most half are above and fewer are below
        match kind {
            0 => prop_assert!(2 * below < values.len() && 2 * above <= values.len()),
            1 => prop_assert_eq!(below, 0),
            _ => prop_assert_eq!(above, 0),
        }
    }

    /// Whoever accepts has the agreed number within its tolerance, however absurd the others' numbers are.
    #[test]
    fn what_a_node_accepts_is_within_its_tolerance(
        values in prop::collection::vec(any_units(), 1..8),
        kind in 0..RULES,
        tolerance in any_tolerance(),
    ) {
        let records = numbers(numeric(kind, tolerance), &values);
        let agreed = agree(&set(&records));
        let value = units(&agreed_value(&agreed).expect("numbers agree"));
        for (record, own) in records.iter().zip(&values) {
            let accepts = check_own(&agreed, record).is_ok();
            prop_assert_eq!(accepts, is_within(&tolerance, value, i128::from(*own)));
        }
        prop_assert_eq!(explain(&set(&records)).is_none(), can_sign(&set(&records)));
    }

    /// Of a threshold at least one is honest, and whatever the others say, a result that all accept lies within the
    /// tolerance of each honest one.
    #[test]
    fn fewer_liars_than_the_threshold_move_an_accepted_number_by_the_tolerance_at_most(
        truth in 900..1_100_i64,
        noise in prop::collection::vec(-3..4_i64, 1..5),
        lies in prop::collection::vec(any_units(), 0..5),
        kind in 0..RULES,
        tolerance in any_tolerance(),
    ) {
        let honest: Vec<i64> = noise.iter().map(|noise| truth + noise).collect();
        let all: Vec<i64> = honest.iter().chain(&lies).copied().collect();
        let records = numbers(numeric(kind, tolerance), &all);
        if can_sign(&set(&records)) {
            let value = units(&agreed_value(&agree(&set(&records))).expect("numbers agree"));
            for own in honest {
                prop_assert!(is_within(&tolerance, value, i128::from(own)), "{} from {}", value, own);
            }
        }
    }

    /// One absurd number never counts in a median of three or more that are honest within the tolerance.
    #[test]
    fn one_absurd_number_moves_a_median_among_the_honest_only(
        honest in prop::collection::vec(990..1_010_i64, 2..7),
        absurd in prop_oneof![Just(i64::MAX), Just(i64::MIN), Just(0_i64)],
    ) {
        let all: Vec<i64> = honest.iter().copied().chain([absurd]).collect();
        let agreed = agree(&set(&numbers(Rule::Median(abs(20)), &all)));
        let value = units(&agreed_value(&agreed).expect("numbers agree"));
        prop_assert!(honest.iter().any(|own| i128::from(*own) == value), "{} of {:?}", value, all);
    }

    #[test]
    fn who_agrees_on_one_value_accepts_it(value in any_units(), copies in 1..6_usize, kind in 0..RULES + 2) {
        let rule = match kind {
            RULES => Rule::Mode,
            kind if kind < RULES => numeric(kind, Tolerance::default()),
            _ => Rule::Identical,
        };
        let records = numbers(rule, &vec![value; copies]);
        let agreed = agree(&set(&records));
        prop_assert_eq!(agreed_value(&agreed), Some(number(value)));
        prop_assert_eq!(check_own(&agreed, &records[0]), Ok(()));
        prop_assert_eq!(explain(&set(&records)), None);
    }

    /// Agreeing on what was agreed changes nothing.
    #[test]
    fn agreement_is_idempotent(
        values in prop::collection::vec(any_units(), 1..8),
        kind in 0..RULES,
        copies in 1..5_usize,
    ) {
        let once = agree(&set(&numbers(numeric(kind, abs(5)), &values)));
        let entries = once.entries.iter().map(|entry| match entry.clone() {
            AgreedEntry::Identical { read, value, length } => RecordEntry::Identical { read, value, length },
            AgreedEntry::Fields { read, fields } => RecordEntry::Fields { read, fields },
        });
        let record = Record { entries: entries.collect() };
        prop_assert_eq!(agree(&set(&vec![record; copies])), once);
    }
}
