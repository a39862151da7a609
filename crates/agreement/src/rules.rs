//! What each rule makes of the values of one field, and what it tolerates.

use std::collections::BTreeMap;

use countersign_types::{Decimal, Rule, http::FieldValue};

use crate::Cause;

/// The agreed value of one field, from the value of every node of a set.
pub(crate) fn apply(rule: &Rule, values: &[&FieldValue]) -> Result<FieldValue, Cause> {
    match rule {
        Rule::Identical => identical(values),
        Rule::Median(_) | Rule::Min(_) | Rule::Max(_) => {
            let numbers: Option<Vec<Decimal>> = values.iter().map(|value| value.number().copied()).collect();
            let mut numbers = numbers.ok_or(Cause::NotNumber)?;
            numbers.sort_unstable();
            let place = rank(rule, numbers.len());
            numbers.get(place).map(|number| FieldValue::Number(*number)).ok_or(Cause::Values)
        }
        Rule::Mode => mode(values),
    }
}

/// The place of the agreed number among so many in ascending order: of two in the middle, the lower.
pub(crate) fn rank(rule: &Rule, count: usize) -> usize {
    let last = count.saturating_sub(1);
    match rule {
        Rule::Min(_) => 0,
        Rule::Max(_) => last,
        Rule::Median(_) | Rule::Identical | Rule::Mode => last / 2,
    }
}

/// Whether a node that read `own` signs over the agreed value.
pub(crate) fn accepts(rule: &Rule, agreed: &FieldValue, own: &FieldValue) -> bool {
    match rule.tolerance() {
        None => agreed == own,
        Some(tolerance) => match (agreed.number(), own.number()) {
            (Some(agreed), Some(own)) => tolerance.accepts(agreed, own),
            (Some(_) | None, None) | (None, Some(_)) => false,
        },
    }
}

fn identical(values: &[&FieldValue]) -> Result<FieldValue, Cause> {
    let (first, others) = values.split_first().ok_or(Cause::Values)?;
    if others.iter().all(|other| other == first) { Ok((*first).clone()) } else { Err(Cause::Values) }
}

