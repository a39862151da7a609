//! The log: every event and every field that the code knows stands in the document, and nothing else.

use std::collections::BTreeSet;

use crate::source::{calls, code, file, rows, text};

const DOCUMENT: &str = "docs/operators/logs.md";
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "info_span"];

/// An event: level, message and fields.
type Event = (String, String, String);

/// The name of a field as `tracing` takes it: `%name`, `?name`, `name`, `name = value`, `value.name`.
fn field(argument: &str) -> String {
    let shown = argument.trim_start_matches(['%', '?']);
    let name = shown.split_once(" = ").map_or(shown, |(name, _)| name);
    name.trim().rsplit('.').next().unwrap_or_default().to_owned()
}

fn events(code: &str) -> Vec<(Event, Vec<String>)> {
    let mut events = Vec::new();
    for level in LEVELS {
        for call in calls(code, &format!("tracing::{level}")) {
            let message = call.iter().find_map(|argument| text(argument)).unwrap_or_default();
            let fields: Vec<String> = call
                .iter()
                .filter(|argument| !argument.starts_with('"'))
                .map(|argument| field(argument))
                .collect();
            let level = if level == "info_span" { "span" } else { level };
            events.push(((level.to_owned(), message, fields.join(", ")), fields));
        }
    }
    events
}

fn in_code() -> (BTreeSet<Event>, BTreeSet<String>) {
    let found: Vec<_> = code().iter().flat_map(|code| events(code)).collect();
    assert!(found.len() > 40, "only {} events were found", found.len());
    let fields = found.iter().flat_map(|(_, fields)| fields.clone()).collect();
    (found.into_iter().map(|(event, _)| event).collect(), fields)
}

#[test]
fn every_event_is_documented_and_every_documented_one_exists() {
    let (known, _) = in_code();
    let documented: BTreeSet<Event> = rows(&file(DOCUMENT), &["level", "message", "fields", "what to do"])
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
        .collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in {DOCUMENT}: {missing:#?}\nnot in the code: {gone:#?}"
    );
}

#[test]
fn every_error_and_warning_says_what_to_do() {
    for row in rows(&file(DOCUMENT), &["level", "message", "fields", "what to do"]) {
        let needed = row[0] == "error" || row[0] == "warn";
        assert!(!needed || !row[3].is_empty(), "{row:?}");
    }
}

#[test]
fn every_field_is_explained_once() {
    let (_, known) = in_code();
    let rows = rows(&file(DOCUMENT), &["field", "meaning"]);
    let documented: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(rows.len(), documented.len(), "a field stands twice");
    assert!(rows.iter().all(|row| !row[1].is_empty()), "a field has no meaning");
    let missing: Vec<_> = known.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in {DOCUMENT}: {missing:?}; not in the code: {gone:?}"
    );
}

#[test]
fn an_event_that_nobody_documented_would_be_seen() {
    let code = "tracing::warn!(peer = %self.peer.member, version = hello.version, info.name, ?odd, \"new\")";
    let (event, fields) = events(code).pop().expect("one");
    assert_eq!(fields, ["peer", "version", "name", "odd"]);
    assert!(!in_code().0.contains(&event));
}
