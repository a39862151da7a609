//! With toy curves every scenario is played as with real ones, and what is wrong is caught as well: built and run by
//! `cargo xtask test`.
#![cfg(countersign_toy_curves)]

mod seeds;

use countersign_sim::{Mutant, Scenario, Setting, Violation, keygen};

use seeds::seeds;

/// Worlds of very many sessions, which show how long these take, not what goes wrong.
const LONG: [&str; 3] = ["clean", "one-slow", "barely"];

#[test]
fn invariants_hold_in_every_scenario() {
    for (name, setting) in Setting::all() {
        for seed in 0..seeds(if LONG.contains(&name) { 0 } else { 4 }) {
            if let Err(broken) = setting.run(seed) {
                panic!("{name}: {broken}");
            }
        }
    }
}

#[test]
fn a_share_for_another_message_is_caught_and_its_seed_played_again() {
    let setting = Setting::Signing(Box::new(Scenario::default().with(Mutant::SignsWhatItIsTold)));
    let broken = (0..500).find_map(|seed| setting.run(seed).err()).expect("the mutant is caught");
    assert!(matches!(broken.violation, Violation::NotAllowed { .. }), "{broken}");
    let command = setting.replay_command(broken.seed);
    assert!(command.starts_with("RUSTFLAGS='--cfg countersign_toy_curves' cargo run"), "{command}");
}

/// Who deals false shares, or another polynomial than it committed to, is named as with real curves.
#[test]
fn lies_of_dealers_that_all_see_are_named_by_all() {
    for lie in keygen::Lie::SEEN_BY_ALL {
        let scenario = keygen::Scenario::exposed().lying(&[lie]);
        let honest = usize::from(scenario.members) - 1;
        let report = keygen::World::new(scenario, 4_100).run().unwrap_or_else(|broken| panic!("{broken}"));
        assert_eq!(report.accusers.len(), honest, "{lie:?}");
    }
}
