//! A network of real processes.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use countersign_chain::{ChainConfig, ProviderConfig};
use countersign_client::{LocalSigner, RequestSigner, Trust, sign_publication};
use countersign_node::{
    NodeConfig, PassphraseConfig,
    config::{ActionsConfig, Anybody, Publishers},
};
use countersign_types::{
    ActionId, Address, B256, Bytes, ComponentDigest, Genesis, Limits, Manifest, NodePublicKey, PublishAction,
    RootKeys, action::PublishedAction, api::ActionInfo,
};
use rand_core::{OsRng, RngCore};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use crate::{
    chain,
    process::{Process, Record},
    rpc::Rpc,
    settings::{CHAIN_ID, Plan, Settings},
};

/// How long nodes may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(90);
/// How long a node may take to end: sessions under way are let go on for ten seconds.
const END_PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(25);
const STATE_FILE: &str = "state.json";

/// One node: its folder, and its process while it runs.
pub struct Node {
    /// From 1.
    pub number: usize,
    /// Its folder.
    pub folder: PathBuf,
    /// Its identity.
    pub public_key: NodePublicKey,
    /// Its HTTP interface.
    pub api: String,
    /// Its process, while it runs.
    pub process: Option<Process>,
    log: PathBuf,
    program: PathBuf,
}

impl Node {
    /// Starts the process; does nothing while it runs.
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let mut command = Command::new(&self.program);
        command.args(["node", "run", "--config"]).arg(self.folder.join("node.toml"));
        // the test network's own settings, whatever this shell has set
        command.env_remove("RUST_LOG").env_remove("COUNTERSIGN_PASSPHRASE");
        self.process = Some(Process::start(&format!("node {}", self.number), &mut command, &self.log)?);
        Ok(())
    }

    /// Kills the process at once (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Lets the process end by itself (SIGTERM); fails if it does not end with success.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.wait_end()
    }

    /// Waits until a process that was told to end has done so; fails if it does not end with success.
    fn wait_end(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = process.wait(END_PATIENCE)?;
        ensure!(status.success(), "node {} ended with {status}", self.number);
        Ok(())
    }

    /// Sends any signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(signal))
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its configuration.
    pub fn config(&self) -> Result<NodeConfig> {
        let text = fs::read_to_string(self.folder.join("node.toml"))?;
        Ok(toml::from_str(&text)?)
    }

    /// Writes its configuration; it counts from the next start.
    pub fn write_config(&self, config: &NodeConfig) -> Result<()> {
        Ok(fs::write(self.folder.join("node.toml"), toml::to_string_pretty(config)?)?)
    }
}

/// A test network.
pub struct Network {
    /// What it was asked to be.
    pub plan: Plan,
    /// What was chosen.
    pub settings: Settings,
    /// Its genesis.
    pub genesis: Genesis,
    /// The nodes, in the order of their numbers.
    pub nodes: Vec<Node>,
    /// The dev chain, while it runs.
    pub anvil: Option<Process>,
    /// Calls to the nodes.
    pub rpc: Rpc,
}

impl Network {
    /// Opens the network of a folder, or makes one. Starts nothing.
    pub fn open(plan: Plan) -> Result<Self> {
        fs::create_dir_all(plan.folder.join("logs"))?;
        let settings = match Settings::load(&plan.folder)? {
            Some(settings) => settings,
            None => {
                let settings = Settings::choose(&plan)?;
                create(&plan, &settings)?;
                settings.save(&plan.folder)?;
                settings
            }
        };
        settings.check(&plan)?;
        let genesis: Genesis = serde_json::from_str(&fs::read_to_string(plan.folder.join("genesis.json"))?)?;
        let nodes = settings
            .nodes
            .iter()
            .enumerate()
            .map(|(index, ports)| {
                let number = index + 1;
                let folder = node_folder(&plan.folder, number);
                let public_key = fs::read_to_string(folder.join("public-key"))?.trim().parse()?;
                Ok(Node {
                    number,
                    folder,
                    public_key,
                    api: format!("http://127.0.0.1:{}", ports.api),
                    process: None,
                    log: plan.folder.join(format!("logs/node{number}.log")),
                    program: plan.program.clone(),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { plan, settings, genesis, nodes, anvil: None, rpc: Rpc::new()? })
    }

    /// The dev chain's endpoint.
    pub fn chain_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.settings.chain_port)
    }

    /// The token's address.
    pub fn token(&self) -> Result<Address> {
        self.settings.token.context("the token is not deployed")
    }

    /// Starts the dev chain, and deploys the token where it is not there.
    pub async fn start_chain(&mut self) -> Result<()> {
        let state = self.plan.folder.join("chain.json");
        let log = self.plan.folder.join("logs/anvil.log");
        let mut anvil = chain::start(self.settings.chain_port, &state, &log)?;
        let url = self.chain_url();
        chain::wait(&url, &mut anvil).await?;
        self.anvil = Some(anvil);
        let deployed = match self.settings.token {
            Some(token) => chain::has_token(&url, token).await?,
            None => false,
        };
        if !deployed {
            self.settings.token = Some(chain::deploy_token(&url).await?);
            self.settings.save(&self.plan.folder)?;
        }
        self.save_state()
    }

    /// Starts all nodes.
    pub fn start_nodes(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.start()?;
        }
        self.save_state()
    }