fn mode(values: &[&FieldValue]) -> Result<FieldValue, Cause> {
    let mut counts: BTreeMap<&FieldValue, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or(0);
    let mut leading = counts.into_iter().filter(|(_, count)| *count == most).map(|(value, _)| value);
    match (leading.next(), leading.next()) {
        (Some(value), None) => Ok(value.clone()),
        (Some(_), Some(_)) | (None, _) => Err(Cause::Tie),
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::Tolerance;

    use super::*;

    const WIDE: Tolerance = Tolerance { bps: 10_000, abs: Decimal::ZERO };

    fn number(text: &str) -> FieldValue {
        FieldValue::Number(text.parse().expect("a number"))
    }

    fn agreed(rule: Rule, values: &[FieldValue]) -> Result<String, Cause> {
        let all: Vec<&FieldValue> = values.iter().collect();
        let result = apply(&rule, &all);
        // no variant may look at the order of the nodes: ties broken by it, the first one's value taken
        let reversed: Vec<&FieldValue> = values.iter().rev().collect();
        assert_eq!(apply(&rule, &reversed), result);
        result.map(|value| value.to_string())
    }

    fn of_numbers(rule: Rule, texts: &[&str]) -> Result<String, Cause> {
        agreed(rule, &texts.iter().map(|text| number(text)).collect::<Vec<_>>())
    }

    #[test]
    fn the_median_is_the_lower_of_two_in_the_middle() {
        let median = Rule::Median(WIDE);
        for (texts, expected) in [
            (&["7"][..], "7"),
            // catches the upper median (7) and the mean of both (6)
            (&["7", "5"], "5"),
            (&["3", "1", "2"], "2"),
            // catches the upper median (3), and texts that are sorted as texts (10 before 2)
            (&["10", "3", "2", "1"], "2"),
            (&["-1", "0", "1"], "0"),
            // catches an order by size without the sign
            (&["-3", "1", "-2"], "-2"),
            (&["5", "5", "1", "9"], "5"),
        ] {
            assert_eq!(of_numbers(median, texts).as_deref(), Ok(expected), "{texts:?}");
        }
    }

    #[test]
    fn min_and_max_are_the_ends() {
        let texts = ["0.5", "-10", "9", "-9.5", "10"];
        // catches an order of texts ("9" after "10") and one by size without the sign
        assert_eq!(of_numbers(Rule::Min(WIDE), &texts).as_deref(), Ok("-10"));
        assert_eq!(of_numbers(Rule::Max(WIDE), &texts).as_deref(), Ok("10"));
    }

    #[test]
    fn equal_numbers_are_one_value_however_they_were_written() {
        for rule in [Rule::Identical, Rule::Mode, Rule::Median(Tolerance::default())] {
            assert_eq!(of_numbers(rule, &["1.50", "15e-1", "1.5"]).as_deref(), Ok("1.5"), "{rule}");
        }
        // catches kinds that are mixed up: the text "1" is not the number 1
        assert_eq!(agreed(Rule::Identical, &[number("1"), FieldValue::Text("1".into())]), Err(Cause::Values));
    }

    #[test]
    fn identical_allows_no_exception() {
        // catches a majority that is taken for everybody
        assert_eq!(of_numbers(Rule::Identical, &["1", "1", "2"]), Err(Cause::Values));
        assert_eq!(agreed(Rule::Identical, &[FieldValue::Null, FieldValue::Bool(false)]), Err(Cause::Values));
    }

    #[test]
    fn the_most_frequent_wins_and_a_tie_is_a_disagreement() {
        let text = |text: &str| FieldValue::Text(text.into());
        let open = || text("open");
        assert_eq!(agreed(Rule::Mode, &[open(), text("closed"), open()]).as_deref(), Ok("\"open\""));
        // a plurality is enough: catches a rule that wants more than half
        assert_eq!(
            agreed(Rule::Mode, &[open(), text("a"), open(), text("b"), text("c")]).as_deref(),
            Ok("\"open\"")
        );
        // catches ties that are broken, by order of nodes or of values
        assert_eq!(agreed(Rule::Mode, &[open(), text("closed")]), Err(Cause::Tie));
        assert_eq!(agreed(Rule::Mode, &[open(), text("a"), text("a"), open(), text("b")]), Err(Cause::Tie));
    }

    #[test]
    fn a_rule_about_numbers_takes_no_other_value() {
        // catches values that are left out in place of ending the agreement
        for other in [FieldValue::Null, FieldValue::Bool(true), FieldValue::Text("2".into())] {
            for rule in [Rule::Median(WIDE), Rule::Min(WIDE), Rule::Max(WIDE)] {
                assert_eq!(agreed(rule, &[number("1"), other.clone(), number("3")]), Err(Cause::NotNumber));
                assert!(!accepts(&rule, &other, &other), "{rule}");
                assert!(!accepts(&rule, &number("1"), &other), "{rule}");
            }
        }
    }

    #[test]
    fn nobody_has_no_value() {
        for rule in [Rule::Identical, Rule::Median(WIDE), Rule::Min(WIDE), Rule::Max(WIDE), Rule::Mode] {
            assert!(apply(&rule, &[]).is_err(), "{rule}");
        }
    }

    #[test]
    fn a_node_accepts_within_its_tolerance_and_only_its_own_where_there_is_none() {
        let one_percent = Tolerance { bps: 100, abs: Decimal::ZERO };
        for rule in [Rule::Median(one_percent), Rule::Min(one_percent), Rule::Max(one_percent)] {
            assert!(accepts(&rule, &number("101"), &number("100")), "{rule}");
            // catches a tolerance around the agreed value (1% of 101.01 is enough)
            assert!(!accepts(&rule, &number("101.01"), &number("100")), "{rule}");
            assert!(accepts(&rule, &number("0"), &number("0")), "{rule}");
            assert!(!accepts(&rule, &number("0.01"), &number("0")), "{rule}");
        }
        for rule in [Rule::Identical, Rule::Mode] {
            assert!(accepts(&rule, &number("1"), &number("1.0")), "{rule}");
            // catches a mode that a node signs over against its own value
            assert!(!accepts(&rule, &number("1"), &number("2")), "{rule}");
        }
    }
}
