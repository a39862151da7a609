//! One endpoint of one operator: whether it can be used, and what it says of blocks.

use std::{
    sync::{PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{B256, U64},
    rpc::types::Header,
};
use countersign_types::Pin;
use reqwest::{Client, header::HeaderValue};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::{
    ChainConfig, ConfigProblem, Fault, ProviderName, ProviderUrl,
    rpc::{Rpc, RpcFailure},
};

/// An endpoint that failed is not tried again before this has passed: every request would wait for it.
const RECHECK_AFTER: Duration = Duration::from_millis(250);

/// How an endpoint is, for status pages and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ProviderState {
    /// Not asked yet.
    Unchecked,
    /// On the right chain, and it answers.
    Ready {
        /// Its final block, once known.
        finalized: Option<u64>,
    },
    /// On the right chain, but far behind. It is read from; it does not count for the head.
    Lagging {
        /// Its final block.
        finalized: u64,
        /// That block's age, in seconds.
        age_s: u64,
    },
    /// On another chain: it is not used.
    WrongChain {
        /// The chain that is configured.
        expected: u64,
        /// The chain that it is on.
        got: u64,
    },
    /// It does not answer, or not as it must.
    Down {
        /// What happened.
        reason: String,
    },
}

/// One endpoint. Before it is used, and again after every failure to connect, it says its chain's id.
#[derive(Debug)]
pub(crate) struct Endpoint {
    name: ProviderName,
    chain_id: u64,
    max_head_age_s: u64,
    rpc: Rpc,
    condition: RwLock<Condition>,
    checking: Mutex<()>,
}

#[derive(Debug, Clone)]
enum Condition {
    Unchecked,
    Ready { finalized: Option<u64> },
    Faulty { fault: Fault, since: Instant },
}

impl Endpoint {
    /// All endpoints of a chain, in the order of its configuration.
    pub(crate) fn all(chain: &ChainConfig, client: &Client) -> Result<Vec<Self>, ConfigProblem> {
        let named = ProviderName::all(chain).into_iter().zip(&chain.providers);
        named.map(|(name, provider)| Self::new(chain, name, &provider.url, client.clone())).collect()
    }

    fn new(
        chain: &ChainConfig,
        name: ProviderName,
        url: &ProviderUrl,
        client: Client,
    ) -> Result<Self, ConfigProblem> {
        Ok(Self {
            name,
            chain_id: chain.chain_id,
            max_head_age_s: chain.max_head_age_s,
            rpc: Rpc::new(client, url.parse()?, Duration::from_millis(chain.timeout_ms)),
            condition: RwLock::new(Condition::Unchecked),
            checking: Mutex::new(()),
        })
    }

    pub(crate) fn name(&self) -> &ProviderName {
        &self.name
    }

    pub(crate) fn operator(&self) -> &str {
        self.name.operator()
    }

    pub(crate) fn state(&self) -> ProviderState {
        match self.condition() {
            Condition::Unchecked => ProviderState::Unchecked,
            Condition::Ready { finalized } => ProviderState::Ready { finalized },
            Condition::Faulty { fault: Fault::WrongChain { expected, got }, .. } => {
                ProviderState::WrongChain { expected, got }
            }
            Condition::Faulty { fault: Fault::Lagging { number, age_s }, .. } => {
                ProviderState::Lagging { finalized: number, age_s }
            }
            Condition::Faulty { fault, .. } => ProviderState::Down { reason: fault.to_string() },
        }
    }

