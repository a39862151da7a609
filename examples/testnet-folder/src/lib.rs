//! What the examples need of a test network: who answers, what to trust, people's keys, and how an action gets there.
//!
//! `./testnet/up` leaves all of that in one folder. A program for a real network takes nodes and genesis from its own
//! configuration; the rest of an example stays as it is.

mod ask;

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use countersign_client::{Client, ClientConfig, LocalSigner, Trust, Url};
use countersign_types::{Address, B256, Genesis, RootKeys};
use rand_core::{OsRng, RngCore};
use serde::{Deserialize, de::DeserializeOwned};

pub use ask::{Asked, Source, ask, key, manifest, now_ms, now_seconds, publish};

/// The longest that a call takes.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What to do where there is no network.
const START: &str = "start a test network with `./testnet/up --detach`, or name its folder with --network or COUNTERSIGN_TESTNET";

/// Where the network is, on the command line.
#[derive(Debug, Clone, Args)]
pub struct NetworkArgument {
    /// The folder of a test network that runs, as `./testnet/up --detach` leaves it.
    #[arg(long = "network", global = true, env = "COUNTERSIGN_TESTNET", default_value = ".testnet")]
    folder: PathBuf,
}

impl NetworkArgument {
    /// Opens the folder.
    pub fn open(&self) -> Result<Folder> {
        Folder::open(&self.folder)
    }
}

/// A test network's folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    genesis: Genesis,
    settings: Settings,
}

/// What is read of the network's settings.
#[derive(Debug, Deserialize)]
struct Settings {
    nodes: Vec<Ports>,
    token: Option<Address>,
}

#[derive(Debug, Deserialize)]
struct Ports {
    api: u16,
}

impl Folder {
    /// Reads what lies in the folder. Asks nobody.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join("genesis.json").exists() {
            bail!("there is no network in {}: {START}", path.display());
        }
        let settings = json(&path.join("settings.json"))?;
        Ok(Self { path: path.to_owned(), genesis: json(&path.join("genesis.json"))?, settings })
    }

    /// The genesis: the only thing that is trusted.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The nodes' addresses.
    pub fn nodes(&self) -> Result<Vec<Url>> {
        let url = |node: &Ports| Ok(format!("http://127.0.0.1:{}", node.api).parse()?);
        self.settings.nodes.iter().map(url).collect()
    }

    /// A client of all nodes, which has its root keys from the folder and so need not ask for them.
    pub fn client(&self) -> Result<Client> {
        let nodes = self.nodes()?;
        let config = ClientConfig { nodes, genesis: self.genesis.clone(), timeout: TIMEOUT };
        Ok(Client::new(config)?.with_root_keys(self.root_keys()?)?)
    }

    /// What signatures and keys are held against, without asking anybody.
    pub fn trust(&self) -> Result<Trust> {
        Ok(Trust::new(&self.genesis, self.root_keys()?)?)
    }

    fn root_keys(&self) -> Result<RootKeys> {
        let path = |node: usize| self.path.join(format!("nodes/{}/data/root-keys.json", node + 1));
        let found = (0..self.settings.nodes.len()).map(path).find(|path| path.exists());
        json(&found.with_context(|| format!("the nodes have no keys yet: {START}"))?)
    }

    /// The test token on the dev chain.
    pub fn token(&self) -> Result<Address> {
        self.settings.token.with_context(|| format!("the network's chain has no token: {START}"))
    }

    /// Whether somebody has a key here.
    pub fn knows(&self, name: &str) -> bool {
        self.key_file(name).exists()
    }

    fn key_file(&self, name: &str) -> PathBuf {
        self.path.join(format!("keys/{name}.key"))
    }

    /// Somebody's key, by name; drawn when it is first asked for, and then kept beside the network's own.
    pub fn signer(&self, name: &str) -> Result<LocalSigner> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || !name.chars().all(is_name) {
            bail!("{name:?} is no name: letters, digits and hyphens make one");
        }
        let path = self.key_file(name);
        if !path.exists() {
            draw(&path)?;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let bytes: B256 =
            text.trim().parse().with_context(|| format!("{} is no key: 0x and 64 digits", path.display()))?;
        Ok(LocalSigner::from_bytes(bytes.0)?)
    }
}

/// Draws a key into a new file that only its owner can read.
fn draw(path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut bytes = B256::ZERO;
    OsRng.fill_bytes(bytes.as_mut_slice());
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| writeln!(file, "{bytes}"))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Reads a JSON file.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what was expected", path.display()))
}
