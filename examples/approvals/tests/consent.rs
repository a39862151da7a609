//! What is signed in somebody's name, and what is not. No node runs.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use countersign_fuzzing::backups::{TWO_CEREMONIES, content};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A group on a network that is not there: genesis and root keys are enough to approve.
struct Group(TempDir);

impl Group {
    fn new() -> Result<Self> {
        let group = Self(tempfile::tempdir()?);
        let network = content(0, 3, &TWO_CEREMONIES);
        let node = group.path("network/nodes/1/data");
        fs::create_dir_all(&node)?;
        fs::write(node.join("root-keys.json"), serde_json::to_vec(&network.root_keys)?)?;
        fs::write(group.path("network/genesis.json"), serde_json::to_vec(&network.genesis)?)?;
        let settings = json!({ "nodes": [{ "api": 1 }], "token": null });
        fs::write(group.path("network/settings.json"), settings.to_string())?;
        let proposed = group.run(&["propose", "open the gate"])?;
        ensure!(proposed.status.success(), "{}", text(&proposed));
        Ok(group)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example-approvals"));
        Ok(command.args(["--network", "network"]).args(arguments).current_dir(self.0.path()).output()?)
    }

    fn proposal(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.path("proposal.json"))?)?)
    }

    fn change(&self, field: &str, value: Value) -> Result<()> {
        let mut proposal = self.proposal()?;
        proposal[field] = value;
        Ok(fs::write(self.path("proposal.json"), proposal.to_string())?)
    }

    fn approvals(&self) -> Result<usize> {
        Ok(self.proposal()?["approvals"].as_array().context("a list")?.len())
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn what_is_signed_is_shown_first_and_somebody_says_yes() -> Result<()> {
    let group = Group::new()?;
    group.change("text", json!("open the safe"))?;
    let proposal = group.proposal()?;
    let [key, public_key] = ["key", "public_key"].map(|field| proposal[field].as_str().unwrap_or_default());
    let asked = group.run(&["approve", "--as", "anna"])?;
    let said = text(&asked);
    ensure!(
        !asked.status.success() && said.contains("nothing is signed") && said.contains("--yes"),
        "{said}"
    );
    ensure!(group.approvals()? == 0, "it is signed");
    let approved = group.run(&["approve", "--as", "anna", "--yes"])?;
    ensure!(approved.status.success() && group.approvals()? == 1, "{}", text(&approved));
    for said in [said, text(&approved)] {
        for words in [r#""open the safe""#, key, public_key, "until"] {
            ensure!(!words.is_empty() && said.contains(words), "{words:?} is missing in: {said}");
        }
    }
    Ok(())
}

#[test]
fn nothing_is_signed_for_another_key() -> Result<()> {
    let group = Group::new()?;
    let own = group.proposal()?;
    let foreign_key = json!(format!("0x{}", "05".repeat(32)));
    // such as the same five people's on another network
    let foreign_public_key = json!(format!("0x02{}", "05".repeat(32)));
    for (field, foreign) in [("key", foreign_key), ("public_key", foreign_public_key)] {
        group.change(field, foreign.clone())?;
        let signature = format!("0x{}", "01".repeat(65));
        for arguments in [
            &["approve", "--as", "anna", "--yes"][..],
            &["approve", "--signature", &signature],
            &["typed-data"],
        ] {
            let refused = group.run(arguments)?;
            let said = text(&refused);
            let words = ["the proposal is for", "propose anew", foreign.as_str().unwrap_or("a key")];
            ensure!(!refused.status.success() && words.iter().all(|word| said.contains(word)), "{said}");
            ensure!(!said.contains("EIP712Domain"), "it says what to sign: {said}");
        }
        ensure!(group.approvals()? == 0, "it is signed");
        group.change(field, own[field].clone())?;
    }
    let approved = group.run(&["approve", "--as", "anna", "--yes"])?;
    ensure!(approved.status.success() && group.approvals()? == 1, "{}", text(&approved));
    Ok(())
}

#[test]
fn a_network_that_does_not_run_is_told_at_once() -> Result<()> {
    let group = Group::new()?;
    let begun = Instant::now();
    // the folder from the environment, which `testnet/status --env` sets
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-approvals"));
    let shown = command.arg("show").env("COUNTERSIGN_TESTNET", group.path("network")).output()?;
    let said = text(&shown);
    ensure!(!shown.status.success() && said.contains("does the network run?"), "{said}");
    ensure!(said.contains("./testnet/up") && said.contains("connection refused"), "{said}");
    ensure!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
    Ok(())
}
