//! How a test network comes about: identities, genesis, databases and configurations, made by the program itself.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use countersign_chain::{ChainConfig, ProviderConfig};
use countersign_egress::{EgressConfig, OpenName};
use countersign_node::{
    NodeConfig, PassphraseConfig, ReceiptsConfig,
    config::{ActionsConfig, Anybody, Publishers},
};
use countersign_types::{Bytes, NodePublicKey};
use rand_core::{OsRng, RngCore};

use crate::{
    outside::{APPROVALS, PRICES},
    settings::{CHAIN_ID, Plan, Ports, Settings},
};

/// The folder of a node, by its number from 1.
pub(crate) fn node_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("nodes/{number}"))
}

/// Makes a network in its folder. It is made beside it and moved there when it is whole, so that what is
/// interrupted leaves nothing half done.
pub(crate) fn create(plan: &Plan) -> Result<Settings> {
    let folder = &plan.folder;
    let in_use = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!in_use, "{} is not empty and holds no test network: choose another folder", folder.display());
    let name = folder.file_name().with_context(|| format!("{} has no name", folder.display()))?;
    let beside = folder.with_file_name([name, OsStr::new(".new")].join(OsStr::new("")));
    if beside.exists() {
        fs::remove_dir_all(&beside).with_context(|| format!("cannot remove {}", beside.display()))?;
    }
    let settings = Settings::choose(plan)?;
    fs::create_dir_all(&beside).with_context(|| format!("cannot make {}", beside.display()))?;
    fill(&Plan { folder: beside.clone(), ..plan.clone() }, &settings)?;
    settings.save(&beside)?;
    fs::rename(&beside, folder)
        .with_context(|| format!("cannot move {} to {}", beside.display(), folder.display()))?;
    Ok(settings)
}

/// Makes identities, genesis, databases and configurations, with the program itself.
fn fill(plan: &Plan, settings: &Settings) -> Result<()> {
    let mut keys: Vec<NodePublicKey> = Vec::new();
    for number in 1..=settings.nodes.len() {
        let folder = node_folder(&plan.folder, number);
        fs::create_dir_all(&folder)?;
        let mut passphrase = [0; 24];
        OsRng.fill_bytes(&mut passphrase);
        let file = folder.join("passphrase");
        write_private(&file, &format!("{}\n", Bytes::copy_from_slice(&passphrase)))?;
        countersign(plan, &["node", "init", "--weak-passphrase", "--passphrase-file"], &[&file, &folder])?;
        keys.push(fs::read_to_string(folder.join("public-key"))?.trim().parse()?);
    }
    let members: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let genesis = plan.folder.join("genesis.json");
    let (threshold, chain) = (settings.threshold.to_string(), CHAIN_ID.to_string());
    countersign(
        plan,
        &[
            "network",
            "create",
            "--threshold",
            &threshold,
            "--chain",
            &chain,
            "--member",
            &members.join(","),
            "--out",
        ],
        &[&genesis],
    )?;
    for (index, ports) in settings.nodes.iter().enumerate() {
        let folder = node_folder(&plan.folder, index + 1);
        let config = node_config(settings, &keys, ports)?;
        fs::write(folder.join("node.toml"), toml::to_string_pretty(&config)?)?;
        let file = folder.join("passphrase");
        countersign(
            plan,
            &["node", "join", "--weak-passphrase", "--passphrase-file"],
            &[&file, Path::new("--genesis"), &genesis, &folder],
        )?;
    }
    Ok(())
}

fn node_config(settings: &Settings, keys: &[NodePublicKey], ports: &Ports) -> Result<NodeConfig> {
    let addresses = |port: u16| -> Result<Vec<_>> {
        Ok(vec![
            format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse()?,
            format!("/ip4/127.0.0.1/tcp/{port}").parse()?,
        ])
    };
    let peers = keys
        .iter()
        .zip(&settings.nodes)
        .map(|(key, ports)| Ok((*key, addresses(ports.peers)?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let network =
        countersign_network::Config { listen: addresses(ports.peers)?, peers, ..Default::default() };
    let api = countersign_api::Config { listen: ([127, 0, 0, 1], ports.api).into(), ..Default::default() };
    let provider = ProviderConfig::new("anvil", format!("http://127.0.0.1:{}", settings.chain_port));
    let mut chain = ChainConfig::new(CHAIN_ID, vec![provider]);
    // a final block a second, two slots to an epoch: two steps are four blocks, as many as a busy machine is late
    chain.finality_step_blocks = 8;
    chain.poll_interval_ms = 500;
    Ok(NodeConfig {
        data: "data".into(),
        genesis: "genesis.json".into(),
        identity: "identity.sealed".into(),
        passphrase: PassphraseConfig { file: Some("passphrase".into()) },
        log: Default::default(),
        network,
        api,
        chains: vec![chain],
        receipts: ReceiptsConfig::default(),
        actions: ActionsConfig { publishers: Publishers::Word(Anybody::Anybody), ..Default::default() },
        egress: EgressConfig { open: open_names(settings, ports), ..Default::default() },
        debug: Default::default(),
    })
}

/// The services of the outside world, as one node sees them.
fn open_names(settings: &Settings, ports: &Ports) -> Vec<OpenName> {
    [(PRICES, ports.prices), (APPROVALS, settings.approvals_port)]
        .into_iter()
        .map(|(name, port)| open_name(name, ([127, 0, 0, 1], port).into()))
        .collect()
}

/// A name that a node finds at an address of this machine, without TLS.
pub fn open_name(name: &str, address: SocketAddr) -> OpenName {
    OpenName { name: name.into(), address, plain_http: true }
}

fn countersign(plan: &Plan, arguments: &[&str], paths: &[&Path]) -> Result<String> {
    let output = Command::new(&plan.program)
        .args(arguments)
        .args(paths)
        .output()
        .with_context(|| format!("cannot run {}", plan.program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let command: Vec<&str> =
        arguments.iter().filter(|word| !word.starts_with('-')).take(2).copied().collect();
    ensure!(
        output.status.success(),
        "`countersign {}` failed ({}): {said}",
        command.join(" "),
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Writes a file that must not exist and that only this user may read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
