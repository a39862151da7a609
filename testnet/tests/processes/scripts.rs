//! The command behind `testnet/up`, `testnet/down` and `testnet/status`.

use std::{
    env, fs,
    io::Read,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
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
use countersign_types::MAX_MEMBERS;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    shown::{check, every_field_counts},
    support::{document, says},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_testnet");
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);

fn command(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
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

/// Runs `testnet/up`, `down` or `status` itself, in a shell whose target folder is empty and whose cargo says that it was run, and fails.
fn script(name: &str, arguments: &[&str]) -> Result<Output> {
    let shell = TempDir::new()?;
    let cargo = shell.path().join("cargo");
    fs::write(&cargo, "#!/bin/sh\necho \"cargo $*\" >&2\nexit 9\n")?;
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", shell.path().display(), env::var("PATH")?);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let target = shell.path().join("target");
    let mut command = Command::new(script);
    command.args(arguments).env("PATH", path).env("CARGO_TARGET_DIR", target).env("CI", "true");
    Ok(command.stdin(Stdio::null()).output()?)
}

#[test]
fn nothing_is_built_for_a_command_line_that_is_wrong_or_asks_for_help() -> Result<()> {
    let most = MAX_MEMBERS.to_string();
    let many = (MAX_MEMBERS + 1).to_string();
    let wrong: [(&str, &[&str], &str); 9] = [
        ("up", &["--twice"], "'--twice'"),
        ("up", &["--once=true"], "'--once=true'"),
        ("up", &["--nodes"], "'--nodes' needs a value"),
        ("up", &["--nodes", "1"], "2 to 24"),
        ("up", &["--nodes", &many], "2 to 24"),
        ("up", &["--nodes=7", "--threshold", "3"], "4 to 7"),
        ("up", &["--once", "--detach"], "--detach"),
        ("down", &["--clean"], "'--clean'"),
        ("status", &["--yaml"], "'--yaml'"),
    ];
    for (name, arguments, named) in wrong {
        let refused = script(name, arguments)?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(refused.status.code() == Some(2) && !said.contains("cargo "), "{name} {arguments:?}: {said}");
        says(&said, &[named, "--help"])?;
    }
    // the largest committee is none of them: cargo is run, to build
    let largest = script("up", &["--nodes", &most])?;
    says(&String::from_utf8_lossy(&largest.stderr), &["cargo xtask setup"])?;

    for name in ["up", "down", "status"] {
        let usage = script(name, &["--help"])?;
        ensure!(usage.status.success() && usage.stderr.is_empty(), "{usage:?}");
        // every option that the program has is one of the script's
        let told = String::from_utf8(usage.stdout)?;
        let help = String::from_utf8(Command::new(PROGRAM).args([name, "--help"]).output()?.stdout)?;
        let options = help.lines().filter_map(|line| {
            let option =
                line.trim_start().strip_prefix("--").or(line.split_once(", --").map(|(_, rest)| rest))?;
            option.split_whitespace().next()
        });
        for option in options.filter(|option| *option != "help") {
            says(&told, &[&format!("--{option} ")])?;
        }
    }
    Ok(())
}

#[test]
fn nothing_is_built_to_say_that_there_is_no_network_and_a_build_is_announced() -> Result<()> {
    let folder = TempDir::new()?;
    let network = folder.path().join("network");
    let named = network.display().to_string();
    let status = script("status", &["--folder", &named])?;
    let said = String::from_utf8_lossy(&status.stderr);
    ensure!(status.status.code() == Some(1) && !said.contains("cargo "), "{said}");
    says(&said, &["no test network", "testnet/up"])?;
    let down = script("down", &["--folder", &named])?;
    ensure!(down.status.success(), "{down:?}");
    says(&String::from_utf8_lossy(&down.stderr), &["nothing runs"])?;

    // a network whose program is gone
    fs::create_dir(&network)?;
    fs::write(network.join("settings.json"), "{}")?;
    fs::write(network.join("program"), folder.path().join("gone").as_os_str().as_bytes())?;
    for name in ["status", "down"] {
        let built = script(name, &["--folder", &named])?;
        ensure!(built.status.code() == Some(9), "{built:?}");
        says(&String::from_utf8_lossy(&built.stderr), &["about 30 minutes", "cargo build --workspace"])?;
    }
    Ok(())
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

    // from a shell with another target folder
    let named = network.display().to_string();
    let elsewhere = script("status", &["--env", "--folder", &named])?;
    ensure!(elsewhere.stdout == variables.stdout, "{elsewhere:?}");
    says(&String::from_utf8_lossy(&elsewhere.stdout), &[&format!("COUNTERSIGN_TESTNET='{named}'")])?;
    let down = script("down", &["--folder", &named])?;
    ensure!(down.status.success(), "{down:?}");
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
    fs::write(folder.path().join("letter.txt"), "dear reader")?;
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
