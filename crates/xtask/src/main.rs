//! Set-up, builds of actions, and checks of the repository: `cargo xtask --help`.

mod check;
mod command;
mod fuzz;
mod guests;
mod interpreter;
mod light;
mod lock;
mod places;
mod purity;
mod report;
mod scripts;
mod setup;
mod soak;
mod stage;
mod test;
mod testnet;
mod toolchain;
mod tools;
mod variants;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use places::Places;
use setup::{Consent, Scope};
use soak::Lengths;

/// Set-up, builds of actions, and checks of the repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Say what is missing on this machine, and install it.
    Setup {
        /// Install without asking.
        #[arg(long)]
        yes: bool,
        /// For what the machine is needed.
        #[arg(long = "for", value_enum, default_value_t = Scope::Check)]
        scope: Scope,
    },
    /// Build the actions and write their components and actions/actions.lock.
    Actions {
        /// Write nothing: fail where components, lock and sources do not belong together.
        #[arg(long)]
        check: bool,
    },
    /// Run all tests, after set-up and a check of the actions.
    Test {
        /// Install what is missing without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Break the core in one place at a time, and show which seed of the simulator catches it.
    Mutants,
    /// Look for what tests do not find: fuzz every target, simulate many seeds, measure liveness, kill nodes under
    /// load. Ends with the first finding.
    Soak {
        /// Install what is missing without asking.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        lengths: Lengths,
    },
    /// Check format, lints, documentation, dependencies, licences, purity, what clients link, and components.
    Check {
        /// Install what is missing without asking.
        #[arg(long)]
        yes: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let places = Places::find()?;
    match task {
        Task::Setup { yes, scope } => setup::run(&places, scope, Consent::given(yes)),
        Task::Actions { check: false } => guests::write(&places),
        Task::Actions { check: true } => guests::check(&places).map(|said| println!("{said}")),
        Task::Test { yes } => test::run_tests(&places, Consent::given(yes)),
        Task::Mutants => variants::MUTANTS.test(&places),
        Task::Soak { yes, lengths } => soak::run_soak(&places, Consent::given(yes), &lengths),
        Task::Check { yes } => check::run_checks(&places, Consent::given(yes)),
    }
}
