//! All defects of the core, each hunted on a thread of its own.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use countersign_sim::{
    CoreMutant,
    hunt::{heading, hunt},
};

use super::Threads;

/// Prints a table: mutant, first seed that caught it, violation.
pub(crate) fn mutants(threads: Threads) -> ExitCode {
    println!("{}", heading());
    let (next, escaped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..threads.count() {
            scope.spawn(|| {
                while let Some(mutant) = CoreMutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match hunt(*mutant) {
                        Ok(caught) => println!("{caught}"),
                        Err(error) => {
                            println!("{error}");
                            escaped.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let escaped = escaped.into_inner();
    println!("{} of {} caught", CoreMutant::ALL.len() - escaped, CoreMutant::ALL.len());
    if escaped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
