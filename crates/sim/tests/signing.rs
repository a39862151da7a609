//! Signing under faults and attackers: every invariant holds for every seed.

mod seeds;

use std::collections::{BTreeMap, BTreeSet};

use countersign_sim::{Links, Report, Scenario, Violation, World};
use countersign_types::FailureKind;

use seeds::seeds;

fn run(scenario: &Scenario, seeds: impl Iterator<Item = u64>) -> Totals {
    let mut totals = Totals::default();
    for seed in seeds {
        match World::new(scenario.clone(), seed).run() {
            Ok(report) => totals.add(report),
            Err(broken) => panic!("{broken}"),
        }
    }
    totals
}

#[derive(Debug, Default)]
struct Totals {
    signed: u64,
    failed: BTreeMap<FailureKind, u64>,
    crashes: u64,
    further_attempts: u64,
    at_once: u64,
    blamed: u64,
    named: BTreeMap<&'static str, u64>,
    cuts: BTreeMap<&'static str, u64>,
    lies: BTreeSet<String>,
}

impl Totals {
    fn add(&mut self, report: Report) {
        self.signed += report.signed;
        self.crashes += report.crashes;
        self.further_attempts += report.further_attempts;
        self.at_once += report.at_once;
        self.blamed += report.blamed;
        for (what, count) in report.named {
            *self.named.entry(what).or_default() += count;
        }
        for way in [" no longer hears ", " are cut off"] {
            let lines = report.trace.text().lines().filter(|line| line.contains(way));
            *self.cuts.entry(way).or_default() += lines.count() as u64;
        }
        let told = report.trace.text().lines().filter(|line| line.contains(" lies in "));
        self.lies.extend(told.filter_map(|line| Some(line.rsplit_once(' ')?.1.to_owned())));
        for (kind, count) in report.failed {
            *self.failed.entry(kind).or_default() += count;
        }
    }
}

#[test]
fn invariants_hold_under_faults_and_liars() {
    let totals = run(&Scenario::default(), 0..seeds(80));
    // the worlds are bad enough to prove something
    assert!(totals.signed > 80 && totals.crashes > 20, "{totals:?}");
    assert!(totals.further_attempts > 10 && totals.blamed > 10, "{totals:?}");
    for kind in [FailureKind::Refused, FailureKind::Disagreement, FailureKind::Unavailable] {
        assert!(totals.failed.contains_key(&kind), "no failure {kind:?} in {totals:?}");
    }
    assert!(totals.cuts.values().all(|cuts| *cuts > 20), "links fail one way and both ways: {totals:?}");
}

/// What liars do that their coordinator has proof of: each of them is named for it.
const PROVEN: [&str; 11] = [
    "its observation is beyond bounds, or not signed",
    "it commits to another number of payloads",
    "it sent another number of shares",
    "it voted for another package",
    "it voted for another record",
    "it voted for other shares",
    "its vote is not signed by it",
    "its verdict is not what it voted for",
    "it voted for another outcome",
    "its share is wrong",
    "its commitments are none",
];

#[test]
fn whoever_provably_lies_to_a_coordinator_is_named() {
    let calm = Scenario {
        links: Links::calm(),
        partitions: 0,
        crashes: 0,
        random_crashes: 0,
        ..Scenario::default()
    };
    let totals = run(&Scenario { requests: 30, ..calm }, 120_000..120_000 + seeds(16));
    for lie in PROVEN {
        assert!(totals.named.contains_key(lie), "nobody is named because {lie}, in {totals:?}");
    }
    for lie in
        ["ObservesLate", "SignsLate", "Twice", "Declines", "Steals", "LargestRecord", "ChangesKey", "Floods"]
    {
        assert!(totals.lies.contains(lie), "nobody tells {lie}, in {totals:?}");
    }
}

/// With a threshold of honest members a signature comes, whatever the others do, if the callers name whom they ask.
#[test]
fn whatever_liars_do_a_request_to_an_honest_node_is_signed() {
    let totals = run(&Scenario::besieged(), 80_000..80_000 + seeds(60));
    assert!(totals.further_attempts > 10 && totals.blamed > 10, "{totals:?}");
    run(&Scenario::besieged_larger(), 90_000..90_000 + seeds(15));
    // each set of six of eight but one has a liar, which often declines what is good
    let totals = run(&Scenario::besieged_six_of_eight(), 95_000..95_000 + seeds(15));
    assert!(totals.further_attempts > 10, "{totals:?}");
    // else a liar that is asked to sign has other bytes signed first
    let open = Scenario { named: 0, agreeable: false, ..Scenario::besieged() };
    let missed = (80_000..80_060).filter_map(|seed| World::new(open.clone(), seed).run().err());
    let missed = missed.map(|broken| broken.violation).find(|violation| {
        matches!(violation, Violation::NotLive { why, .. } if why.contains("allowed another outcome"))
    });
    assert!(missed.is_some(), "whoever coordinates what it overhears keeps nobody from a signature");
}

/// Many requests, so that coordinators learn which of them take one round.
#[test]
fn invariants_hold_where_many_sessions_take_one_round() {
    let busy = Scenario { requests: 40, ..Scenario::default() };
    let totals = run(&busy, 60_000..60_000 + seeds(20));
    assert!(totals.at_once > 50 && totals.crashes > 5 && totals.blamed > 10, "{totals:?}");
    let calm = run(&Scenario { requests: 40, ..Scenario::calm() }, 70_000..70_000 + seeds(5));
    assert!(calm.at_once > 50 && calm.failed.is_empty(), "{calm:?}");
}

#[test]
fn invariants_hold_on_links_that_keep_the_order() {
    let in_order = Links { in_order: true, ..Links::default() };
    run(&Scenario { links: in_order, ..Scenario::default() }, 10_000..10_000 + seeds(30));
}

#[test]
fn invariants_hold_in_a_larger_committee() {
    let larger = Scenario { members: 7, threshold: 4, liars: 3, ..Scenario::default() };
    run(&larger, 20_000..20_000 + seeds(20));
}

#[test]
fn invariants_hold_where_clocks_differ_by_as_much_as_they_may() {
    let totals = run(&Scenario::skewed(), 100_000..100_000 + seeds(20));
    assert!(totals.signed > 20, "{totals:?}");
}

/// What nodes hold stays bounded, and a flood keeps nobody else from a signature.
#[test]
fn invariants_hold_where_coordinators_flood_the_others() {
    let totals = run(&Scenario::flooded(), 110_000..110_000 + seeds(6));
    assert!(totals.signed > 6, "{totals:?}");
}

#[test]
fn a_calm_network_signs_every_request_at_once() {
    let totals = run(&Scenario::calm(), 30_000..30_000 + seeds(20));
    assert!(totals.failed.is_empty(), "{totals:?}");
}

#[test]
fn a_bad_network_of_slow_honest_nodes_signs_every_request() {
    let totals = run(&Scenario::sluggish(), 40_000..40_000 + seeds(40));
    assert!(totals.failed.is_empty() && totals.further_attempts > 0, "{totals:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 50_000..50_003 {
        let trace = |_| World::new(Scenario::default(), seed).run().map(|report| report.trace);
        let (first, second) = (trace(1).expect("holds"), trace(2).expect("holds"));
        assert!(first.len() > 100, "{} events", first.len());
        assert_eq!(first.text(), second.text(), "seed {seed}");
    }
    let other = World::new(Scenario::default(), 50_004).run().expect("holds");
    let first = World::new(Scenario::default(), 50_000).run().expect("holds");
    assert_ne!(first.trace, other.trace);
}
