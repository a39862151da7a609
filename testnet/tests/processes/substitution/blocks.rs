//! The same with what a node asks its peers that sees no final block itself: a lie costs it the session, not more.

use anyhow::Result;
use countersign_chain::ProviderConfig;
use countersign_network::Lane;
use countersign_testnet::demonstrations::{key_spec, one_token, token_config};

use super::{COORDINATOR, Report, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_an_answer_about_blocks_has_another_message_signed() -> Result<()> {
    let (mut network, prepared, relay, mind) = Stage::start(Lane::Background).await?;
    let key = key_spec(prepared.balance_gate, &token_config(network.token()?, one_token()));
    let mut config = network.nodes[COORDINATOR].config()?;
    // nobody is there
    config.chains[0].providers = vec![ProviderConfig::new("gone", "http://127.0.0.1:1")];
    network.nodes[COORDINATOR].write_config(&config)?;
    network.restart(COORDINATOR)?;
    network.wait_ready().await?;
    let mut stage = Stage::begin(network, (relay, mind), key, prepared.alice).await?;
    let mut report = Report::default();
    stage.all(&["ask-block", "block"], &[], &mut report).await?;
    println!("changes, and signatures all the same: {report:?}");
    println!("{:?}", stage.end()?);
    Ok(())
}
