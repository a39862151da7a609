//! Nodes that are built wrong around the right machines: the invariants see every one of them, and the right node passes
//! the same seeds. Machines that are built wrong are in `core_mutants`.

use countersign_sim::{Links, Mutant, Scenario, Violation, World, keygen};
use countersign_types::Scheme;

/// Every mutant is caught within so many seeds.
const MOST: u64 = 500;

/// The seed that catches the mutant, and the violation; the right node passes all seeds up to there.
fn caught(scenario: &Scenario, mutant: Mutant) -> Violation {
    for seed in 0..MOST {
        if let Err(broken) = World::new(scenario.clone().with(mutant), seed).run() {
            for seed in seed.saturating_sub(3)..=seed {
                if let Err(broken) = World::new(scenario.clone(), seed).run() {
                    panic!("the right node fails: {broken}");
                }
            }
            println!("{mutant:?} is caught at seed {seed}: {}", broken.violation);
            return broken.violation;
        }
    }
    panic!("{mutant:?} is not caught in {MOST} seeds");
}

#[test]
fn randomness_that_rewinds_is_nonce_reuse() {
    let scenario = Scenario { crashes: 100, random_crashes: 4, liars: 0, ..Scenario::default() };
    let violation = caught(&scenario, Mutant::RewoundRandomness);
    let seen = matches!(violation, Violation::CommittedTwice { .. } | Violation::NonceReused { .. });
    assert!(seen, "{violation}");
}

#[test]
fn a_node_that_signs_what_it_is_told_is_seen() {
    let violation = caught(&Scenario::default(), Mutant::SignsWhatItIsTold);
    assert!(matches!(violation, Violation::NotAllowed { .. }), "{violation}");
}

#[test]
fn a_node_that_ignores_what_is_agreed_is_seen() {
    let scenario = Scenario { obstacles: 400, ..Scenario::default() };
    let violation = caught(&scenario, Mutant::IgnoresWhatIsAgreed);
    assert!(matches!(violation, Violation::NotAgreed { .. }), "{violation}");
}

#[test]
fn a_node_that_signs_its_live_runs_outcome_is_seen() {
    let scenario = Scenario { obstacles: 400, ..Scenario::default() };
    let violation = caught(&scenario, Mutant::SignsTheLiveOutcome);
    let seen = matches!(violation, Violation::NotAgreed { .. } | Violation::NotAllowed { .. });
    assert!(seen, "{violation}");
}

#[test]
fn a_node_that_ignores_the_tolerance_is_seen() {
    let violation = caught(&Scenario::default(), Mutant::IgnoresTolerance);
    assert!(matches!(violation, Violation::BeyondTolerance { .. }), "{violation}");
}

#[test]
fn a_replay_that_makes_reads_up_is_seen() {
    let violation = caught(&Scenario::default(), Mutant::MakesReadsUp);
    let seen = matches!(violation, Violation::NotAgreed { .. } | Violation::NotAllowed { .. });
    assert!(seen, "{violation}");
}

#[test]
fn a_node_that_replays_over_its_own_numbers_is_seen() {
    let violation = caught(&Scenario::default(), Mutant::ReplaysItsOwnNumbers);
    assert!(matches!(violation, Violation::NotAllowed { .. }), "{violation}");
}

#[test]
fn a_coordinator_that_believes_named_senders_blames_the_honest_or_not_the_liar() {
    let violation = caught(&Scenario::default(), Mutant::TrustsNamedSenders);
    let seen = matches!(violation, Violation::Framed { .. } | Violation::NotBlamed { .. });
    assert!(seen, "{violation}");
}

#[test]
fn a_coordinator_without_a_clock_misses_its_deadline() {
    let violation = caught(&Scenario::default(), Mutant::NeverTicks);
    let seen = matches!(violation, Violation::Overdue { .. } | Violation::NotLive { .. });
    assert!(seen, "{violation}");
}

/// What these members get wrong has nothing to do with how many roots they make, and one is made faster.
fn one_scheme() -> keygen::Scenario {
    keygen::Scenario { schemes: vec![Scheme::Ed25519], ..keygen::Scenario::default() }
}

fn caught_in_keygen(mutant: keygen::Mutant) -> Violation {
    caught_in(&keygen::Scenario { crashes: 300, ..one_scheme() }, mutant)
}

fn caught_in(scenario: &keygen::Scenario, mutant: keygen::Mutant) -> Violation {
    for seed in 0..MOST {
        if let Err(broken) = keygen::World::new(scenario.clone().with(mutant), seed).run() {
            if let Err(broken) = keygen::World::new(scenario.clone(), seed).run() {
                panic!("the right member fails: {broken}");
            }
            println!("{mutant:?} is caught at seed {seed}: {}", broken.violation);
            return broken.violation;
        }
    }
    panic!("{mutant:?} is not caught in {MOST} seeds");
}

#[test]
fn a_member_that_activates_before_it_has_stored_that_is_seen() {
    let violation = caught_in_keygen(keygen::Mutant::ActivatesBeforeStoring);
    assert!(matches!(violation, Violation::NotStored { .. }), "{violation}");
}

#[test]
fn a_member_that_joins_before_it_has_stored_that_is_seen() {
    let violation = caught_in_keygen(keygen::Mutant::JoinsBeforeStoring);
    assert!(matches!(violation, Violation::NotStored { .. }), "{violation}");
}

#[test]
fn a_member_that_confirms_before_it_has_stored_its_share_is_seen() {
    let violation = caught_in_keygen(keygen::Mutant::ConfirmsBeforeStoring);
    assert!(matches!(violation, Violation::NotStored { .. }), "{violation}");
}

/// Where an activation matters: the liar tells the others that it never confirms what it lets one member activate, and
/// the links are so bad that the activation may reach nobody before that member starts anew.
fn activations_matter() -> keygen::Scenario {
    keygen::Scenario {
        members: 3,
        threshold: 2,
        links: Links { loss: 800, ..Links::default() },
        crashes: 600,
        random_crashes: 100,
        partitions: 60,
        faults_ms: 240_000,
        ..one_scheme()
    }
    .lying(&[keygen::Lie::RefusesForSome])
}

#[test]
fn a_member_that_forgets_its_activation_activates_twice_or_leaves_whoever_followed_it() {
    let violation = caught_in(&activations_matter(), keygen::Mutant::ForgetsActivation);
    let seen = matches!(
        violation,
        Violation::TwoActivations { .. }
            | Violation::Split { .. }
            | Violation::HalfMade { .. }
            | Violation::Incomplete { .. }
    );
    assert!(seen, "{violation}");
}

#[test]
fn a_member_that_ignores_its_activation_never_ends() {
    let violation = caught_in(&activations_matter(), keygen::Mutant::IgnoresActivation);
    let seen = matches!(
        violation,
        Violation::Incomplete { .. } | Violation::HalfMade { .. } | Violation::TwoActivations { .. }
    );
    assert!(seen, "{violation}");
}

#[test]
fn a_member_that_loses_its_pending_share_never_ends() {
    let violation = caught_in_keygen(keygen::Mutant::LosesPendingShares);
    let seen = matches!(
        violation,
        Violation::Incomplete { .. } | Violation::HalfMade { .. } | Violation::Split { .. }
    );
    assert!(seen, "{violation}");
}
