//! What is shown, in this order.

use anyhow::Result;
use countersign_client::LocalSigner;
use countersign_types::{Bytes, KeySpec, Scheme};
use serde_json::json;

use super::{Expected, Stage, approval_config, key_spec, key_spec_of, one_token, price_config, token_config};
use crate::{Network, network::now_ms};

/// One thing to show.
pub(super) struct Plan<'a> {
    pub(super) name: &'static str,
    pub(super) expected: Expected,
    pub(super) key: KeySpec,
    pub(super) params: Bytes,
    pub(super) caller: &'a LocalSigner,
    /// Whether somebody approves the request before it is asked.
    pub(super) approved: bool,
}

/// For each scheme a signature and a refusal, and one disagreement.
pub(super) fn all<'a>(network: &Network, stage: &'a Stage) -> Result<Vec<Plan<'a>>> {
    let plan = |name, expected, key, params: &Bytes, caller| Plan {
        name,
        expected,
        key,
        params: params.clone(),
        caller,
        approved: false,
    };
    let (alice, bob) = (&stage.alice, &stage.bob);
    let hello = Bytes::from_static(b"hello from a committee");
    let messages = json!({ "messages": [
        Bytes::from_static(b"first message"), Bytes::from_static(b"second message"),
    ]});
    let messages = Bytes::from(messages.to_string().into_bytes());
    let now = now_ms() / 1000;

    let gate = key_spec(stage.balance_gate, &token_config(network.token()?, one_token()));
    let lock = |not_before: u64| key_spec(stage.time_lock, &json!({ "not_before": not_before }));
    let price = |at_least, bps| key_spec_of(Scheme::Bip340, stage.price_gate, &price_config(at_least, bps));
    let approval = key_spec_of(Scheme::Ed25519, stage.webhook_approval, &approval_config());
    Ok(vec![
        plan(
            "balance-gate: alice holds 10 tokens, 1 is needed",
            Expected::Signed,
            gate.clone(),
            &hello,
            alice,
        ),
        plan("balance-gate: bob holds none", Expected::Refused, gate, &hello, bob),
        plan(
            "time-lock: open since an hour, two messages",
            Expected::Signed,
            lock(now - 3600),
            &messages,
            bob,
        ),
        plan("time-lock: opens in an hour", Expected::Refused, lock(now + 3600), &messages, bob),
        plan(
            "price-gate (JavaScript, Taproot): BTC above 60,000, median within 0.5 %",
            Expected::Signed,
            price(60_000, 50),
            &hello,
            alice,
        ),
        plan("price-gate: BTC above 70,000", Expected::Refused, price(70_000, 50), &hello, alice),
        plan(
            "price-gate: the same price at all nodes, which there is not",
            Expected::Disagreement,
            price(60_000, 0),
            &hello,
            alice,
        ),
        Plan {
            approved: true,
            ..plan(
                "webhook-approval (JavaScript, Ed25519): somebody approved it",
                Expected::Signed,
                approval.clone(),
                &hello,
                alice,
            )
        },
        plan("webhook-approval: nobody did", Expected::Refused, approval, &hello, alice),
    ])
}
