//! Steady trouble: signatures come in time where just a threshold is up. What one slow node costs is measured by the
//! command `liveness`.

use countersign_sim::{Scenario, liveness::Figures};

/// How many sessions: `COUNTERSIGN_SESSIONS`, or so many.
fn measured(scenario: &Scenario, usually: usize) -> Figures {
    let sessions = std::env::var("COUNTERSIGN_SESSIONS").ok().and_then(|text| text.parse().ok());
    Figures::of(scenario, 0, sessions.unwrap_or(usually)).unwrap_or_else(|broken| panic!("{broken}"))
}

#[test]
fn all_but_one_in_a_thousand_are_signed_in_time_where_a_threshold_is_up_and_15_percent_is_lost() {
    let figures = measured(&Scenario::barely(), 2_000);
    assert!(figures.signed_bps() >= 9_990, "{} of {} failed", figures.failed(), figures.count());
}
