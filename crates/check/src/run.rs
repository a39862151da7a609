//! All checks of one node.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_node::NodeConfig;
use tokio::task::spawn_blocking;

use crate::{
    Check, Name, Report, SCHEMA, State, addresses, chains, clock, configuration, database, disk, files,
    membership::Known,
    node::Life,
    peers,
    report::Finding,
    tasks::{Task, side_by_side},
    versions,
};

/// How long the node may take to answer: it is on this machine.
const ANSWER: Duration = Duration::from_secs(3);

/// What to check, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// The longest that any one check may take.
    pub within: Duration,
    /// Whether a node that does not run is a failure.
    pub running: bool,
}

/// Looks at everything. Takes about as long as the slowest check, at most `within` and a few seconds for what comes first. To
/// be called in a tokio runtime, which should be shut down in the background after it: a thread that hangs in the
/// disk cannot be ended.
pub async fn check(options: Options) -> Report {
    let begun = Instant::now();
    let Options { config: path, within, running: expected } = options;
    let (read, ahead) = match read(path.clone(), within).await {
        Ok(read) => read,
        Err(check) => return report(path, None, vec![check], begun),
    };
    let Some(read) = read else { return report(path, None, vec![ahead], begun) };
    let life = Arc::new(Life::look(&read.config, &read.known, ANSWER.min(within)).await);
    let mut checks = vec![ahead];
    checks.extend(side_by_side(tasks(&path, &read, &life, expected), within).await);
    checks.sort_by_key(|check| check.name);
    let running = life.runs();
    report(path, Some((&read.known, running)), checks, begun)
}

/// What every other check rests on.
struct Read {
    config: Arc<NodeConfig>,
    known: Arc<Known>,
}

/// Reads the configuration, genesis and identity; says what it makes of the configuration. Its own failure is that of a disk that
/// does not answer.
async fn read(path: PathBuf, within: Duration) -> Result<(Option<Read>, Check), Check> {
    let begun = Instant::now();
    let took_ms = |begun: Instant| u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let reading = spawn_blocking(move || {
        let (finding, config) = configuration::load(&path);
        let read = config.map(|config| {
            let known = Arc::new(Known::read(&config));
            Read { config: Arc::new(config), known }
        });
        (finding, read)
    });
    let (finding, read) = match tokio::time::timeout(within, reading).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) | Err(_) => {
            let hangs = Finding::failed(
                format!(
                    "the configuration and the files that it names cannot be read within {} s",
                    within.as_secs_f64()
                ),
                "see whether the disk that they are on answers",
            );
            return Err(hangs.into_check(Name::Configuration, None, took_ms(begun)));
        }
    };
    Ok((read, finding.into_check(Name::Configuration, None, took_ms(begun))))
}

fn tasks(path: &Path, read: &Read, life: &Arc<Life>, expected: bool) -> Vec<Task> {
    let Read { config, known } = read;
    let blocking = |name, work: fn(&NodeConfig, &Known, &Life) -> Finding| {
        let (config, known, life) = (Arc::clone(config), Arc::clone(known), Arc::clone(life));
        Task::blocking(name, None, move || work(&config, &known, &life))
    };
    let mut tasks = vec![
        blocking(Name::Membership, |config, known, _| known.judge(config)),
        blocking(Name::Passphrase, |config, _, life| database::passphrase(config, life)),
        blocking(Name::Database, |config, known, _| database::owner(config, known)),
        blocking(Name::Disk, |config, _, _| disk::look(config)),
        blocking(Name::Version, |config, _, life| versions::look(config, life)),
    ];
    let seen = Arc::clone(life);
    tasks.push(Task::blocking(Name::Node, None, move || seen.judge(expected)));
    let looks = chains::looks(&config.chains);
    tasks.extend(files::tasks(path, config));
    tasks.extend(clock::tasks(&config.chains, &looks));
    tasks.extend(addresses::tasks(config, known, life));
    tasks.extend(peers::tasks(config, known, life));
    tasks.extend(chains::tasks(&config.chains, &looks));
    tasks
}

/// The document. What was not looked at for want of a configuration is named, too.
fn report(path: PathBuf, seen: Option<(&Known, bool)>, mut checks: Vec<Check>, begun: Instant) -> Report {
    for name in Name::ALL {
        let never = seen.is_none() && checks.iter().all(|check| check.name != name);
        if never {
            let skipped = Finding::skipped("there is no configuration to go by");
            checks.push(skipped.into_check(name, None, 0));
        }
    }
    Report {
        schema: SCHEMA,
        version: countersign_node::VERSION.into(),
        config: path,
        node: seen.and_then(|(known, _)| known.own),
        network: seen.and_then(|(known, _)| Some(known.network.as_ref()?.id)),
        running: seen.is_some_and(|(_, running)| running),
        well: checks.iter().all(|check| check.state != State::Failed),
        checks,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fixture::joined;

    fn options(config: &Path, running: bool) -> Options {
        Options { config: config.into(), within: Duration::from_secs(10), running }
    }

    #[tokio::test]
    async fn a_node_that_should_run_and_does_not_fails_the_check() {
        let folder = tempfile::tempdir().expect("a folder");
        joined(folder.path());
        let config = folder.path().join("node/node.toml");
        for (running, expected) in [(false, State::Skipped), (true, State::Failed)] {
            let report = check(options(&config, running)).await;
            let node = report.checks.iter().find(|check| check.name == Name::Node).expect("a check");
            assert_eq!(node.state, expected, "{node:?}");
            assert!(!report.running && (!running || !report.well), "{report:?}");
        }
    }

    #[tokio::test]
    async fn without_a_configuration_only_that_is_blamed() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("node.toml");
        let report = check(options(&config, false)).await;
        assert!(!report.well && !report.running && report.node.is_none());
        assert_eq!(report.count(State::Failed), 1);
        assert_eq!(report.count(State::Skipped), Name::ALL.len() - 1);
        assert_eq!(report.checks[0].name, Name::Configuration);
        assert!(report.checks[0].says.contains(&config.display().to_string()), "{report:?}");
    }

    #[tokio::test]
    async fn a_node_that_has_not_joined_is_told_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("node.toml");
        fs::write(&config, "data = 'data'\ngenesis = 'genesis.json'").expect("written");
        let report = check(options(&config, false)).await;
        assert!(!report.well);
        let said = |name| report.checks.iter().find(|check| check.name == name).expect("a check");
        assert_eq!(said(Name::Configuration).state, State::Ok);
        assert!(said(Name::Membership).says.contains("node join"), "{report:?}");
        assert_eq!(said(Name::Node).state, State::Skipped);
        let text = serde_json::to_string(&report).expect("JSON");
        assert_eq!(serde_json::from_str::<Report>(&text).expect("the document"), report);
    }
}
