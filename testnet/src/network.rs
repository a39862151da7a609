//! A network of real processes.

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use countersign_client::{LocalSigner, RequestSigner, Trust, sign_publication};
use countersign_types::{
    ActionId, Address, B256, EngineId, Genesis, Limits, Manifest, PublishAction, RootKeys,
    action::{Content, ManifestSource, PublishedAction},
    api::ActionInfo,
};
use rand_core::{OsRng, RngCore};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

pub use crate::node::Node;
use crate::{
    chain,
    create::{create, node_folder, write_private},
    process::{Process, Record},
    rpc::{Answer, Rpc},
    settings::{CHAIN_ID, Plan, Settings},
};

/// How long nodes may take to be ready.
const READY_PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(25);
const STATE_FILE: &str = "state.json";
/// Names the program `testnet` that the network was started with: the scripts run it from a shell with another target folder too.
const PROGRAM_FILE: &str = "program";

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
    /// The services of the outside world, while they run.
    pub outside: Option<Process>,
    /// Calls to the nodes.
    pub rpc: Rpc,
}

impl Network {
    /// Opens the network of a folder, or makes one. Starts nothing.
    pub fn open(plan: Plan) -> Result<Self> {
        plan.check()?;
        let settings = match Settings::load(&plan.folder)? {
            Some(settings) => settings,
            None => create(&plan)?,
        };
        settings.check(&plan)?;
        fs::create_dir_all(plan.folder.join("logs"))?;
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
        Ok(Self { plan, settings, genesis, nodes, anvil: None, outside: None, rpc: Rpc::new()? })
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

    /// Starts the services that actions read over HTTP.
    pub async fn start_outside(&mut self) -> Result<()> {
        let prices: Vec<String> = self.settings.nodes.iter().map(|ports| ports.prices.to_string()).collect();
        let approvals = self.settings.approvals_port.to_string();
        let mut command = Command::new(self.plan.program.with_file_name("testnet"));
        command.args(["outside", "--prices", &prices.join(","), "--approvals", &approvals]);
        let log = self.plan.folder.join("logs/outside.log");
        let mut outside = Process::start("services", &mut command, &log)?;
        let until = Instant::now() + READY_PATIENCE;
        while self.rpc.get(&self.approval_url("ready")).await.is_err() {
            outside
                .check()
                .context("a port may be taken: free it, or choose anew with `testnet/down --purge`")?;
            ensure!(Instant::now() < until, "the services do not answer");
            sleep(POLL).await;
        }
        self.outside = Some(outside);
        self.save_state()
    }

    /// Where a request is approved, by its digest.
    pub fn approval_url(&self, digest: impl std::fmt::Display) -> String {
        format!("http://127.0.0.1:{}/requests/{digest}", self.settings.approvals_port)
    }

    /// Starts all nodes.
    pub fn start_nodes(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.start()?;
        }
        self.save_state()
    }

    /// What a node that has been started runs actions with, as soon as it answers.
    pub async fn engine(&self, node: usize) -> Result<EngineId> {
        let until = Instant::now() + READY_PATIENCE;
        loop {
            match self.rpc.network(&self.nodes[node].api).await {
                Ok(info) => return Ok(info.engine),
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => sleep(POLL).await,
            }
        }
    }

    /// Fails if a node that was started is no longer running.
    fn check_nodes(&mut self) -> Result<()> {
        self.nodes.iter_mut().filter_map(|node| node.process.as_mut()).try_for_each(Process::check)
    }

