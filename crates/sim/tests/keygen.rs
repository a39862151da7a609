//! Key generation under faults, crashes at every write, and one dishonest member.

mod ceremonies;
mod seeds;

use countersign_sim::{
    Links,
    keygen::{Lie, Scenario, World},
};

use ceremonies::run;
use seeds::seeds;

#[test]
fn all_end_with_the_same_roots_whatever_crashes() {
    let reports = run(&Scenario::default(), 0..seeds(30));
    assert!(reports.iter().map(|report| report.crashes).sum::<u64>() > 10);
    assert!(reports.iter().map(|report| report.given_up).sum::<u64>() > 5);
}

#[test]
fn links_fail_one_way_and_both_ways() {
    let reports = run(&Scenario::default(), 8_000..8_020);
    for way in [" no longer hears ", " are cut off"] {
        let cuts = reports.iter().filter(|report| report.trace.text().contains(way)).count();
        assert!(cuts > 2, "{cuts} worlds with{way}");
    }
}

#[test]
fn all_end_with_the_same_roots_on_links_that_keep_the_order() {
    let in_order = Links { in_order: true, ..Scenario::default().links };
    run(&Scenario { links: in_order, crashes: 300, ..Scenario::default() }, 1_000..1_000 + seeds(20));
}

#[test]
fn a_calm_network_needs_one_attempt() {
    for report in run(&Scenario::calm(), 2_000..2_000 + seeds(5)) {
        assert_eq!((report.given_up, report.ceremonies), (0, 1));
        assert!(report.complete_ms < 5_000, "{} ms", report.complete_ms);
    }
}

#[test]
fn a_scheme_that_comes_with_an_upgrade_gets_its_root_in_a_further_ceremony() {
    let scenario = Scenario { upgrades: true, ..Scenario::default() };
    let mut reports = run(&scenario, 6_000..6_000 + seeds(15));
    let harsh = Scenario { crashes: 400, links: Links { loss: 300, ..scenario.links }, ..scenario };
    reports.extend(run(&harsh, 7_000..7_000 + seeds(15)));
    let further = reports.iter().filter(|report| report.ceremonies == 2).count();
    assert!(further > 5, "{further} of {} needed a further ceremony", reports.len());
    assert!(reports.iter().all(|report| report.ceremonies <= 2));
}

#[test]
fn one_dishonest_member_never_splits_the_others_and_frames_nobody() {
    run(&Scenario::default().lying(&Lie::ALL), 3_000..3_000 + seeds(20));
    let upgrades = Scenario { upgrades: true, ..Scenario::default() };
    run(&upgrades.lying(&Lie::ALL), 3_500..3_500 + seeds(10));
}

/// What all members see, each of them names.
#[test]
fn a_lie_that_all_see_is_named_by_all() {
    for (index, lie) in Lie::SEEN_BY_ALL.into_iter().enumerate() {
        let first = 4_100 + 100 * index as u64;
        for report in run(&Scenario::exposed().lying(&[lie]), first..first + seeds(3)) {
            let honest = usize::from(Scenario::exposed().members) - 1;
            assert_eq!(report.accusers.len(), honest, "{lie:?}:\n{}", report.trace.tail(40));
        }
    }
}

#[test]
fn a_lie_that_some_see_is_named() {
    // the last only one member sees
    for lie in Lie::PROVABLE.into_iter().chain([Lie::DealsTooFew]) {
        let scenario = Scenario { faults_ms: 10_000, ..Scenario::calm() }.lying(&[lie]);
        let reports = run(&scenario, 4_000..4_003);
        // an accusation that comes when all is done concerns nobody
        let may_be_late = matches!(lie, Lie::FalseComplaint | Lie::ForgedComplaint | Lie::UnshownComplaint);
        let silent: Vec<_> = reports.iter().filter(|report| report.accusers.is_empty()).collect();
        let allowed = if may_be_late { reports.len() - 1 } else { 0 };
        assert!(
            silent.len() <= allowed,
            "nobody names the liar of {lie:?}:\n{}",
            silent.last().map(|report| report.trace.tail(40)).unwrap_or_default()
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |_| World::new(Scenario::default(), 5_000).run().map(|report| report.trace);
    let (first, second) = (trace(1).expect("holds"), trace(2).expect("holds"));
    assert!(first.len() > 50);
    assert_eq!(first.text(), second.text());
}