    /// Waits until every running node says that it can sign, with all members connected.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let running = self.nodes.iter().filter(|node| node.process.is_some()).count();
        let until = Instant::now() + READY_PATIENCE;
        for index in 0..self.nodes.len() {
            loop {
                let node = &mut self.nodes[index];
                let Some(process) = node.process.as_mut() else { break };
                process.check()?;
                let api = node.api.clone();
                let state = match self.rpc.network(&api).await {
                    Ok(info) => {
                        let connected = info.members.iter().filter(|member| member.connected).count();
                        if info.ready && connected >= running {
                            break;
                        }
                        info.not_ready.unwrap_or(format!("{connected} of {running} members are connected"))
                    }
                    Err(error) => error.to_string(),
                };
                if Instant::now() >= until {
                    bail!("node {} is not ready: {state}", index + 1);
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Starts everything and waits until it is ready.
    pub async fn start(&mut self) -> Result<()> {
        self.start_chain().await?;
        self.start_nodes()?;
        self.wait_ready().await
    }

    /// Publishes an action that comes with the project.
    pub async fn publish(&self, name: &str) -> Result<ActionInfo> {
        let (manifest, component) = action(name)?;
        self.publish_component(0, manifest, component).await
    }

    /// Publishes any action to one node, as the test network's publisher.
    pub async fn publish_component(
        &self,
        node: usize,
        manifest: Manifest,
        component: Bytes,
    ) -> Result<ActionInfo> {
        let signer = self.key("publisher")?;
        let publish = PublishAction { manifest, publisher: signer.address(), issued_at: now_ms() };
        let signed = sign_publication(publish, self.genesis.network_id(), &signer)?;
        let body = PublishedAction { signed, component };
        let answer = self.rpc.post(&format!("{}/v1/actions", self.nodes[node].api), &body).await?;
        ensure!(answer.status == 200, "publication failed: {}", answer.body);
        answer.json()
    }

    /// Waits until every running node stores an action.
    pub async fn wait_replicated(&self, action: ActionId) -> Result<()> {
        let until = Instant::now() + READY_PATIENCE;
        for node in self.nodes.iter().filter(|node| node.process.is_some()) {
            loop {
                let answer = self.rpc.get(&format!("{}/v1/actions/{action}", node.api)).await?;
                if answer.status == 200 {
                    break;
                }
                ensure!(Instant::now() < until, "node {} does not get action {action}", node.number);
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Waits until every running node has seen that a block of the dev chain is final.
    pub async fn wait_final_view(&self, block: u64) -> Result<()> {
        let name = format!("countersign_chain_final_block{{chain=\"{CHAIN_ID}\"}}");
        let until = Instant::now() + READY_PATIENCE;
        for node in self.nodes.iter().filter(|node| node.process.is_some()) {
            while self.rpc.metric(&node.api, &name).await? < block as f64 {
                ensure!(Instant::now() < until, "node {} does not see block {block} final", node.number);
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// The root keys, checked against the genesis.
    pub async fn trust(&self) -> Result<Trust> {
        let node = self.nodes.iter().find(|node| node.process.is_some()).context("no node runs")?;
        let info = self.rpc.network(&node.api).await?;
        let root_keys: RootKeys = info.root_keys.context("no root keys yet")?;
        Ok(Trust::new(&self.genesis, root_keys)?)
    }

    /// A named key of the test network: made on first use.
    pub fn key(&self, name: &str) -> Result<LocalSigner> {
        let path = self.key_file(name);
        if !path.exists() {
            fs::create_dir_all(path.parent().context("a folder")?)?;
            let mut bytes = B256::ZERO;
            OsRng.fill_bytes(bytes.as_mut_slice());
            write_private(&path, &format!("{bytes}\n"))?;
        }
        let text = fs::read_to_string(&path)?;
        let bytes: B256 = text.trim().parse()?;
        Ok(LocalSigner::from_bytes(bytes.0)?)
    }

    /// Where a named key lies.
    pub fn key_file(&self, name: &str) -> PathBuf {
        self.plan.folder.join(format!("keys/{name}.key"))
    }

    /// Stops everything that runs, nodes first.
    pub fn stop(&mut self) -> Result<()> {
        for node in &self.nodes {
            node.signal(Signal::TERM)?;
        }
        let mut failed = None;
        for node in &mut self.nodes {
            // signalled above: a second signal would end it at once
            if let Err(error) = node.wait_end() {
                failed.get_or_insert(error);
            }
        }
        if let Some(mut anvil) = self.anvil.take() {
            anvil.terminate()?;
        }
        // what was recorded has ended
        let _ = fs::remove_file(self.plan.folder.join(STATE_FILE));
        failed.map_or(Ok(()), Err)
    }

    /// Leaves everything running when this value is dropped.
    pub fn detach(&mut self) {
        let nodes = self.nodes.iter_mut().filter_map(|node| node.process.as_mut());
        for process in nodes.chain(self.anvil.as_mut()) {
            process.detach();
        }
    }

    fn save_state(&self) -> Result<()> {
        let nodes = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let records: Vec<&Record> = nodes.chain(self.anvil.as_ref()).map(Process::record).collect();
        let text = serde_json::to_string_pretty(&records)? + "\n";
        Ok(fs::write(self.plan.folder.join(STATE_FILE), text)?)
    }
}

/// What a folder's network left running.
pub fn running(folder: &Path) -> Result<Vec<Record>> {
    let path = folder.join(STATE_FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let records: Vec<Record> = serde_json::from_str(&fs::read_to_string(&path)?)?;
    Ok(records.into_iter().filter(Record::is_alive).collect())
}

/// An action that comes with the project: manifest and component.
pub fn action(name: &str) -> Result<(Manifest, Bytes)> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        name: String,
        #[serde(default)]
        hosts: Vec<String>,
        #[serde(default)]
        chains: Vec<u64>,
        #[serde(default)]
        limits: Limits,
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../actions").join(name);
    let file: File = toml::from_str(&fs::read_to_string(folder.join("manifest.toml"))?)?;
    let component = fs::read(folder.join(format!("{name}.wasm")))
        .with_context(|| format!("the action {name} is not built: run `cargo xtask actions`"))?;
    let manifest = Manifest {
        name: file.name,
        component: ComponentDigest::of(&component),
        script: B256::ZERO,
        hosts: file.hosts,
        chains: file.chains,
        limits: file.limits,
    };
    Ok((manifest, component.into()))
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn node_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("nodes/{number}"))
}

/// Makes identities, genesis, databases and configurations, with the program itself.
fn create(plan: &Plan, settings: &Settings) -> Result<()> {
    let mut keys: Vec<NodePublicKey> = Vec::new();
    for number in 1..=settings.nodes.len() {
        let folder = node_folder(&plan.folder, number);
        fs::create_dir_all(&folder)?;
        let mut passphrase = [0; 24];
        OsRng.fill_bytes(&mut passphrase);
        let file = folder.join("passphrase");
        write_private(&file, &format!("{}\n", Bytes::copy_from_slice(&passphrase)))?;
        let made = countersign(
            plan,
            &["--json", "node", "init", "--weak-passphrase", "--passphrase-file"],
            &[&file, &folder],
        )?;
        let made: serde_json::Value = serde_json::from_str(&made)?;
        let key = made["public_key"].as_str().context("no public key")?;
        fs::write(folder.join("public-key"), format!("{key}\n"))?;
        keys.push(key.parse()?);
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

fn node_config(
    settings: &Settings,
    keys: &[NodePublicKey],
    ports: &crate::settings::Ports,
) -> Result<NodeConfig> {
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
        passphrase: PassphraseConfig { file: Some("passphrase".into()) },
        log: Default::default(),
        network,
        api,
        chains: vec![chain],
        actions: ActionsConfig { publishers: Publishers::Word(Anybody::Anybody), ..Default::default() },
    })
}

fn countersign(plan: &Plan, arguments: &[&str], paths: &[&Path]) -> Result<String> {
    let output = Command::new(&plan.program)
        .args(arguments)
        .args(paths)
        .output()
        .with_context(|| format!("cannot run {}", plan.program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "countersign {} failed: {said}", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
