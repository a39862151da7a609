//! What an action logs: for operator and author, never for caller or receipt.

/// What a line counts beside its text, so that empty lines are bounded too.
const LINE_OVERHEAD_BYTES: usize = 16;
/// The line that stands for all that were dropped.
const TRUNCATED: &str = "further log lines were dropped";
/// How the line of a panic in Rust begins, as the SDK's `action!` has it logged.
const PANIC: &str = "panicked at ";
/// The most characters of a panic that are kept: more than an abort carries.
const MAX_PANIC_CHARS: usize = 512;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever writes the action.
    Debug,
    /// Worth a line.
    Info,
    /// Something is odd.
    Warn,
    /// Something is wrong.
    Error,
}

/// A line of an action's log. Its text is the guest's: escape it before it reaches a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// The log of one run, bounded by the manifest's `log_bytes`.
pub(crate) struct Logs {
    lines: Vec<LogLine>,
    left: usize,
    truncated: bool,
    panic: Option<String>,
}

impl Logs {
    pub(crate) fn new(limit: u32) -> Self {
        let left = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { lines: Vec::new(), left, truncated: false, panic: None }
    }

    /// Takes a line, or drops it and all that follow.
    pub(crate) fn push(&mut self, level: Level, text: String) {
        self.panic = (level == Level::Error && text.starts_with(PANIC)).then(|| one_line(&text));
        if self.truncated {
            return;
        }
        match self.left.checked_sub(text.len().saturating_add(LINE_OVERHEAD_BYTES)) {
            Some(left) => {
                self.left = left;
                self.lines.push(LogLine { level, text });
            }
            None => {
                self.truncated = true;
                self.lines.push(LogLine { level: Level::Warn, text: TRUNCATED.into() });
            }
        }
    }

    /// What the latest line tells of a panic, in one line; also where that line was dropped.
    pub(crate) fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    pub(crate) fn into_lines(self) -> Vec<LogLine> {
        self.lines
    }
}

fn one_line(text: &str) -> String {
    text.chars().take(MAX_PANIC_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_line_tells_of_a_panic_even_if_it_is_dropped() {
        for limit in [0, 1000] {
            let mut logs = Logs::new(limit);
            logs.push(Level::Error, "panicked at src/lib.rs:3:5:\nboom".into());
            assert_eq!(logs.panic(), Some("panicked at src/lib.rs:3:5: boom"));
            logs.push(Level::Error, "it went on".into());
            assert_eq!(logs.panic(), None);
            logs.push(Level::Info, "panicked at src/lib.rs:3:5:\nboom".into());
            assert_eq!(logs.panic(), None);
            logs.push(Level::Error, format!("{PANIC}{}", "ß".repeat(100_000)));
            assert_eq!(logs.panic().map(|panic| panic.chars().count()), Some(MAX_PANIC_CHARS));
        }
    }

    #[test]
    fn what_is_beyond_the_limit_is_dropped_with_one_mark() {
        let mut logs = Logs::new(100);
        for _ in 0..1000 {
            logs.push(Level::Info, "0123456789".into());
        }
        let lines = logs.into_lines();
        assert_eq!(lines.len(), 4, "three lines of 26 bytes, and the mark");
        assert_eq!(lines.iter().filter(|line| line.text == TRUNCATED).count(), 1);
    }

    #[test]
    fn empty_lines_are_bounded() {
        let mut logs = Logs::new(160);
        for _ in 0..1000 {
            logs.push(Level::Debug, String::new());
        }
        assert_eq!(logs.into_lines().len(), 11);
    }
}
