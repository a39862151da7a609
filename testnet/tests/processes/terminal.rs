//! The command `countersign` against a network that runs.

use std::{ffi::OsStr, fs, path::PathBuf, process::Output};

use anyhow::{Result, ensure};
use countersign_testnet::demonstrations::key_spec;
use serde_json::{Value, json};

use crate::support::{Running, countersign, document, says, without_chain};

const OPEN: &str = "text:{\"not_before\":1700000000}";
const CLOSED: &str = "text:{\"not_before\":4000000000}";
const MESSAGES: &str = "text:{\"messages\":[\"0x68656c6c6f\"]}";

/// A terminal: the network's genesis, its nodes, and a caller.
struct Terminal<'a> {
    network: &'a Running,
    genesis: PathBuf,
    caller: PathBuf,
}

impl Terminal<'_> {
    /// Runs a command that asks the given nodes.
    fn ask(&self, nodes: &[usize], command: &[&str], further: &[&str]) -> Result<Output> {
        let mut arguments: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
        let nodes: Vec<&str> = nodes.iter().map(|node| self.network.nodes[*node].api.as_str()).collect();
        let nodes = nodes.join(",");
        arguments.extend(["--genesis".as_ref(), self.genesis.as_os_str(), "--node".as_ref(), nodes.as_ref()]);
        arguments.extend(further.iter().map(OsStr::new));
        countersign(arguments)
    }

    fn sign(&self, nodes: &[usize], action: &str, further: &[&str]) -> Result<Output> {
        let caller = self.caller.to_string_lossy();
        let mut all = vec!["--action", action, "--caller-key", &caller, "--params", MESSAGES];
        all.extend(further);
        self.ask(nodes, &["--json", "sign"], &all)
    }
}

