//! Which nodes can sign together.
//!
//! Records are [`alike`] if they differ in numbers only, and only where a rule leaves room. Of records that are
//! alike, those can sign together that accept their own agreed number in each field. Nodes that accept each
//! other's numbers always can: what is agreed is one of them. So a search goes, always in the order of preference,
//! from the first that come to nodes that accept each other, to nodes around one whose numbers all of them accept,
//! and then through sets in which everybody's room overlaps; it is bounded, and the first two steps find their
//! sets long before the bound, whatever numbers liars bring.

use std::{cmp::Ordering, collections::BTreeMap};

use countersign_types::{Decimal, Identifier, MAX_MEMBERS, Record, RecordEntry, Rule};

use crate::{
    agree::{fields_of, is_same_question},
    explain::can_sign,
    rules,
};

/// The most steps of a search; one that looks at a field of a set counts as one.
const MAX_STEPS: usize = 1 << 16;

/// A set of records, by their places: a bit for each.
type Set = u32;

const _: () = assert!(MAX_MEMBERS <= Set::BITS as usize, "a set has a bit for each member");

/// Whether two records differ in numbers only, and only where a rule leaves room. Nodes whose records are not alike
/// can never sign together. A record with a text under a rule about numbers is not even like itself.
pub fn alike(one: &Record, other: &Record) -> bool {
    let entries = || one.entries.iter().zip(&other.entries);
    one.entries.len() == other.entries.len() && entries().all(|(one, other)| alike_at(one, other))
}

fn alike_at(one: &RecordEntry, other: &RecordEntry) -> bool {
    match one {
        RecordEntry::Identical { .. } => one == other,
        RecordEntry::Fields { .. } => {
            let mut fields = fields_of(one).iter().zip(fields_of(other));
            one.read() == other.read()
                && is_same_question(one, other)
                && fields.all(|(one, other)| match one.rule.tolerance() {
                    None => one.value == other.value,
                    Some(_) => one.value.number().is_some() && other.value.number().is_some(),
                })
        }
    }
}

/// So many of these records, by their places in ascending order, whose nodes can sign together; the records are
/// [`alike`] and come in the order of preference. None if there are none, or none was found within the bound.
pub fn choose(records: &[&Record], size: usize) -> Option<Vec<usize>> {
    let records = &records[..records.len().min(MAX_MEMBERS)];
    let first = records.get(..size).filter(|first| !first.is_empty())?;
    if !leaves_room(first[0]) || can_sign(&numbered(first)) {
        return Some((0..size).collect());
    }
    let numbers = Numbers::of(records);
    let found = numbers.tight(size).or_else(|| numbers.around_one(size)).or_else(|| numbers.any(size))?;
    Some((0..records.len()).filter(|place| found & bit(*place) != 0).collect())
}

/// An upper bound on how many of these records' nodes may ever sign together, whoever else joins them. The records
/// are [`alike`].
pub fn most_compatible(records: &[&Record]) -> usize {
    let records = &records[..records.len().min(MAX_MEMBERS)];
    match records.first() {
        None => 0,
        Some(first) if !leaves_room(first) => records.len(),
        Some(_) => {
            let meeting = Numbers::of(records).meeting();
            meeting.into_iter().map(|set| set.count_ones() as usize).max().unwrap_or(0)
        }
    }
}

/// Whether records like this one may differ.
fn leaves_room(record: &Record) -> bool {
    record.entries.iter().flat_map(fields_of).any(|field| field.rule.tolerance().is_some())
}

fn numbered<'a>(records: &[&'a Record]) -> BTreeMap<Identifier, &'a Record> {
    (1..).filter_map(Identifier::new).zip(records.iter().copied()).collect()
}

fn bit(place: usize) -> Set {
    1 << place
}

/// The numbers of records that are alike, field by field.
struct Numbers {
    count: usize,
    fields: Vec<Field>,
}

/// One field's numbers.
struct Field {
    rule: Rule,
    /// By the records' places.
    values: Vec<Decimal>,
    /// The records' places, in ascending order of their numbers.
    ranked: Vec<usize>,
    /// By the records' places: whose nodes accept this one's number.
    accepted: Vec<Set>,
}

impl Numbers {
    fn of(records: &[&Record]) -> Self {
        let columns = records.first().map_or(0, |first| first.entries.iter().flat_map(fields_of).count());
        let column = |index| {
            let field = |record: &&Record| {
                let field = record.entries.iter().flat_map(fields_of).nth(index)?;
                Some((field.rule, *field.value.number()?))
            };
            let fields: Option<Vec<(Rule, Decimal)>> = records.iter().map(field).collect();
            Field::of(fields?)
        };
        Self { count: records.len(), fields: (0..columns).filter_map(column).collect() }
    }

