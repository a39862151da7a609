//! Nodes that do not start, and say why.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use countersign_node::{NodeConfig, PassphraseConfig};
use countersign_testnet::{network::Node, process::Process};
use countersign_types::NodePublicKey;
use tempfile::TempDir;

use crate::support::{Running, countersign, document, made, program, says, without_chain};

/// The command's code for input, files and configurations that cannot be used.
const INVALID: i32 = 8;
/// That for what is in use now.
const UNAVAILABLE: i32 = 4;

/// Runs a node that must not start: returns what it says.
fn fails(config: &Path) -> Result<String> {
    fails_as(config, INVALID, "invalid")
}

fn fails_as(config: &Path, code: i32, kind: &str) -> Result<String> {
    let arguments = ["--json".as_ref(), "node".as_ref(), "run".as_ref(), "--config".as_ref(), config];
    let output = countersign(arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(code), "{}: {said}", output.status);
    ensure!(!said.contains("panicked"), "{said}");
    let error = &document(&output)?["error"];
    ensure!(error["kind"] == kind && error["code"] == code, "{error}");
    Ok(said)
}

/// Puts a file's content aside while `run` has another in its place.
fn with_file<T>(path: &Path, content: impl AsRef<[u8]>, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = fs::read(path)?;
    fs::write(path, content)?;
    let result = run();
    fs::write(path, before)?;
    result.with_context(|| path.display().to_string())
}

fn config_file(node: &Node) -> std::path::PathBuf {
    node.folder.join("node.toml")
}

