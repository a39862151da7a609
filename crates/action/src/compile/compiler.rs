//! The side of the node: starts the child process, feeds it, bounds it.

use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use countersign_types::action::MAX_COMPONENT_BYTES;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::SemaphorePermit,
    time::timeout,
};

use super::CompileError;
use crate::{abort::cut, config::Config, slots::Slots};

/// The most bytes of a compiled artefact: 128 MiB.
pub const MAX_ARTEFACT_BYTES: usize = 128 << 20;
/// How long a compilation may take by the clock, waiting for the processor included.
pub const TIMEOUT: Duration = Duration::from_secs(120);
/// The most bytes that are read of a child's standard error.
const MAX_STDERR_BYTES: usize = 16 << 10;

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompilerError {
    /// The component is no action.
    #[error(transparent)]
    Component(#[from] CompileError),
    /// The child ended at its limits of memory or processor time, or crashed: a component that does this to
    /// a compiler is not run.
    #[error("the component takes more to compile than a compilation may have (signal {signal})")]
    Exhausted {
        /// The signal that ended the child.
        signal: i32,
    },
    /// It took too long.
    #[error("the compilation took longer than {} s", limit.as_secs())]
    Time {
        /// How long it may take.
        limit: Duration,
    },
    /// The native code is too large.
    #[error("the compiled component has more than {MAX_ARTEFACT_BYTES} bytes")]
    TooLarge,
    /// Too many compilations wait already.
    #[error("too many compilations wait on this node")]
    Busy,
    /// The child does not start, or its pipes break.
    #[error("the compiling process {program} cannot be used")]
    Process {
        /// What was started.
        program: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The child failed without saying why in the agreed form.
    #[error("the compiling process failed: {text}")]
    Failed {
        /// What it wrote to standard error, cut.
        text: String,
    },
}

/// Compiles in child processes: a few at once, a few more waiting.
pub struct Compiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    slots: Slots,
    timeout: Duration,
}

impl Compiler {
    /// A compiler that starts `program` with `arguments`, which must end up in
    /// [`child_main`](super::child_main). A node names itself.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, config: &Config) -> Self {
        let slots = Slots::new(config.concurrent_compilations, config.queued_compilations, TIMEOUT);
        Self { program, arguments, slots, timeout: TIMEOUT }
    }

    /// With another bound on a compilation's time.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Compiles a component, when it is its turn. A caller that goes away takes the child with it.
    pub async fn compile(&self, component: &[u8]) -> Result<Vec<u8>, CompilerError> {
        self.turn().await?.compile(component).await
    }

    /// Waits for a turn, so that its holder can look whether somebody else has done the work meanwhile.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, CompilerError> {
        let permit = self.slots.acquire().await.ok_or(CompilerError::Busy)?;
        Ok(Turn { compiler: self, _permit: permit })
    }

    fn start(&self) -> Result<Child, CompilerError> {
        Command::new(&self.program)
            .args(&self.arguments)
            // Whatever the node's environment holds, a passphrase perhaps, is not for the compiler.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| self.process(source))
    }

    fn process(&self, source: io::Error) -> CompilerError {
        CompilerError::Process { program: self.program.display().to_string(), source }
    }
}

/// The right to one compilation.
pub(crate) struct Turn<'a> {
    compiler: &'a Compiler,
    _permit: SemaphorePermit<'a>,
}

impl Turn<'_> {
    pub(crate) async fn compile(&self, component: &[u8]) -> Result<Vec<u8>, CompilerError> {
        if component.len() > MAX_COMPONENT_BYTES {
            return Err(CompileError::TooLarge { got: component.len() }.into());
        }
        let limit = self.compiler.timeout;
        let child = self.compiler.start()?;
        let converse = converse(child, component);
        let (status, artefact, stderr) = timeout(limit, converse)
            .await
            .map_err(|_| CompilerError::Time { limit })?
            .map_err(|source| self.compiler.process(source))?;
        judge(status, artefact, &stderr)
    }
}

/// Feeds the child and collects what it says; all at once, so that no full pipe stops either side.
async fn converse(mut child: Child, component: &[u8]) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A child that ends early has said why: that is the error to report, not the broken pipe.
            let _ = stdin.write_all(component).await;
        }
    };
    let (_, artefact, text) = tokio::join!(
        feed,
        collect(stdout, MAX_ARTEFACT_BYTES.saturating_add(1)),
        collect(stderr, MAX_STDERR_BYTES)
    );
    let (artefact, text) = (artefact?, text?);
    if artefact.len() > MAX_ARTEFACT_BYTES {
        child.start_kill()?;
    }
    Ok((child.wait().await?, artefact, text))
}

async fn collect(pipe: Option<impl AsyncRead + Unpin>, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn judge(status: ExitStatus, artefact: Vec<u8>, stderr: &[u8]) -> Result<Vec<u8>, CompilerError> {
    if artefact.len() > MAX_ARTEFACT_BYTES {
        return Err(CompilerError::TooLarge);
    }
    if status.success() {
        return Ok(artefact);
    }
    if let Some(signal) = status.signal() {
        return Err(CompilerError::Exhausted { signal });
    }
    let text = String::from_utf8_lossy(stderr);
    match serde_json::from_str::<CompileError>(text.trim()) {
        Ok(error) => Err(error.into()),
        Err(_) => Err(CompilerError::Failed { text: cut(text.trim().to_owned()) }),
    }
}
