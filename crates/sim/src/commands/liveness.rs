//! Figures under steady trouble, against their targets.

use std::process::ExitCode;

use countersign_sim::{Scenario, SettingError, liveness::Figures};

/// At least so many hundredths of a percent are signed in time where just a threshold is up and 15 % is lost.
const SIGNED_BPS: usize = 9_990;
/// One slow node makes the median longer by at most so many percent.
const SLOWER_PERCENT: u64 = 10;

/// Measures, and says whether the targets are met.
pub(crate) fn liveness(sessions: u64) -> Result<ExitCode, SettingError> {
    let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
    let measure = |name: &str, scenario: &Scenario| {
        let figures = match Figures::of(scenario, 0, sessions) {
            Ok(figures) => figures,
            Err(broken) => {
                println!("{broken}");
                return None;
            }
        };
        let signed = figures.signed_bps();
        println!(
            "{name}: {} sessions, {} failed, {}.{:02} % signed in time; p50 {} ms, p90 {} ms, p99 {} ms, all {} ms",
            figures.count(),
            figures.failed(),
            signed / 100,
            signed % 100,
            figures.percentile(50),
            figures.percentile(90),
            figures.percentile(99),
            figures.percentile(100)
        );
        Some(figures)
    };
    let barely = measure("a threshold up, 15 % lost", &Scenario::barely());
    let clean = measure("clean", &Scenario::clean());
    let slow = measure("one node 500 ms slower", &Scenario::one_slow());
    let (Some(barely), Some(clean), Some(slow)) = (barely, clean, slow) else { return Ok(ExitCode::FAILURE) };
    let (fast, slower) = (clean.percentile(50), slow.percentile(50));
    let signed = barely.signed_bps() >= SIGNED_BPS;
    let quick = slower * 100 <= fast * (100 + SLOWER_PERCENT);
    println!("signed in time, at least {SIGNED_BPS} in 10000: {}", met(signed));
    let longer = (slower * 100).checked_div(fast).unwrap_or(0).saturating_sub(100);
    println!("p50 with one slow node: {longer} % longer, at most {SLOWER_PERCENT}: {}", met(quick));
    Ok(if signed && quick { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn met(target: bool) -> &'static str {
    if target { "met" } else { "missed" }
}