/// Checks the code, and that the document says the same; returns the document.
fn ends(output: &Output, code: i32, kind: &str) -> Result<Value> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "{}: {said}", output.status);
    let document = document(output)?;
    ensure!(document["error"]["code"] == code && document["error"]["kind"] == kind, "{document:#}");
    says(&said, &["error: "])?;
    Ok(document)
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_refusals_and_outages_from_a_terminal() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let action = network.time_lock().await?.to_string();
    let caller = network.key_file("caller");
    network.key("caller")?;
    let genesis = network.plan.folder.join("genesis.json");
    let terminal = Terminal { network: &network, genesis: genesis.clone(), caller };

    let signed = terminal.sign(&[0], &action, &["--config", OPEN])?;
    ensure!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let signed = document(&signed)?;

    // the same key, computed offline
    let root_keys = network.nodes[0].folder.join("data/root-keys.json");
    let key = |spec: &[&str]| {
        let mut arguments: Vec<&OsStr> = ["--json", "key", "show", "--genesis"].map(OsStr::new).into();
        arguments.extend([genesis.as_os_str(), "--root-keys".as_ref(), root_keys.as_os_str()]);
        arguments.extend(spec.iter().map(OsStr::new));
        countersign(arguments)
    };
    let offline = document(&key(&["--action", &action, "--config", OPEN])?)?;
    ensure!(offline["public_key"] == signed["public_key"], "{offline:#}");
    ensure!(offline["key_id"] == signed["key_id"], "{offline:#}");
    let spec = key_spec(action.parse()?, &json!({ "not_before": 1_700_000_000 }));
    ensure!(offline["key_id"] == json!(spec.key_id()), "{offline:#}");

    // and from the spec that it shows, kept in a file, which says everything
    let file = network.plan.folder.join("spec.json");
    fs::write(&file, offline["spec"].to_string())?;
    let file = file.to_string_lossy().into_owned();
    ensure!(document(&key(&["--spec", &file])?)? == offline);
    for further in [["--scheme", "ed25519"], ["--config", OPEN], ["--payload", "raw"]] {
        let usage = key(&[["--spec", &file], further].concat())?;
        ensure!(usage.status.code() == Some(2), "{further:?}: {}", usage.status);
    }
    let mut attested = offline["spec"].clone();
    attested["options"]["leader_attested"] = json!(true);
    fs::write(&file, attested.to_string())?;
    let refused = ends(&key(&["--spec", &file])?, 8, "invalid")?;
    says(&refused.to_string(), &["options.leader_attested must be false"])?;

    // what the node keeps of it
    let digest = signed["request"].as_str().unwrap_or_default().to_owned();
    let kept = document(&terminal.ask(&[0], &["--json", "result"], &[&digest])?)?;
    ensure!(kept == signed, "{kept:#}");

    let refused = ends(&terminal.sign(&[0], &action, &["--config", CLOSED])?, 3, "refused")?;
    let nodes = refused["error"]["nodes"].as_array().map(Vec::len);
    ensure!(nodes.is_some_and(|nodes| nodes >= 2), "{refused:#}");
    // a refusal is the answer of as many nodes as are to be heard
    let refusals = async || -> Result<f64> {
        let mut all = 0.0;
        for node in &network.nodes {
            all += network.rpc.metric(&node.api, "countersign_requests_total{result=\"refused\"}").await?;
        }
        Ok(all)
    };
    for opinions in [1, 3] {
        let (before, heard) = (refusals().await?, opinions.to_string());
        let options = ["--config", CLOSED, "--opinions", &heard];
        ends(&terminal.sign(&[0, 1, 2], &action, &options)?, 3, "refused")?;
        let asked = refusals().await? - before;
        ensure!(asked == f64::from(opinions), "{asked} nodes were asked with --opinions {opinions}");
    }
    let many = terminal.sign(&[0, 1], &action, &["--config", CLOSED, "--opinions", "3"])?;
    ensure!(many.status.code() == Some(2), "{}", many.status);
    says(&String::from_utf8_lossy(&many.stderr), &["--opinions 3: 2 can be asked", "--node"])?;
    let usage = terminal.sign(&[0], "0x00", &["--config", OPEN])?;
    ensure!(usage.status.code() == Some(2), "{}", usage.status);
    says(&String::from_utf8_lossy(&usage.stderr), &["--action", "0x00"])?;
    let absent = format!("0x{}", "00".repeat(32));
    ends(&terminal.sign(&[0], &absent, &[])?, 7, "unknown-action")?;
    let owned = ["--config", OPEN, "--owner", "0x0101010101010101010101010101010101010101"];
    ends(&terminal.sign(&[0], &action, &owned)?, 6, "unauthorised")?;
    let nonce = format!("0x{}", "11".repeat(32));
    let first = terminal.sign(&[0], &action, &["--config", OPEN, "--nonce", &nonce])?;
    ensure!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let reused = ["--config", "text:{\"not_before\":1600000000}", "--nonce", &nonce];
    ends(&terminal.sign(&[0], &action, &reused)?, 5, "nonce-reused")?;
    let kept = network.plan.folder.join("kept-request.json").display().to_string();
    let first = terminal.sign(&[0], &action, &["--config", OPEN, "--save-request", &kept])?;
    ensure!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let again = terminal.ask(&[0], &["--json", "sign"], &["--request", &kept])?;
    let (first, again) = (document(&first)?, document(&again)?);
    ensure!(first["signatures"] == again["signatures"], "{first:#} and {again:#}");

    let listed = document(&terminal.ask(&[1], &["--json", "action", "list"], &[])?)?;
    ensure!(listed["actions"][0]["action_id"] == action.as_str(), "{listed:#}");
    let info = terminal.ask(&[1], &["action", "show"], &[&action])?;
    says(&String::from_utf8(info.stdout)?, &[&action, "time-lock"])?;
    let status = terminal.ask(&[2], &["node", "status"], &[])?;
    says(&String::from_utf8(status.stdout)?, &["2 of 3", "connected", "root key"])?;

    // a node that is gone is passed over; all gone is unavailable
    network.nodes[0].kill()?;
    let terminal = Terminal { network: &network, genesis, caller: network.key_file("caller") };
    let passed = terminal.sign(&[0, 1], &action, &["--config", OPEN])?;
    ensure!(passed.status.success(), "{}", String::from_utf8_lossy(&passed.stderr));
    let gone = terminal.sign(&[0], &action, &["--config", OPEN, "--timeout", "2"])?;
    ends(&gone, 4, "unavailable")?;
    network.no_panic()?;
    network.stop()
}
