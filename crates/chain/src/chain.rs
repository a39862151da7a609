//! One chain in a node's own view: its final head, and the pins that stand in it.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use alloy::primitives::B256;
use countersign_types::{
    Pin,
    evm::{EvmRead, EvmValue},
};
use lru::LruCache;
use reqwest::Client;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::{
    ChainConfig, ConfigProblem, Faults, ProviderName, ProviderState, ReadError,
    endpoint::Endpoint,
    head::{BlockAt, Finals, Survey},
    quorum::{Operator, Tally, agree},
    read::PinnedRead,
};

/// How many checked blocks are remembered, for each chain.
const CHECKED_BLOCKS: NonZeroUsize = NonZeroUsize::new(1_024).expect("more than none");
/// How many finality steps a pin may be behind the node's own final head.
const MAX_STEPS_BEHIND: u64 = 2;
/// Pins that are ahead make a node look for a newer head, however many there are, this often at most.
const REFRESH_GAP: Duration = Duration::from_millis(100);

/// Why a node has no view of a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain is not configured.
    #[error("chain {0} is not configured")]
    UnknownChain(u64),
    /// Too few operators agree on a block.
    #[error("chain {chain_id}: no block that {quorum} operators agree on: {faults}")]
    NoQuorum {
        /// The chain.
        chain_id: u64,
        /// How many have to agree.
        quorum: usize,
        /// What happened at each.
        faults: Faults,
    },
}

/// Why a pin does not stand in a node's own view. The node abstains; it never reads at another block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The node has no view of the chain.
    #[error(transparent)]
    NoView(#[from] ChainError),
    /// The node's own providers are behind the pin.
    #[error("own final block is {own}, behind the pinned block {pinned}")]
    Lagging {
        /// The own final block.
        own: u64,
        /// The pinned block.
        pinned: u64,
    },
    /// The pin is older than two finality steps.
    #[error("pinned block {pinned} is more than {limit} blocks behind the own final block {own}")]
    TooOld {
        /// The own final block.
        own: u64,
        /// The pinned block.
        pinned: u64,
        /// How many blocks it may be behind.
        limit: u64,
    },
    /// Another block is at that number, or the same with another timestamp.
    #[error("block {} is {} at {} s in the own view, not {} at {} s", own.number, own.hash, own.timestamp, pinned.hash, pinned.timestamp)]
    OtherBlock {
        /// The block in the own view.
        own: Pin,
        /// The pin.
        pinned: Pin,
    },
}

/// A chain's state for status pages and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainStatus {
    /// The chain.
    pub chain_id: u64,
    /// The final block in the own view, if the last look found one.
    pub head: Option<u64>,
    /// That block's time, in seconds since 1970.
    pub head_timestamp: Option<u64>,
    /// The endpoints, by operator.
    pub providers: Vec<ProviderStatus>,
}

/// One endpoint's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderStatus {
    /// What it is called.
    #[serde(flatten)]
    pub name: ProviderName,
    /// How it is.
    #[serde(flatten)]
    pub state: ProviderState,
}

/// One chain.
#[derive(Debug)]
pub(crate) struct Chain {
    chain_id: u64,
    quorum: usize,
    max_blocks_behind: u64,
    poll_interval: Duration,
    stale_after: Duration,
    operators: Vec<Operator>,
    last: RwLock<Option<Look>>,
    looking: tokio::sync::Mutex<()>,
    checked: Mutex<LruCache<(u64, B256), u64>>,
}

/// One look at the head and what came of it.
#[derive(Debug, Clone)]
struct Look {
    began: Instant,
    head: Result<Pin, ChainError>,
}

impl Chain {
    pub(crate) fn new(config: &ChainConfig, client: &Client) -> Result<Self, ConfigProblem> {
        let mut operators: Vec<Operator> = Vec::new();
        for endpoint in Endpoint::all(config, client)? {
            match operators.iter_mut().find(|operator| operator.name == endpoint.operator()) {
                Some(operator) => operator.endpoints.push(endpoint),
                None => {
                    operators.push(Operator { name: endpoint.operator().into(), endpoints: vec![endpoint] });
                }
            }
        }
        let poll_interval = Duration::from_millis(config.poll_interval_ms);
        Ok(Self {
            chain_id: config.chain_id,
            quorum: config.quorum(),
            max_blocks_behind: MAX_STEPS_BEHIND * config.finality_step_blocks,
            poll_interval,
            stale_after: poll_interval * 2 + Duration::from_millis(config.timeout_ms),
            operators,
            last: RwLock::new(None),
            looking: tokio::sync::Mutex::new(()),
            checked: Mutex::new(LruCache::new(CHECKED_BLOCKS)),
        })
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Looks at the head for as long as it is polled.
    pub(crate) async fn keep_looking(&self) {
        let mut interval = tokio::time::interval(self.poll_interval);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.poll().await;
        }
    }

    async fn poll(&self) {
        let began = Instant::now();
        let mut survey = {
            let _one_at_a_time = self.looking.lock().await;
            // whoever needed a newer head has just looked
            if self.last().is_some_and(|last| last.began.elapsed() < self.poll_interval / 2) {
                return;
            }
            let mut survey = Survey::begin(&self.operators, self.quorum);
            self.conclude(began, survey.enough().await).await.ok();
            survey
        };
        // The slow ones do not delay the head, but they are heard to the end.
        if let Some(finals) = survey.rest().await {
            let _one_at_a_time = self.looking.lock().await;
            if self.last().is_some_and(|last| last.began == began) {
                self.conclude(began, finals).await.ok();
            }
        }
    }