    fn all(&self) -> Set {
        (0..self.count).fold(0, |set, place| set | bit(place))
    }

    /// Nodes that accept each other's numbers.
    fn tight(&self, size: usize) -> Option<Set> {
        let liked: Vec<Set> = (0..self.count).map(|place| self.accepting(place)).collect();
        let mutual: Vec<Set> = (0..self.count)
            .map(|one| {
                let back = (0..self.count).filter(|other| liked[*other] & bit(one) != 0);
                back.fold(0, |set, other| set | (bit(other) & liked[one]))
            })
            .collect();
        Search { graph: &mutual, size, steps: MAX_STEPS, cost: 0, suits: |_| true }.run(self.all())
    }

    /// Nodes around one whose numbers are what they agree on: with one field, there is no other way.
    fn around_one(&self, size: usize) -> Option<Set> {
        (0..self.count).find_map(|middle| self.around(middle, size))
    }

    fn around(&self, middle: usize, size: usize) -> Option<Set> {
        let accepting = self.accepting(middle);
        let others = (0..self.count).filter(|place| *place != middle && accepting & bit(*place) != 0);
        let mut found = bit(middle);
        for other in others {
            if found.count_ones() as usize == size {
                break;
            }
            let larger = found | bit(other);
            if self.fields.iter().all(|field| field.leaves_middle(larger, middle, size)) {
                found = larger;
            }
        }
        (found.count_ones() as usize == size).then_some(found)
    }

    /// Any nodes that can sign together.
    fn any(&self, size: usize) -> Option<Set> {
        let suits = |set| self.fields.iter().all(|field| field.suits(set));
        let meeting = self.meeting();
        let cost = self.fields.len();
        Search { graph: &meeting, size, steps: MAX_STEPS, cost, suits }.run(self.all())
    }

    /// By the records' places: whose nodes accept this one's number in every field.
    fn accepting(&self, place: usize) -> Set {
        self.fields.iter().fold(self.all(), |set, field| set & field.accepted[place])
    }

    /// By the records' places: with whose room this one's overlaps in every field.
    fn meeting(&self) -> Vec<Set> {
        let meets = |one: usize, other: &usize| self.fields.iter().all(|field| field.meets(one, *other));
        (0..self.count)
            .map(|one| {
                (0..self.count).filter(|other| meets(one, other)).fold(0, |set, other| set | bit(other))
            })
            .collect()
    }
}

impl Field {
    /// A field that leaves room; the rule is that of the first, as it is that of all.
    fn of(values: Vec<(Rule, Decimal)>) -> Option<Self> {
        let rule = values.first()?.0;
        let tolerance = rule.tolerance()?;
        let values: Vec<Decimal> = values.into_iter().map(|(_, value)| value).collect();
        let mut ranked: Vec<usize> = (0..values.len()).collect();
        ranked.sort_by_key(|place| values[*place]);
        let accepting = |agreed: &Decimal| {
            let accepts = |own: &(usize, &Decimal)| tolerance.accepts(agreed, own.1);
            values.iter().enumerate().filter(accepts).fold(0, |set, (place, _)| set | bit(place))
        };
        let accepted = values.iter().map(accepting).collect();
        Some(Self { rule, accepted, ranked, values })
    }

    /// Whether the nodes of a set accept the number that they agree on.
    fn suits(&self, set: Set) -> bool {
        let place = rules::rank(&self.rule, set.count_ones() as usize);
        let agreed = self.ranked.iter().filter(|place| set & bit(**place) != 0).nth(place);
        agreed.is_some_and(|agreed| set & !self.accepted[*agreed] == 0)
    }

    /// Whether a set can grow to its size with this one's number as the agreed one.
    fn leaves_middle(&self, set: Set, middle: usize, size: usize) -> bool {
        let below = rules::rank(&self.rule, size);
        let count = |side: Ordering| {
            let on_side = |place: &usize| {
                set & bit(*place) != 0 && self.values[*place].cmp(&self.values[middle]) == side
            };
            (0..self.values.len()).filter(on_side).count()
        };
        count(Ordering::Less) <= below && count(Ordering::Greater) <= size - 1 - below
    }

    fn meets(&self, one: usize, other: usize) -> bool {
        self.rule.tolerance().is_some_and(|tolerance| tolerance.meets(&self.values[one], &self.values[other]))
    }
}

/// A search for a set of a size, all of whose members are joined in a graph, in the order of preference.
struct Search<'a, F> {
    /// By place: with whom it is joined.
    graph: &'a [Set],
    size: usize,
    /// How many steps are left.
    steps: usize,
    /// How many steps it takes to see whether a whole set suits.
    cost: usize,
    suits: F,
}

