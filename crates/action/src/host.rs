//! The host: actions in, verdicts out.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use countersign_types::{B256, ComponentDigest, Context, Manifest, Verdict, read::RecordedRead};
use lru::LruCache;
use tokio::task::spawn_blocking;
use wasmtime::{component::Component, component::Linker};

use crate::{
    abort::{Abort, cut},
    action::{Action, Pre},
    artefacts::{Artefacts, deserialize},
    compile::{self, CompileError, Compiler, CompilerError},
    config::Config,
    engine::{Engine, EngineError},
    execute::{self, Ended, Entry},
    imports,
    reader::Reader,
    run::{LiveRun, Replay, RunState, Source},
    script::{CompiledScript, Script, ScriptError},
    slots::{Shares, Slots},
};

/// Why an action of another host is not run.
const OTHER_ENGINE: &str = "the action belongs to another engine";

/// Why an action is not ready to run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It was not compiled.
    #[error(transparent)]
    Compiler(#[from] CompilerError),
    /// It was compiled, and does not load.
    #[error("the compiled action does not load: {reason}")]
    Code {
        /// What happened.
        reason: String,
    },
}

impl From<CompileError> for LoadError {
    fn from(error: CompileError) -> Self {
        Self::Compiler(error.into())
    }
}

/// Where components are compiled.
pub enum Compilation {
    /// In a child process with limits of its own: what a node does with strangers' components.
    Child(Compiler),
    /// In this process: for programs that serve nobody else, as one that checks a receipt.
    InProcess,
}

/// Runs actions. Shared by everything that runs them: clones share all.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    linker: Linker<RunState>,
    compilation: Compilation,
    artefacts: Option<Artefacts>,
    ready: Mutex<LruCache<ComponentDigest, Arc<Action>>>,
    live: Slots,
    shares: Shares,
    replays: Slots,
}

