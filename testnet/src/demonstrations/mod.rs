//! What the test network shows: requests that must be signed, requests that must be refused, and one on which the
//! nodes cannot agree.

mod keys;
mod plans;

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use countersign_client::{LocalSigner, RequestSigner};
use countersign_types::{
    ActionId, Bytes, KeyId, NodeDecision, PublicKey, RequestDigest, Scheme, Signature, SignedRequest, U256,
    api::Problem,
};
use serde::Serialize;
use serde_json::json;

use crate::{Network, chain};
pub use keys::{
    approval_config, key_spec, key_spec_of, one_token, price_config, request, request_to, token_config,
    verify, verify_with,
};

/// The name of the metric that counts signature shares.
pub const SHARES_METRIC: &str = "countersign_signature_shares_made_total";

/// What must come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// Signatures.
    Signed,
    /// A refusal with reasons.
    Refused,
    /// No agreement on what was read, with what each node saw.
    Disagreement,
}

impl Expected {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Signed => 200,
            Self::Refused => 403,
            Self::Disagreement => 409,
        }
    }
}

/// A request and what came of it.
#[derive(Debug, Serialize)]
pub struct Demonstration {
    /// What it shows.
    pub name: String,
    /// The key's scheme.
    pub scheme: Scheme,
    /// What must come out.
    pub expected: Expected,
    /// The HTTP status.
    pub status: u16,
    /// The action that decided.
    pub action_id: ActionId,
    /// The key.
    pub key_id: KeyId,
    /// Its public key, computed offline.
    pub public_key: PublicKey,
    /// What was asked, as it was posted.
    pub request: SignedRequest,
    /// What was signed.
    pub signatures: Vec<DemonstratedSignature>,
    /// What each node said.
    pub nodes: Vec<NodeDecision>,
    /// From posting to the answer, in milliseconds.
    pub elapsed_ms: f64,
    /// Why there is no signature.
    pub problem: Option<Problem>,
    /// What the action told the caller.
    #[serde(skip)]
    pub response: String,
}

/// A signature, as the scheme's verifier takes it.
#[derive(Debug, Serialize)]
pub struct DemonstratedSignature {
    /// The kind of payload.
    pub payload: String,
    /// Exactly the bytes that were signed.
    pub message: Bytes,
    /// The signature.
    pub signature: Signature,
}

/// The actions and accounts that the demonstrations use.
pub struct Stage {
    /// The action `balance-gate`.
    pub balance_gate: ActionId,
    /// The action `time-lock`.
    pub time_lock: ActionId,
    /// The action `price-gate`, a script.
    pub price_gate: ActionId,
    /// The action `webhook-approval`, a script.
    pub webhook_approval: ActionId,
    /// Holds tokens.
    pub alice: LocalSigner,
    /// Holds none.
    pub bob: LocalSigner,
}

/// Publishes the actions and funds the accounts.
pub async fn prepare(network: &Network) -> Result<Stage> {
    let balance_gate = network.publish("balance-gate").await?.action_id;
    let time_lock = network.publish("time-lock").await?.action_id;
    let price_gate = network.publish("price-gate").await?.action_id;
    let webhook_approval = network.publish("webhook-approval").await?.action_id;
    let (alice, bob) = (holder(network).await?, network.key("bob")?);
    for action in [balance_gate, time_lock, price_gate, webhook_approval] {
        network.wait_replicated(action).await?;
    }
    Ok(Stage { balance_gate, time_lock, price_gate, webhook_approval, alice, bob })
}

/// An account that holds ten tokens, as all nodes see it.
pub async fn holder(network: &Network) -> Result<LocalSigner> {
    let alice = network.key("alice")?;
    let tokens = one_token() * U256::from(10);
    let block = chain::fund(&network.chain_url(), network.token()?, alice.address(), tokens).await?;
    network.wait_final_view(block).await?;
    Ok(alice)
}

/// Shows everything; fails at the first thing that is not as it must be.
pub async fn run(
    network: &Network,
    stage: &Stage,
    mut shown: impl FnMut(&Demonstration),
) -> Result<Vec<Demonstration>> {
    let mut done = Vec::new();
    for (index, plan) in plans::all(network, stage)?.into_iter().enumerate() {
        let shares = shares(network).await?;
        let node = &network.nodes[index % network.nodes.len()].api;
        let request = request(network, plan.key, plan.params, plan.caller)?;
        if plan.approved {
            approve(network, request.request.digest()).await?;
        }
        let demonstration = show(network, node, plan.name, plan.expected, request).await?;
        if plan.expected != Expected::Signed {
            ensure!(self::shares(network).await? == shares, "{}: a node made a share", plan.name);
        }
        shown(&demonstration);
        done.push(demonstration);
    }
    Ok(done)
}

/// Approves a request, as somebody at the service would.
pub async fn approve(network: &Network, digest: RequestDigest) -> Result<()> {
    let url = network.approval_url(digest);
    let answer = network.rpc.post(&url, &json!({})).await?;
    ensure!(answer.status == 200, "{url}: {}", answer.body);
    Ok(())
}

async fn show(
    network: &Network,
    node: &str,
    name: &str,
    expected: Expected,
    request: SignedRequest,
) -> Result<Demonstration> {
    let spec = &request.request.key;
    let key_id = spec.key_id();
    let public_key = network.trust().await?.public_key(spec.scheme, &key_id)?;
    let started = Instant::now();
    let answer = network.rpc.submit(node, &request).await?;
    let elapsed_ms = (started.elapsed().as_secs_f64() * 1e5).round() / 100.0;
    let mut demonstration = Demonstration {
        name: name.into(),
        scheme: spec.scheme,
        expected,
        status: answer.status,
        action_id: spec.policy.action,
        key_id,
        public_key,
        request: request.clone(),
        signatures: Vec::new(),
        nodes: Vec::new(),
        elapsed_ms,
        problem: None,
        response: String::new(),
    };
    match (expected, answer.status) {
        (Expected::Signed, 200) => {
            let answer = answer.signed()?;
            verify(network, &request, &answer).await?;
            demonstration.response = String::from_utf8_lossy(&answer.response).into_owned();
            demonstration.signatures = answer
                .signatures
                .into_iter()
                .map(|signed| DemonstratedSignature {
                    payload: signed.payload,
                    message: signed.message,
                    signature: signed.signature,
                })
                .collect();
            demonstration.nodes = answer.nodes;
        }
        (Expected::Refused | Expected::Disagreement, status) if status == expected.status() => {
            let problem = answer.problem()?;
            demonstration.nodes.clone_from(&problem.nodes);
            demonstration.problem = Some(problem);
        }
        (expected, status) => bail!("{name}: expected {expected:?}, got status {status}: {}", answer.body),
    }
    Ok(demonstration)
}

/// How many shares each running node has made.
pub async fn shares(network: &Network) -> Result<Vec<f64>> {
    let mut shares = Vec::new();
    for node in network.nodes.iter().filter(|node| node.process.is_some()) {
        shares.push(network.rpc.metric(&node.api, SHARES_METRIC).await?);
    }
    Ok(shares)
}