    /// Whether the next request goes out at once.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.usable(), Some(Ok(())))
    }

    /// The highest block that it called final, as last seen.
    pub(crate) fn finalized_number(&self) -> Option<u64> {
        match self.condition() {
            Condition::Ready { finalized } => finalized,
            Condition::Faulty { fault: Fault::Lagging { number, .. }, .. } => Some(number),
            Condition::Faulty { .. } | Condition::Unchecked => None,
        }
    }

    /// Returns at once where the endpoint is known to be good, or known to be bad a moment ago.
    pub(crate) async fn ready(&self) -> Result<(), Fault> {
        if let Some(known) = self.usable() {
            return known;
        }
        let _one_at_a_time = self.checking.lock().await;
        if let Some(known) = self.usable() {
            return known;
        }
        let checked = self.check_chain().await;
        self.set(match &checked {
            Ok(()) => Condition::Ready { finalized: None },
            Err(fault) => Condition::Faulty { fault: fault.clone(), since: Instant::now() },
        });
        checked
    }

    /// Asks for chain and final block, whatever the endpoint's condition was.
    pub(crate) async fn survey(&self) -> Result<Pin, Fault> {
        let surveyed = tokio::try_join!(self.check_chain(), self.finalized()).map(|((), pin)| pin);
        self.set(match &surveyed {
            Ok(pin) => Condition::Ready { finalized: Some(pin.number) },
            Err(fault) => Condition::Faulty { fault: fault.clone(), since: Instant::now() },
        });
        surveyed
    }

    /// The block at a number, its header checked against its hash; none where there is no such block.
    pub(crate) async fn block(&self, number: u64) -> Result<Option<Pin>, Fault> {
        let block = self.header(BlockNumberOrTag::Number(number)).await?;
        match block {
            Some(block) if block.number != number => Err(Fault::FalseAnswer("a block of another number")),
            Some(_) | None => Ok(block),
        }
    }

    /// The newest block, final or not.
    pub(crate) async fn latest(&self) -> Result<Option<Pin>, Fault> {
        self.header(BlockNumberOrTag::Latest).await
    }

    /// The `Date` of an answer, where there is one.
    pub(crate) async fn date(&self) -> Option<HeaderValue> {
        let answer = self.rpc.request_dated::<U64>("eth_chainId", ()).await;
        answer.ok()?.1
    }

    /// Checks that a block is part of the chain now.
    pub(crate) async fn canonical(&self, number: u64, hash: B256) -> Result<(), Fault> {
        match self.block(number).await? {
            Some(block) if block.hash == hash => Ok(()),
            Some(_) | None => Err(Fault::UnknownBlock),
        }
    }

    /// One request; an error object is a fault.
    pub(crate) async fn request<R: serde::de::DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize + Send,
    ) -> Result<R, Fault> {
        self.request_or_error(method, params).await.map_err(RpcFailure::into_fault)
    }

    /// One request; the caller looks at an error object.
    pub(crate) async fn request_or_error<R: serde::de::DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize + Send,
    ) -> Result<R, RpcFailure> {
        let answer = self.rpc.request(method, params).await;
        if let Err(RpcFailure::Fault(fault @ Fault::Unreachable(_))) = &answer {
            // Who answers after a reconnect may be another. A timeout says nothing: a read can be slow.
            self.set(Condition::Faulty { fault: fault.clone(), since: Instant::now() });
        }
        answer
    }

    async fn check_chain(&self) -> Result<(), Fault> {
        let got: U64 = self.request("eth_chainId", ()).await?;
        let (expected, got) = (self.chain_id, got.to());
        if got == expected { Ok(()) } else { Err(Fault::WrongChain { expected, got }) }
    }

    async fn finalized(&self) -> Result<Pin, Fault> {
        let block = self.header(BlockNumberOrTag::Finalized).await?.ok_or(Fault::NotFinal)?;
        let age_s = unix_time_s().saturating_sub(block.timestamp);
        if age_s > self.max_head_age_s {
            return Err(Fault::Lagging { number: block.number, age_s });
        }
        Ok(block)
    }

    async fn header(&self, block: BlockNumberOrTag) -> Result<Option<Pin>, Fault> {
        let header: Option<Header> = self.request("eth_getBlockByNumber", (block, false)).await?;
        header.map(|header| self.pin(&header)).transpose()
    }

    fn pin(&self, header: &Header) -> Result<Pin, Fault> {
        let computed = header.inner.hash_slow();
        let (number, timestamp) = (header.inner.number, header.inner.timestamp);
        if computed != header.hash {
            return Err(Fault::FalseHeader { number, claimed: header.hash, computed });
        }
        Ok(Pin { chain_id: self.chain_id, number, hash: computed, timestamp })
    }

    /// Whether it can be used, as far as that is known.
    fn usable(&self) -> Option<Result<(), Fault>> {
        match self.condition() {
            Condition::Ready { .. } | Condition::Faulty { fault: Fault::Lagging { .. }, .. } => Some(Ok(())),
            Condition::Faulty { fault, since } if since.elapsed() < RECHECK_AFTER => Some(Err(fault)),
            Condition::Faulty { .. } | Condition::Unchecked => None,
        }
    }

    fn condition(&self) -> Condition {
        self.condition.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, condition: Condition) {
        let mut place = self.condition.write().unwrap_or_else(PoisonError::into_inner);
        let (chain, name) = (self.chain_id, &self.name);
        let (operator, provider, endpoint) = (name.operator(), name.position(), name.endpoint());
        match (&*place, &condition) {
            (Condition::Faulty { fault: before, .. }, Condition::Faulty { fault, .. })
                if std::mem::discriminant(before) == std::mem::discriminant(fault) => {}
            (_, Condition::Faulty { fault, .. }) => {
                tracing::warn!(chain, operator, provider, endpoint, %fault, "provider cannot be used");
            }
            (Condition::Faulty { .. }, Condition::Ready { .. }) => {
                tracing::info!(chain, operator, provider, endpoint, "provider is back");
            }
            (Condition::Unchecked | Condition::Ready { .. }, Condition::Ready { .. })
            | (_, Condition::Unchecked) => {}
        }
        *place = condition;
    }
}

fn unix_time_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use std::{
        fmt,
        sync::{Arc, Mutex},
    };

    use tracing::{Event, Metadata, Subscriber, field::Field, span};

    use super::*;
    use crate::{ProviderConfig, rpc};

    /// Keeps what is logged: a line of fields for each event.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = String::new();
            let mut add = |field: &Field, value: &dyn fmt::Debug| line += &format!("{field}={value:?} ");
            event.record(&mut add);
            self.0.lock().expect("no panic").push(line);
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn events_tell_endpoints_of_one_origin_apart_without_a_credential() {
        let urls = ["https://rpc.example/v1/hunter1", "https://someone:hunter2@rpc.example/v1?key=hunter3"];
        let providers = urls.iter().map(|url| ProviderConfig::new("alpha", *url)).collect();
        let client = rpc::client().expect("a client");
        let endpoints = Endpoint::all(&ChainConfig::new(1, providers), &client).expect("they can work");
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            for endpoint in &endpoints {
                endpoint.set(Condition::Faulty { fault: Fault::NotFinal, since: Instant::now() });
                endpoint.set(Condition::Ready { finalized: None });
            }
        });
        let lines = log.0.lock().expect("no panic").clone();
        assert_eq!(lines.len(), 4, "{lines:?}");
        for (line, provider) in lines.iter().zip([1, 1, 2, 2]) {
            let name = format!("operator=\"alpha\" provider={provider} endpoint=\"https://rpc.example\" ");
            assert!(line.contains(&name), "{name:?} is not in {line:?}");
            for secret in ["someone", "hunter", "v1", "key"] {
                assert!(!line.contains(secret), "{secret} in {line:?}");
            }
        }
    }
}
