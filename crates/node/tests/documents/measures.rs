//! Metrics: the code's, the list's, the document's and the dashboard's are the same.

use std::collections::{BTreeMap, BTreeSet};

use countersign_node::measures::{Kind, MEASURES, Measure};
use serde_json::Value;

use crate::source::{calls, code, file, rows, text};

const DOCUMENT: &str = "docs/operators/metrics.md";
const DASHBOARD: &str = "deploy/grafana/countersign.json";
const HEAD: [&str; 5] = ["metric", "kind", "labels", "meaning", "when to worry"];
/// Where the list itself stands.
const LIST: &str = "pub const MEASURES: &[Measure]";

/// What is shown of a histogram.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

fn measures() -> BTreeMap<&'static str, &'static Measure> {
    MEASURES.iter().map(|measure| (measure.name, measure)).collect()
}

/// Names of metrics in a text: each that begins as ours do.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("countersign_") {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String = text[at..].chars().take_while(|c| is_part(*c)).collect();
        // not a crate's path, nor the target of log events
        if !text[at + name.len()..].starts_with("::") {
            names.insert(name);
        }
    }
    names
}

/// The texts in code that are whole names of metrics.
fn counted(code: &str) -> BTreeSet<String> {
    let ends = |name: &String| code.contains(&format!("\"{name}\""));
    names(code).into_iter().filter(ends).collect()
}

#[test]
fn every_metric_of_the_code_is_listed_and_every_listed_one_is_counted() {
    let elsewhere = code().into_iter().filter(|code| !code.contains(LIST));
    let counted: BTreeSet<String> = elsewhere.flat_map(|code| counted(&code)).collect();
    let listed: BTreeSet<String> = measures().keys().map(ToString::to_string).collect();
    assert_eq!(listed.len(), MEASURES.len(), "a metric is listed twice");
    let missing: Vec<_> = counted.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&counted).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not listed: {missing:?}; not counted: {gone:?}");
}

#[test]
fn kinds_and_labels_are_those_of_the_calls() {
    let measures = measures();
    for code in code() {
        for kind in [Kind::Counter, Kind::Gauge, Kind::Histogram] {
            for call in calls(&code, kind.name()) {
                // names in constants and variables are those of the test above
                let Some(name) = call.first().and_then(|name| text(name)) else { continue };
                let measure = measures.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not listed"));
                assert_eq!(measure.kind, kind, "{name}");
                let labels = call[1..].iter().filter_map(|label| text(label.split_once(" => ")?.0));
                let labels: Vec<String> = labels.collect();
                let shared = call[1..].iter().any(|label| label.starts_with('&'));
                assert!(shared || labels == measure.labels, "{name} has the labels {labels:?}");
            }
        }
    }
}

#[test]
fn the_document_says_what_the_list_says() {
    let rows = rows(&file(DOCUMENT), &HEAD);
    let documented: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let listed: BTreeSet<&str> = measures().keys().copied().collect();
    let missing: Vec<_> = listed.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&listed).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in {DOCUMENT}: {missing:?}; not in the list: {gone:?}"
    );
    assert_eq!(rows.len(), listed.len(), "a metric stands twice");
    for row in &rows {
        let measure = measures()[row[0].as_str()];
        assert_eq!(row[1], measure.kind.name(), "{row:?}");
        assert_eq!(row[2], measure.labels.join(", "), "{row:?}");
        // the document may say more of the values of labels
        let meaning =
            row[3].strip_prefix(measure.help).unwrap_or_else(|| panic!("{row:?}: {}", measure.help));
        assert!(meaning.is_empty() || meaning.starts_with(": "), "{row:?}");
    }
    let mentioned = names(&file(DOCUMENT));
    let strange: Vec<_> = mentioned.iter().filter(|name| !listed.contains(name.as_str())).collect();
    assert!(strange.is_empty(), "mentioned and not listed: {strange:?}");
}

/// A query of a dashboard.
struct Query {
    title: String,
    expression: String,
    legend: String,
}

fn queries(dashboard: &Value) -> Vec<Query> {
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title").to_owned();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |key: &str| target[key].as_str().expect("a text").to_owned();
            queries.push(Query {
                title: title.clone(),
                expression: text("expr"),
                legend: text("legendFormat"),
            });
        }
    }
    queries
}

/// Whether a query may name this: a counter or gauge as it is, of a histogram what is shown of it.
fn exists(name: &str) -> bool {
    let measures = measures();
    let of_histogram =
        PARTS.iter().find_map(|part| name.strip_suffix(part)).and_then(|base| measures.get(base));
    match (measures.get(name), of_histogram) {
        (Some(measure), _) => measure.kind != Kind::Histogram,
        (None, Some(measure)) => measure.kind == Kind::Histogram,
        (None, None) => false,
    }
}

/// Labels that a query groups by or selects, and that its legend shows.
fn mentioned_labels(expression: &str, legend: &str) -> Vec<String> {
    let inside = |text: &str, from: &str, to: &str| -> Vec<String> {
        text.split(from).skip(1).filter_map(|rest| rest.split(to).next()).map(str::to_owned).collect()
    };
    let listed = |texts: Vec<String>| -> Vec<String> {
        texts
            .iter()
            .flat_map(|text| text.split(','))
            .map(|part| part.split('=').next().unwrap_or_default().trim().to_owned())
            .collect()
    };
    let mut labels = listed(inside(expression, "by (", ")"));
    labels.extend(listed(inside(expression, "{", "}")));
    labels.extend(inside(legend, "{{", "}}"));
    labels
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist_by_labels_that_they_have() {
    let dashboard: Value = serde_json::from_str(&file(DASHBOARD)).expect("JSON");
    let queries = queries(&dashboard);
    assert!(queries.len() > 10, "only {} queries", queries.len());
    for Query { title, expression, legend } in &queries {
        let asked = names(expression);
        assert!(!asked.is_empty(), "{title}: {expression} asks for nothing of a node");
        let mut labels: BTreeSet<&str> = BTreeSet::from(["instance", "job", "le"]);
        for name in &asked {
            assert!(exists(name), "{title}: {name} does not exist");
            let base = PARTS.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
            labels.extend(measures()[base].labels);
        }
        for label in mentioned_labels(expression, legend) {
            assert!(labels.contains(label.as_str()), "{title}: {label} is no label of {asked:?}");
        }
    }
    let mut ids: Vec<u64> = dashboard["panels"]
        .as_array()
        .expect("panels")
        .iter()
        .map(|panel| panel["id"].as_u64().expect("an id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), dashboard["panels"].as_array().expect("panels").len(), "an id stands twice");
}

#[test]
fn what_does_not_exist_would_be_seen() {
    assert!(exists("countersign_ready") && exists("countersign_api_request_seconds_bucket"));
    for name in ["countersign_redy", "countersign_api_request_seconds", "countersign_ready_count"] {
        assert!(!exists(name), "{name}");
    }
    let labels = mentioned_labels("sum by (a, b) (rate(x{c=\"1\", d=~\"2\"}[5m]))", "e {{f}} {{g}}");
    assert_eq!(labels, ["a", "b", "c", "d", "f", "g"]);
    let code = "counter!(\"countersign_new_total\", \"a\" => b); use countersign_types::Id; \"countersign_node=info\"";
    assert_eq!(counted(code), BTreeSet::from(["countersign_new_total".to_owned()]));
}
