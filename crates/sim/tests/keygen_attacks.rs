//! Attacks on key generation that must fail: all honest members end with the same roots, or they know who keeps them
//! from it. No two honest members ever activate different attempts, and none is blamed: the simulator checks that after
//! every step. And no key is half made: what one honest member has activated or finished ten seconds after the faults,
//! all have, also where a liar that never stops keeps them from more (`src/keygen/alike.rs`).
//!
//! The steps are those of ARCHITECTURE.md, "Key generation, step by step".
//!
//! | attack | step | what stops it | how it ends | shown by |
//! |---|---|---|---|---|
//! | different broadcasts to different members | K4 | echoes of signed broadcasts | culprit | `Equivocates` |
//! | a threshold raised or lowered | K3 | exact lengths | culprit | `RaisesThreshold`, `LowersThreshold` |
//! | an oversize package; more packages than members; fewer than schemes | K3, K4 | exact lengths and numbers | culprit | `Oversize`, `EchoesTooMany`, `LeavesOut` |
//! | an identity point | K5 | encodings without the identity | culprit | `IdentityPoint` |
//! | a bad proof of possession | K5 | FROST's check | culprit | `BadProof` |
//! | somebody else's commitments | K5 | the proof covers the sender | culprit | `threshold`, test `dkg` |
//! | identifier zero, a duplicate, an outsider | all | senders are those of channels; `Identifier` has no zero | no such message | `session`, test `keygen` |
//! | a bad share | K6 | commitments; a complaint shows it | culprit | `BadPrivate` |
//! | too few shares | K5 | exact numbers | culprit, for the one that lacks them | `DealsTooFew` |
//! | a false complaint: a good package, a forged one, another than was signed | K6 | everybody judges | culprit | `FalseComplaint`, `ForgedComplaint`, `UnshownComplaint` |
//! | an echo of what nobody sent | K4 | the sender's signature | culprit | `FalseEcho` |
//! | other roots confirmed | K7 | broadcasts fix the roots | culprit | `FalseConfirmation` |
//! | a confirmation for some only, or for nobody | K7, K9 | activations hand all confirmations on | all agree, or the liar is waited for | `Withholds` |
//! | a confirmation for some, a refusal for others | K8, K9 | an activation outweighs its signer's refusal | all agree; the liar is named | `RefusesForSome`, `RefusesForAll` |
//! | one attempt activated at one member, a later one at another | K6, K9 | whoever has shares of the later one drops the first | all agree | `RefusesForAll`, `ShowsTwo` |
//! | one member turned back to an attempt that the others left | K1, K2, K9 | nobody leaves one that is not refused; the refuser's own activation does not count | all agree, or the liar is named | `TurnsOneBack` |
//! | a refusal in another's name | K8 | signatures | all agree | `ForgesRefusal` |
//! | an activation for some only | K10 | all activations are handed on | all agree | `ActivatesForSome` |
//! | messages of an earlier attempt, again or under a new name | K2, K3 | numbers rise; signatures cover the attempt | all agree, or culprit | `StaleStarts`, `Replays`, `Relabels` |
//! | messages of another network or epoch | K2, K3 | both are in the id and the domain | culprit, or no attempt | `session`, test `keygen` |

mod ceremonies;
mod seeds;

use countersign_sim::{
    Links,
    keygen::{Lie, Scenario},
};
use countersign_types::Scheme;

use ceremonies::run;
use seeds::seeds;

/// What is attacked here has nothing to do with how many roots there are, and one is made faster.
fn one_scheme() -> Scenario {
    Scenario { schemes: vec![Scheme::Ed25519], ..Scenario::default() }
}

const ABOUT_CONFIRMATIONS: [Lie; 5] =
    [Lie::Withholds, Lie::RefusesForSome, Lie::RefusesForAll, Lie::ShowsTwo, Lie::TurnsOneBack];

#[test]
fn whoever_shows_confirmations_to_some_only_splits_and_blocks_nobody() {
    let patient = Scenario { faults_ms: 120_000, ..one_scheme() };
    run(&patient.clone().lying(&ABOUT_CONFIRMATIONS), 10_000..10_000 + seeds(60));
    let calm = Scenario { faults_ms: 120_000, schemes: one_scheme().schemes, ..Scenario::calm() };
    run(&calm.lying(&ABOUT_CONFIRMATIONS), 11_000..11_000 + seeds(30));
    let harsh = Scenario { crashes: 400, links: Links { loss: 300, ..patient.links }, ..patient };
    run(&harsh.lying(&ABOUT_CONFIRMATIONS), 12_000..12_000 + seeds(60));
}

#[test]
fn a_liar_that_never_stops_is_overcome_or_known() {
    let scenario = Scenario { unrepentant: true, faults_ms: 60_000, ..one_scheme() };
    for (index, lie) in Lie::ALL.into_iter().enumerate() {
        let first = 20_000 + 1_000 * index as u64;
        run(&scenario.clone().lying(&[lie]), first..first + seeds(6));
    }
}

#[test]
fn a_liar_that_refuses_and_confirms_is_named() {
    let scenario = Scenario { faults_ms: 60_000, schemes: one_scheme().schemes, ..Scenario::calm() };
    let reports = run(&scenario.lying(&[Lie::RefusesForSome]), 13_000..13_000 + seeds(10));
    for report in reports {
        assert!(!report.accusers.is_empty(), "{}", report.trace.tail(60));
    }
}

#[test]
fn what_was_signed_for_an_earlier_attempt_is_no_part_of_this_one() {
    let scenario = Scenario { faults_ms: 60_000, schemes: one_scheme().schemes, ..Scenario::calm() };
    let reports = run(&scenario.lying(&[Lie::Relabels]), 14_000..14_000 + seeds(5));
    assert!(reports.iter().all(|report| !report.accusers.is_empty()));
}

#[test]
fn crashes_while_clocks_differ_are_no_equivocation() {
    let scenario = Scenario { crashes: 600, random_crashes: 6, skew_ms: 28_000, ..one_scheme() };
    let reports = run(&scenario, 15_000..15_000 + seeds(60));
    assert!(reports.iter().all(|report| report.accusers.is_empty()));
    assert!(reports.iter().map(|report| report.crashes).sum::<u64>() > 100);
}
