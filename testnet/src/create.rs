//! How a test network comes about: identities, genesis, databases and configurations, made by the program itself.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
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
use rustix::io::{FdFlags, fcntl_setfd};

use crate::{
    outside::{APPROVALS, PRICES},
    settings::{self, CHAIN_ID, Plan, Ports, Settings},
};

/// What a network that is not finished consists of.
const UNFINISHED: [&str; 3] = ["nodes", "genesis.json", settings::FILE];
/// How long others may go on at a network that is not finished.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// The folder of a node, by its number from 1, which is that of the member.
pub(crate) fn node_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("nodes/{number}"))
}

/// Makes a network in its folder. It is made beside it and moved there when it is whole, so that what is
/// interrupted leaves nothing half done.
pub(crate) fn create(plan: &Plan) -> Result<Settings> {
    let folder = &plan.folder;
    remove_unfinished(folder)?;
    ensure!(
        Settings::load(folder)?.is_none(),
        "another `testnet/up` has just made a network in {}: see `testnet/status`",
        folder.display()
    );
    let in_use = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!in_use, "{} is not empty and holds no test network: choose another folder", folder.display());
    let settings = Settings::choose(plan)?;
    let beside = Workplace::make(folder)?;
    let at_work = Plan { folder: beside.path.clone(), ..plan.clone() };
    let made = fill(&at_work, &settings).and_then(|()| settings.save(&beside.path));
    if let Err(error) = made {
        // passphrases lie in it
        let _ = fs::remove_dir_all(&beside.path);
        return Err(error);
    }
    fs::rename(&beside.path, folder)
        .with_context(|| format!("cannot move {} to {}", beside.path.display(), folder.display()))?;
    Ok(settings)
}

/// Removes what is left of a network that was to be made in this folder, where whoever made it was interrupted; says where it lay.
/// A folder of that name in which something else lies is left alone.
pub fn remove_unfinished(folder: &Path) -> Result<Option<PathBuf>> {
    let Some(Workplace { path, .. }) = Workplace::find(folder, PATIENCE)? else { return Ok(None) };
    for entry in fs::read_dir(&path)? {
        let name = entry?.file_name();
        if !UNFINISHED.iter().any(|unfinished| name == *unfinished) {
            return Ok(None);
        }
    }
    fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(Some(path))
}

/// The folder in which a network is made, beside its own, for one that makes it at a time.
struct Workplace {
    path: PathBuf,
    /// Held by programs too that are run here: they may outlive whoever has started them.
    _lock: File,
}

impl Workplace {
    fn make(folder: &Path) -> Result<Self> {
        let path = beside(folder)?;
        ensure!(!path.exists(), "{} is in the way: move it, or choose another folder", path.display());
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let lock = File::open(&path)?;
        lock.try_lock().with_context(|| busy(&path))?;
        fcntl_setfd(&lock, FdFlags::empty())?;
        Ok(Self { path, _lock: lock })
    }

    /// One that is there, once nobody is at work in it.
    fn find(folder: &Path, patience: Duration) -> Result<Option<Self>> {
        let path = beside(folder)?;
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
        };
        let until = Instant::now() + patience;
        while let Err(error) = lock.try_lock() {
            if Instant::now() >= until {
                return Err(error).with_context(|| busy(&path));
            }
            thread::sleep(POLL);
        }
        // whoever was at work may have finished it, or taken it away
        Ok(path.is_dir().then_some(Self { path, _lock: lock }))
    }
}

fn beside(folder: &Path) -> Result<PathBuf> {
    let name = folder.file_name().with_context(|| format!("{} has no name", folder.display()))?;
    Ok(folder.with_file_name([name, OsStr::new(".new")].join(OsStr::new(""))))
}

