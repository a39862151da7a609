//! Whether the node runs, and what it says of itself.

use std::{io, time::Duration};

use countersign_node::NodeConfig;
use countersign_store::Store;
use countersign_types::api::NetworkInfo;
use tokio::task::spawn_blocking;

use crate::{interface, membership::Known, report::Finding};

/// What the node is doing.
#[derive(Debug, Clone)]
pub(crate) enum Life {
    /// It runs and answers.
    Answers(Box<NetworkInfo>),
    /// A process has its database, and its interface does not answer as this node: why.
    Silent(String),
    /// Its interface does not answer, and whether a process has its database cannot be seen: why.
    Unseen(String),
    /// It does not run.
    Stopped,
}

impl Life {
    /// Asks the interface, and where that is not this node's, whether a process has the database.
    ///
    /// The lock of the database is looked at only then: a node that starts at this very moment would be told that its
    /// database is in use.
    pub(crate) async fn look(config: &NodeConfig, known: &Known, within: Duration) -> Self {
        let why = match ask(config, known, within).await {
            Ok(info) => return Self::Answers(Box::new(info)),
            Err(why) => why,
        };
        let path = config.database();
        match tokio::time::timeout(within, spawn_blocking(move || Store::is_in_use(&path))).await {
            Ok(Ok(Ok(true))) => Self::Silent(why),
            Ok(Ok(Ok(false))) => Self::Stopped,
            // no process has a database that is not there
            Ok(Ok(Err(error))) if error.kind() == io::ErrorKind::NotFound => Self::Stopped,
            Ok(Ok(Err(error))) => Self::Unseen(error.to_string()),
            Ok(Err(error)) => Self::Unseen(error.to_string()),
            Err(_) => Self::Unseen(format!("the disk does not answer within {} s", within.as_secs_f64())),
        }
    }

    /// Whether a process is known to run as this node.
    pub(crate) fn runs(&self) -> bool {
        match self {
            Self::Answers(_) | Self::Silent(_) => true,
            Self::Unseen(_) | Self::Stopped => false,
        }
    }

    /// What the node says, where it answers.
    pub(crate) fn info(&self) -> Option<&NetworkInfo> {
        match self {
            Self::Answers(info) => Some(info),
            Self::Silent(_) | Self::Unseen(_) | Self::Stopped => None,
        }
    }

    /// Whether it is well with the node itself, which may be expected to run.
    pub(crate) fn judge(&self, expected: bool) -> Finding {
        match self {
            Self::Answers(info) => match &info.not_ready {
                None => Finding::ok("it runs and can sign"),
                Some(reason) => Finding::failed(
                    format!("it runs and cannot sign: {reason}"),
                    "see what else this report names, and the node's log",
                ),
            },
            Self::Silent(why) => Finding::failed(
                format!("its database is in use by a process, and its interface does not answer: {why}"),
                "wait if it has just started; else see the node's log, and whether api.listen was changed since it started",
            ),
            Self::Unseen(why) => Finding::failed(
                format!(
                    "its interface does not answer, and whether it runs cannot be seen by its database: {why}"
                ),
                "run the check as the user that the node runs as, and look at the disk of the data folder",
            ),
            Self::Stopped if expected => {
                Finding::failed("it does not run", "see the end of its log for why it stopped, and start it")
            }
            Self::Stopped => {
                Finding::skipped("it does not run: what only a running node knows was not checked")
            }
        }
    }
}

async fn ask(config: &NodeConfig, known: &Known, within: Duration) -> Result<NetworkInfo, String> {
    let (Some(network), Some(own)) = (&known.network, known.own) else {
        return Err("it is not known which node to ask for".into());
    };
    let at = interface::from_here(config.api.listen)
        .ok_or("api.listen takes any free port, so that nobody finds it: set a port")?;
    let info = interface::network(at, config.api.tls.is_some(), within).await?;
    if info.node != own || info.network != network.id {
        return Err(format!("at {at} is another node, {} of network {}", info.node.peer_id(), info.network));
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use countersign_store::Owner;
    use secrecy::SecretString;

    use super::*;
    use crate::{
        State,
        fixture::{PASSPHRASE, joined},
    };

    #[tokio::test]
    async fn a_process_that_has_the_database_and_does_not_answer_is_told_from_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, known) = joined(folder.path());
        let look = async || Life::look(&config, &known, Duration::from_secs(10)).await;
        assert!(matches!(look().await, Life::Stopped));
        let owner = Owner {
            network: known.network.as_ref().expect("a network").id,
            node: known.own.expect("an identity"),
        };
        let open = || Store::open(&config.database(), &owner, &SecretString::from(PASSPHRASE));
        let running = open().expect("it opens");
        let life = look().await;
        assert!(matches!(&life, Life::Silent(why) if !why.is_empty()), "{life:?}");
        assert!(life.runs() && life.info().is_none());
        drop(running);
        assert!(matches!(look().await, Life::Stopped));
        open().expect("whoever looked holds nothing");
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_looked_at_does_not_mean_a_node_that_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut config, known) = joined(folder.path());
        // not even root can look into a file as if it were a folder
        config.data = config.identity.clone();
        let life = Life::look(&config, &known, Duration::from_secs(10)).await;
        assert!(matches!(&life, Life::Unseen(why) if why.contains("ot a directory")), "{life:?}");
        assert!(!life.runs() && life.info().is_none());
        for expected in [false, true] {
            let finding = life.judge(expected);
            assert!(finding.state == State::Failed && finding.says.contains("ot a directory"), "{finding:?}");
        }
        // before it has joined there is none to look at
        config.data = folder.path().join("nowhere");
        assert!(matches!(Life::look(&config, &known, Duration::from_secs(10)).await, Life::Stopped));
    }

    #[test]
    fn a_node_that_does_not_run_is_a_failure_if_it_should_and_one_that_is_mute_always() {
        assert_eq!(Life::Stopped.judge(false).state, State::Skipped);
        assert_eq!(Life::Stopped.judge(true).state, State::Failed);
        for expected in [false, true] {
            let finding = Life::Silent("connection refused".into()).judge(expected);
            assert_eq!(finding.state, State::Failed);
            assert!(finding.says.contains("connection refused"));
        }
    }
}
