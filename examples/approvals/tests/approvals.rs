//! The example against a network of real nodes.

use std::{
    path::Path,
    process::{Command, Output},
};

use anyhow::{Result, ensure};
use countersign_client::{LocalSigner, RequestSigner};
use countersign_testnet::{demonstrations::shares, temporary};
use countersign_types::{B256, typed_data_digest};
use serde_json::Value;

const EXAMPLE: &str = env!("CARGO_BIN_EXE_example-approvals");

/// Runs the example in a folder of its own.
fn run(network: &Path, folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(EXAMPLE);
    Ok(command.arg("--network").arg(network).args(arguments).current_dir(folder).output()?)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_approvals_are_refused_and_three_are_signed() -> Result<()> {
    let (mut network, kept) = temporary::network(3, 2, Path::new(EXAMPLE))?;
    network.start_nodes()?;
    network.wait_ready().await?;
    let folder = network.plan.folder.clone();
    let here = kept.path();

    let shown = run(&folder, here, &["show"])?;
    let said = text(&shown);
    ensure!(shown.status.success(), "{said}");
    for words in
        ["2 of 5 people approve, 3 must", "0 of 5 people approve, 3 must", "signed: \"payment 17", "verified"]
    {
        ensure!(said.contains(words), "{words:?} is missing in: {said}");
    }

    // step by step, with the third one's signature from elsewhere
    ensure!(run(&folder, here, &["propose", "open the gate"])?.status.success(), "proposed");
    let again = run(&folder, here, &["propose", "open the gate"])?;
    ensure!(!again.status.success() && text(&again).contains("--out"), "{}", text(&again));
    for name in ["carol", "dora", "dora"] {
        let approved = run(&folder, here, &["approve", "--as", name, "--yes"])?;
        ensure!(approved.status.success(), "{}", text(&approved));
    }
    let before = shares(&network).await?;
    let refused = run(&folder, here, &["ask"])?;
    let said = text(&refused);
    ensure!(!refused.status.success() && said.contains("2 of 5 people approve"), "{said}");
    ensure!(shares(&network).await? == before, "a node made a share for two approvals");

    let typed_data = run(&folder, here, &["typed-data"])?;
    let typed_data: Value = serde_json::from_slice(&typed_data.stdout)?;
    let digest = B256::from_slice(&typed_data_digest(&typed_data.to_string())?);
    let stranger = LocalSigner::random().sign(digest)?.0.to_string();
    let added = run(&folder, here, &["approve", "--signature", &stranger])?;
    ensure!(!added.status.success() && text(&added).contains("nobody of the group"), "{}", text(&added));
    let emil = network.key("emil")?;
    let signature = emil.sign(digest)?.0.to_string();
    let added = run(&folder, here, &["approve", "--signature", &signature])?;
    ensure!(added.status.success() && text(&added).contains("emil"), "{}", text(&added));
    let signed = run(&folder, here, &["ask"])?;
    let said = text(&signed);
    ensure!(signed.status.success() && said.contains("signed: \"open the gate\""), "{said}");
    ensure!(said.contains(&emil.address().to_string().to_lowercase()), "{said}");
    network.stop()?;
    // who approves asks nobody
    let approved = run(&folder, here, &["approve", "--as", "anna", "--yes"])?;
    ensure!(approved.status.success() && text(&approved).contains("anna"), "{}", text(&approved));
    Ok(())
}

#[test]
fn without_a_network_it_says_what_to_do() -> Result<()> {
    let nowhere = std::env::temp_dir().join("countersign-no-such-network");
    let output = run(&nowhere, &std::env::temp_dir(), &["show"])?;
    ensure!(!output.status.success() && text(&output).contains("./testnet/up"), "{}", text(&output));
    let help = Command::new(EXAMPLE).arg("--help").output()?;
    ensure!(help.status.success() && text(&help).contains("Three of five people"), "{}", text(&help));
    Ok(())
}