fn busy(path: &Path) -> String {
    format!("another `testnet/up` is making a network in {}", path.display())
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
    let keys = in_order(&plan.folder, keys)?;
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

/// Renames the folders of nodes, whose keys these are by number, so that node n is member n of the genesis, which sorts members by
/// key. Returns the keys in their order.
fn in_order(folder: &Path, keys: Vec<NodePublicKey>) -> Result<Vec<NodePublicKey>> {
    let unsorted = |number: usize| folder.join(format!("nodes/unsorted-{number}"));
    let mut numbered: Vec<(NodePublicKey, usize)> = keys.into_iter().zip(1..).collect();
    numbered.sort();
    for (_, number) in &numbered {
        fs::rename(node_folder(folder, *number), unsorted(*number))?;
    }
    for ((_, made), number) in numbered.iter().zip(1..) {
        fs::rename(unsorted(*made), node_folder(folder, number))?;
    }
    Ok(numbered.into_iter().map(|(key, _)| key).collect())
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

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use countersign_types::{Committee, NodeKey};

    use super::*;

    #[test]
    fn what_was_not_finished_is_removed_and_nothing_else() {
        for (file, goes) in [
            ("nodes/1/passphrase", true),
            ("genesis.json", true),
            ("nodes/letter.txt", true),
            ("letter.txt", false),
        ] {
            let parent = tempfile::tempdir().expect("a folder");
            let (folder, beside) = (parent.path().join("network"), parent.path().join("network.new"));
            fs::create_dir_all(beside.join("nodes/1")).expect("made");
            fs::write(beside.join(file), "dear reader").expect("written");
            let removed = remove_unfinished(&folder).expect("nobody is at work");
            assert_eq!(removed.as_deref(), goes.then_some(&*beside), "{file}");
            assert_eq!(beside.exists(), !goes, "{file}");
            assert_eq!(
                Workplace::make(&folder).is_ok(),
                goes,
                "{file}: somebody else's would be mixed with it"
            );
            assert_eq!(beside.join(file).exists(), !goes, "{file}");
        }
        let parent = tempfile::tempdir().expect("a folder");
        assert_eq!(remove_unfinished(&parent.path().join("network")).expect("nothing is there"), None);
    }

    #[test]
    fn what_somebody_is_at_work_at_is_waited_for() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("network");
        let (mut child, beside) = {
            let work = Workplace::make(&folder).expect("nobody is at work");
            // as a program does whose `up` was killed
            let mut command = Command::new("cat");
            let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat runs");
            (child, work.path.clone())
        };
        let error = Workplace::find(&folder, Duration::ZERO).err().expect("the program is still at work");
        assert!(error.to_string().contains("another `testnet/up`"), "{error}");
        assert!(beside.exists());
        drop(child.stdin.take());
        child.wait().expect("cat ends");
        assert_eq!(remove_unfinished(&folder).expect("nobody is at work"), Some(beside));
    }

    #[test]
    fn nodes_are_numbered_as_the_members_of_the_genesis() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path();
        let key = |number: u8| NodeKey::from_bytes([number; 32]).expect("a scalar").public_key();
        let keys: Vec<NodePublicKey> = (1..=5).map(key).collect();
        for (key, number) in keys.iter().zip(1..) {
            let node = node_folder(folder, number);
            fs::create_dir_all(&node).expect("made");
            fs::write(node.join("public-key"), key.to_string()).expect("written");
        }
        let sorted = in_order(folder, keys.clone()).expect("renamed");
        let committee = Committee::new(keys, 3).expect("a committee");
        assert_eq!(sorted, committee.members());
        for (key, number) in sorted.iter().zip(1..) {
            let path = node_folder(folder, number).join("public-key");
            assert_eq!(fs::read_to_string(path).expect("it is there"), key.to_string());
        }
        assert_eq!(fs::read_dir(folder.join("nodes")).expect("a folder").count(), 5);
    }

    /// Passphrases may lie in it.
    #[test]
    fn what_was_not_finished_in_the_default_folder_is_in_no_commit_and_no_image() {
        let git = include_str!("../../.gitignore");
        let docker = include_str!("../../deploy/Dockerfile.dockerignore");
        let name = beside(Path::new(".testnet")).expect("it has a name").display().to_string();
        assert!(git.lines().any(|line| line == format!("/{name}")), "{git}");
        assert!(docker.lines().any(|line| line == name), "{docker}");
    }
}
