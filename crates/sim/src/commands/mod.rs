//! What each command does; an exit code of 1 says that an invariant broke, or that a target was missed.

mod liveness;
#[cfg(countersign_mutants)]
mod mutants;
mod replay;
mod run;

use std::{ops::Range, process::ExitCode, str::FromStr, thread};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use countersign_sim::{Setting, SettingError};

pub(crate) use liveness::liveness;
#[cfg(countersign_mutants)]
pub(crate) use mutants::mutants;
pub(crate) use replay::{replay, shrink};
pub(crate) use run::run;

/// Which world.
pub(crate) struct Chosen {
    scenario: String,
    /// What differs from it, as key=value.
    sets: Vec<String>,
    /// What is broken on purpose.
    mutant: Option<String>,
}

impl Chosen {
    pub(crate) fn arguments() -> [Arg; 3] {
        [
            Arg::new("scenario")
                .long("scenario")
                .default_value("default")
                .help("What the world is made of: `scenarios` lists them"),
            Arg::new("set")
                .long("set")
                .value_name("KEY=VALUE")
                .action(ArgAction::Append)
                .help("What differs from the scenario; again for each"),
            Arg::new("mutant").long("mutant").help("What is broken on purpose"),
        ]
    }

    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let text = |name| matches.get_one::<String>(name).cloned();
        Self {
            scenario: text("scenario").unwrap_or_default(),
            sets: matches.get_many::<String>("set").into_iter().flatten().cloned().collect(),
            mutant: text("mutant"),
        }
    }

    fn setting(&self) -> Result<Setting, SettingError> {
        let mut setting = Setting::named(&self.scenario)?;
        for set in &self.sets {
            let (key, value) = set.split_once('=').unwrap_or((set, ""));
            setting.set(key, value)?;
        }
        if let Some(mutant) = &self.mutant {
            setting.break_by(mutant)?;
        }
        Ok(setting)
    }
}

/// How many worlds at once: as many as there are cores unless said.
#[derive(Clone, Copy)]
pub(crate) struct Threads(Option<usize>);

impl Threads {
    pub(crate) fn argument() -> Arg {
        Arg::new("threads").long("threads").value_parser(value_parser!(usize)).help("How many worlds at once")
    }

    pub(crate) fn of(matches: &ArgMatches) -> Self {
        Self(matches.get_one("threads").copied())
    }

    fn count(self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        self.0.unwrap_or_else(cores).max(1)
    }
}

/// From the first seed to before the last.
#[derive(Debug, Clone)]
pub(crate) struct SeedRange(Range<u64>);

impl FromStr for SeedRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (first, last) = text.split_once("..")?;
            let range = first.parse().ok()?..last.parse().ok()?;
            (!range.is_empty()).then_some(range)
        };
        parse().map(Self).ok_or_else(|| format!("seeds are written as 0..1000, got {text:?}"))
    }
}

/// Prints all scenarios.
pub(crate) fn scenarios() -> ExitCode {
    for (name, setting) in Setting::all() {
        let fields: Vec<String> =
            setting.fields().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        println!("{name}\n    {}", fields.join(" "));
    }
    ExitCode::SUCCESS
}
