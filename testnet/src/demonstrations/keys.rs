//! Keys and requests of the demonstrations, and what is checked of an answer.

use anyhow::{Context, Result, ensure};
use countersign_client::{LocalSigner, RequestSigner, Trust, sign_request, verify_answer};
use countersign_types::{
    ActionId, Address, B256, Bytes, Caller, CallerKind, KeyOptions, KeySpec, NetworkId, PayloadKind, Policy,
    Request, Scheme, SignedRequest, U256, api::SignResponse,
};
use rand_core::{OsRng, RngCore};
use serde_json::json;

use crate::{
    Network, independent,
    network::now_ms,
    outside::{APPROVALS, PRICES},
    settings::CHAIN_ID,
};

/// How long a request lives, in milliseconds.
const LIFETIME_MS: u64 = 60_000;

/// A key of the first scheme.
pub fn key_spec(action: ActionId, config: &serde_json::Value) -> KeySpec {
    key_spec_of(Scheme::SchnorrSecp256k1, action, config)
}

/// A key of any scheme.
pub fn key_spec_of(scheme: Scheme, action: ActionId, config: &serde_json::Value) -> KeySpec {
    KeySpec {
        scheme,
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

/// The config of a key that wants the price of Bitcoin to be at least so many dollars, agreed within a tolerance.
pub fn price_config(at_least: u64, tolerance_bps: u32) -> serde_json::Value {
    json!({
        "endpoints": [{ "url": format!("https://{PRICES}/v1/prices/BTC-USD"), "pointer": "/price" }],
        "tolerance": { "bps": tolerance_bps },
        "above": at_least.to_string(),
    })
}

/// The config of a key that wants a service to approve each request.
pub fn approval_config() -> serde_json::Value {
    json!({ "url": format!("https://{APPROVALS}/requests/{{digest}}") })
}

/// A request by one caller, with a fresh nonce, signed.
pub fn request(
    network: &Network,
    key: KeySpec,
    params: Bytes,
    caller: &LocalSigner,
) -> Result<SignedRequest> {
    request_to(network.genesis.network_id(), key, params, caller)
}

/// A request to a network that is known by its id.
pub fn request_to(
    network: NetworkId,
    key: KeySpec,
    params: Bytes,
    caller: &LocalSigner,
) -> Result<SignedRequest> {
    let mut nonce = B256::ZERO;
    OsRng.fill_bytes(nonce.as_mut_slice());
    let issued_at = now_ms();
    let request = Request {
        network,
        key,
        params,
        callers: vec![Caller { kind: CallerKind::Eip191, id: caller.address() }],
        coordinators: Vec::new(),
        nonce,
        issued_at,
        expires_at: issued_at + LIFETIME_MS,
    };
    Ok(sign_request(request, &[caller])?)
}

/// Checks an answer with code that is not ours, and offline: key, messages and signatures.
pub async fn verify(network: &Network, request: &SignedRequest, answer: &SignResponse) -> Result<()> {
    verify_with(&network.trust().await?, request, answer)
}

/// The same, with root keys that are known.
pub fn verify_with(trust: &Trust, request: &SignedRequest, answer: &SignResponse) -> Result<()> {
    let spec = &request.request.key;
    let public_key = trust.public_key(spec.scheme, &spec.key_id())?;
    ensure!(answer.public_key == public_key, "the answer's public key is not the one computed offline");
    ensure!(!answer.signatures.is_empty(), "the answer has no signatures");
    for signed in &answer.signatures {
        independent::verify(spec.scheme, &public_key.0, &signed.message, &signed.signature.0)?;
    }
    verify_answer(trust, &request.request, answer).context("the client does not accept the answer")
}

/// One token in base units.
pub fn one_token() -> U256 {
    U256::from(10).pow(U256::from(18))
}
