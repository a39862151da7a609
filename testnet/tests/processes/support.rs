//! Networks for tests: made in a temporary folder, stopped when dropped.

use std::{
    env,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use countersign_client::LocalSigner;
use countersign_testnet::{
    Network, Plan,
    demonstrations::{key_spec, request, verify},
    network::{Node, action, script_manifest},
    rpc::Answer,
    wire::{self, Log, Summary},
};
use countersign_types::{
    ActionId, Bytes, KeySpec, Manifest, NodeDecision, SignedRequest,
    action::Content,
    api::{PROBLEM_PREFIX, Problem, SignResponse},
    failure::FailureKind,
};
use serde_json::json;
use tempfile::TempDir;

/// The longest that a node takes to answer, in seconds: the interface's default deadline.
pub(crate) const DEADLINE_S: f64 = 30.0;

/// A network in a temporary folder.
pub(crate) struct Running {
    pub(crate) network: Network,
    folder: Option<TempDir>,
}

impl Deref for Running {
    type Target = Network;

    fn deref(&self) -> &Network {
        &self.network
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Network {
        &mut self.network
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take()
            && env::var_os("COUNTERSIGN_TEST_KEEP").is_some()
        {
            let kept = folder.keep();
            eprintln!("kept {}", kept.display());
        }
    }
}

/// The program, built beside the test network's.
pub(crate) fn program() -> Result<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_testnet")).with_file_name("countersign");
    ensure!(program.exists(), "the program is not built: run `cargo build --workspace --all-targets`");
    Ok(program)
}

/// Runs the program to its end.
pub(crate) fn countersign<S: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = S>,
) -> Result<Output> {
    let mut command = Command::new(program()?);
    command.args(arguments).env_remove("RUST_LOG").env_remove("COUNTERSIGN_PASSPHRASE");
    command.output().context("the program runs")
}

/// A network that was made, of which nothing runs.
pub(crate) fn made(nodes: u16, threshold: u16) -> Result<Running> {
    let folder = TempDir::new()?;
    let mut running = made_in(folder.path().join("network"), nodes, threshold)?;
    running.folder = Some(folder);
    Ok(running)
}

/// The same, in a folder that somebody else removes.
pub(crate) fn made_in(folder: PathBuf, nodes: u16, threshold: u16) -> Result<Running> {
    let network = Network::open(Plan { nodes, threshold, folder, program: program()? })?;
    network.nodes.iter().try_for_each(Node::keep_wire_log)?;
    Ok(Running { network, folder: None })
}

/// A network that is ready, without a chain.
pub(crate) async fn without_chain(nodes: u16, threshold: u16) -> Result<Running> {
    let mut running = made(nodes, threshold)?;
    running.start_nodes()?;
    running.wait_ready().await?;
    Ok(running)
}

/// A network that is ready, with its chain.
pub(crate) async fn with_chain(nodes: u16, threshold: u16) -> Result<Running> {
    let mut running = made(nodes, threshold)?;
    running.start().await?;
    Ok(running)
}

impl Running {
    /// Publishes a time-lock that goes by the session's time, and waits until all have it.
    pub(crate) async fn time_lock(&self) -> Result<ActionId> {
        let (manifest, component) = time_lock()?;
        let action = self.publish_content(0, manifest, Content::component(component)).await?.action_id;
        self.wait_replicated(action).await?;
        Ok(action)
    }

    /// Publishes a script that may read these hosts and chains, and waits until all running nodes have it.
    pub(crate) async fn publish_script(
        &self,
        name: &str,
        source: &str,
        hosts: &[&str],
        chains: &[u64],
    ) -> Result<ActionId> {
        let (manifest, content) = script_manifest(name, source, hosts, chains);
        let action = self.publish_content(0, manifest, content).await?.action_id;
        self.wait_replicated(action).await?;
        Ok(action)
    }

    /// A request by a fresh caller that a time-lock allows.
    pub(crate) fn open_request(&self, time_lock: ActionId) -> Result<SignedRequest> {
        request(self, opened(time_lock), message(), &LocalSigner::random())
    }

    /// Asks a node, by its place from 0.
    pub(crate) async fn ask(&self, node: usize, request: &SignedRequest) -> Result<Answer> {
        self.rpc.submit(&self.nodes[node].api, request).await
    }

