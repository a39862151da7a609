//! What was found: the document that is printed.

use std::{error::Error, path::PathBuf};

use countersign_types::{NetworkId, NodePublicKey, terminal};
use serde::{Deserialize, Serialize};

/// The version of the document: raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;
/// The most characters of one sentence: what programs elsewhere say is part of some.
const MAX_CHARS: usize = 600;

/// Everything that was found about a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this document, [`SCHEMA`].
    pub schema: u32,
    /// The version of the program that checked.
    pub version: String,
    /// The configuration file.
    pub config: PathBuf,
    /// The node, where its identity can be read.
    pub node: Option<NodePublicKey>,
    /// The network, where its genesis can be read.
    pub network: Option<NetworkId>,
    /// Whether the node runs.
    pub running: bool,
    /// Whether no check failed.
    pub well: bool,
    /// What each check found, in a fixed order.
    pub checks: Vec<Check>,
    /// How long all of it took, in milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// How many checks ended in a state.
    pub fn count(&self, state: State) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which check.
    pub name: Name,
    /// What it looked at, where it looks at several things: a file, an address, a member, a provider.
    pub subject: Option<String>,
    /// How it ended.
    pub state: State,
    /// What was seen, in words.
    pub says: String,
    /// What to do, where there is something to do.
    pub advice: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All is well.
    Ok,
    /// Nothing can be said.
    Skipped,
    /// The node can do its part, and somebody should look.
    Warning,
    /// The node cannot start, or cannot do its part.
    Failed,
}

impl State {
    /// All, from good to bad.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Skipped, Self::Warning, Self::Failed];

    /// The name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// Which check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// The configuration file parses, and each section is valid.
    Configuration,
    /// The node is a member, and the configuration knows its peers and chains.
    Membership,
    /// Nobody else reads the secret files.
    Permissions,
    /// The passphrase opens identity and database.
    Passphrase,
    /// The database is this node's.
    Database,
    /// The data folder takes writes and has room.
    Disk,
    /// The clock is right.
    Clock,
    /// The node runs and can sign.
    Node,
    /// An address that the node listens on is its own.
    Address,
    /// A member can be reached.
    Peer,
    /// A chain's provider answers rightly.
    Provider,
    /// A chain's providers agree.
    Chain,
    /// Versions and engines fit.
    Version,
}

impl Name {
    /// All, in the order of the report.
    pub const ALL: [Self; 13] = [
        Self::Configuration,
        Self::Membership,
        Self::Permissions,
        Self::Passphrase,
        Self::Database,
        Self::Disk,
        Self::Clock,
        Self::Node,
        Self::Address,
        Self::Peer,
        Self::Provider,
        Self::Chain,
        Self::Version,
    ];

    /// The name in the document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Membership => "membership",
            Self::Permissions => "permissions",
            Self::Passphrase => "passphrase",
            Self::Database => "database",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Node => "node",
            Self::Address => "address",
            Self::Peer => "peer",
            Self::Provider => "provider",
            Self::Chain => "chain",
            Self::Version => "version",
        }
    }
}

/// What a check says, before it is known how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) state: State,
    pub(crate) says: String,
    pub(crate) advice: Option<String>,
}

impl Finding {
    pub(crate) fn ok(says: impl Into<String>) -> Self {
        Self { state: State::Ok, says: says.into(), advice: None }
    }

    pub(crate) fn skipped(says: impl Into<String>) -> Self {
        Self { state: State::Skipped, says: says.into(), advice: None }
    }

    pub(crate) fn warning(says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Warning, says: says.into(), advice: Some(advice.into()) }
    }

    pub(crate) fn failed(says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Failed, says: says.into(), advice: Some(advice.into()) }
    }

    /// A failure, or a warning where enough others stand in.
    pub(crate) fn unless(enough_without: bool, says: impl Into<String>, advice: impl Into<String>) -> Self {
        if enough_without { Self::warning(says, advice) } else { Self::failed(says, advice) }
    }

    /// The entry of the report.
    pub(crate) fn into_check(self, name: Name, subject: Option<String>, took_ms: u64) -> Check {
        Check {
            name,
            subject: subject.map(|subject| printable(&subject)),
            state: self.state,
            says: printable(&self.says),
            advice: self.advice.map(|advice| printable(&advice)),
            took_ms,
        }
    }
}

/// One line, of bounded length: what others say ends up on terminals.
fn printable(text: &str) -> String {
    terminal::line(text).chars().take(MAX_CHARS).collect()
}

/// An error with its causes, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_document() {
        for name in Name::ALL {
            assert_eq!(serde_json::to_value(name).expect("a name"), name.name());
        }
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).expect("a state"), state.name());
        }
        let mut sorted = Name::ALL;
        sorted.sort();
        assert_eq!(sorted, Name::ALL);
    }

    #[test]
    fn what_others_say_is_one_line_without_orders_to_a_terminal() {
        let said = format!("version \x1b[2J\n{}", "x".repeat(2 * MAX_CHARS));
        let check = Finding::failed(said.clone(), said.clone()).into_check(Name::Peer, Some(said), 1);
        for text in [Some(check.says), check.advice, check.subject] {
            let text = text.expect("a text");
            assert!(!text.contains(['\x1b', '\n']), "{text}");
            assert_eq!(text.chars().count(), MAX_CHARS);
        }
    }
}
