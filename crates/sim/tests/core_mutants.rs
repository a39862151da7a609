//! The core, broken in one place at a time: an invariant sees every defect, and the right core passes the same seeds.
//!
//! `cargo xtask mutants` builds and runs this; no other build holds the defects.
#![cfg(countersign_mutants)]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use countersign_sim::{
    CoreMutant,
    hunt::{heading, hunt},
};

/// Not caught so far: whoever broadcasts a polynomial of a degree too high is named by the echo, since its own machine echoes
/// the polynomial that it made. A liar that keeps this lie up in what it echoes is still to be written.
const ESCAPES: [CoreMutant; 1] = [CoreMutant::AcceptsAnyLength];

#[test]
fn every_other_mutant_of_the_core_is_caught() {
    let (next, lines) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = CoreMutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let line = match hunt(*mutant) {
                        Ok(caught) => (mutant, Ok(caught.to_string())),
                        Err(error) => (mutant, Err(error.to_string())),
                    };
                    lines.lock().expect("no thread panics").push(line);
                }
            });
        }
    });
    let mut lines = lines.into_inner().expect("no thread panics");
    lines.sort();
    println!("{}", heading());
    for (_, line) in &lines {
        let (Ok(line) | Err(line)) = line;
        println!("{line}");
    }
    let escaped: Vec<CoreMutant> =
        lines.iter().filter(|(_, line)| line.is_err()).map(|(mutant, _)| **mutant).collect();
    assert_eq!(escaped, ESCAPES);
    assert_eq!(lines.len(), CoreMutant::ALL.len());
}