impl Host {
    /// A host on `engine`. Without `artefacts` every component is compiled anew after a restart.
    pub fn new(
        config: &Config,
        engine: Engine,
        compilation: Compilation,
        artefacts: Option<Artefacts>,
    ) -> Result<Self, EngineError> {
        let linker =
            imports::linker(&engine).map_err(|error| EngineError { reason: format!("{error:#}") })?;
        let wait = Duration::from_millis(config.queue_ms);
        let cached = usize::try_from(config.cached_actions).unwrap_or(1);
        let shared = Shared {
            engine,
            linker,
            compilation,
            artefacts,
            ready: Mutex::new(LruCache::new(NonZeroUsize::new(cached).unwrap_or(NonZeroUsize::MIN))),
            shares: Shares::new(config.runs_per_action(), config.queued_runs, wait),
            live: Slots::new(config.runs(), config.queued_runs, wait),
            replays: Slots::new(config.replays(), config.queued_runs, wait),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The engine that it runs on.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// An action that this node has compiled before, from memory or disk; none if it must be compiled.
    pub async fn load(&self, digest: ComponentDigest) -> Result<Option<Arc<Action>>, LoadError> {
        if let Some(action) = self.shared.ready().get(&digest) {
            return Ok(Some(action.clone()));
        }
        let shared = self.shared.clone();
        blocking(move || match shared.load_artefact(digest) {
            Some(component) => Ok(Some(shared.make_ready(digest, &component)?)),
            None => Ok(None),
        })
        .await
    }

    /// The action of a component, compiled if need be. This is also the check at publication.
    pub async fn prepare(&self, component: &[u8]) -> Result<Arc<Action>, LoadError> {
        let digest = ComponentDigest::of(component);
        if let Some(action) = self.load(digest).await? {
            return Ok(action);
        }
        match &self.shared.compilation {
            Compilation::InProcess => {
                let (shared, component) = (self.shared.clone(), component.to_vec());
                blocking(move || {
                    let compiled = compile::compile_with(&shared.engine, &component)?;
                    shared.make_ready(digest, &compiled)
                })
                .await
            }
            Compilation::Child(compiler) => {
                let turn = compiler.turn().await?;
                // Somebody else may have compiled it while this call waited.
                if let Some(action) = self.load(digest).await? {
                    return Ok(action);
                }
                let code = turn.compile(component).await?;
                let shared = self.shared.clone();
                blocking(move || shared.take_code(digest, &code)).await
            }
        }
    }

    /// Runs an action, reading from the world and recording it. `script` is the one that the manifest names.
    pub async fn run_live(
        &self,
        action: &Action,
        script: Option<&CompiledScript>,
        manifest: &Manifest,
        context: &Context,
        reader: Arc<dyn Reader>,
    ) -> LiveRun {
        let state = RunState::new(manifest, context, Source::live(reader));
        let program = Program { action, script, manifest };
        let share = self.shared.shares.of(context.action);
        let Ended { end, state, fuel } = match share.acquire().await {
            Some(_slot) => self.run(&self.shared.live, &program, state).await,
            None => Ended::before_start(Abort::Busy, state),
        };
        let reads = match state.source {
            Source::Live { recorded, .. } => recorded,
            Source::Replay { .. } => Vec::new(),
        };
        LiveRun { end, reads, logs: state.logs.into_lines(), fuel }
    }

    /// Runs an action over agreed reads: the same end on every node with an equal engine.
    ///
    /// `reads` are this node's own, of which the caller has seen that they stand in the agreed record; those that
    /// are agreed field by field come from [`RecordedRead::with_agreed`]. The action may read less, and nothing
    /// else.
    pub async fn replay(
        &self,
        action: &Action,
        script: Option<&CompiledScript>,
        manifest: &Manifest,
        context: &Context,
        reads: &[RecordedRead],
    ) -> Replay {
        let state = RunState::new(manifest, context, Source::replay(reads));
        let program = Program { action, script, manifest };
        replayed(self.run(&self.shared.replays, &program, state).await)
    }

    /// As [`Host::replay`], where that need not wait for a slot; none where it must.
    pub async fn replay_at_once(
        &self,
        action: &Action,
        script: Option<&CompiledScript>,
        manifest: &Manifest,
        context: &Context,
        reads: &[RecordedRead],
    ) -> Option<Replay> {
        let _slot = self.shared.replays.try_acquire()?;
        let state = RunState::new(manifest, context, Source::replay(reads));
        let program = Program { action, script, manifest };
        Some(replayed(self.run_in_slot(&program, state).await))
    }

    /// The script of an action as its runner runs it; none for an action that has none. This is also the check at
    /// publication: an action that needs a script must have one that its runner takes, and another must have none.
    /// A runner compiles in a store of its own, which reads nothing and has small limits.
    pub async fn compile_script(
        &self,
        action: &Action,
        script: Option<&Script>,
    ) -> Result<Option<CompiledScript>, ScriptError> {
        let Some(pre) = action.pre(&self.shared.engine) else {
            return Err(ScriptError::Compile(Abort::host(OTHER_ENGINE)));
        };
        let (runner, script) = match (pre, script) {
            (Pre::Action(_), None) => return Ok(None),
            (Pre::Action(_), Some(_)) => return Err(ScriptError::NotRunner),
            (Pre::Runner(_), None) => return Err(ScriptError::Missing),
            (Pre::Runner(runner), Some(script)) => (runner, script),
        };
        let Some(_slot) = self.shared.live.acquire().await else {
            return Err(ScriptError::Compile(Abort::Busy));
        };
        let state = RunState::for_compilation();
        match execute::compile(&self.shared.engine, runner, script.source(), state).await {
            Ok(Ok(program)) => CompiledScript::new(script, action.digest(), program).map(Some),
            Ok(Err(text)) => Err(ScriptError::Invalid { text: cut(text) }),
            Err(abort) => Err(ScriptError::Compile(abort)),
        }
    }

    async fn run(&self, slots: &Slots, program: &Program<'_>, state: RunState) -> Ended<Verdict> {
        let Some(_slot) = slots.acquire().await else { return Ended::before_start(Abort::Busy, state) };
        self.run_in_slot(program, state).await
    }

    async fn run_in_slot(&self, program: &Program<'_>, state: RunState) -> Ended<Verdict> {
        match program.entry(&self.shared.engine) {
            Ok(entry) => execute::run(&self.shared.engine, entry, state).await,
            Err(reason) => Ended::before_start(Abort::host(reason), state),
        }
    }
}

fn replayed(Ended { end, state, fuel }: Ended<Verdict>) -> Replay {
    let consumed = match state.source {
        Source::Replay { next, .. } => next,
        Source::Live { .. } => 0,
    };
    Replay { end, consumed, logs: state.logs.into_lines(), fuel }
}

/// What is run: what the manifest names, as the caller has it.
struct Program<'a> {
    action: &'a Action,
    script: Option<&'a CompiledScript>,
    manifest: &'a Manifest,
}

impl<'a> Program<'a> {
    /// What to call, unless these three do not belong together.
    fn entry(&self, engine: &Engine) -> Result<Entry<'a>, &'static str> {
        if self.action.digest() != self.manifest.component {
            return Err("the manifest names another component");
        }
        if self.script.map_or(B256::ZERO, CompiledScript::digest) != self.manifest.script {
            return Err("the manifest names another script");
        }
        if self.script.is_some_and(|script| script.runner() != self.action.digest()) {
            return Err("the script was compiled by another runner");
        }
        match (self.action.pre(engine).ok_or(OTHER_ENGINE)?, self.script) {
            (Pre::Action(action), None) => Ok(Entry::Action(action)),
            (Pre::Runner(runner), Some(script)) => Ok(Entry::Script(runner, script.program())),
            (Pre::Action(_), Some(_)) => Err("the component runs no scripts"),
            (Pre::Runner(_), None) => {
                Err("the component is a script runner, and the manifest names no script")
            }
        }
    }
}

impl Shared {
    fn ready(&self) -> MutexGuard<'_, LruCache<ComponentDigest, Arc<Action>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_artefact(&self, digest: ComponentDigest) -> Option<Component> {
        self.artefacts.as_ref()?.load(&self.engine, digest)
    }

    /// Takes the native code that the compiling process made of a component, and keeps it.
    fn take_code(&self, digest: ComponentDigest, code: &[u8]) -> Result<Arc<Action>, LoadError> {
        let component = deserialize(&self.engine, code)
            .ok_or_else(|| LoadError::Code { reason: "it is not for this engine".into() })?;
        let action = self.make_ready(digest, &component)?;
        if let Some(artefacts) = &self.artefacts
            && let Err(error) = artefacts.save(digest, code)
        {
            // The action runs all the same; it is compiled again after a restart.
            tracing::warn!(%digest, error = %error, "a compiled artefact is not kept");
        }
        Ok(action)
    }

    fn make_ready(&self, digest: ComponentDigest, component: &Component) -> Result<Arc<Action>, LoadError> {
        let action = Arc::new(Action::new(&self.engine, &self.linker, digest, component)?);
        self.ready().put(digest, action.clone());
        Ok(action)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LoadError::Code { reason: error.to_string() }),
    }
}
