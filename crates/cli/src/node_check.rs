//! `countersign node check`: whether all is well with a node.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use countersign_check::{Check, Options, Report, State, check};

use crate::{exit::Exit, output::Output, sign::runtime};

/// What to check.
#[derive(Args)]
#[command(
    after_help = "It changes nothing: the database is not opened, members are dialled as a stranger.\n\n\
                        Ends with 0 if no check failed. A warning is for somebody to look at; the node does its part all the same. A node that does \
                        not run fails nothing, except with --running.\n\n\
                        Examples:\n  countersign node check --config node1/node.toml\n  \
                        countersign node check --config node1/node.toml --running --json"
)]
pub(crate) struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "node.toml")]
    config: PathBuf,
    /// How long each check may take, in seconds; they run side by side.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Take a node that does not run for a failure, as monitoring does.
    #[arg(long)]
    running: bool,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Exit> {
    let Arguments { config, timeout, running } = arguments;
    let options = Options { config, within: Duration::from_secs(timeout), running };
    let runtime = runtime()?;
    let report = runtime.block_on(check(options));
    // a thread that hangs in the disk is not waited for
    runtime.shutdown_background();
    output.result(&report, || text(&report))?;
    match report.count(State::Failed) {
        0 => Ok(()),
        failed => Err(Exit::unwell(format!("{failed} of {} checks failed", report.checks.len()))),
    }
}

fn text(report: &Report) -> String {
    let lines = report.checks.iter().flat_map(lines);
    let counts = State::ALL.map(|state| format!("{} {}", report.count(state), state.name()));
    let node = report.node.map_or_else(|| "this node".into(), |node| node.peer_id());
    let running = if report.running { "runs" } else { "does not run" };
    let end = format!("\n{node} {running}: {} ({} ms)", counts.join(", "), report.took_ms);
    lines.chain([end]).collect::<Vec<_>>().join("\n")
}

/// What a check found, and what to do.
fn lines(check: &Check) -> Vec<String> {
    let (state, name) = (check.state.name(), check.name.name());
    let subject = check.subject.as_ref().map(|subject| format!("{subject}: ")).unwrap_or_default();
    let mut lines = vec![format!("{state:<8} {name:<13} {subject}{}", check.says)];
    lines.extend(check.advice.as_ref().map(|advice| format!("{:<22} -> {advice}", "")));
    lines
}

#[cfg(test)]
mod tests {
    use countersign_check::{Name, SCHEMA};

    use super::*;

    #[test]
    fn each_check_is_a_line_and_what_to_do_another() {
        let check = |state, subject: Option<&str>, advice: Option<&str>| Check {
            name: Name::Peer,
            subject: subject.map(str::to_owned),
            state,
            says: "it cannot be reached".into(),
            advice: advice.map(str::to_owned),
            took_ms: 1,
        };
        let report = Report {
            schema: SCHEMA,
            version: "0.1.0".into(),
            config: "node.toml".into(),
            node: None,
            network: None,
            running: true,
            well: false,
            checks: vec![check(State::Failed, Some("16Uiu2"), Some("ask")), check(State::Ok, None, None)],
            took_ms: 12,
        };
        let expected = [
            "failed   peer          16Uiu2: it cannot be reached",
            "                       -> ask",
            "ok       peer          it cannot be reached",
            "",
            "this node runs: 1 ok, 0 skipped, 0 warning, 1 failed (12 ms)",
        ];
        assert_eq!(text(&report).lines().collect::<Vec<_>>(), expected);
    }
}
