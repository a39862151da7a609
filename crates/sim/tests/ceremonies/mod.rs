//! Worlds of key generation, one for each seed.

use countersign_sim::keygen::{Report, Scenario, World};

/// Plays a scenario; a violation fails the test, and says how to play it again.
pub(crate) fn run(scenario: &Scenario, seeds: impl Iterator<Item = u64>) -> Vec<Report> {
    seeds
        .map(|seed| match World::new(scenario.clone(), seed).run() {
            Ok(report) => report,
            Err(broken) => panic!("{broken}"),
        })
        .collect()
}