    /// Asks a node for what must be signed, and checks the signatures.
    pub(crate) async fn signed(&self, node: usize, request: &SignedRequest) -> Result<SignResponse> {
        let answer = self.ask(node, request).await?;
        ensure!(answer.status == 200, "status {}: {}", answer.status, answer.body);
        let answer = answer.signed()?;
        verify(self, request, &answer).await?;
        Ok(answer)
    }

    /// Asks a node for what must fail in this way.
    pub(crate) async fn refused(
        &self,
        node: usize,
        request: &SignedRequest,
        kind: FailureKind,
    ) -> Result<Problem> {
        problem(&self.ask(node, request).await?, kind)
    }

    /// A node's name in answers.
    pub(crate) fn peer_id(&self, node: usize) -> String {
        self.nodes[node].public_key.peer_id()
    }

    /// What a node said, by its place from 0.
    pub(crate) fn said<'a>(&self, nodes: &'a [NodeDecision], node: usize) -> Option<&'a NodeDecision> {
        let peer_id = self.peer_id(node);
        nodes.iter().find(|said| said.peer_id == peer_id)
    }

    /// Stops a node as an operator does, and starts it again with what its configuration says then.
    pub(crate) fn restart(&mut self, node: usize) -> Result<()> {
        self.nodes[node].terminate()?;
        self.nodes[node].start()
    }

    /// Has the operators of all other nodes readmit one that runs on an older database now, and restarts theirs.
    pub(crate) fn readmit(&mut self, node: usize) -> Result<()> {
        let member = self.nodes[node].public_key.to_string();
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            self.nodes[other].terminate()?;
            let config = self.nodes[other].folder.join("node.toml");
            let config = config.to_str().context("a path")?;
            let output = countersign(["--json", "node", "readmit", &member, "--config", config])?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            self.nodes[other].start()?;
        }
        Ok(())
    }

    /// Stops everything, and checks what the nodes have said to each other.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.network.stop()?;
        self.check_wire(&[]).map(drop)
    }

    /// Checks the wire logs of all nodes that ever ran, and of copies of them.
    pub(crate) fn check_wire(&self, copies: &[PathBuf]) -> Result<Summary> {
        let own = self.nodes.iter().map(Node::wire_log).filter(|path| path.exists());
        let logs =
            own.chain(copies.iter().cloned()).map(|path| Log::read(&path)).collect::<Result<Vec<_>>>()?;
        Ok(wire::check(&logs)?)
    }

    /// Fails where any node has panicked.
    pub(crate) fn no_panic(&self) -> Result<()> {
        for node in &self.nodes {
            let log = node.log();
            let panic = log.lines().find(|line| line.contains("panicked"));
            ensure!(panic.is_none(), "node {} panicked: {}", node.number, panic.unwrap_or_default());
        }
        Ok(())
    }
}

/// The action `time-lock`, with a manifest that names no chain: networks without one can run it.
pub(crate) fn time_lock() -> Result<(Manifest, Bytes)> {
    let (manifest, component) = component_of("time-lock")?;
    Ok((Manifest { chains: Vec::new(), ..manifest }, component))
}

/// An action that is a component.
pub(crate) fn component_of(name: &str) -> Result<(Manifest, Bytes)> {
    let (manifest, content) = action(name)?;
    Ok((manifest, content.component.context("it is a script")?))
}

/// A key that a time-lock opened long ago.
pub(crate) fn opened(time_lock: ActionId) -> KeySpec {
    key_spec(time_lock, &json!({ "not_before": 1_700_000_000 }))
}

/// What a time-lock is asked to sign.
pub(crate) fn message() -> Bytes {
    json!({ "messages": ["0x68656c6c6f"] }).to_string().into_bytes().into()
}

/// Checks that an answer is a problem of this kind, with its status, and returns it.
pub(crate) fn problem(answer: &Answer, kind: FailureKind) -> Result<Problem> {
    ensure!(answer.status == kind.status(), "expected {kind:?}, got {}: {}", answer.status, answer.body);
    let problem = answer.problem()?;
    ensure!(problem.kind == format!("{PROBLEM_PREFIX}{}", kind.name()), "the problem is {}", answer.body);
    ensure!(problem.status == answer.status, "the body says another status: {}", answer.body);
    Ok(problem)
}

/// Fails unless `text` contains all `parts`.
pub(crate) fn says(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "{part:?} is missing in: {text}");
    }
    Ok(())
}

/// The document that the program printed with `--json`.
pub(crate) fn document(output: &Output) -> Result<serde_json::Value> {
    let text = std::str::from_utf8(&output.stdout)?;
    serde_json::from_str(text).with_context(|| format!("no JSON: {text}"))
}