impl<F: Fn(Set) -> bool> Search<'_, F> {
    fn run(mut self, all: Set) -> Option<Set> {
        // who is joined with too few is in no such set
        let joined =
            |place: &usize| all & bit(*place) != 0 && self.graph[*place].count_ones() as usize >= self.size;
        let open = (0..self.graph.len()).filter(joined).fold(0, |set, place| set | bit(place));
        self.grow(0, open)
    }

    fn grow(&mut self, chosen: Set, mut open: Set) -> Option<Set> {
        let count = chosen.count_ones() as usize;
        if count == self.size {
            self.steps = self.steps.saturating_sub(self.cost);
            return (self.suits)(chosen).then_some(chosen);
        }
        while count + open.count_ones() as usize >= self.size && self.steps > 0 {
            self.steps -= 1;
            let next = open.trailing_zeros() as usize;
            open &= !bit(next);
            let found = self.grow(chosen | bit(next), open & self.graph[next]);
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::{FieldRead, ReadId, Tolerance, http::FieldValue};
    use proptest::prelude::*;

    use super::*;

    const TWO: u64 = 2;

    fn record(rules: &[Rule], numbers: &[i64]) -> Record {
        let field = |(rule, number): (&Rule, &i64)| FieldRead {
            pointer: "/a".into(),
            rule: *rule,
            value: FieldValue::Number(number.to_string().parse().expect("a number")),
        };
        let fields = rules.iter().zip(numbers).map(field).collect();
        Record { entries: vec![RecordEntry::Fields { read: ReadId::from([1; 32]), fields }] }
    }

    fn tolerance(abs: u64) -> Tolerance {
        Tolerance { bps: 0, abs: Decimal::from(abs) }
    }

    fn median() -> Rule {
        Rule::Median(tolerance(TWO))
    }

    /// Who is chosen, by places, of nodes with these numbers in these fields.
    fn chosen(rules: &[Rule], rows: &[Vec<i64>], size: usize) -> Option<Vec<usize>> {
        let records: Vec<Record> = rows.iter().map(|row| record(rules, row)).collect();
        let records: Vec<&Record> = records.iter().collect();
        let found = choose(&records, size);
        if let Some(found) = &found {
            assert_eq!(found.len(), size);
            assert!(found.is_sorted());
            let set: Vec<&Record> = found.iter().map(|place| records[*place]).collect();
            assert!(can_sign(&numbered(&set)), "{found:?} of {rows:?}");
        }
        found
    }

    /// Whether some set can sign, by trying all.
    fn exists(rules: &[Rule], rows: &[Vec<i64>], size: usize) -> bool {
        let records: Vec<Record> = rows.iter().map(|row| record(rules, row)).collect();
        (0..1_u32 << rows.len()).filter(|set| set.count_ones() as usize == size).any(|set| {
            let members = (0..rows.len()).filter(|place| set & bit(*place) != 0);
            can_sign(&numbered(&members.map(|place| &records[place]).collect::<Vec<_>>()))
        })
    }

    fn one_field(numbers: &[i64]) -> Vec<Vec<i64>> {
        numbers.iter().map(|number| vec![*number]).collect()
    }

    #[test]
    fn the_first_that_come_are_chosen_where_they_can_sign() {
        assert_eq!(chosen(&[median()], &one_field(&[100, 101, 99, 100]), 3), Some(vec![0, 1, 2]));
        assert_eq!(chosen(&[Rule::Mode], &one_field(&[7, 7, 7]), 2), Some(vec![0, 1]));
        assert_eq!(chosen(&[], &[vec![], vec![]], 2), Some(vec![0, 1]));
        assert_eq!(chosen(&[median()], &one_field(&[100, 100]), 3), None);
    }

    #[test]
    fn whoever_is_far_off_is_passed_over() {
        assert_eq!(chosen(&[median()], &one_field(&[5_000, 101, 99, 100]), 3), Some(vec![1, 2, 3]));
        assert_eq!(
            chosen(&[Rule::Max(tolerance(2))], &one_field(&[100, 103, 101, 99]), 3),
            Some(vec![0, 2, 3])
        );
    }

    #[test]
    fn nodes_far_from_each_other_can_meet_in_the_middle() {
        // nobody at the ends accepts the other end: only the set with 100 in the middle can sign
        let spread = one_field(&[98, 5_000, 102, 100]);
        assert_eq!(chosen(&[median()], &spread, 3), Some(vec![0, 2, 3]));
        // no two of these accept each other
        assert_eq!(chosen(&[median()], &one_field(&[98, 102, 106]), 3), None);
    }

    #[test]
    fn a_balanced_set_is_found_in_the_largest_committee() {
        // a million sets, of which those with six below, the middle, and six above can sign
        let mut numbers = vec![98; 11];
        numbers.extend([102; 11]);
        numbers.extend([100, 5_000]);
        let found = chosen(&[median()], &one_field(&numbers), 13).expect("there is one");
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 22]);
    }

    #[test]
    fn different_fields_may_take_their_middle_from_different_nodes() {
        let rules = [median(), Rule::Min(tolerance(3)), Rule::Max(tolerance(1))];
        let rows = vec![vec![98, 10, 5], vec![100, 13, 4], vec![102, 12, 5], vec![900, 10, 5]];
        assert_eq!(chosen(&rules, &rows, 3), Some(vec![0, 1, 2]));
    }

    #[test]
    fn honest_nodes_find_each_other_among_as_many_liars_as_can_be() {
        // 13 agree closely in every field; 11 liars each sit at the edge, or far off, in one field of 30
        let rules = vec![median(); 30];
        let mut rows: Vec<Vec<i64>> = Vec::new();
        for liar in 0..11 {
            let lie = |field: usize| if field % 11 == liar { [103, 105, 9_999][liar % 3] } else { 101 };
            rows.push((0..30).map(lie).collect());
        }
        rows.extend((0..13).map(|node| vec![100 + node % 2; 30]));
        assert!(chosen(&rules, &rows, 13).is_some());
    }

    #[test]
    fn a_hopeless_search_ends() {
        // everybody's room overlaps, nobody's number suits: the bound, not the sets, ends the search
        let rules = vec![median(); 40];
        let rows: Vec<Vec<i64>> =
            (0..24).map(|node| vec![if node % 2 == 0 { 98 } else { 102 }; 40]).collect();
        assert_eq!(chosen(&rules, &rows, 13), None);
    }

    #[test]
    fn compatible_are_those_whose_room_overlaps() {
        let most = |numbers: &[i64]| {
            let records: Vec<Record> = numbers.iter().map(|n| record(&[median()], &[*n])).collect();
            most_compatible(&records.iter().collect::<Vec<_>>())
        };
        assert_eq!(most(&[]), 0);
        assert_eq!(most(&[98, 102, 5_000]), 2);
        assert_eq!(most(&[98, 103, 108]), 1);
        assert_eq!(most(&[98, 102, 100]), 3);
    }

    #[test]
    fn records_are_alike_where_only_numbers_differ_that_may() {
        let one = record(&[median()], &[1]);
        assert!(alike(&one, &record(&[median()], &[9])));
        assert!(!alike(&one, &record(&[Rule::Median(tolerance(3))], &[1])), "another rule");
        assert!(!alike(&one, &record(&[median(), median()], &[1, 1])), "another count");
        assert!(!alike(&one, &Record::default()), "another length");
        assert!(!alike(&record(&[Rule::Mode], &[1]), &record(&[Rule::Mode], &[2])), "a mode leaves no room");
        let mut text = one.clone();
        let RecordEntry::Fields { fields, .. } = &mut text.entries[0] else { panic!("fields") };
        fields[0].value = FieldValue::Text("1".into());
        assert!(!alike(&text, &text) && !alike(&one, &text));
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let of = |abs| [Rule::Median(tolerance(abs)), Rule::Min(tolerance(abs)), Rule::Max(tolerance(abs))];
        (0..5_u64, 0..3_usize).prop_map(move |(abs, kind)| of(abs)[kind])
    }

    proptest! {
        /// In committees of this size the search is exhaustive: what it does not find does not exist.
        #[test]
        fn a_set_is_found_exactly_if_there_is_one(
            (rules, rows) in prop::collection::vec(any_rule(), 1..4).prop_flat_map(|rules| {
                let row = prop::collection::vec(prop_oneof![4 => 0..8_i64, 1 => Just(1_000)], rules.len());
                (Just(rules), prop::collection::vec(row, 1..8))
            }),
            size in 1..6_usize,
        ) {
            prop_assert_eq!(chosen(&rules, &rows, size).is_some(), exists(&rules, &rows, size));
        }

        /// Whoever signs together is counted: no session is given up that could still succeed.
        #[test]
        fn the_bound_holds_for_whoever_can_sign(
            numbers in prop::collection::vec(0..12_i64, 1..8),
            size in 1..6_usize,
        ) {
            let rows = one_field(&numbers);
            let records: Vec<Record> = rows.iter().map(|row| record(&[median()], row)).collect();
            let most = most_compatible(&records.iter().collect::<Vec<_>>());
            prop_assert!(most >= size || !exists(&[median()], &rows, size));
        }
    }
}