    /// Waits until every running node says that it can sign, with all members connected.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let running = self.nodes.iter().filter(|node| node.process.is_some()).count();
        let until = Instant::now() + READY_PATIENCE;
        for index in 0..self.nodes.len() {
            loop {
                self.check_nodes()?;
                let node = &self.nodes[index];
                let Some(process) = &node.process else { break };
                let state = match self.rpc.network(&node.api).await {
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
                    bail!("node {} is not ready: {state}: {}", index + 1, process.last_lines(8));
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Starts everything and waits until it is ready.
    pub async fn start(&mut self) -> Result<()> {
        self.start_chain().await?;
        self.start_outside().await?;
        self.start_nodes()?;
        self.wait_ready().await
    }

    /// Publishes an action that comes with the project.
    pub async fn publish(&self, name: &str) -> Result<ActionInfo> {
        let (manifest, content) = action(name)?;
        self.publish_content(0, manifest, content).await
    }

    /// Publishes any action to one node, as the test network's publisher.
    pub async fn publish_content(
        &self,
        node: usize,
        manifest: Manifest,
        content: Content,
    ) -> Result<ActionInfo> {
        let answer = self.post_action(node, manifest, content).await?;
        ensure!(answer.status == 200, "publication failed: {}", answer.body);
        answer.json()
    }

    /// Publishes any action to one node, and returns what it answers.
    pub async fn post_action(&self, node: usize, manifest: Manifest, content: Content) -> Result<Answer> {
        let signer = self.key("publisher")?;
        let publish = PublishAction { manifest, publisher: signer.address(), issued_at: now_ms() };
        let signed = sign_publication(publish, self.genesis.network_id(), &signer)?;
        let body = PublishedAction::new(signed, content);
        self.rpc.post(&format!("{}/v1/actions", self.nodes[node].api), &body).await
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
        for node in self.nodes.iter().filter(|node| node.process.is_some()) {
            self.wait_final_at(node, block).await?;
        }
        Ok(())
    }

    /// Waits until one node has seen that a block of the dev chain is final.
    pub async fn wait_final_at(&self, node: &Node, block: u64) -> Result<()> {
        let until = Instant::now() + READY_PATIENCE;
        while self.final_view(node).await? < block {
            ensure!(Instant::now() < until, "node {} does not see block {block} final", node.number);
            sleep(POLL).await;
        }
        Ok(())
    }

    /// The final block of the dev chain in a node's view; 0 where it has none.
    pub async fn final_view(&self, node: &Node) -> Result<u64> {
        let name = format!("countersign_chain_final_block{{chain=\"{CHAIN_ID}\"}}");
        Ok(self.rpc.metric(&node.api, &name).await? as u64)
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
        for mut process in self.outside.take().into_iter().chain(self.anvil.take()) {
            process.terminate()?;
        }
        // what was recorded has ended
        let _ = fs::remove_file(self.plan.folder.join(STATE_FILE));
        failed.map_or(Ok(()), Err)
    }

    /// Leaves everything running when this value is dropped.
    pub fn detach(&mut self) {
        let nodes = self.nodes.iter_mut().filter_map(|node| node.process.as_mut());
        for process in nodes.chain(self.anvil.as_mut()).chain(self.outside.as_mut()) {
            process.detach();
        }
    }

    fn save_state(&self) -> Result<()> {
        let nodes = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let processes = nodes.chain(self.anvil.as_ref()).chain(self.outside.as_ref());
        let records: Vec<&Record> = processes.map(Process::record).collect();
        let text = serde_json::to_string_pretty(&records)? + "\n";
        let program = std::path::absolute(self.plan.program.with_file_name("testnet"))?;
        fs::write(self.plan.folder.join(PROGRAM_FILE), program.as_os_str().as_bytes())?;
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

/// An action that comes with the project: manifest and content.
pub fn action(name: &str) -> Result<(Manifest, Content)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../actions").join(name);
    let source: ManifestSource = toml::from_str(&fs::read_to_string(folder.join("manifest.toml"))?)?;
    let script = folder.join(format!("{name}.js"));
    if script.exists() {
        let script = fs::read_to_string(&script)?;
        let manifest = source.with_script(countersign_runners::javascript().digest(), &script);
        return Ok((manifest, Content::script(script)));
    }
    let component = fs::read(folder.join(format!("{name}.wasm")))
        .with_context(|| format!("the action {name} is not built: run `cargo xtask actions`"))?;
    Ok((source.with_component(&component), Content::component(component)))
}

/// The manifest and content of a script, with the largest limits.
pub fn script_manifest(name: &str, source: &str, hosts: &[&str], chains: &[u64]) -> (Manifest, Content) {
    let manifest = ManifestSource {
        name: name.into(),
        hosts: hosts.iter().map(ToString::to_string).collect(),
        chains: chains.to_vec(),
        limits: Limits::default(),
    };
    (manifest.with_script(countersign_runners::javascript().digest(), source), Content::script(source))
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
