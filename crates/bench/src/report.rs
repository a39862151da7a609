//! What was measured, for programs and for documents.

use serde::Serialize;

/// What was measured with so many requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Row {
    /// How many requests were in flight.
    pub in_flight: usize,
    /// How many signatures there were.
    pub signatures: usize,
    /// What half of the answers took at most, in milliseconds.
    pub p50_ms: f64,
    /// What nine of ten took at most, in milliseconds.
    pub p90_ms: f64,
    /// What 99 of 100 took at most, in milliseconds.
    pub p99_ms: f64,
    /// Signatures per second.
    pub per_second: f64,
    /// Signatures per second by the cryptography alone, on all cores, measured just before and just after.
    pub ceiling_per_second: f64,
    /// The share of the ceiling that was reached.
    pub of_ceiling: f64,
}

impl Row {
    /// The titles of what [`Row::cells`] gives.
    pub const TITLES: [&str; 6] =
        ["in flight", "p50 ms", "p90 ms", "p99 ms", "signatures/s", "of the ceiling"];

    /// As text for people.
    pub fn cells(&self) -> [String; 6] {
        [
            self.in_flight.to_string(),
            format!("{:.2}", self.p50_ms),
            format!("{:.2}", self.p90_ms),
            format!("{:.2}", self.p99_ms),
            format!("{:.0}", self.per_second),
            format!("{:.0} %", self.of_ceiling * 100.0),
        ]
    }
}

/// A table in Markdown.
pub fn markdown(titles: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let titles: Vec<String> = titles.iter().map(ToString::to_string).collect();
    let rule: Vec<String> = titles.iter().map(|_| "---".into()).collect();
    let mut table = line(&titles) + &line(&rule);
    table.extend(rows.iter().map(|row| line(row)));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_row() {
        let row = Row {
            in_flight: 16,
            signatures: 400,
            p50_ms: 4.0,
            p90_ms: 5.126,
            p99_ms: 9.5,
            per_second: 312.4,
            ceiling_per_second: 1000.0,
            of_ceiling: 0.3124,
        };
        let table = markdown(&Row::TITLES, &[row.cells().to_vec()]);
        assert_eq!(
            table,
            "| in flight | p50 ms | p90 ms | p99 ms | signatures/s | of the ceiling |\n\
             | --- | --- | --- | --- | --- | --- |\n\
             | 16 | 4.00 | 5.13 | 9.50 | 312 | 31 % |\n"
        );
    }
}