    /// The own final head. It is a cached one unless the poller has not renewed it for long.
    pub(crate) async fn head(&self) -> Result<Pin, ChainError> {
        match self.last() {
            Some(Look { began, head: Ok(head) }) if began.elapsed() < self.stale_after => Ok(head),
            Some(_) | None => self.look(Instant::now()).await,
        }
    }

    pub(crate) async fn check_pin(&self, pinned: &Pin) -> Result<(), PinError> {
        let mut head = self.head().await?;
        if pinned.number > head.number {
            head = self.look(Instant::now()).await?;
        }
        let (own, limit) = (head.number, self.max_blocks_behind);
        if pinned.number > own {
            return Err(PinError::Lagging { own, pinned: pinned.number });
        }
        if own - pinned.number > limit {
            return Err(PinError::TooOld { own, pinned: pinned.number, limit });
        }
        if self.is_checked(pinned) {
            return Ok(());
        }
        let own = self.block(pinned.number).await?;
        if own != *pinned {
            return Err(PinError::OtherBlock { own, pinned: *pinned });
        }
        Ok(())
    }

    pub(crate) async fn read(&self, pin: &Pin, read: &EvmRead) -> Result<EvmValue, ReadError> {
        let question = PinnedRead { pin, read };
        match agree(self.operators.iter(), Tally::new(self.quorum), &question).await {
            Ok(value) => PinnedRead::bounded(value),
            Err(tally) => Err(question.split(tally, self.quorum)),
        }
    }

    pub(crate) fn status(&self) -> ChainStatus {
        let endpoints = self.operators.iter().flat_map(|operator| &operator.endpoints);
        let status =
            |endpoint: &Endpoint| ProviderStatus { name: endpoint.name().clone(), state: endpoint.state() };
        let head = self.last().and_then(|last| last.head.ok());
        ChainStatus {
            chain_id: self.chain_id,
            head: head.map(|head| head.number),
            head_timestamp: head.map(|head| head.timestamp),
            providers: endpoints.map(status).collect(),
        }
    }

    /// Looks for the head unless somebody has begun to since this was asked for.
    async fn look(&self, asked: Instant) -> Result<Pin, ChainError> {
        let _one_at_a_time = self.looking.lock().await;
        if let Some(last) = self.last() {
            if last.began >= asked {
                return last.head;
            }
            tokio::time::sleep(REFRESH_GAP.saturating_sub(last.began.elapsed())).await;
        }
        let began = Instant::now();
        let mut survey = Survey::begin(&self.operators, self.quorum);
        self.conclude(began, survey.enough().await).await
    }

    async fn conclude(&self, began: Instant, finals: &Finals) -> Result<Pin, ChainError> {
        let head = finals.settle(&self.operators, self.quorum).await;
        let head = head.map_err(|faults| self.no_quorum(faults));
        self.keep(Look { began, head: head.clone() });
        head
    }

    /// The block at a number, by quorum. What was checked is remembered.
    async fn block(&self, number: u64) -> Result<Pin, ChainError> {
        let asked = agree(self.operators.iter(), Tally::new(self.quorum), &BlockAt(number)).await;
        let block = asked.map_err(|tally| self.no_quorum(crate::head::contradictions(tally).collect()))?;
        self.remember(&block);
        Ok(block)
    }

    fn keep(&self, look: Look) {
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        let before = last.as_ref().and_then(|look| look.head.as_ref().ok());
        match (before, &look.head) {
            (Some(before), Ok(head)) if head.number < before.number || is_fork(before, head) => {
                tracing::warn!(?before, ?head, "a block that was final is not any more");
                self.checked.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            (Some(_), Err(error)) => tracing::warn!(%error, "the final head is lost"),
            (Some(_) | None, Ok(_)) | (None, Err(_)) => {}
        }
        if let Ok(head) = &look.head {
            self.remember(head);
        }
        *last = Some(look);
    }

    fn no_quorum(&self, faults: Faults) -> ChainError {
        ChainError::NoQuorum { chain_id: self.chain_id, quorum: self.quorum, faults }
    }

    fn last(&self) -> Option<Look> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, block: &Pin) {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.put((block.number, block.hash), block.timestamp);
    }

    fn is_checked(&self, pin: &Pin) -> bool {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.get(&(pin.number, pin.hash)) == Some(&pin.timestamp)
    }
}

fn is_fork(before: &Pin, now: &Pin) -> bool {
    before.number == now.number && before.hash != now.hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProviderConfig, rpc};

    #[test]
    fn endpoints_are_told_apart_by_their_place_and_shown_without_their_path() {
        let provider = |operator: &str, url: &str| ProviderConfig::new(operator, url);
        let config = ChainConfig::new(
            1,
            vec![
                provider("alpha", "https://rpc.example/first-secret"),
                provider("beta", "https://rpc.example/?key=second-secret"),
                provider("alpha", "https://rpc.example/third-secret"),
            ],
        );
        let chain = Chain::new(&config, &rpc::client().expect("a client")).expect("it can work");
        let providers = chain.status().providers;
        let shown: Vec<_> = providers.iter().map(|provider| provider.name.to_string()).collect();
        let of = |position, operator| format!("provider {position} ({operator} at https://rpc.example)");
        assert_eq!(shown, [of(1, "alpha"), of(3, "alpha"), of(2, "beta")]);
    }
}
