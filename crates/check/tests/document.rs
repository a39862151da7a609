//! The operators' document of `countersign node check` says what the program prints.

use std::{collections::BTreeSet, fs, path::Path};

use countersign_check::{Name, Report, SCHEMA, State};
use serde_json::Value;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operators/check.md");
    fs::read_to_string(path).expect("the document")
}

/// What stands in quotes in the first cell of each row of the document's tables.
fn first_cells() -> BTreeSet<String> {
    let rows: Vec<String> =
        document().lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let cells = rows.iter().filter_map(|row| row.split('|').nth(1));
    cells.flat_map(|cell| cell.split(',').map(|word| word.trim().trim_matches('`').to_owned())).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().expect("an object").keys().cloned().collect()
}

#[test]
fn every_name_state_and_field_is_explained_and_nothing_else() {
    let mut expected: BTreeSet<String> = Name::ALL.iter().map(|name| name.name().to_owned()).collect();
    expected.extend(State::ALL.iter().map(|state| state.name().to_owned()));
    let example = example();
    expected.extend(keys(&serde_json::to_value(&example).expect("JSON")));
    assert_eq!(first_cells(), expected);
    // of each check's own fields, those that are not of the whole are told in a sentence
    for field in keys(&serde_json::to_value(&example.checks[0]).expect("JSON")) {
        assert!(document().contains(&format!("`{field}`")), "{field} is not explained");
    }
}

fn example() -> Report {
    let text = document();
    let example = text.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    serde_json::from_str(example).expect("the example is the document")
}

#[test]
fn the_example_has_every_field() {
    let text = document();
    let shown = text.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let shown: Value = serde_json::from_str(shown).expect("JSON");
    let report = example();
    assert_eq!(report.schema, SCHEMA);
    assert_eq!(serde_json::to_value(&report).expect("JSON"), shown);
}
