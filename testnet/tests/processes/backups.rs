//! Nodes that come back from their backups, on an empty disk or another machine, and originals that do not stay away.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use countersign_backup::Identity;
use countersign_node::NodeConfig;
use countersign_testnet::process::Process;
use countersign_types::ActionId;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    copies::until,
    load::{Caller, Load},
    support::{Running, countersign, document, made, program, says, without_chain},
};

/// The node that is lost, by its place from 0.
const NODE: usize = 2;

/// Writes a file that only this user may read.
fn private(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A command that must succeed, and its document.
fn done(arguments: &[&str]) -> Result<Value> {
    let output = countersign(["--json"].iter().chain(arguments))?;
    ensure!(output.status.success(), "{}", stderr(&output));
    document(&output)
}

/// A command that must be refused as invalid: what it said.
fn refused(arguments: &[&str]) -> Result<String> {
    ends_with(8, arguments)
}

/// A command that must be told to come back later: what it said.
fn put_off(arguments: &[&str]) -> Result<String> {
    ends_with(4, arguments)
}

fn ends_with(code: i32, arguments: &[&str]) -> Result<String> {
    let output = countersign(arguments)?;
    ensure!(output.status.code() == Some(code), "{}: {}", output.status, stderr(&output));
    Ok(stderr(&output))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// Where a network's backups lie, and what opens them.
struct Backups {
    file: PathBuf,
    passphrase: PathBuf,
}

impl Backups {
    fn new(network: &Running) -> Result<Self> {
        let folder = network.plan.folder.join("backups");
        fs::create_dir(&folder)?;
        let passphrase = folder.join("passphrase");
        private(&passphrase, "correct horse\n")?;
        Ok(Self { file: folder.join("node.backup"), passphrase })
    }

    /// The arguments that back up the node of a folder.
    fn take<'a>(&'a self, config: &'a Path) -> Result<[&'a str; 8]> {
        let [config, out, passphrase] = [text(config)?, text(&self.file)?, text(&self.passphrase)?];
        Ok(["node", "backup", "--config", config, "--out", out, "--passphrase-file", passphrase])
    }

    /// The arguments that restore it into a folder.
    fn restore<'a>(&'a self, config: &'a Path) -> Result<[&'a str; 8]> {
        let [config, file, passphrase] = [text(config)?, text(&self.file)?, text(&self.passphrase)?];
        Ok(["node", "restore", "--config", config, "--backup", file, "--passphrase-file", passphrase])
    }
}

/// A folder with the node's own passphrase, and nothing else: all that a new machine has.
fn empty_disk(passphrase: &str, folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    private(&folder.join("passphrase"), passphrase)
}

impl Running {
    fn config_file(&self, node: usize) -> PathBuf {
        self.nodes[node].folder.join("node.toml")
    }

    /// Takes a node's disk away, but for its passphrase. Returns where the disk is now.
    fn lose_disk(&self, node: usize) -> Result<PathBuf> {
        let folder = &self.nodes[node].folder;
        let passphrase = fs::read_to_string(folder.join("passphrase"))?;
        let away = folder.with_file_name("original");
        fs::rename(folder, &away)?;
        empty_disk(&passphrase, folder)?;
        Ok(away)
    }

    /// Waits until a restored node takes what is asked for now. Each start before its time comes puts that off by as much
    /// as a start does.
    async fn until_it_signs(&self, lock: ActionId, restored: &Value) -> Result<()> {
        let from = restored["signs_from_ms"].as_u64().context("a time")?;
        until("it signs", async || {
            let request = self.open_request(lock)?;
            let is_signed = self.signed(NODE, &request).await.is_ok();
            ensure!(
                !is_signed || request.request.issued_at >= from,
                "it signs what is of before: {restored}"
            );
            Ok(is_signed)
        })
        .await
    }

    /// Starts the node of a folder, beside the network's own, on other ports.
    fn start_beside(&self, folder: &Path, name: &str) -> Result<Process> {
        let file = folder.join("node.toml");
        let mut config: NodeConfig = toml::from_str(&fs::read_to_string(&file)?)?;
        config.api.listen.set_port(0);
        config.network.listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"]
            .into_iter()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        // what it says would be taken for what the node says that the network knows
        config.debug.wire_log = Some("beside.jsonl".into());
        fs::write(&file, toml::to_string_pretty(&config)?)?;
        let mut command = Command::new(program()?);
        command.args(["node", "run", "--config"]).arg(&file).env_remove("RUST_LOG");
        Process::start(name, &mut command, &self.plan.folder.join(format!("logs/{name}.log")))
    }

