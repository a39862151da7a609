//! The chains: what each provider says, and whether all of them say the same.

use std::{collections::BTreeSet, sync::Arc};

use countersign_chain::{
    ChainConfig, ConfigProblem, Examined, ExaminedProvider, Fault, ProviderName, examine,
};
use countersign_types::Pin;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use crate::{Name, report::Finding, tasks::Task};

/// How many steps of finality a provider may be behind another: as far as a pin may be.
const MAX_STEPS_BEHIND: u64 = 2;

/// A chain that is looked at once, for several checks.
pub(crate) type Look = Shared<BoxFuture<'static, Result<Arc<Examined>, ConfigProblem>>>;

/// Looks at every chain.
pub(crate) fn looks(chains: &[ChainConfig]) -> Vec<Look> {
    let look = |chain: &ChainConfig| {
        let chain = chain.clone();
        async move { examine(&chain).await.map(Arc::new) }.boxed().shared()
    };
    chains.iter().map(look).collect()
}

/// One check for each provider, and one for each chain.
pub(crate) fn tasks(chains: &[ChainConfig], looks: &[Look]) -> Vec<Task> {
    let (mut providers, mut agreements) = (Vec::new(), Vec::new());
    for (chain, look) in chains.iter().zip(looks) {
        for (index, name) in ProviderName::all(chain).into_iter().enumerate() {
            let subject = format!("chain {}: {name}", chain.chain_id);
            let (chain, look) = (chain.clone(), look.clone());
            providers.push(Task::of(Name::Provider, subject, async move {
                looked(look.await, |seen| provider_finding(&chain, &seen, index))
            }));
        }
        let subject = format!("chain {}", chain.chain_id);
        let (chain, look) = (chain.clone(), look.clone());
        agreements.push(Task::of(Name::Chain, subject, async move {
            looked(look.await, |seen| agreement(&chain, &seen))
        }));
    }
    providers.extend(agreements);
    providers
}

fn looked(
    seen: Result<Arc<Examined>, ConfigProblem>,
    judge: impl FnOnce(Arc<Examined>) -> Finding,
) -> Finding {
    match seen {
        Ok(seen) => judge(seen),
        Err(problem) => Finding::skipped(format!("the chain's settings cannot be used: {problem}")),
    }
}

fn provider_finding(chain: &ChainConfig, seen: &Examined, index: usize) -> Finding {
    let Some(provider) = seen.providers.get(index) else {
        return Finding::skipped("it was not asked");
    };
    let enough = answering(seen).len() >= chain.quorum();
    match &provider.said {
        Ok(said) => {
            let age = seconds_since(&said.finalized);
            Finding::ok(format!("its final block is {}, {age} s old", said.finalized.number))
        }
        Err(fault) => fault_finding(fault, chain, enough),
    }
}

fn fault_finding(fault: &Fault, chain: &ChainConfig, enough: bool) -> Finding {
    match fault {
        Fault::WrongChain { .. } => Finding::failed(
            format!("it {fault}"),
            "correct the URL of this provider, or the chain_id of its section [[chains]]",
        ),
        Fault::Lagging { .. } => Finding::unless(
            enough,
            format!("it {fault}, where {} s are allowed", chain.max_head_age_s),
            "ask its operator whether it follows the chain; check this machine's clock; max_head_age_s is the bound",
        ),
        Fault::NotFinal => Finding::unless(
            enough,
            format!("it {fault}"),
            "a node reads final blocks only: take a provider that serves the tag \"finalized\"",
        ),
        Fault::Unreachable(_)
        | Fault::Timeout { .. }
        | Fault::Status(_)
        | Fault::TooLarge { .. }
        | Fault::Malformed(_)
        | Fault::Rpc { .. }
        | Fault::FalseHeader { .. }
        | Fault::OtherHeader { .. }
        | Fault::NotYetFinal { .. }
        | Fault::UnknownBlock
        | Fault::FalseAnswer(_) => Finding::unless(
            enough,
            format!("it does not answer as it must: {fault}"),
            "check its URL and credentials, and ask its operator; further providers stand in for one that is down",
        ),
    }
}

/// The operators that say something that counts.
fn answering(seen: &Examined) -> BTreeSet<&str> {
    let answering = seen.providers.iter().filter(|provider| provider.said.is_ok());
    answering.map(|provider| provider.name.operator()).collect()
}

