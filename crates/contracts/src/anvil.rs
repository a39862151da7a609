//! A development chain as a child process: [Anvil](https://getfoundry.sh/anvil). It is no public chain and
//! its accounts' keys are public: for tests and the test network only.

use std::{
    env,
    error::Error as _,
    fmt,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use alloy::primitives::{B256, b256};

/// The variable that names the program; it comes before every other place.
pub const PROGRAM_VARIABLE: &str = "COUNTERSIGN_ANVIL";

/// The secret keys of the first accounts that every Anvil funds. Public knowledge.
pub const DEVELOPMENT_KEYS: [B256; 3] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
];

/// How long the process may take until it listens. It takes a tenth of a second on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// When blocks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mining {
    /// One for each transaction.
    #[default]
    EachTransaction,
    /// One every so many seconds.
    EverySeconds(u64),
    /// Only when asked for with `anvil_mine`.
    Manual,
}

/// What chain to start. The default is chain 31337 on a free port, two slots to an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnvilConfig {
    /// The EIP-155 id.
    pub chain_id: u64,
    /// The port on loopback; 0 for a free one.
    pub port: u16,
    /// The block this many slots behind the head is `safe`; twice as many behind, `finalized`.
    pub slots_in_an_epoch: u64,
    /// When blocks are made.
    pub mining: Mining,
    /// The file that state is loaded from and written to at the end, if any.
    pub state: Option<PathBuf>,
}

impl Default for AnvilConfig {
    fn default() -> Self {
        Self { chain_id: 31337, port: 0, slots_in_an_epoch: 2, mining: Mining::default(), state: None }
    }
}

impl AnvilConfig {
    /// The command that starts it, for callers that keep the process themselves.
    ///
    /// # Errors
    ///
    /// [`AnvilError::NotFound`].
    pub fn command(&self) -> Result<Command, AnvilError> {
        let mut command = Command::new(locate()?);
        command.args(["--host", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--chain-id", &self.chain_id.to_string()]);
        command.args(["--slots-in-an-epoch", &self.slots_in_an_epoch.to_string()]);
        match self.mining {
            Mining::EachTransaction => {}
            Mining::EverySeconds(seconds) => {
                command.args(["--block-time", &seconds.to_string()]);
            }
            Mining::Manual => {
                command.arg("--no-mining");
            }
        }
        if let Some(state) = &self.state {
            command.arg("--state").arg(state);
        }
        Ok(command)
    }
}

/// A running Anvil; dropping it ends the process.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    address: SocketAddr,
}

impl Anvil {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    ///
    /// The program is not found, does not start, or says no address within half a minute.
    pub fn start(config: &AnvilConfig) -> Result<Self, AnvilError> {
        let mut command = config.command()?;
        let program = PathBuf::from(command.get_program());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().map_err(|source| AnvilError::Start { program: program.clone(), source })?;
        let listening = child.stdout.take().and_then(await_address);
        match listening {
            Some(address) => Ok(Self { child, address }),
            None => {
                end(&mut child);
                Err(AnvilError::NotListening { program, seconds: READY_WITHIN.as_secs() })
            }
        }
    }

    /// The JSON-RPC endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Why there is no chain. Its [`fmt::Debug`] is its text: a test that expects a chain says what to do.
#[derive(thiserror::Error)]
pub enum AnvilError {
    /// No place has the program.
    #[error("anvil is not found: run `cargo xtask setup`, or name the program in {PROGRAM_VARIABLE}")]
    NotFound,
    /// The variable names what is no file.
    #[error("{PROGRAM_VARIABLE} names {}, which is no file", path.display())]
    NoSuchFile {
        /// What it names.
        path: PathBuf,
    },
    /// The operating system refuses to start it.
    #[error("{} does not start", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It ended, or said no address in time.
    #[error("{} does not listen after {seconds} s; is its port in use?", program.display())]
    NotListening {
        /// The program.
        program: PathBuf,
        /// How long was waited, in seconds.
        seconds: u64,
    },
}

impl fmt::Debug for AnvilError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.source().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

/// Finds the program: [`PROGRAM_VARIABLE`], then `PATH`, then where `cargo xtask setup` puts it.
///
/// # Errors
///
/// [`AnvilError::NotFound`], or [`AnvilError::NoSuchFile`] where the variable is set and wrong.
pub fn locate() -> Result<PathBuf, AnvilError> {
    let named = env::var_os(PROGRAM_VARIABLE).filter(|value| !value.is_empty());
    if let Some(path) = named.map(PathBuf::from) {
        return if path.is_file() { Ok(path) } else { Err(AnvilError::NoSuchFile { path }) };
    }
    let on_path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&on_path).map(|folder| folder.join("anvil"));
    folders.chain(installed_path()).find(|path| path.is_file()).ok_or(AnvilError::NotFound)
}

/// Where `cargo xtask setup` puts the program; nothing where there is no home.
pub fn installed_path() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))?;
    Some(cache.join("countersign/npm/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"))
}

fn await_address(stdout: ChildStdout) -> Option<SocketAddr> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        // Reads to the end: a full pipe would stop the chain.
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(address) =
                line.strip_prefix("Listening on ").and_then(|text| text.trim().parse().ok())
            {
                let _ = sender.try_send(address);
            }
        }
    });
    receiver.recv_timeout(READY_WITHIN).ok()
}

fn end(child: &mut Child) {
    // Both fail only where the process has ended already.
    let _ = child.kill();
    let _ = child.wait();
}
