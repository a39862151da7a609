//! What `up` tells on standard output: words for people, or one document, however it ends.

use std::io::Write;

use anyhow::{Error, Result};
use countersign_testnet::report;

/// Where it is told.
pub(crate) struct Told<W> {
    out: W,
    json: bool,
    told: bool,
}

impl<W: Write> Told<W> {
    pub(crate) fn new(out: W, json: bool) -> Self {
        Self { out, json, told: false }
    }

    /// Tells how it went.
    pub(crate) fn tell(&mut self, report: &str) {
        self.told = true;
        // nobody listens: then there is nobody to tell
        let _ = writeln!(self.out, "{report}");
    }

    /// Stops the network, and tells how it went once that is known too: a document that says `ok` is the word that nothing runs any
    /// more.
    pub(crate) fn tell_after(&mut self, report: &str, stop: impl FnOnce() -> Result<()>) -> Result<()> {
        stop()?;
        self.tell(report);
        Ok(())
    }

    /// Tells a program what went wrong. One that has its document sees it by how the command ends.
    pub(crate) fn fail(&mut self, error: &Error) {
        if self.json && !self.told {
            self.tell(&format!("{:#}", report::failed(error)));
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use serde_json::{Value, json};

    use super::*;

    const OK: &str = r#"{ "ok": true }"#;

    /// What a program reads of it: whole documents.
    fn documents(told: Told<Vec<u8>>) -> Vec<Value> {
        let documents = serde_json::Deserializer::from_slice(&told.out).into_iter::<Value>();
        documents.collect::<Result<_, _>>().expect("whole documents")
    }

    fn no_stop() -> Result<()> {
        Err(anyhow!("node 2 did not end"))
    }

    #[test]
    fn a_stop_that_fails_is_the_result_of_a_look() {
        let mut told = Told::new(Vec::new(), true);
        let error = told.tell_after(OK, no_stop).expect_err("it did not stop");
        told.fail(&error);
        let failed = json!({ "schema": 1, "ok": false, "error": "node 2 did not end" });
        assert_eq!(documents(told), [failed]);
    }

    #[test]
    fn a_look_is_told_when_nothing_runs_any_more() {
        let (mut told, mut stopped) = (Told::new(Vec::new(), true), false);
        let stop = || {
            stopped = true;
            Ok(())
        };
        told.tell_after(OK, stop).expect("stopped");
        assert!(stopped);
        assert_eq!(documents(told), [json!({ "ok": true })]);
    }

    #[test]
    fn whoever_has_the_document_of_a_network_that_runs_gets_no_second_one() {
        let mut told = Told::new(Vec::new(), true);
        told.tell(OK);
        told.fail(&anyhow!("node 2 did not end"));
        assert_eq!(documents(told), [json!({ "ok": true })]);
    }

    #[test]
    fn people_read_errors_elsewhere() {
        let mut told = Told::new(Vec::new(), false);
        told.fail(&anyhow!("a port is taken"));
        assert!(told.out.is_empty());
    }
}
