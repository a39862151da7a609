//! The core, broken in one place at a time: an invariant sees every defect, and the right core passes the same seeds.
//!
//! `cargo xtask mutants` builds and runs this; no other build holds the defects.
#![cfg(countersign_mutants)]

use std::{fs, thread};

use countersign_sim::{
    CoreMutant,
    hunt::{Caught, heading, hunt_all},
};

#[test]
fn every_mutant_of_the_core_is_caught() {
    let all = hunt_all(thread::available_parallelism().map_or(1, usize::from), |_| {});
    println!("{}", heading());
    for went in all.values() {
        match went {
            Ok(caught) => println!("{caught}"),
            Err(error) => println!("{error}"),
        }
    }
    let escaped: Vec<CoreMutant> =
        all.iter().filter(|(_, went)| went.is_err()).map(|(mutant, _)| *mutant).collect();
    assert_eq!(escaped, []);
    assert_eq!(all.len(), CoreMutant::ALL.len());
    let readme =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).expect("it is there");
    let outdated: Vec<String> =
        all.values().flatten().filter(|caught| !is_listed(&readme, caught)).map(row).collect();
    assert_eq!(outdated, Vec::<String>::new(), "README says something else");
}

fn is_listed(readme: &str, caught: &Caught) -> bool {
    let begin = format!("| `{:?}` |", caught.mutant);
    readme.lines().any(|line| line.starts_with(&begin) && line.ends_with(&row_end(caught)))
}

fn row(caught: &Caught) -> String {
    format!("| `{:?}` | .. {}", caught.mutant, row_end(caught))
}

fn row_end(caught: &Caught) -> String {
    format!("| {} | {} |", caught.seed, caught.broken.violation.name())
}
