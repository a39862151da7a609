//! What the command prints: text for people, or one JSON document.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use comfy_table::{Cell, ContentArrangement, Table, presets};
use countersign_types::{Decision, NodeDecision, failure::Disagreement, terminal};
use serde::Serialize;
use serde_json::json;

use crate::exit::Exit;

/// Where results go, and everything else that people read: what nodes, actions and files say is no order to a terminal there, and
/// no line of its own.
pub(crate) struct Output {
    json: bool,
    /// The one document was printed: an error after it goes to standard error only.
    printed: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, printed: false }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result: `value` as JSON, or else `text`.
    pub(crate) fn result(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Exit> {
        if self.json {
            print(&terminal::json(&serde_json::to_string_pretty(value).map_err(Exit::unexpected)?));
        } else {
            print(&terminal::lines(&text()));
        }
        self.printed = true;
        Ok(())
    }

    /// Says something on one line of standard error, in either form.
    pub(crate) fn say(&self, line: impl Display) {
        tell(&terminal::line(&line.to_string()));
    }

    /// Tells people what to do next, on standard error, in our own words.
    pub(crate) fn next(&self, text: impl Display) {
        if !self.json {
            tell(&terminal::lines(&text.to_string()));
        }
    }

    /// Prints an error, once, with its causes.
    pub(crate) fn fail(&mut self, exit: &Exit) -> ExitCode {
        if self.json && !self.printed {
            let failure = exit.failure.as_deref();
            let document = json!({ "error": {
                "kind": exit.kind,
                "code": exit.code,
                "detail": exit.message,
                "causes": exit.causes,
                "nodes": failure.map(|failure| &failure.nodes),
                "disagreement": failure.and_then(|failure| failure.disagreement.as_ref()),
                "evidence": exit.evidence,
                "hint": exit.hint,
            }});
            print(&terminal::json(&format!("{document:#}")));
        }
        self.say(format!("error: {}", exit.message));
        for cause in &exit.causes {
            self.say(format!("  caused by: {cause}"));
        }
        for line in exit.failure.iter().flat_map(|failure| said(&failure.nodes)) {
            self.say(line);
        }
        let disagreement = exit.failure.as_ref().and_then(|failure| failure.disagreement.as_ref());
        for line in disagreement.iter().flat_map(|disagreement| explained(disagreement)) {
            self.say(line);
        }
        if let Some(hint) = exit.hint {
            self.say(hint);
        }
        ExitCode::from(exit.code)
    }
}

/// What nodes said: once for those that said the same.
fn said(nodes: &[NodeDecision]) -> Vec<String> {
    let mut same: Vec<(Decision, Option<&str>, Vec<&str>)> = Vec::new();
    for node in nodes {
        let reason = node.reason.as_deref();
        match same.iter_mut().find(|(decision, because, _)| (*decision, *because) == (node.decision, reason))
        {
            Some((.., peers)) => peers.push(&node.peer_id),
            None => same.push((node.decision, reason, vec![&node.peer_id])),
        }
    }
    let mut lines = Vec::new();
    for (decision, reason, peers) in same {
        let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let count = if peers.len() == 1 { "1 node".into() } else { format!("{} nodes", peers.len()) };
        lines.push(format!("  {} ({count}){because}", decision.name()));
        lines.extend(peers.into_iter().map(|peer| format!("    {peer}")));
    }
    lines
}

/// Who saw what, where nodes disagree.
fn explained(disagreement: &Disagreement) -> Vec<String> {
    let what = disagreement.what.as_deref().unwrap_or("a read that this node did not make");
    let field =
        disagreement.pointer.as_ref().map(|pointer| format!(", field {pointer:?}")).unwrap_or_default();
    let head = format!(
        "read {} ({what}{field}), agreed by {}: {}",
        disagreement.position, disagreement.rule, disagreement.reason
    );
    let saw = disagreement.saw.iter().map(|saw| {
        let value = saw.value.as_deref().unwrap_or("no such read");
        format!("  {} saw {value}", saw.peer_id)
    });
    std::iter::once(head).chain(saw).collect()
}

fn tell(text: &str) {
    // nobody listens on standard error any more: then there is nobody to tell
    let _ = writeln!(io::stderr(), "{text}");
}

fn print(text: &str) {
    // a closed pipe is the reader's choice, not an error
    let _ = writeln!(io::stdout(), "{text}");
}

/// A table of facts: name and value, each on its line.
pub(crate) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> =
        rows.iter().map(|(name, value)| format!("{name:width$}  {}", terminal::line(value))).collect();
    lines.join("\n")
}

/// A table with a head.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(head.iter().map(Cell::new));
    for row in rows {
        table.add_row(row.iter().map(|cell| terminal::line(cell)));
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_begins_no_line_of_its_own() {
        let forged = "done\nverified  yes, here\u{1b}[8m\u{202e}".to_owned();
        let expected = "response  done\\nverified  yes, here\\u{1b}[8m\\u{202e}\nverified  no";
        assert_eq!(facts(&[("response", forged.clone()), ("verified", "no".into())]), expected);
        let table = table(&["node"], vec![vec![forged]]);
        assert!(terminal::lines(&table) == table, "{table:?}");
        assert!(!table.lines().any(|line| line.trim_start().starts_with("verified")), "{table}");
    }

    #[test]
    fn equal_words_are_said_once() {
        let node = |peer_id: &str, decision, reason: Option<&str>| NodeDecision {
            peer_id: peer_id.into(),
            decision,
            reason: reason.map(str::to_owned),
        };
        let nodes = [
            node("a", Decision::Refuse, Some("too little")),
            node("b", Decision::Allow, None),
            node("c", Decision::Refuse, Some("too little")),
            node("d", Decision::Refuse, Some("too late")),
        ];
        let expected = [
            "  refuse (2 nodes): too little",
            "    a",
            "    c",
            "  allow (1 node)",
            "    b",
            "  refuse (1 node): too late",
            "    d",
        ];
        assert_eq!(said(&nodes), expected);
    }
}
