//! What the test network shows: requests that must be signed, and requests that must be refused.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use countersign_client::{LocalSigner, RequestSigner, sign_request};
use countersign_types::{
    ActionId, Address, B256, Bytes, Caller, CallerKind, KeyId, KeyOptions, KeySpec, NodeDecision,
    PayloadKind, Policy, PublicKey, Request, Scheme, Signature, SignedRequest, U256,
    api::{Problem, SignResponse},
};
use rand_core::{OsRng, RngCore};
use serde::Serialize;
use serde_json::json;

use crate::{Network, chain, independent, network::now_ms, settings::CHAIN_ID};

/// The name of the metric that counts signature shares.
pub const SHARES_METRIC: &str = "countersign_signature_shares_made_total";
/// How long a demonstration's request lives, in milliseconds.
const LIFETIME_MS: u64 = 60_000;

/// What must come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// Signatures.
    Signed,
    /// A refusal with reasons.
    Refused,
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

/// A key of the scheme that the test network shows.
pub fn key_spec(action: ActionId, config: &serde_json::Value) -> KeySpec {
    KeySpec {
        scheme: Scheme::SchnorrSecp256k1,
        policy: Policy { action, config: config.to_string().into_bytes().into() },
        payloads: vec![PayloadKind::Bytes],
        options: KeyOptions::default(),
        owner: Address::ZERO,
        salt: B256::ZERO,
    }
}

/// The config of a key that wants its caller to hold a token.
pub fn token_config(token: Address, minimum: U256) -> serde_json::Value {
    json!({ "chain_id": CHAIN_ID, "token": token.to_string(), "minimum": minimum.to_string() })
}

/// A request by one caller, with a fresh nonce, signed.
pub fn request(
    network: &Network,
    key: KeySpec,
    params: Bytes,
    caller: &LocalSigner,
) -> Result<SignedRequest> {
    let mut nonce = B256::ZERO;
    OsRng.fill_bytes(nonce.as_mut_slice());
    let issued_at = now_ms();
    let request = Request {
        network: network.genesis.network_id(),
        key,
        params,
        callers: vec![Caller { kind: CallerKind::Eip191, id: caller.address() }],
        nonce,
        issued_at,
        expires_at: issued_at + LIFETIME_MS,
    };
    Ok(sign_request(request, &[caller])?)
}

/// Checks an answer with code that is not ours, and offline: key, messages and signatures.
pub async fn verify(network: &Network, request: &SignedRequest, answer: &SignResponse) -> Result<()> {
    let trust = network.trust().await?;
    let spec = &request.request.key;
    let public_key = trust.public_key(spec.scheme, &spec.key_id())?;
    ensure!(answer.public_key == public_key, "the answer's public key is not the one computed offline");
    ensure!(!answer.signatures.is_empty(), "the answer has no signatures");
    for signed in &answer.signatures {
        independent::verify(&public_key.0, &signed.message, &signed.signature.0)?;
    }
    trust.verify(&request.request, answer).context("the client does not accept the answer")
}

/// The actions and accounts that the demonstrations use.
pub struct Stage {
    /// The action `balance-gate`.
    pub balance_gate: ActionId,
    /// The action `time-lock`.
    pub time_lock: ActionId,
    /// Holds tokens.
    pub alice: LocalSigner,
    /// Holds none.
    pub bob: LocalSigner,
}

/// Publishes the actions and funds the accounts.
pub async fn prepare(network: &Network) -> Result<Stage> {
    let balance_gate = network.publish("balance-gate").await?.action_id;
    let time_lock = network.publish("time-lock").await?.action_id;
    let (alice, bob) = (network.key("alice")?, network.key("bob")?);
    let block =
        chain::fund(&network.chain_url(), network.token()?, alice.address(), one_token() * U256::from(10))
            .await?;
    network.wait_final_view(block).await?;
    network.wait_replicated(balance_gate).await?;
    network.wait_replicated(time_lock).await?;
    Ok(Stage { balance_gate, time_lock, alice, bob })
}

/// One token in base units.
pub fn one_token() -> U256 {
    U256::from(10).pow(U256::from(18))
}

/// Shows everything; fails at the first thing that is not as it must be.
pub async fn run(
    network: &Network,
    stage: &Stage,
    mut shown: impl FnMut(&Demonstration),
) -> Result<Vec<Demonstration>> {
    let gate = key_spec(stage.balance_gate, &token_config(network.token()?, one_token()));
    let lock = |not_before: u64| key_spec(stage.time_lock, &json!({ "not_before": not_before }));
    let now = now_ms() / 1000;
    let messages = json!({ "messages": [
        Bytes::from_static(b"first message"), Bytes::from_static(b"second message"),
    ]});
    let messages = Bytes::from(messages.to_string().into_bytes());
    let hello = Bytes::from_static(b"hello from a committee");
    let plans = [
        (
            "balance-gate: alice holds 10 tokens, 1 is needed",
            Expected::Signed,
            gate.clone(),
            hello.clone(),
            &stage.alice,
        ),
        ("balance-gate: bob holds none", Expected::Refused, gate, hello, &stage.bob),
        (
            "time-lock: open since an hour, two messages",
            Expected::Signed,
            lock(now - 3600),
            messages.clone(),
            &stage.bob,
        ),
        ("time-lock: opens in an hour", Expected::Refused, lock(now + 3600), messages, &stage.bob),
    ];
    let mut done = Vec::new();
    for (index, (name, expected, key, params, caller)) in plans.into_iter().enumerate() {
        let shares = shares(network).await?;
        let node = &network.nodes[index % network.nodes.len()].api;
        let request = request(network, key, params, caller)?;
        let demonstration = show(network, node, name, expected, request).await?;
        if expected == Expected::Refused {
            ensure!(self::shares(network).await? == shares, "a node made a share for a refused request");
        }
        shown(&demonstration);
        done.push(demonstration);
    }
    Ok(done)
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
        (Expected::Refused, 403) => {
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