    /// Runs a node beside the network's own until all others refuse it, and a while longer; ends it.
    async fn beside_is_refused(&self, folder: &Path, name: &str, others: [usize; 2]) -> Result<()> {
        let mut process = self.start_beside(folder, name)?;
        until("all refuse it", async || {
            process.check()?;
            let log = process.log();
            Ok(others.iter().all(|other| {
                let member = self.peer_id(*other);
                log.lines().any(|line| line.contains("a member is not talked to") && line.contains(&member))
            }))
        })
        .await?;
        // it dials again and again, and never gets in
        sleep(Duration::from_secs(5)).await;
        ensure!(!process.log().contains("member connected"), "{}", process.log());
        process.terminate()?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_from_its_backup_once_its_peers_readmit_it() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let key = network.signed(NODE, &network.open_request(lock)?).await?.public_key;
    let before = network.rpc.network(&network.nodes[NODE].api).await?.root_keys;
    let (backups, config) = (Backups::new(&network)?, network.config_file(NODE));

    // a node that runs is left alone
    says(&put_off(&backups.take(&config)?)?, &["the node runs: stop it"])?;
    ensure!(!backups.file.exists(), "a file was written");
    network.nodes[NODE].terminate()?;
    let output = countersign(backups.take(&config)?)?;
    ensure!(output.status.success(), "{}", stderr(&output));
    says(&stderr(&output), &["WARNING: 2 such backups of different nodes, of 3", "Where 2 nodes have lost"])?;
    ensure!(fs::metadata(&backups.file)?.permissions().mode() & 0o777 == 0o600, "others can read it");
    says(&refused(&backups.take(&config)?)?, &["is not overwritten"])?;
    // it runs on, and its peers see that
    network.nodes[NODE].start()?;
    network.wait_ready().await?;
    network.signed(NODE, &network.open_request(lock)?).await?;
    network.nodes[NODE].terminate()?;

    let original = network.lose_disk(NODE)?;
    let restored = done(&backups.restore(&config)?)?;
    ensure!(restored["node"] == network.nodes[NODE].public_key.to_string(), "{restored}");
    says(&refused(&backups.restore(&config)?)?, &["holds a database already"])?;
    // its peers have seen it since: only their operators can know that this is no copy
    let said = network.is_refused(NODE).await?;
    says(&said, &["countersign node readmit"])?;
    network.readmit(NODE)?;
    network.nodes[NODE].start()?;
    network.wait_ready().await?;
    network.until_it_signs(lock, &restored).await?;
    let after = network.rpc.network(&network.nodes[NODE].api).await?.root_keys;
    ensure!(after.is_some() && after == before, "the root keys are others");

    // two of three sign, and it is one of them
    network.nodes[1].terminate()?;
    for node in [0, NODE] {
        let answer = network.signed(node, &network.open_request(lock)?).await?;
        ensure!(answer.public_key == key, "the key is another");
    }
    network.nodes[1].start()?;
    network.wait_ready().await?;
    // and from then on the original is the one that is refused
    network.beside_is_refused(&original, "original", [0, 1]).await?;
    network.wait_ready().await?;
    network.signed(NODE, &network.open_request(lock)?).await?;

    network.no_panic()?;
    network.network.stop()?;
    let summary = network.check_wire(&[original.join("wire.jsonl")])?;
    ensure!(summary.shares > 0, "{summary:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_copy_beside_its_original_is_refused_and_nobody_waits() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let (backups, config) = (Backups::new(&network)?, network.config_file(NODE));
    network.nodes[NODE].terminate()?;
    done(&backups.take(&config)?)?;
    network.nodes[NODE].start()?;
    network.wait_ready().await?;

    let folder = network.plan.folder.join("copy");
    empty_disk(&fs::read_to_string(network.nodes[NODE].folder.join("passphrase"))?, &folder)?;
    done(&backups.restore(&folder.join("node.toml"))?)?;
    let caller = Caller::new(&network, lock).await?;
    let load = Load::start(&caller, 2);
    network.beside_is_refused(&folder, "copy", [0, 1]).await?;
    let served = load.end().await?;
    ensure!(served.signatures > 0, "nobody was served beside a copy");
    println!("{} signatures beside a copy, longest gap {:?}", served.signatures, served.longest_gap);

    network.wait_ready().await?;
    network.signed(NODE, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_moves_by_its_backup_and_nobody_has_to_readmit_it() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let config = network.config_file(NODE);
    let folder = network.plan.folder.join("backups");
    fs::create_dir(&folder)?;
    // sealed for a key that this machine has not: it cannot open what it writes
    let secret = age_key(&folder.join("age.key"))?;
    let [file, config] = [folder.join("node.backup"), config];
    network.nodes[NODE].terminate()?;
    let taken =
        done(&["node", "backup", "--config", text(&config)?, "--out", text(&file)?, "--recipient", &secret])?;
    ensure!(taken["recipients"] == serde_json::json!([secret]), "{taken}");
    let original = network.lose_disk(NODE)?;
    let (key, root_keys) = (folder.join("age.key"), network.nodes[0].folder.join("data/root-keys.json"));
    let [config, file, key, root_keys] = [text(&config)?, text(&file)?, text(&key)?, text(&root_keys)?];
    let arguments = ["node", "restore", "--config", config, "--backup", file, "--key-file", key];
    // whoever knows the public key can seal something for it
    says(&refused(&arguments)?, &["--node-key"])?;
    let [own, other] = [NODE, 0].map(|node| network.nodes[node].public_key.to_string());
    let [own, other] = [&own, &other]
        .map(|node| [&arguments[..], &["--root-keys", root_keys, "--node-key", node.as_str()]].concat());
    says(&refused(&other)?, &["this is a backup of node"])?;
    ensure!(!network.nodes[NODE].folder.join("data").exists(), "something was restored");
    let restored = done(&own)?;
    ensure!(restored["compared_with"] == serde_json::json!([root_keys]), "{restored}");
    ensure!(restored["warnings"] == serde_json::json!([]), "{restored}");
    network.nodes[NODE].start()?;
    network.wait_ready().await?;
    network.until_it_signs(lock, &restored).await?;
    network.signed(NODE, &network.open_request(lock)?).await?;
    // whoever starts it again on the old machine finds it refused
    network.beside_is_refused(&original, "original", [0, 1]).await?;
    network.wait_ready().await?;
    network.signed(NODE, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.network.stop()?;
    network.check_wire(&[original.join("wire.jsonl")])?;
    Ok(())
}

/// Writes a fresh secret key of age, and returns its public key.
fn age_key(file: &Path) -> Result<String> {
    let key = Identity::generate();
    private(file, &key.to_file())?;
    Ok(key.recipient().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_backup_of_this_node_is_refused_by_name() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let (backups, config) = (Backups::new(&network)?, network.config_file(NODE));
    let stranger = made(3, 2)?;
    says(&put_off(&Backups::new(&stranger)?.take(&stranger.config_file(0))?)?, &["no root keys yet"])?;
    network.network.stop()?;
    done(&backups.take(&config)?)?;
    let whole = fs::read(&backups.file)?;
    let elsewhere = network.plan.folder.join("elsewhere");
    empty_disk("correct horse\n", &elsewhere)?;
    let target = elsewhere.join("node.toml");

    let damaged = |bytes: &[u8]| -> Result<String> {
        fs::write(&backups.file, bytes)?;
        refused(&backups.restore(&target)?)
    };
    let mut flipped = whole.clone();
    flipped[whole.len() - 100] ^= 1;
    says(&damaged(&flipped)?, &["it is damaged"])?;
    says(&damaged(&whole[..whole.len() - 100])?, &["it is damaged, or its end is missing"])?;
    says(&damaged(&whole[..50])?, &["it is cut short"])?;
    says(&damaged(b"a letter")?, &["it is not a backup"])?;
    fs::write(&backups.file, &whole)?;

    let passphrase = fs::read_to_string(&backups.passphrase)?;
    private(&backups.passphrase, "wrong horse\n")?;
    says(&refused(&backups.restore(&target)?)?, &["the passphrase does not open it", "this file's is "])?;
    private(&backups.passphrase, &passphrase)?;
    age_key(&elsewhere.join("age.key"))?;
    let [file, key] = [backups.file.clone(), elsewhere.join("age.key")];
    let arguments =
        ["node", "restore", "--config", text(&target)?, "--backup", text(&file)?, "--key-file", text(&key)?];
    says(&refused(&arguments)?, &["under a passphrase"])?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    says(&refused(&arguments)?, &["can be read by others"])?;
    let without = countersign(&arguments[..6])?;
    says(&stderr(&without), &["COUNTERSIGN_BACKUP_PASSPHRASE"])?;
    ensure!(!target.exists() && !elsewhere.join("data").exists(), "something was restored");

    // of another node, and of another network
    fs::rename(network.nodes[0].folder.join("data"), network.nodes[0].folder.join("aside"))?;
    let other = network.config_file(0);
    says(&refused(&backups.restore(&other)?)?, &["this is a backup of node"])?;
    fs::rename(stranger.nodes[0].folder.join("data"), stranger.nodes[0].folder.join("aside"))?;
    let other = stranger.config_file(0);
    says(&refused(&backups.restore(&other)?)?, &["this is a backup of network"])?;
    ensure!(!stranger.nodes[0].folder.join("data").exists(), "something was restored");
    // and in its own place
    done(&backups.restore(&target)?)?;
    Ok(())
}
