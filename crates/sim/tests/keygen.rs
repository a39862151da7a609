//! Key generation under faults, crashes at every write, and one dishonest member.

use countersign_sim::{
    Links,
    keygen::{Lie, Report, Scenario, World},
};

/// How many seeds: `COUNTERSIGN_SEEDS`, or so many.
fn seeds(usually: u64) -> u64 {
    std::env::var("COUNTERSIGN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}

fn run(scenario: &Scenario, seeds: impl Iterator<Item = u64>) -> Vec<Report> {
    seeds
        .map(|seed| match World::new(scenario.clone(), seed).run() {
            Ok(report) => report,
            Err(broken) => panic!("{broken}"),
        })
        .collect()
}

#[test]
fn all_end_with_one_root_whatever_crashes() {
    let reports = run(&Scenario::default(), 0..seeds(30));
    assert!(reports.iter().map(|report| report.crashes).sum::<u64>() > 10);
    assert!(reports.iter().map(|report| report.given_up).sum::<u64>() > 5);
}

#[test]
fn all_end_with_one_root_on_links_that_keep_the_order() {
    let in_order = Links { in_order: true, ..Scenario::default().links };
    run(&Scenario { links: in_order, crashes: 300, ..Scenario::default() }, 1_000..1_000 + seeds(20));
}

#[test]
fn a_calm_network_needs_one_attempt() {
    for report in run(&Scenario::calm(), 2_000..2_000 + seeds(5)) {
        assert_eq!(report.given_up, 0);
        assert!(report.complete_ms < 5_000, "{} ms", report.complete_ms);
    }
}

#[test]
fn one_dishonest_member_never_splits_the_others_and_frames_nobody() {
    run(&Scenario::default().lying(&Lie::ALL), 3_000..3_000 + seeds(20));
}

#[test]
fn a_provable_lie_names_the_liar() {
    for lie in Lie::PROVABLE {
        let scenario = Scenario { faults_ms: 10_000, ..Scenario::calm() }.lying(&[lie]);
        for report in run(&scenario, 4_000..4_002) {
            assert!(
                !report.accusers.is_empty(),
                "nobody names the liar of {lie:?}:\n{}",
                report.trace.tail(40)
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |_| World::new(Scenario::default(), 5_000).run().map(|report| report.trace);
    let (first, second) = (trace(1).expect("holds"), trace(2).expect("holds"));
    assert!(first.len() > 50);
    assert_eq!(first.text(), second.text());
}
