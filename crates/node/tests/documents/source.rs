//! Sources, calls of macros in them, and tables of documents.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Programs that are no node.
const OTHERS: [&str; 6] = ["bench", "check", "client", "fuzzing", "sim", "xtask"];

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The code of everything that a node is made of, without its tests.
pub(crate) fn code() -> Vec<String> {
    let crates = fs::read_dir(root().join("crates")).expect("a folder");
    let mut files = Vec::new();
    for entry in crates.map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
        if !OTHERS.contains(&name.as_str()) {
            gather(&entry.join("src"), &mut files);
        }
    }
    assert!(files.len() > 100, "the sources were not found");
    files
}

fn gather(folder: &Path, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("readable");
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            files.push(code.to_owned());
        }
    }
}

/// The arguments of every call of a macro, each as it is written.
pub(crate) fn calls(code: &str, name: &str) -> Vec<Vec<String>> {
    let opening = format!("{name}!(");
    let mut calls = Vec::new();
    for (at, _) in code.match_indices(&opening) {
        // not the end of a longer name
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            calls.push(arguments(&code[at + opening.len()..]));
        }
    }
    calls
}

/// Splits at the commas of the outermost level, up to the closing parenthesis.
fn arguments(code: &str) -> Vec<String> {
    let (mut arguments, mut current) = (Vec::new(), String::new());
    let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
    for c in code.chars() {
        let ends = !in_text && depth == 0 && matches!(c, ')' | ',');
        if ends {
            let argument = current.trim();
            if !argument.is_empty() {
                arguments.push(argument.to_owned());
            }
            current.clear();
            if c == ')' {
                return arguments;
            }
            continue;
        }
        if in_text {
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else {
            in_text = c == '"';
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        current.push(c);
    }
    panic!("a call that does not end: {:.80}", code);
}

/// A text as it is written, without quotes and continued lines.
pub(crate) fn text(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut lines = inner.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    Some(lines.fold(first, |text, line| text + line.trim_start()))
}

/// The rows of every table of a document with this head, cells without their quotes.
pub(crate) fn rows(document: &str, head: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let (mut rows, mut inside) = (Vec::new(), false);
    for line in document.lines() {
        if !line.starts_with('|') {
            inside = false;
        } else if cells(line) == head {
            inside = true;
        } else if inside && !line.starts_with("|-") {
            rows.push(cells(line));
        }
    }
    rows
}

#[test]
fn calls_are_found_with_their_arguments() {
    let code = r#"
        tracing::warn!(%peer, reason = f(1, "a, b)"), ?culprits, "two \
            lines, \"quoted\"");
        describe_counter!("x");
        counter!("y", "label" => g(&[1, 2]))
    "#;
    let found = calls(code, "warn");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0][..3], ["%peer", "reason = f(1, \"a, b)\")", "?culprits"]);
    assert_eq!(text(&found[0][3]).as_deref(), Some("two lines, \\\"quoted\\\""));
    assert_eq!(calls(code, "counter"), [["\"y\"", "\"label\" => g(&[1, 2])"]]);
}

#[test]
fn rows_are_those_of_tables_with_that_head() {
    let document = "| a | b |\n|---|---|\n| `1` | |\n\n| b | a |\n|---|---|\n| 3 | 4 |\n\n| a | b |\n|---|---|\n| 5 | x y |\n";
    assert_eq!(rows(document, &["a", "b"]), [["1", ""], ["5", "x y"]]);
}
