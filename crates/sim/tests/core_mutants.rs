//! The core, broken in one place at a time: an invariant sees every defect, and the right core passes the same seeds.
//!
//! `cargo xtask mutants` builds and runs this; no other build holds the defects.
#![cfg(countersign_mutants)]

use std::thread;

use countersign_sim::{
    CoreMutant,
    hunt::{heading, hunt_all},
};

/// Not caught so far: whoever broadcasts a polynomial of a degree too high is named by the echo, since its own machine echoes
/// the polynomial that it made. A liar that keeps this lie up in what it echoes is still to be written.
const ESCAPES: [CoreMutant; 1] = [CoreMutant::AcceptsAnyLength];

#[test]
fn every_other_mutant_of_the_core_is_caught() {
    let all = hunt_all(thread::available_parallelism().map_or(1, usize::from), |_| {});
    println!("{}", heading());
    for went in all.values() {
        match went {
            Ok(caught) => println!("{caught}"),
            Err(error) => println!("{error}"),
        }
    }
    let escaped = all.iter().filter(|(_, went)| went.is_err()).map(|(mutant, _)| *mutant);
    assert_eq!(escaped.collect::<Vec<_>>(), ESCAPES);
    assert_eq!(all.len(), CoreMutant::ALL.len());
}