fn agreement(chain: &ChainConfig, seen: &Examined) -> Finding {
    let (answering, quorum) = (answering(seen), chain.quorum());
    if answering.len() < quorum {
        return Finding::skipped(format!(
            "{} of {quorum} operators that have to agree answer: nothing can be compared",
            answering.len()
        ));
    }
    let forks = forks(seen);
    if !forks.is_empty() {
        return Finding::failed(
            forks.join("; "),
            "they are of different chains, or one of them lies or follows a fork: find out which, and replace it",
        );
    }
    let heads = || {
        seen.providers
            .iter()
            .filter_map(|provider| Some((provider, provider.said.as_ref().ok()?.finalized.number)))
    };
    let highest = heads().map(|(_, number)| number).max().unwrap_or_default();
    let most = MAX_STEPS_BEHIND.saturating_mul(chain.finality_step_blocks);
    let behind: Vec<String> = heads()
        .filter(|(_, number)| highest - number > most)
        .map(|(provider, number)| format!("{} is {} blocks behind", provider.name, highest - number))
        .collect();
    if !behind.is_empty() {
        return Finding::warning(
            format!("final blocks up to {highest}, and {}", behind.join(", ")),
            format!("ask their operators; a pinned block may be {most} blocks old (finality_step_blocks)"),
        );
    }
    let operators = answering.len();
    Finding::ok(match operators {
        1 => format!("one operator is asked and believed; final block {highest}"),
        _ => format!("{operators} operators agree, {quorum} have to; final block {highest}"),
    })
}

/// Whoever has another block than the first at a number that both call final, or has none there.
fn forks(seen: &Examined) -> Vec<String> {
    let blocks = seen.providers.iter().filter_map(|provider| match &provider.common {
        Some(Ok(block)) => Some((provider, *block)),
        Some(Err(_)) | None => None,
    });
    let mut forks = Vec::new();
    let mut first: Option<(&ExaminedProvider, Pin)> = None;
    for (provider, block) in blocks {
        match (block, first) {
            (None, _) => forks.push(format!("{} has lost a block that is final", provider.name)),
            (Some(block), None) => first = Some((provider, block)),
            (Some(block), Some((one, common))) if block != common => forks.push(format!(
                "final block {} is {} at {} and {} at {}",
                common.number, common.hash, one.name, block.hash, provider.name
            )),
            (Some(_), Some(_)) => {}
        }
    }
    forks
}

