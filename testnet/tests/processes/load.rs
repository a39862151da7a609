//! Callers who want a signature at any time, while a test does to the nodes what it likes.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use countersign_client::{LocalSigner, Trust};
use countersign_testnet::{
    demonstrations::{request_to, verify_with},
    rpc::Rpc,
};
use countersign_types::{ActionId, FailureKind, NetworkId, api::Problem};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::support::{Running, message, opened};

/// Before a caller asks the next node.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a caller asks for one signature. A request lives for a minute; nothing is out of order for so long.
const PATIENCE: Duration = Duration::from_secs(55);

/// How many answers a caller that gets no signature tells of.
const HEARD: usize = 20;

/// What a caller needs to know.
#[derive(Clone)]
pub(crate) struct Caller {
    rpc: Rpc,
    nodes: Vec<String>,
    network: NetworkId,
    trust: Trust,
    lock: ActionId,
}

impl Caller {
    pub(crate) async fn new(network: &Running, lock: ActionId) -> Result<Self> {
        Ok(Self {
            rpc: network.rpc.clone(),
            nodes: network.nodes.iter().map(|node| node.api.clone()).collect(),
            network: network.genesis.network_id(),
            trust: network.trust().await?,
            lock,
        })
    }

    /// Asks for one signature, first this node and then the next ones, and checks it by code that is not the nodes'.
    /// Where so many nodes have started since that none can get it, it does what they say: it signs a new request.
    /// Returns how often it had to ask.
    pub(crate) async fn signs(&self, first: usize) -> Result<usize> {
        let fresh = || request_to(self.network, opened(self.lock), message(), &LocalSigner::random());
        let mut request = fresh()?;
        // nodes that started since the request was made
        let mut started = BTreeSet::new();
        let most = self.nodes.len() - usize::from(self.trust.committee().threshold());
        let begun = Instant::now();
        // the first answers tell most: later nodes may have started after the request was made
        let mut heard = Vec::new();
        for asked in 0.. {
            if begun.elapsed() > PATIENCE {
                bail!("no signature in {PATIENCE:?}, asked {asked} times: {}", heard.join("\n"));
            }
            let index = (first + asked) % self.nodes.len();
            let node = &self.nodes[index];
            let last = match self.rpc.submit(node, &request).await {
                Ok(answer) if answer.status == 200 => {
                    verify_with(&self.trust, &request, &answer.signed()?)?;
                    return Ok(asked + 1);
                }
                Ok(answer) => {
                    let failure = answer.problem().ok().and_then(Problem::into_failure);
                    let outlived = failure.filter(|failure| failure.kind == FailureKind::BeforeBoot);
                    let by_all = outlived.as_ref().is_some_and(|failure| !failure.nodes.is_empty());
                    started.extend(outlived.map(|_| index));
                    if by_all || started.len() > most {
                        started.clear();
                        request = fresh()?;
                    }
                    answer.body
                }
                Err(error) => format!("{error:#}"),
            };
            if heard.len() < HEARD {
                heard.push(format!("after {:?}, node {}: {last}", begun.elapsed(), index + 1));
            }
            sleep(PAUSE).await;
        }
        bail!("asked without end")
    }

    /// Asks one node with ever new requests until it signs; returns how long that took.
    pub(crate) async fn until_signs(&self, node: usize) -> Result<Duration> {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < PATIENCE {
            let request = request_to(self.network, opened(self.lock), message(), &LocalSigner::random())?;
            match self.rpc.submit(&self.nodes[node], &request).await {
                Ok(answer) if answer.status == 200 => {
                    verify_with(&self.trust, &request, &answer.signed()?)?;
                    return Ok(begun.elapsed());
                }
                Ok(answer) => last = answer.body,
                Err(error) => last = format!("{error:#}"),
            }
            sleep(PAUSE).await;
        }
        bail!("node {} does not sign for {PATIENCE:?}: {last}", node + 1)
    }
}

/// Callers at work.
pub(crate) struct Load {
    stop: CancellationToken,
    callers: JoinSet<Result<Vec<Instant>>>,
}

/// What they got.
pub(crate) struct Served {
    /// How many signatures, each verified.
    pub(crate) signatures: usize,
    /// The longest time between two of them.
    pub(crate) longest_gap: Duration,
}

impl Load {
    /// So many callers, each with one request after the other.
    pub(crate) fn start(caller: &Caller, callers: usize) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for number in 0..callers {
            let (caller, stop) = (caller.clone(), stop.clone());
            tasks.spawn(async move {
                let mut signed = Vec::new();
                while !stop.is_cancelled() {
                    caller.signs(number + signed.len()).await?;
                    signed.push(Instant::now());
                }
                Ok(signed)
            });
        }
        Self { stop, callers: tasks }
    }

    /// Lets all callers finish; fails where one did not get its signature.
    pub(crate) async fn end(mut self) -> Result<Served> {
        self.stop.cancel();
        let mut signed = Vec::new();
        while let Some(caller) = self.callers.join_next().await {
            signed.extend(caller??);
        }
        signed.sort();
        let longest_gap = signed.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
        Ok(Served { signatures: signed.len(), longest_gap })
    }
}
