//! What happened, line by line: the same seed gives the same bytes.

use std::fmt;

use countersign_session::Millis;
use countersign_types::B256;

/// The events of a run, one line each: milliseconds since the start, then what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    text: String,
    lines: usize,
}

impl Trace {
    pub(crate) fn note(&mut self, at: Millis, what: impl fmt::Display) {
        use fmt::Write;
        self.lines += 1;
        // a String takes whatever is written to it
        let _ = writeln!(self.text, "{at:>8} {what}");
    }

    /// The whole trace.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many events there were.
    pub fn len(&self) -> usize {
        self.lines
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// The last events, for whoever looks for the cause of a violation.
    pub fn tail(&self, lines: usize) -> String {
        let skipped = self.lines.saturating_sub(lines);
        self.text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }
}

/// The first bytes of a hash: enough to tell things apart.
pub(crate) fn short(hash: &B256) -> String {
    hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