fn seconds_since(block: &Pin) -> u64 {
    crate::clock::now_s().saturating_sub(block.timestamp)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_chain::{ProviderConfig, Said};
    use countersign_types::B256;
    use futures::future::ready;

    use super::*;
    use crate::{State, tasks::side_by_side};

    fn pin(number: u64, hash: u8) -> Pin {
        Pin { chain_id: 1, number, hash: B256::repeat_byte(hash), timestamp: 0 }
    }

    fn chain(operators: usize) -> ChainConfig {
        let provider = |index: usize| {
            ProviderConfig::new(format!("operator {index}"), format!("http://127.0.0.1:{}", index + 1))
        };
        ChainConfig::new(1, (0..operators).map(provider).collect())
    }

    fn provider(index: usize, said: Result<u64, Fault>, common: Option<Pin>) -> ExaminedProvider {
        ExaminedProvider {
            name: ProviderName::all(&chain(index + 1)).remove(index),
            common: said.is_ok().then_some(Ok(common)),
            said: said.map(|number| Said { finalized: pin(number, 1), latest: None }),
            clock: None,
        }
    }

    /// Providers whose final blocks these are, all with the same block in common.
    fn seen(heads: &[Result<u64, Fault>]) -> Examined {
        let providers = heads.iter().cloned().enumerate();
        Examined {
            providers: providers.map(|(index, head)| provider(index, head, Some(pin(1, 1)))).collect(),
        }
    }

    fn down() -> Fault {
        Fault::Unreachable("connection refused".into())
    }

    #[test]
    fn a_dead_provider_is_a_failure_only_where_too_few_are_left() {
        let states = |heads: &[Result<u64, Fault>]| {
            let (chain, seen) = (chain(heads.len()), seen(heads));
            let each = (0..heads.len()).map(|index| provider_finding(&chain, &seen, index).state);
            (each.collect::<Vec<_>>(), agreement(&chain, &seen).state)
        };
        use State::{Failed, Ok as Well, Skipped, Warning};
        assert_eq!(states(&[Ok(9)]), (vec![Well], Well));
        assert_eq!(states(&[Err(down())]), (vec![Failed], Skipped));
        assert_eq!(states(&[Ok(9), Ok(9), Err(down())]), (vec![Well, Well, Warning], Well));
        assert_eq!(states(&[Ok(9), Err(down()), Err(down())]), (vec![Well, Failed, Failed], Skipped));
    }

    #[test]
    fn the_wrong_chain_is_a_failure_however_many_others_there_are() {
        let wrong = Fault::WrongChain { expected: 1, got: 5 };
        let (chain, seen) = (chain(3), seen(&[Ok(9), Ok(9), Err(wrong)]));
        let finding = provider_finding(&chain, &seen, 2);
        assert_eq!(finding.state, State::Failed);
        assert!(finding.says.contains("on chain 5, not 1"), "{finding:?}");
        assert_eq!(agreement(&chain, &seen).state, State::Ok);
    }

    #[test]
    fn an_old_head_and_none_say_what_to_do() {
        let lagging = Fault::Lagging { number: 7, age_s: 9_999 };
        for (fault, named, advice) in
            [(lagging, "3600 s", "max_head_age_s"), (Fault::NotFinal, "no final block", "finalized")]
        {
            let finding = provider_finding(&chain(1), &seen(&[Err(fault)]), 0);
            assert_eq!(finding.state, State::Failed);
            assert!(finding.says.contains(named), "{finding:?}");
            assert!(finding.advice.is_some_and(|text| text.contains(advice)));
        }
    }

    #[test]
    fn one_that_is_behind_is_named_from_three_steps_on() {
        let chain = chain(3);
        let most = MAX_STEPS_BEHIND * chain.finality_step_blocks;
        assert_eq!(agreement(&chain, &seen(&[Ok(1000), Ok(1000 - most), Ok(1000)])).state, State::Ok);
        let finding = agreement(&chain, &seen(&[Ok(1000), Ok(999 - most), Ok(1000)]));
        assert_eq!(finding.state, State::Warning);
        let named = "provider 2 (operator 1 at http://127.0.0.1:2) is 65 blocks behind";
        assert!(finding.says.contains(named), "{finding:?}");
    }

    #[test]
    fn different_blocks_at_one_number_are_a_failure() {
        let chain = chain(2);
        for (other, named) in [(Some(pin(1, 2)), "http://127.0.0.1:2"), (None, "lost a block")] {
            let mut seen = seen(&[Ok(9), Ok(9)]);
            seen.providers[1] = provider(1, Ok(9), other);
            let finding = agreement(&chain, &seen);
            assert_eq!(finding.state, State::Failed);
            assert!(finding.says.contains(named), "{finding:?}");
        }
    }

    #[tokio::test]
    async fn endpoints_of_one_origin_are_told_apart_without_a_credential() {
        let urls = ["https://rpc.example/v1/hunter1", "https://someone:hunter2@rpc.example/v1?key=hunter3"];
        let providers = urls.iter().map(|url| ProviderConfig::new("alpha", *url)).collect();
        let chain = ChainConfig::new(1, providers);
        let mut seen = seen(&[Ok(9), Ok(9)]);
        seen.providers[1] = provider(1, Ok(9), Some(pin(1, 2)));
        for (provider, name) in seen.providers.iter_mut().zip(ProviderName::all(&chain)) {
            provider.name = name;
        }
        let seen: Result<_, ConfigProblem> = Ok(Arc::new(seen));
        let look: Look = ready(seen).boxed().shared();
        let checks = side_by_side(tasks(&[chain], &[look]), Duration::from_secs(20)).await;
        let subjects: Vec<_> = checks.iter().filter_map(|check| check.subject.as_deref()).collect();
        let [one, two] = [1, 2].map(|place| format!("provider {place} (alpha at https://rpc.example)"));
        assert_eq!(subjects, [format!("chain 1: {one}"), format!("chain 1: {two}"), "chain 1".to_owned()]);
        assert!(checks[2].says.contains(&one) && checks[2].says.contains(&two), "{checks:?}");
        let shown = format!("{checks:?}");
        for secret in ["someone", "hunter", "v1", "key"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}
