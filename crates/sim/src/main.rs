//! Plays simulated networks from seeds: `cargo run -p countersign-sim -- --help`.

mod commands;

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use commands::{Chosen, SeedRange, Threads};
use countersign_sim::SettingError;

fn arguments() -> Command {
    let seed = || Arg::new("seed").required(true).value_parser(value_parser!(u64)).help("The seed");
    let number = |name: &'static str, otherwise: &'static str| {
        Arg::new(name).long(name).value_parser(value_parser!(u64)).default_value(otherwise)
    };
    let seeds = Arg::new("seeds").long("seeds").value_parser(value_parser!(SeedRange));
    let command = Command::new("countersign-sim")
        .bin_name("cargo run -p countersign-sim --")
        .about("Plays simulated networks from seeds")
        .subcommand_required(true)
        .arg_required_else_help(true);
    let replay = Command::new("replay").about("Play one seed, and print what happens step by step");
    let run = Command::new("run").about("Play many seeds in parallel");
    let shrink = Command::new("shrink").about("Find the smallest world that fails as a seed's does");
    let liveness = Command::new("liveness")
        .about(
            "Measure how many sessions are signed in time under steady trouble, and what one slow node costs. Fails where a target is missed",
        )
        .arg(number("sessions", "2000").help("At least how many sessions of each kind: worlds of about 500 are played to their ends"));
    let command = command
        .subcommand(replay.arg(seed()).args(Chosen::arguments()))
        .subcommand(
            run.arg(seeds.default_value("0..1000").help("From the first to before the last"))
                .args(Chosen::arguments())
                .arg(Threads::argument()),
        )
        .subcommand(
            shrink
                .arg(seed())
                .args(Chosen::arguments())
                .arg(number("most", "2000").help("How many worlds to play at most")),
        )
        .subcommand(liveness)
        .subcommand(Command::new("scenarios").about("List the scenarios, with their settings"));
    #[cfg(countersign_mutants)]
    let command = command.subcommand(
        Command::new("mutants")
            .about("Hunt every defect of the core, and print which seed caught it")
            .arg(Threads::argument()),
    );
    command
}

fn run(matches: &ArgMatches) -> Result<ExitCode, SettingError> {
    let number = |matches: &ArgMatches, name| *matches.get_one::<u64>(name).expect("required or defaulted");
    match matches.subcommand() {
        Some(("replay", m)) => commands::replay(number(m, "seed"), &Chosen::of(m)),
        Some(("run", m)) => {
            let seeds = m.get_one::<SeedRange>("seeds").expect("defaulted");
            commands::run(seeds.clone(), &Chosen::of(m), Threads::of(m))
        }
        Some(("shrink", m)) => commands::shrink(number(m, "seed"), &Chosen::of(m), number(m, "most")),
        Some(("liveness", m)) => commands::liveness(number(m, "sessions")),
        #[cfg(countersign_mutants)]
        Some(("mutants", m)) => Ok(commands::mutants(Threads::of(m))),
        Some(_) | None => Ok(commands::scenarios()),
    }
}

fn main() -> ExitCode {
    match run(&arguments().get_matches()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_sound() {
        super::arguments().debug_assert();
    }
}
