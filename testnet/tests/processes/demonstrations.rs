//! What the project exists for: a signature because a condition holds, and a refusal because it does not.

use anyhow::{Context, Result, ensure};
use countersign_client::{LocalSigner, RequestSigner};
use countersign_testnet::{
    chain,
    demonstrations::{
        self, Demonstration, Expected, key_spec, one_token, prepare, request, shares, token_config,
    },
};
use countersign_types::{Bytes, Decision, FailureKind, Scheme, U256};

use crate::support::with_chain;

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_decides() -> Result<()> {
    let mut network = with_chain(5, 3).await?;
    let stage = prepare(&network).await?;
    let shown = demonstrations::run(&network, &stage, |_| {}).await?;
    ensure!(shown.iter().all(|shown| shown.status == shown.expected.status()));
    for scheme in Scheme::ALL {
        for expected in [Expected::Signed, Expected::Refused] {
            let this = |shown: &Demonstration| (shown.scheme, shown.expected) == (scheme, expected);
            ensure!(shown.iter().any(this), "{scheme}: {expected:?} is not shown");
        }
    }
    let explained = shown.iter().find(|shown| shown.expected == Expected::Disagreement);
    let explained = explained.and_then(|shown| shown.problem.as_ref()).context("a disagreement")?;
    let saw = &explained.disagreement.as_ref().context("explained")?.saw;
    ensure!(saw.iter().filter(|saw| saw.value.is_some()).count() == 5, "{explained:?}");

    let key = key_spec(stage.balance_gate, &token_config(network.token()?, one_token()));
    let hello = Bytes::from_static(b"hello");

    // each node that says no says why, and none made a share
    let before = shares(&network).await?;
    let refused = request(&network, key.clone(), hello.clone(), &stage.bob)?;
    let problem = network.refused(2, &refused, FailureKind::Refused).await?;
    let reasons = problem.nodes.iter().filter(|said| said.decision == Decision::Refuse);
    let reasons: Vec<&str> = reasons.filter_map(|said| said.reason.as_deref()).collect();
    ensure!(reasons.len() >= 3, "at least three of five must refuse: {problem:?}");
    ensure!(reasons.iter().all(|reason| reason.contains("the key asks for at least")), "{reasons:?}");
    ensure!(shares(&network).await? == before, "a node made a share");

    // the same caller, once the condition holds: that it did not is no memory
    let block = chain::fund(&network.chain_url(), network.token()?, stage.bob.address(), one_token()).await?;
    network.wait_final_view(block).await?;
    let signed = request(&network, key, hello, &stage.bob)?;
    let answer = network.signed(2, &signed).await?;
    let pin = answer.pins.first().context("the answer names the block that was read")?;
    ensure!(pin.number >= block, "block {} was read, the tokens came in block {block}", pin.number);
    ensure!(shares(&network).await?.iter().sum::<f64>() == before.iter().sum::<f64>() + 3.0);
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn ether_counts_as_tokens_do() -> Result<()> {
    let mut network = with_chain(3, 2).await?;
    let stage = prepare(&network).await?;
    let config = |minimum: U256| serde_json::json!({ "chain_id": 31337, "token": null, "minimum": minimum.to_string() });
    let rich = LocalSigner::from_bytes(countersign_contracts::anvil::DEVELOPMENT_KEYS[0].0)?;
    let key = key_spec(stage.balance_gate, &config(one_token()));
    network.signed(0, &request(&network, key.clone(), Bytes::new(), &rich)?).await?;
    network.refused(0, &request(&network, key, Bytes::new(), &stage.alice)?, FailureKind::Refused).await?;
    network.stop()
}
