//! The clock, against everything here that knows the time. None of it proves that the clock is right: what is said is what was
//! compared, and how closely.

use std::{
    collections::BTreeMap,
    io,
    process::Stdio,
    time::{SystemTime, UNIX_EPOCH},
};

use countersign_chain::{ChainConfig, ClockDifference};
use futures::future::join_all;
use tokio::process::Command;

use crate::{Name, chains::Look, report::Finding, tasks::Task};

/// From which difference on an operator should look, in milliseconds.
const WARNING_MS: i64 = 2_000;
/// From which difference on members may refuse what this node proposes: sessions allow 30 s, and the other clocks are off too.
const FAILED_MS: i64 = 20_000;

/// One check of whether the system keeps its clock right, one against the clocks of the chains' providers, and one against the
/// newest blocks.
pub(crate) fn tasks(chains: &[ChainConfig], looks: &[Look]) -> Vec<Task> {
    let ids: Vec<u64> = chains.iter().map(|chain| chain.chain_id).collect();
    let (providers, blocks) = (looks.to_vec(), looks.to_vec());
    vec![
        Task::of(Name::Clock, "synchronisation", async { synchronisation(timedatectl().await) }),
        Task::of(Name::Clock, "providers", async move {
            let mut clocks = BTreeMap::new();
            for seen in join_all(providers).await.into_iter().flatten() {
                for provider in &seen.providers {
                    if let Some(difference) = provider.clock {
                        clocks.insert(provider.name.operator().to_owned(), difference);
                    }
                }
            }
            against_clocks(&clocks.into_values().collect::<Vec<_>>())
        }),
        Task::of(Name::Clock, "newest blocks", async move {
            let mut newest = Vec::new();
            for (chain, seen) in ids.into_iter().zip(join_all(blocks).await) {
                let providers = seen.iter().flat_map(|seen| &seen.providers);
                let said = providers.filter_map(|provider| provider.said.as_ref().ok()?.latest);
                // the lowest, so that one provider that lies does not accuse the clock
                newest.extend(said.map(|block| block.timestamp).min().map(|timestamp| (chain, timestamp)));
            }
            against_blocks(&newest, now_s())
        }),
    ]
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the system itself says: whether something keeps its clock right. Asked for by a program, since the call of the kernel
/// has no safe interface; both chrony and systemd-timesyncd are seen by it.
async fn timedatectl() -> io::Result<String> {
    let output = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn synchronisation(said: io::Result<String>) -> Finding {
    match said.as_deref() {
        Ok("yes") => Finding::ok("the system says that its clock is synchronised"),
        Ok("no") => Finding::warning(
            "the system says that nothing keeps its clock right",
            "run chrony or systemd-timesyncd, on the host if this is a container",
        ),
        Ok(_) | Err(_) => {
            Finding::skipped("this system does not say whether its clock is synchronised (timedatectl)")
        }
    }
}

/// Each operator's clock has a voice; the middle one counts, the one that accuses less of two.
fn against_clocks(differences: &[ClockDifference]) -> Finding {
    let mut sure: Vec<i64> = differences.iter().map(ClockDifference::sure_ms).collect();
    sure.sort_by_key(|ms| ms.abs());
    let Some(middle) = sure.len().checked_sub(1).and_then(|last| sure.get(last / 2)).copied() else {
        return Finding::skipped("no chain provider tells the time in its answers");
    };
    let operators = match sure.len() {
        1 => "one chain provider's".to_owned(),
        count => format!("{count} chain providers'"),
    };
    if middle.abs() < WARNING_MS {
        return Finding::ok(format!("it agrees with {operators} to the second"));
    }
    let way = if middle > 0 { "behind" } else { "ahead of" };
    let says = format!("it is at least {} s {way} {operators}", middle.abs() / 1_000);
    let advice = "set the clock right, and keep it right with chrony or systemd-timesyncd: members accept 30 s at most";
    Finding::unless(middle.abs() < FAILED_MS, says, advice)
}

/// No block is from the future: a clock that shows less than a block's time is behind. How far ahead a clock is does not show,
/// since a block may be old.
fn against_blocks(newest: &[(u64, u64)], now_s: u64) -> Finding {
    let Some((chain, ahead)) = newest
        .iter()
        .map(|(chain, time)| (chain, time.saturating_sub(now_s)))
        .max_by_key(|(_, ahead)| *ahead)
    else {
        return Finding::skipped("no chain provider shows its newest block");
    };
    let ahead_ms = i64::try_from(ahead.saturating_mul(1_000)).unwrap_or(i64::MAX);
    if ahead_ms < WARNING_MS {
        let ages = newest
            .iter()
            .map(|(chain, time)| format!("chain {chain}: {} s old", now_s.saturating_sub(*time)));
        return Finding::ok(format!(
            "no newest block is of the future ({})",
            ages.collect::<Vec<_>>().join(", ")
        ));
    }
    Finding::unless(
        ahead_ms < FAILED_MS,
        format!("the newest block of chain {chain} is {ahead} s in the future: the clock is behind"),
        "set the clock right; a development chain may also have been set ahead on purpose",
    )
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use countersign_chain::{ConfigProblem, Examined, ExaminedProvider, ProviderConfig, ProviderName, Said};
    use countersign_types::{B256, Pin};
    use futures::{FutureExt, future::ready};

    use super::*;
    use crate::State;

    fn exactly(ms: i64) -> ClockDifference {
        ClockDifference { least_ms: ms, most_ms: ms }
    }

    #[test]
    fn the_middle_clock_counts() {
        for (clocks, state) in [
            (vec![], State::Skipped),
            (vec![0], State::Ok),
            (vec![WARNING_MS - 1], State::Ok),
            (vec![WARNING_MS], State::Warning),
            (vec![-WARNING_MS], State::Warning),
            (vec![FAILED_MS], State::Failed),
            (vec![-FAILED_MS], State::Failed),
            // one that lies, against one and against two
            (vec![0, 1_000_000_000], State::Ok),
            (vec![0, -1_000_000_000], State::Ok),
            (vec![0, 100, -1_000_000_000], State::Ok),
            (vec![0, FAILED_MS, FAILED_MS], State::Failed),
        ] {
            let differences: Vec<_> = clocks.iter().map(|ms| exactly(*ms)).collect();
            assert_eq!(against_clocks(&differences).state, state, "{clocks:?}");
        }
        let within = ClockDifference { least_ms: -600, most_ms: 700 };
        assert_eq!(against_clocks(&[within]).state, State::Ok);
        assert!(against_clocks(&[exactly(61_000)]).says.contains("61 s behind"));
        assert!(against_clocks(&[exactly(-61_000)]).says.contains("61 s ahead of"));
    }

    #[tokio::test]
    async fn of_a_chains_newest_blocks_the_oldest_counts() {
        let now = now_s();
        let config = ChainConfig::new(1, vec![ProviderConfig::new("operator", "http://127.0.0.1:1")]);
        let names = ProviderName::all(&config);
        let provider = |timestamp| {
            let latest = Pin { chain_id: 1, number: 9, hash: B256::ZERO, timestamp };
            ExaminedProvider {
                name: names[0].clone(),
                said: Ok(Said { finalized: latest, latest: Some(latest) }),
                common: None,
                clock: None,
            }
        };
        for (newest, state) in [([now + 600, now - 10], State::Ok), ([now + 601, now + 600], State::Failed)] {
            let providers = newest.map(provider).to_vec();
            let seen: Result<_, ConfigProblem> = Ok(Arc::new(Examined { providers }));
            let look: Look = ready(seen).boxed().shared();
            let task = tasks(&[ChainConfig::new(1, Vec::new())], &[look]).pop().expect("that of the blocks");
            let check = task.run(Duration::from_secs(20)).await;
            assert_eq!(check.state, state, "{check:?}");
        }
    }

    #[test]
    fn a_block_of_the_future_shows_a_clock_that_is_behind() {
        let now = 1_800_000_000;
        assert_eq!(against_blocks(&[], now).state, State::Skipped);
        assert_eq!(against_blocks(&[(1, now - 12), (10, now + 1)], now).state, State::Ok);
        let finding = against_blocks(&[(1, now - 12), (10, now + 5)], now);
        assert!(finding.state == State::Warning && finding.says.contains("chain 10 is 5 s"), "{finding:?}");
        assert_eq!(against_blocks(&[(1, now + 60)], now).state, State::Failed);
        assert_eq!(against_blocks(&[(1, u64::MAX)], now).state, State::Failed);
    }

    #[test]
    fn only_what_the_system_says_is_said() {
        assert_eq!(synchronisation(Ok("yes".into())).state, State::Ok);
        assert_eq!(synchronisation(Ok("no".into())).state, State::Warning);
        assert_eq!(synchronisation(Ok(String::new())).state, State::Skipped);
        assert_eq!(synchronisation(Err(io::ErrorKind::NotFound.into())).state, State::Skipped);
    }
}
