//! One node of a test network: a folder, and a process.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, ensure};
use countersign_node::{DebugConfig, NodeConfig};
use countersign_types::NodePublicKey;
use rustix::process::Signal;

use crate::process::Process;

/// How long a node may take to end: sessions under way are let go on for ten seconds.
const END_PATIENCE: Duration = Duration::from_secs(20);
/// The wire log in a node's folder.
const WIRE_LOG: &str = "wire.jsonl";
/// Its bound: nothing that a test writes is lost.
const WIRE_LOG_MIB: u64 = 4096;

/// One node: its folder, and its process while it runs.
pub struct Node {
    /// From 1; that of the member, in a network that was made by this version.
    pub number: usize,
    /// Its folder.
    pub folder: PathBuf,
    /// Its identity.
    pub public_key: NodePublicKey,
    /// Its HTTP interface.
    pub api: String,
    /// Its process, while it runs.
    pub process: Option<Process>,
    pub(crate) log: PathBuf,
    pub(crate) program: PathBuf,
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
    pub(crate) fn wait_end(&mut self) -> Result<()> {
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

    /// Where its wire log lies, where it keeps one.
    pub fn wire_log(&self) -> PathBuf {
        self.folder.join(WIRE_LOG)
    }

    /// Has it keep a wire log from its next start on.
    pub fn keep_wire_log(&self) -> Result<()> {
        let mut config = self.config()?;
        config.debug = DebugConfig { wire_log: Some(WIRE_LOG.into()), wire_log_mib: WIRE_LOG_MIB };
        self.write_config(&config)
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
