//! All defects of the core, hunted on all threads.

use std::process::ExitCode;

use countersign_sim::hunt::{heading, hunt_all};

use super::Threads;

/// Prints a table: mutant, first seed that caught it, violation.
pub(crate) fn mutants(threads: Threads) -> ExitCode {
    println!("{}", heading());
    let all = hunt_all(threads.count(), |went| match went {
        Ok(caught) => println!("{caught}"),
        Err(error) => println!("{error}"),
    });
    let caught = all.values().filter(|went| went.is_ok()).count();
    println!("{caught} of {} caught", all.len());
    if caught == all.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
