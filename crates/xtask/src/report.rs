//! Steps, one after the other, and a table of how they went.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step went, where it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Went {
    /// As it should; with a remark for the table, or none.
    Well(String),
    /// It could not be done here, for this reason.
    Skipped(String),
}

impl Went {
    /// As it should, without a remark.
    pub(crate) fn well() -> Self {
        Self::Well(String::new())
    }
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    step: String,
    result: Result<Went, String>,
    took: Duration,
}

impl Report {
    /// Announces and does a step. Later steps are done even where it fails.
    pub(crate) fn step(&mut self, step: &str, work: impl FnOnce() -> Result<Went>) -> bool {
        eprintln!("\n== {step}");
        let started = Instant::now();
        let result = work().map_err(|error| format!("{error:#}"));
        match &result {
            Ok(Went::Well(_)) => {}
            Ok(Went::Skipped(why)) => eprintln!("!! {step} skipped: {why}"),
            Err(error) => eprintln!("!! {step} failed: {error}"),
        }
        let passed = result.is_ok();
        self.lines.push(Line { step: step.to_owned(), result, took: started.elapsed() });
        passed
    }

    /// Prints the table; an error that names the steps that failed, if any did.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n{}", self.table());
        let failed: Vec<&str> =
            self.lines.iter().filter(|line| line.result.is_err()).map(|line| line.step.as_str()).collect();
        if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
    }

    fn table(&self) -> String {
        let width = self.lines.iter().map(|line| line.step.len()).max().unwrap_or(0);
        let rows = self.lines.iter().map(|line| {
            let (result, remark) = match &line.result {
                Ok(Went::Well(remark)) => ("ok", remark),
                Ok(Went::Skipped(why)) => ("SKIPPED", why),
                Err(error) => ("FAILED", error),
            };
            let remark = remark.lines().next().unwrap_or_default();
            let row =
                format!("{:width$}  {result:7}  {:>7.1} s  {remark}", line.step, line.took.as_secs_f64());
            row.trim_end().to_owned()
        });
        rows.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_whole_and_stops_nothing() {
        let mut report = Report::default();
        assert!(!report.step("first", || bail!("broken")));
        assert!(report.step("second", || Ok(Went::well())));
        assert_eq!(report.finish().expect_err("one failed").to_string(), "failed: first");
    }

    #[test]
    fn a_skipped_step_fails_nothing_and_is_seen() {
        let mut report = Report::default();
        report.step("advisories", || Ok(Went::Skipped("no network".into())));
        assert!(report.table().starts_with("advisories  SKIPPED"), "{}", report.table());
        assert!(report.finish().is_ok());
    }
}