/// Sets one key of a node's configuration, run, and set it back.
fn with_setting(node: &Node, text: &str, replaced: &str, named: &[&str]) -> Result<()> {
    let file = config_file(node);
    let config = fs::read_to_string(&file)?;
    ensure!(config.contains(text), "{text:?} is not in the configuration: {config}");
    with_file(&file, config.replacen(text, replaced, 1), || says(&fails(&file)?, named))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_start_says_what_to_do() -> Result<()> {
    let mut network = made(3, 2)?;
    cannot_start(&network)?;
    // and nothing of it left a trace: the network comes up
    network.start_nodes()?;
    network.wait_ready().await?;
    network.stop()
}

fn cannot_start(network: &Running) -> Result<()> {
    let node = &network.nodes[0];
    let file = config_file(node);

    let passphrase = node.folder.join("passphrase");
    with_file(&passphrase, "not the passphrase", || says(&fails(&file)?, &["passphrase does not open"]))?;
    with_file(&passphrase, "", || says(&fails(&file)?, &["passphrase", "empty"]))?;
    let genesis = node.folder.join("genesis.json");
    with_file(&genesis, "{}", || says(&fails(&file)?, &["genesis.json", "missing field"]))?;
    with_file(&file, "data = ", || says(&fails(&file)?, &["node.toml", "line 1"]))?;

    with_setting(node, "[api]\n", "[api]\nlisten_port = 80\n", &["listen_port", "unknown field"])?;
    with_setting(node, "data = ", "dta = ", &["dta", "unknown field"])?;
    with_setting(node, "genesis.json", "nowhere.json", &["no genesis", "nowhere.json", "node join"])?;
    with_setting(node, "\"data\"", "\"elsewhere\"", &["no database", "countersign node restore"])?;
    with_setting(node, "http://127.0.0.1", "ftp://127.0.0.1", &["chains[0].providers[0].url", "http"])?;

    let missing = file.with_file_name("no.toml");
    says(&fails(&missing)?, &["cannot read", "no.toml"])?;

    let api = node.api.trim_start_matches("http://").to_owned();
    let taken = TcpListener::bind(&api)?;
    says(&fails(&file)?, &[&api, "api.listen", "in use"])?;
    drop(taken);

    let peers = network.settings.nodes[0].peers;
    let taken = (TcpListener::bind(("127.0.0.1", peers))?, UdpSocket::bind(("127.0.0.1", peers))?);
    says(&fails(&file)?, &[&peers.to_string(), "in use", "[network]"])?;
    drop(taken);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_serves_one_node_of_one_network() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let other = made(3, 2)?;
    let lock = network.time_lock().await?;

    // in use by the node that runs
    let said = fails_as(&config_file(&network.nodes[0]), UNAVAILABLE, "unavailable")?;
    says(&said, &["in use by another process", "stop it first"])?;

    network.nodes[0].terminate()?;
    network.nodes[1].terminate()?;
    let (first, second) = (&network.nodes[0], &network.nodes[1]);
    let (database, aside) = (first.folder.join("data/db"), first.folder.join("data/db.aside"));

    // of another node of this network, even with that node's passphrase
    fs::rename(&database, &aside)?;
    fs::rename(second.folder.join("data/db"), &database)?;
    let passphrase = fs::read(second.folder.join("passphrase"))?;
    with_file(&first.folder.join("passphrase"), passphrase, || {
        let named = [first.public_key.to_string(), second.public_key.to_string()];
        says(&fails(&config_file(first))?, &[&named[0], &named[1], "belongs to node"])
    })?;
    fs::rename(&database, second.folder.join("data/db"))?;
    fs::rename(&aside, &database)?;

    // of another network
    let genesis = serde_json::to_string(&other.genesis)?;
    with_file(&first.folder.join("genesis.json"), genesis, || {
        let named = [network.genesis.network_id().to_string(), other.genesis.network_id().to_string()];
        says(&fails(&config_file(first))?, &[&named[0], &named[1], "belongs to network"])
    })?;

    // nothing was lost
    network.start_nodes()?;
    network.wait_ready().await?;
    network.signed(0, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.stop()
}

/// The program, with a passphrase in its environment and nowhere else.
fn with_passphrase(passphrase: &str, arguments: &[&str], path: &Path) -> Result<Command> {
    let mut command = Command::new(program()?);
    command
        .env_remove("RUST_LOG")
        .env_remove("CREDENTIALS_DIRECTORY")
        .env("COUNTERSIGN_PASSPHRASE", passphrase);
    command.args(arguments).arg(path);
    Ok(command)
}

fn succeeds(command: &mut Command) -> Result<Output> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

/// The nodes of a network, made anew in folders of their own, each by a passphrase of its environment, on the ports that they had.
fn made_by_environment(network: &mut Running, folder: &Path, passphrases: &[&str]) -> Result<()> {
    const INIT: [&str; 4] = ["--json", "node", "init", "--weak-passphrase"];
    let genesis = folder.join("genesis.json");
    let mut keys: BTreeMap<NodePublicKey, NodePublicKey> = BTreeMap::new();
    for (node, passphrase) in network.nodes.iter_mut().zip(passphrases) {
        node.folder = folder.join(node.number.to_string());
        let made = document(&succeeds(&mut with_passphrase(passphrase, &INIT, &node.folder)?)?)?;
        let key = made["public_key"].as_str().context("a key")?.parse()?;
        keys.insert(node.public_key, key);
        node.public_key = key;
        ensure!(node.config()?.passphrase.file.is_none(), "a file with the passphrase is named");
    }
    let members: Vec<String> = keys.values().map(ToString::to_string).collect();
    let create = ["network", "create", "--threshold", "2", "--member", &members.join(","), "--out"];
    let output = countersign(create.iter().map(OsStr::new).chain([genesis.as_os_str()]))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    network.genesis = serde_json::from_str(&fs::read_to_string(&genesis)?)?;

    for (node, passphrase) in network.nodes.iter().zip(passphrases) {
        let genesis = genesis.to_str().context("a path")?;
        let join = ["node", "join", "--weak-passphrase", "--genesis", genesis];
        succeeds(&mut with_passphrase(passphrase, &join, &node.folder)?)?;
        let template = network.plan.folder.join(format!("nodes/{}/node.toml", node.number));
        let mut config: NodeConfig = toml::from_str(&fs::read_to_string(template)?)?;
        config.passphrase = PassphraseConfig::default();
        config.network.peers =
            config.network.peers.into_iter().map(|(key, addresses)| (keys[&key], addresses)).collect();
        node.write_config(&config)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_take_the_passphrase_from_their_environment() -> Result<()> {
    const PASSPHRASES: [&str; 2] = ["correct horse battery staple", "another one"];
    const RUN: [&str; 4] = ["--json", "node", "run", "--config"];
    let mut network = made(2, 2)?;
    let folder = TempDir::new()?;
    made_by_environment(&mut network, folder.path(), &PASSPHRASES)?;

    // not without it, nor with another's
    let file = config_file(&network.nodes[0]);
    says(&fails(&file)?, &["no passphrase", "COUNTERSIGN_PASSPHRASE"])?;
    let output = with_passphrase(PASSPHRASES[1], &RUN, &file)?.output()?;
    ensure!(output.status.code() == Some(INVALID), "{}", output.status);
    says(&String::from_utf8_lossy(&output.stderr), &["passphrase does not open"])?;

    let logs = network.plan.folder.join("logs");
    for (node, passphrase) in network.nodes.iter_mut().zip(PASSPHRASES) {
        let mut run = with_passphrase(passphrase, &RUN, &config_file(node))?;
        let (name, log) = (format!("node {}", node.number), logs.join(format!("node{}.log", node.number)));
        node.process = Some(Process::start(&name, &mut run, &log)?);
    }
    network.wait_ready().await?;
    let lock = network.time_lock().await?;
    network.signed(0, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.stop()
}
