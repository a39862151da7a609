//! Chain providers that are another chain, lag, or are down.

use std::fs;

use anyhow::{Context, Result, ensure};
use countersign_chain::ProviderConfig;
use countersign_contracts::anvil::{Anvil, AnvilConfig, Mining};
use countersign_testnet::{
    demonstrations::{Stage, key_spec, one_token, prepare, request, token_config},
    settings::CHAIN_ID,
};
use countersign_types::{Bytes, Decision, SignedRequest};
use serde_json::json;

use crate::support::{Running, says, with_chain};

/// The node with the bad provider.
const ODD: usize = 3;
/// How far anvil's final block is behind its newest, with two slots to an epoch.
const BLOCKS_UNTIL_FINAL: u64 = 4;
/// How many requests it may take until that node is asked: each asks two of three others, in turn.
const ROUNDS: usize = 24;

fn ask_balance(network: &Running, stage: &Stage) -> Result<SignedRequest> {
    let key = key_spec(stage.balance_gate, &token_config(network.token()?, one_token()));
    request(network, key, Bytes::from_static(b"hello"), &stage.alice)
}

/// Restarts the odd node with another provider.
async fn provide(network: &mut Running, url: &str) -> Result<()> {
    let mut config = network.nodes[ODD].config()?;
    config.chains[0].providers = vec![ProviderConfig::new("odd", url)];
    network.nodes[ODD].write_config(&config)?;
    network.restart(ODD)?;
    network.wait_ready().await
}

/// Has requests signed until the odd node was asked and answered in time. Where it takes long, another one is
/// asked in its place, and the session may end before it has said anything. Returns its reason.
async fn abstains(network: &Running, stage: &Stage) -> Result<String> {
    for round in 0..ROUNDS {
        let answer = network.signed(round % ODD, &ask_balance(network, stage)?).await?;
        if let Some(said) = network.said(&answer.nodes, ODD)
            && said.decision != Decision::NoAnswer
        {
            ensure!(said.decision == Decision::Abstain, "{said:?}");
            return said.reason.clone().context("it abstains without a reason");
        }
    }
    anyhow::bail!("of {ROUNDS} sessions, none asked the node and had its answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_bad_provider_abstains_and_the_others_sign() -> Result<()> {
    let mut network = with_chain(4, 3).await?;
    let stage = prepare(&network).await?;
    let good = network.chain_url();

    let other = Anvil::start(&AnvilConfig { chain_id: CHAIN_ID + 1, ..AnvilConfig::default() })?;
    provide(&mut network, &other.url()).await?;
    let reason = abstains(&network, &stage).await?;
    says(&reason, &["provider odd: is on chain 31338, not 31337"])?;

    // another chain that says that it is this one, and has a block wherever a pin may be
    let twin = Anvil::start(&AnvilConfig { mining: Mining::EverySeconds(1), ..AnvilConfig::default() })?;
    let step = network.nodes[ODD].config()?.chains[0].finality_step_blocks;
    let ahead = network.final_view(&network.nodes[0]).await? + BLOCKS_UNTIL_FINAL + step;
    let mine = json!({ "jsonrpc": "2.0", "id": 1, "method": "anvil_mine", "params": [ahead] });
    let mined = network.rpc.post(&twin.url(), &mine).await?;
    ensure!(mined.status == 200 && !mined.body.contains("error"), "{}", mined.body);
    provide(&mut network, &twin.url()).await?;
    let reason = abstains(&network, &stage).await?;
    says(&reason, &["chain 31337: block ", " in the own view, not "])?;

    provide(&mut network, "http://127.0.0.1:9").await?;
    let reason = abstains(&network, &stage).await?;
    says(&reason, &["provider odd: connection refused"])?;
    // asked itself, it lets the others sign, at a block that they name
    let answer = network.signed(ODD, &ask_balance(&network, &stage)?).await?;
    let said = network.said(&answer.nodes, ODD).map(|said| said.decision);
    ensure!(matches!(said, Some(Decision::Abstain | Decision::NoAnswer)), "{said:?}");

    // back at the right one, it signs again
    provide(&mut network, &good).await?;
    network.wait_final_view(1).await?;
    network.signed(ODD, &ask_balance(&network, &stage)?).await?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_provider_lags_abstains() -> Result<()> {
    let mut network = with_chain(4, 3).await?;
    let stage = prepare(&network).await?;

    // the same chain, as it was: a provider that has stood still since
    let state = network.plan.folder.join("chain.json");
    let mut chain = network.anvil.take().context("the chain runs")?;
    chain.terminate()?;
    let old = network.plan.folder.join("old-chain.json");
    fs::copy(&state, &old)?;
    network.start_chain().await?;
    let config = AnvilConfig { mining: Mining::Manual, state: Some(old), ..AnvilConfig::default() };
    let lagging = Anvil::start(&config)?;

    let mut config = network.nodes[ODD].config()?;
    config.chains[0].max_head_age_s = 3600;
    network.nodes[ODD].write_config(&config)?;
    provide(&mut network, &lagging.url()).await?;
    // until the others are further ahead than a pin may be
    let step = config.chains[0].finality_step_blocks;
    let ahead = network.final_view(&network.nodes[ODD]).await? + 2 * step + 1;
    for node in &network.nodes[..ODD] {
        network.wait_final_at(node, ahead).await?;
    }
    let stands = network.final_view(&network.nodes[ODD]).await?;
    let reason = abstains(&network, &stage).await?;
    says(&reason, &[&format!("own final block is {stands}, behind the pinned block ")])?;
    network.no_panic()?;
    network.stop()
}
