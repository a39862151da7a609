//! Any run can be played again by one command, and a failing one made smaller.

use std::process::Command;

use countersign_sim::{Mutant, Scenario, Setting, keygen, replay, shrink::shrink};

fn failing() -> (Setting, u64) {
    let setting = Setting::Signing(Box::new(Scenario::default().with(Mutant::SignsWhatItIsTold)));
    let seed = (0..500).find(|seed| setting.run(*seed).is_err()).expect("the mutant is caught");
    (setting, seed)
}

/// What the program prints for a command, but for the first words of it.
fn printed(command: &str) -> String {
    let (_, arguments) = command.split_once(" -- ").expect("the program's arguments");
    let program = env!("CARGO_BIN_EXE_countersign-sim");
    let output = Command::new(program).args(arguments.split(' ')).output().expect("it starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let (broken, seed) = failing();
    let signing = Setting::Signing(Box::default());
    let keygen = Setting::KeyGen(Box::new(keygen::Scenario::default().lying(&keygen::Lie::ALL)));
    for (setting, seed) in [(broken, seed), (signing, 3), (keygen, 4)] {
        let text = replay(&setting, seed);
        assert!(text.lines().count() > 50, "{text}");
        assert_eq!(text, replay(&setting, seed));
    }
}

#[test]
fn a_failure_names_the_command_that_plays_it_again() {
    let (setting, seed) = failing();
    let broken = setting.run(seed).expect_err("it fails");
    let command = setting.replay_command(seed);
    assert!(broken.to_string().contains(&command), "{broken}");
    assert_eq!(printed(&command), replay(&setting, seed));
}

#[test]
fn a_text_says_who_lies_what_is_lost_and_what_broke() {
    let (setting, seed) = failing();
    let text = replay(&setting, seed);
    for part in [
        "liars",
        "propose",
        "observed",
        "sign ",
        " lies in ",
        " lost: ",
        "NotAllowed: A share leaves a node only",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn a_failing_world_is_made_smaller_and_still_fails_so() {
    let (setting, seed) = failing();
    let shrunk = shrink(&setting, seed, 300).expect("it fails");
    assert_eq!(shrunk.last.violation.name(), shrunk.first.violation.name());
    let (before, after) = (shrunk.first.trace.len(), shrunk.last.trace.len());
    assert!(2 * after < before, "{after} of {before} events are left");
    assert!(shrunk.played <= 300, "{} worlds", shrunk.played);
    // one liar is needed, one request, and nothing that goes wrong by itself
    for (class, count) in shrunk.faults() {
        assert!(["liar", "lie", "request"].contains(&class.name()), "{} {count}", class.name());
    }
    let text = printed(&shrunk.last.setting.replay_command(seed));
    assert_eq!(text, replay(&shrunk.last.setting, seed));
    assert!(text.contains(&shrunk.last.violation.to_string()), "{text}");
}

#[test]
fn what_does_not_fail_is_not_made_smaller() {
    assert!(shrink(&Setting::Signing(Box::new(Scenario::calm())), 1, 10).is_none());
}
