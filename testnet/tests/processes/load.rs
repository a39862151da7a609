//! Callers who want a signature at any time, while a test does to the nodes what it likes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use countersign_client::{LocalSigner, Trust};
use countersign_testnet::{
    demonstrations::{request_to, verify_with},
    rpc::Rpc,
};
use countersign_types::{ActionId, NetworkId};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::support::{Running, message, opened};

/// Before a caller asks the next node.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a caller asks for one signature. A request lives for a minute; nothing is out of order for so long.
const PATIENCE: Duration = Duration::from_secs(55);

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
    /// Returns how often it had to ask.
    pub(crate) async fn signs(&self, first: usize) -> Result<usize> {
        let request = request_to(self.network, opened(self.lock), message(), &LocalSigner::random())?;
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        for asked in 0.. {
            ensure!(Instant::now() < until, "no signature in {PATIENCE:?}, asked {asked} times: {last}");
            let node = &self.nodes[(first + asked) % self.nodes.len()];
            match self.rpc.submit(node, &request).await {
                Ok(answer) if answer.status == 200 => {
                    verify_with(&self.trust, &request, &answer.signed()?)?;
                    return Ok(asked + 1);
                }
                Ok(answer) => last = answer.body,
                Err(error) => last = format!("{error:#}"),
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
