//! The command behind `testnet/up`, `testnet/down` and `testnet/status`.

use std::{
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use countersign_testnet::{
    network::running,
    process::{Process, Record},
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    shown::{check, every_field_counts},
    support::{document, says},
};

const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testnet"));
    command.arg("--folder").arg(folder);
    command
}

fn testnet(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(command(folder).args(arguments).output()?)
}

fn succeeds(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let output = testnet(folder, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "testnet {}: {}: {said}", arguments.join(" "), output.status);
    Ok(output)
}

#[test]
fn up_once_prints_one_document_and_leaves_nothing_running() -> Result<()> {
    let folder = TempDir::new()?;
    let network = folder.path().join("network");
    let up = ["up", "--nodes", "3", "--threshold", "2", "--once", "--json"];
    let mut look = command(&network).args(up).stdout(Stdio::piped()).spawn()?;
    let (mut out, mut text) = (look.stdout.take().context("a pipe")?, vec![0]);
    out.read_exact(&mut text)?;
    ensure!(running(&network)?.is_empty(), "it is told while something still runs");
    out.read_to_end(&mut text)?;
    ensure!(look.wait()?.success());
    let first: Value = serde_json::from_slice(&text)?;
    check(&first)?;
    every_field_counts(&first)?;

    // again: the same network, with the same keys
    let second = document(&succeeds(&network, &up)?)?;
    check(&second)?;
    ensure!(first["network"] == second["network"], "another network");

    // another committee is another network
    let other = testnet(&network, &["up", "--once"])?;
    ensure!(!other.status.success());
    says(&String::from_utf8_lossy(&other.stderr), &["3 nodes with threshold 2", "--purge"])
}

#[test]
fn up_detached_runs_until_down() -> Result<()> {
    let folder = TempDir::new()?;
    let network = folder.path().join("network");
    let shown = succeeds(&network, &["up", "--nodes", "3", "--threshold", "2", "--detach"])?;
    says(&String::from_utf8(shown.stdout)?, &["balance-gate", "time-lock", "http://127.0.0.1:"])?;
    ensure!(running(&network)?.len() == 5, "{:?}", running(&network)?);

    let status = document(&succeeds(&network, &["status", "--json"])?)?;
    let states = status["nodes"].as_array().context("nodes")?;
    ensure!(states.len() == 3 && states.iter().all(|node| node["state"] == "ready"), "{status:#}");
    let variables = succeeds(&network, &["status", "--env"])?;
    ensure!(variables.stderr.is_empty(), "{}", String::from_utf8_lossy(&variables.stderr));
    let again = testnet(&network, &["up", "--nodes", "3", "--threshold", "2", "--detach"])?;
    ensure!(!again.status.success());
    says(&String::from_utf8_lossy(&again.stderr), &["is running", "testnet/down"])?;

    succeeds(&network, &["down"])?;
    ensure!(running(&network)?.is_empty(), "something still runs");
    succeeds(&network, &["status"])?;
    let stopped = succeeds(&network, &["status", "--env"])?;
    ensure!(stopped.stdout == variables.stdout, "other variables");
    let start = format!("./testnet/up --detach --nodes 3 --threshold 2 --folder '{}'", network.display());
    says(&String::from_utf8_lossy(&stopped.stderr), &["warning", "is stopped", &start])?;
    succeeds(&network, &["down", "--purge"])?;
    ensure!(!network.exists(), "the folder is still there");
    let status = testnet(&network, &["status"])?;
    ensure!(!status.status.success());
    says(&String::from_utf8_lossy(&status.stderr), &["no test network", "testnet/up"])
}

#[test]
fn a_committee_that_cannot_be_is_refused_before_anything_is_made() -> Result<()> {
    let folder = TempDir::new()?;
    let network = folder.path().join("network");
    for (nodes, threshold, named) in
        [("7", "3", "4 to 7"), ("3", "4", "2 to 3"), ("1", "1", "2 to 24"), ("25", "13", "2 to 24")]
    {
        let up = testnet(&network, &["up", "--nodes", nodes, "--threshold", threshold, "--once"])?;
        ensure!(up.status.code() == Some(1), "{}", up.status);
        says(&String::from_utf8_lossy(&up.stderr), &[named])?;
    }
    ensure!(!network.exists(), "something was made");
    Ok(())
}

#[test]
fn a_network_that_was_cut_short_while_it_was_made_is_made_anew() -> Result<()> {
    let folder = TempDir::new()?;
    let network = folder.path().join("network");
    let made = folder.path().join("network.new/nodes/1/passphrase");
    let mut up = up_until(folder.path(), "something is made", |_| made.exists())?;
    up.kill()?;
    ensure!(!network.exists(), "a network that is not whole is in its place");
    let status = testnet(&network, &["status"])?;
    says(&String::from_utf8_lossy(&status.stderr), &["no test network"])?;

    // what was made of it is no network, and its passphrases go with one
    ensure!(made.exists(), "what was made has gone by itself");
    succeeds(&network, &["down", "--purge"])?;
    ensure!(!folder.path().join("network.new").exists(), "passphrases are still there");

    let mut up = up_until(folder.path(), "something is made", |_| made.exists())?;
    up.kill()?;
    check(&document(&succeeds(&network, &["up", "--nodes", "3", "--once", "--json"])?)?)
}

#[test]
fn purge_leaves_other_folders_alone() -> Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("letter.txt"), "dear reader")?;
    let purged = testnet(folder.path(), &["down", "--purge"])?;
    ensure!(!purged.status.success());
    says(&String::from_utf8_lossy(&purged.stderr), &["is no test network"])?;
    ensure!(folder.path().join("letter.txt").exists());
    Ok(())
}

/// Starts `up`, and waits until it has come so far.
fn up_until(folder: &Path, what: &str, reached: impl Fn(&Process) -> bool) -> Result<Process> {
    let mut command = command(&folder.join("network"));
    command.args(["up", "--nodes", "3", "--threshold", "2"]);
    let mut up = Process::start("testnet", &mut command, &folder.join("log"))?;
    let until = Instant::now() + PATIENCE;
    while !reached(&up) {
        up.check()?;
        ensure!(Instant::now() < until, "{what}: not within {} s: {}", PATIENCE.as_secs(), up.log());
        sleep(POLL);
    }
    Ok(up)
}

#[test]
fn up_stays_until_it_is_interrupted() -> Result<()> {
    let folder = TempDir::new()?;
    let mut up = up_until(folder.path(), "it runs", |up| up.log().contains("Ctrl-C stops it"))?;
    let started = running(&folder.path().join("network"))?;
    ensure!(started.len() == 5, "{started:?}");
    up.signal(Signal::INT)?;
    let status = up.wait(PATIENCE)?;
    ensure!(status.success(), "{status}: {}", up.log());
    ensure!(!started.iter().any(Record::is_alive), "something still runs");
    Ok(())
}

#[test]
fn up_that_is_interrupted_early_leaves_nothing_running() -> Result<()> {
    let folder = TempDir::new()?;
    let mut up = up_until(folder.path(), "nodes are started", |up| up.log().contains("nodes started"))?;
    let started = running(&folder.path().join("network"))?;
    ensure!(!started.is_empty(), "nothing was started");
    up.signal(Signal::INT)?;
    let status = up.wait(PATIENCE)?;
    ensure!(!status.success(), "an interrupted start is no success");
    ensure!(!started.iter().any(Record::is_alive), "something still runs");
    Ok(())
}
