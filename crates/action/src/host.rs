//! The host: actions in, verdicts out.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use countersign_types::{ComponentDigest, Context, Manifest, Verdict};
use lru::LruCache;
use tokio::{task::spawn_blocking, time::timeout};
use wasmtime::{Store, Trap, component::Component, component::Linker};

use crate::{
    abort::Abort,
    action::Action,
    artefacts::{Artefacts, deserialize},
    bindings::ActionPre,
    compile::{self, CompileError, Compiler, CompilerError},
    config::Config,
    engine::{Engine, EngineError, epochs},
    fuel::YIELD_INTERVAL,
    imports,
    read::{Reader, RecordedRead},
    run::{LiveRun, Replay, RunState, Source},
    slots::Slots,
    verdict,
};

/// The most that a guest may hand over in one call, or as its result, in bytes of the host's memory.
/// Decisions take at most 576 KiB; what is beyond traps before it is copied.
const MAX_HANDED_BYTES: usize = 2 << 20;

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

    /// Runs an action, reading from the world and recording it.
    pub async fn run_live(
        &self,
        action: &Action,
        manifest: &Manifest,
        context: &Context,
        reader: Arc<dyn Reader>,
    ) -> LiveRun {
        let state = RunState::new(manifest, context, Source::live(reader));
        let Ended { end, state, fuel } = self.run(&self.shared.live, action, manifest, state).await;
        let reads = match state.source {
            Source::Live { recorded, .. } => recorded,
            Source::Replay { .. } => Vec::new(),
        };
        LiveRun { end, reads, logs: state.logs.into_lines(), fuel }
    }

    /// Runs an action over agreed reads: the same end on every node with an equal engine.
    ///
    /// `reads` are this node's own values, of which the caller has seen that they stand in the agreed
    /// record. The action may read less, and nothing else.
    pub async fn replay(
        &self,
        action: &Action,
        manifest: &Manifest,
        context: &Context,
        reads: &[RecordedRead],
    ) -> Replay {
        let state = RunState::new(manifest, context, Source::replay(reads));
        let Ended { end, state, fuel } = self.run(&self.shared.replays, action, manifest, state).await;
        let consumed = match state.source {
            Source::Replay { next, .. } => next,
            Source::Live { .. } => 0,
        };
        Replay { end, consumed, logs: state.logs.into_lines(), fuel }
    }

    async fn run(&self, slots: &Slots, action: &Action, manifest: &Manifest, state: RunState) -> Ended {
        let Some(_slot) = slots.acquire().await else { return Ended::before_start(Abort::Busy, state) };
        if action.digest() != manifest.component {
            return Ended::before_start(Abort::host("the manifest names another component"), state);
        }
        match action.pre(&self.shared.engine) {
            Some(pre) => execute(&self.shared.engine, pre, state).await,
            None => Ended::before_start(Abort::host("the action belongs to another engine"), state),
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

/// What is left of a run.
struct Ended {
    end: Result<Verdict, Abort>,
    state: RunState,
    fuel: u64,
}

impl Ended {
    fn before_start(abort: Abort, state: RunState) -> Self {
        Self { end: Err(abort), state, fuel: 0 }
    }
}

/// One run in a store of its own, which is gone afterwards.
async fn execute(engine: &Engine, pre: &ActionPre<RunState>, state: RunState) -> Ended {
    let limits = state.limits;
    let wall = Duration::from_millis(limits.wall_ms.into());
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(MAX_HANDED_BYTES);
    store.set_epoch_deadline(epochs(wall));
    let fuelled =
        store.set_fuel(limits.fuel).and_then(|()| store.fuel_async_yield_interval(Some(YIELD_INTERVAL)));
    let returned = match fuelled {
        Ok(()) => timeout(wall, call(&mut store, pre)).await,
        Err(error) => Ok(Err(error)),
    };
    let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(limits.fuel));
    let mut state = store.into_data();
    let halted = state.take_halt();
    let end = match (halted, returned) {
        (Some(abort), _) => Err(abort),
        (None, Err(_)) => Err(Abort::Time { limit_ms: limits.wall_ms }),
        (None, Ok(Err(error))) => Err(classify(&error, &state)),
        (None, Ok(Ok(result))) => verdict::from_wit(result, &limits),
    };
    Ended { end, state, fuel }
}

type Returned = Result<
    crate::bindings::countersign::action::outcome::Decision,
    crate::bindings::countersign::action::outcome::Refusal,
>;

async fn call(store: &mut Store<RunState>, pre: &ActionPre<RunState>) -> wasmtime::Result<Returned> {
    let instance = pre.instantiate_async(&mut *store).await?;
    instance.call_run(store).await
}

fn classify(error: &wasmtime::Error, state: &RunState) -> Abort {
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Abort::Busy;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Abort::Fuel { limit: state.limits.fuel },
        Some(Trap::Interrupt) => Abort::Time { limit_ms: state.limits.wall_ms },
        Some(trap) => Abort::trap(trap),
        None => Abort::trap(format!("{error:#}")),
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
