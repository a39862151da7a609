//! `cargo xtask soak`: what takes too long for every change, and ends with the first finding.

use std::{
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    process::Command,
};

use anyhow::Result;

use crate::{
    command::{run, run_keeping},
    fuzz,
    places::Places,
    report::{Report, Went},
    setup::{self, Consent, Scope},
    test::{build, target},
    tools::{NEXTEST, with_anvil},
    variants::TOY_CURVES,
};

/// How nextest ends where no test is of the name that is asked for.
const NO_TESTS: i32 = 4;

/// What the simulator plays, worlds of signing and of key generation: all that it has. With each, how many of the default worlds
/// one of its worlds takes as long as, where that is far more than one: so many times fewer seeds are played.
const SCENARIOS: [(&str, u64); 22] = [
    ("default", 1),
    ("calm", 1),
    ("sluggish", 1),
    ("busy", 1),
    ("in-order", 1),
    ("larger", 1),
    ("crashing", 1),
    ("skewed", 1),
    ("flooded", 5),
    ("besieged", 1),
    ("besieged-larger", 1),
    ("besieged-six-of-eight", 1),
    ("clean", 25),
    ("one-slow", 25),
    ("barely", 25),
    ("keygen", 1),
    ("keygen-calm", 1),
    ("keygen-in-order", 1),
    ("keygen-harsh", 1),
    ("keygen-upgrading", 1),
    ("keygen-lying", 1),
    ("keygen-exposed", 1),
];

/// How long each part takes. Nothing of a part whose length is 0 is done.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Lengths {
    /// How long each fuzz target runs, in seconds.
    #[arg(long, default_value_t = 60)]
    fuzz_seconds: u64,
    /// Only these fuzz targets; all of them if none is named.
    #[arg(long = "target")]
    targets: Vec<String>,
    /// How many seeds each scenario of the simulator plays; fewer where its worlds are much longer.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// Play the seeds with keys and signatures that cost next to nothing and protect nothing: for very many of them.
    #[arg(long)]
    toy_curves: bool,
    /// How many sessions the simulator's figures are of, at least.
    #[arg(long, default_value_t = 10_000)]
    liveness_sessions: u64,
    /// How many times nodes are killed under load.
    #[arg(long, default_value_t = 500)]
    kill_cycles: u64,
}

/// Set-up, then everything for as long as is asked for, up to the first finding.
pub(crate) fn run_soak(places: &Places, consent: Consent, lengths: &Lengths) -> Result<()> {
    let mut report = Report::default();
    let _ = report.step("set-up", || setup::run(places, Scope::Soak, consent).map(|()| Went::well()))
        && fuzz_all(places, lengths, &mut report)
        && (lengths.seeds == 0 || report.step("simulator", || simulate(places, lengths)))
        && (lengths.liveness_sessions == 0
            || report.step("liveness", || measure(places, lengths.liveness_sessions)))
        && (lengths.kill_cycles == 0 || report.step("kill cycles", || kill(places, lengths.kill_cycles)));
    report.finish()
}

/// Runs the fuzz targets one after the other, up to the first that finds something.
fn fuzz_all(places: &Places, lengths: &Lengths, report: &mut Report) -> bool {
    if lengths.fuzz_seconds == 0 {
        return true;
    }
    let mut chosen = Vec::new();
    report.step("fuzz targets", || {
        chosen = fuzz::targets(places, &lengths.targets)?;
        fuzz::build(places)?;
        Ok(Went::Well(format!("{} targets", chosen.len())))
    }) && chosen.iter().enumerate().all(|(index, target)| {
        eprintln!("\n-- {} of {}", index + 1, chosen.len());
        report.step(&format!("fuzz {target}"), || fuzz::fuzz(places, target, lengths.fuzz_seconds))
    })
}

/// The simulator's scenarios over so many seeds each, others in each run: whatever breaks an invariant is told with the command
/// that plays it again.
fn simulate(places: &Places, lengths: &Lengths) -> Result<Went> {
    let (program, seeds) = (simulator(places, lengths.toy_curves)?, lengths.seeds);
    let any = RandomState::new().hash_one("seeds");
    for (scenario, longer) in SCENARIOS {
        let mut command = Command::new(&program);
        command.args(["run", "--scenario", scenario, "--seeds", &range(any, seeds.div_ceil(longer))]);
        run(command.current_dir(&places.root))?;
    }
    let curves = if lengths.toy_curves { ", with toy curves" } else { "" };
    Ok(Went::Well(format!("seeds {} of {} scenarios{curves}", range(any, seeds), SCENARIOS.len())))
}

/// The simulator's figures under steady trouble, which must meet their targets.
fn measure(places: &Places, sessions: u64) -> Result<Went> {
    let mut command = Command::new(simulator(places, false)?);
    command.args(["liveness", "--sessions", &sessions.to_string()]);
    run(command.current_dir(&places.root))?;
    Ok(Went::Well(format!("{sessions} sessions of each kind")))
}

/// Builds the simulator; says where it is.
fn simulator(places: &Places, toy_curves: bool) -> Result<PathBuf> {
    if toy_curves {
        return TOY_CURVES.simulator(places);
    }
    build(places)?;
    Ok(target(places).join("debug/countersign-sim"))
}

/// So many seeds, from any on that is short enough to be typed.
fn range(any: u64, seeds: u64) -> String {
    let first = any % 1_000_000_000;
    format!("{first}..{}", first.saturating_add(seeds))
}

/// The process tests of nodes that are killed under load, for so many cycles.
fn kill(places: &Places, cycles: u64) -> Result<Went> {
    // they start the program `countersign`, which belongs to another package
    build(places)?;
    let mut command = NEXTEST.command(places)?;
    command.args(["nextest", "run", "--locked", "--profile", "soak", "--no-fail-fast"]);
    command.args(["--workspace", "--filterset", "package(countersign-testnet) & test(kill_cycles)"]);
    command.env("COUNTERSIGN_KILL_CYCLES", cycles.to_string()).current_dir(&places.root);
    let command = with_anvil(places, &mut command)?;
    let (status, _) = run_keeping(command, |_| false)?;
    match status.code() {
        Some(0) => Ok(Went::Well(format!("{cycles} cycles"))),
        Some(NO_TESTS) => {
            Ok(Went::Skipped("countersign-testnet has no test that is called kill_cycles".into()))
        }
        Some(_) | None => anyhow::bail!(
            "{status}: run it again with COUNTERSIGN_KILL_CYCLES={cycles} cargo nextest run --profile soak \
             --workspace -E 'test(kill_cycles)'"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, env};

    use super::*;

    /// Those that the program has, built beside this one.
    #[test]
    fn every_scenario_of_the_simulator_is_played() {
        let own = env::current_exe().expect("a path");
        let program = own.ancestors().nth(2).expect("a target folder").join("countersign-sim");
        let listed = Command::new(program).arg("scenarios").output();
        let listed = listed.expect("it is built: run `cargo build --workspace --all-targets`").stdout;
        let listed = String::from_utf8(listed).expect("text");
        let is_name = |line: &&str| !line.starts_with(' ') && !line.is_empty();
        let known: BTreeSet<&str> = listed.lines().filter(is_name).collect();
        let played: BTreeSet<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
        assert_eq!(played, known);
    }

    #[test]
    fn seeds_are_as_many_as_asked_for_and_short() {
        assert_eq!(range(7, 100), "7..107");
        assert_eq!(range(3_000_000_005, 1), "5..6");
        assert_eq!(range(1, u64::MAX), format!("1..{}", u64::MAX));
    }
}
