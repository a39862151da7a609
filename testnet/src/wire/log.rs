//! The wire log of a node, as it lies on disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use countersign_types::{B256, Bytes};
use serde::{Deserialize, Serialize};

/// Everything that one memory of a node wrote: one process after the other. A copy of a node has a log of its own.
#[derive(Debug, Clone)]
pub struct Log {
    /// The member, by its identifier.
    pub member: u16,
    /// Its processes' lines, the first process first.
    pub boots: Vec<Vec<Line>>,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// Its number in its process, from 0.
    pub n: u64,
    /// The node's clock, in milliseconds since 1970.
    pub ms: u64,
    /// Which way the message went.
    pub way: Way,
    /// Whom it went to, or came from.
    pub peer: Option<u16>,
    /// The message.
    #[serde(flatten)]
    pub event: Event,
}

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It was sent.
    Sent,
    /// It came.
    Received,
    /// It is no message.
    Here,
}

/// A package, or what travels with a proposal in its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// The session.
    pub session: B256,
    /// The attempt.
    pub attempt: u32,
    /// The package's hash.
    pub package: B256,
    /// Each signer's commitments.
    pub signers: Vec<(u16, Vec<Bytes>)>,
}

/// What a line says.
#[expect(missing_docs, reason = "the fields are those of the node's messages")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// A process started.
    Started { member: u16, generation: u64 },
    /// All nonces were wiped.
    Purged,
    /// A session was proposed.
    Propose { session: B256, request: B256, eager: Option<Package> },
    /// Commitments for a further attempt are asked for.
    Commit { session: B256, attempt: u32 },
    /// Shares are asked for.
    Sign(Package),
    /// A session is over.
    Close { session: B256 },
    /// A live run's result, with the commitments for the first attempt.
    Observed { session: B256, allows: bool, commitments: Vec<Bytes> },
    /// A member takes no part.
    Declined { session: B256, attempt: Option<u32>, why: String },
    /// Commitments for a further attempt.
    Committed { session: B256, attempt: u32, commitments: Vec<Bytes> },
    /// Shares, by their hashes.
    Signed { session: B256, attempt: u32, package: B256, outcome: B256, shares: Vec<B256> },
    /// Commitments in advance are asked for.
    Ask { scheme: String, count: u16 },
    /// Commitments in advance.
    HandOut { scheme: String, commitments: Vec<Bytes> },
    /// A message of key generation.
    KeyGeneration { step: String, attempt: B256 },
}

impl Log {
    /// Reads a log, and what was put aside of it before. Fails where a line is missing.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        for file in [aside(path), path.into()] {
            if file.exists() {
                let part =
                    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                text.push_str(&part);
            }
        }
        Self::parse(&text).with_context(|| format!("{} is no whole wire log", path.display()))
    }

    /// Reads a log's text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut boots: Vec<Vec<Line>> = Vec::new();
        let mut member = None;
        // a line that a crash cut short: the next one begins a process
        let mut cut = None;
        for (number, line) in text.lines().enumerate() {
            let number = number + 1;
            let line = match serde_json::from_str::<Line>(line) {
                Ok(line) => line,
                Err(error) => {
                    ensure!(cut.is_none(), "line {number} does not parse: {error}");
                    cut = Some((number, error));
                    continue;
                }
            };
            if let Event::Started { member: of, .. } = &line.event {
                ensure!(line.n == 0, "line {number}: a process starts with {}", line.n);
                ensure!(*member.get_or_insert(*of) == *of, "line {number} is another member's, {of}");
                boots.push(Vec::new());
            } else if let Some((number, error)) = cut {
                bail!("line {number} does not parse: {error}");
            }
            cut = None;
            let boot = boots.last_mut().with_context(|| format!("line {number} is of no process"))?;
            let expected = boot.len() as u64;
            ensure!(line.n == expected, "line {number} has the number {}, expected {expected}", line.n);
            boot.push(line);
        }
        Ok(Self { member: member.context("it is empty")?, boots })
    }
}

/// Where the node puts aside what it has written, once it is much.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str =
        r#"{"n":0,"ms":1,"way":"here","peer":null,"kind":"started","member":2,"generation":3}"#;
    const ASK: &str = r#"{"n":1,"ms":2,"way":"sent","peer":1,"kind":"ask","scheme":"bip340","count":16}"#;

    #[test]
    fn processes_follow_each_other_and_a_cut_line_ends_one() {
        for between in ["", "{\"n\":2,\"ms\"\n"] {
            let log = Log::parse(&format!("{START}\n{ASK}\n{between}{START}\n")).expect("whole");
            assert_eq!((log.member, log.boots.len()), (2, 2));
            assert_eq!(log.boots[0][1].event, Event::Ask { scheme: "bip340".into(), count: 16 });
        }
        Log::parse(&format!("{START}\n{ASK}\n{{\"n\":2")).expect("cut at its end");
    }

    #[test]
    fn a_log_that_lacks_a_line_is_refused() {
        let later = ASK.replace("\"n\":1", "\"n\":2");
        let other = START.replace("\"member\":2", "\"member\":3");
        for text in [
            String::new(),
            ASK.into(),
            format!("{START}\n{later}"),
            format!("{START}\n{START}\n{later}"),
            format!("{START}\n{other}"),
            format!("{START}\n{{\"n\":1\n{ASK}"),
            format!("{START}\n{{\"n\":1\n{{\"n\":1\n{START}"),
        ] {
            assert!(Log::parse(&text).is_err(), "{text}");
        }
    }
}
