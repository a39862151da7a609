//! One run in a store of its own, which is gone afterwards.

use std::time::Duration;

use countersign_types::Verdict;
use tokio::time::timeout;
use wasmtime::{Store, Trap};

use crate::{
    abort::Abort,
    bindings::{
        ActionPre,
        countersign::action::outcome::Decision,
        runner::{ScriptEnd, ScriptRunnerPre},
    },
    engine::{Engine, epochs},
    fuel::YIELD_INTERVAL,
    logs::Logs,
    run::RunState,
    verdict,
};

/// The most that a guest may hand over in one call, or as its result, in bytes of the host's memory.
/// Decisions take at most 576 KiB; what is beyond traps before it is copied.
const MAX_HANDED_BYTES: usize = 2 << 20;

/// What is called.
pub(crate) enum Entry<'a> {
    /// An action.
    Action(&'a ActionPre<RunState>),
    /// A runner, with what it compiled of the script.
    Script(&'a ScriptRunnerPre<RunState>, &'a [u8]),
}

/// What is left of a run.
pub(crate) struct Ended<T> {
    pub(crate) end: Result<T, Abort>,
    pub(crate) state: RunState,
    pub(crate) fuel: u64,
}

impl<T> Ended<T> {
    pub(crate) fn before_start(abort: Abort, state: RunState) -> Self {
        Self { end: Err(abort), state, fuel: 0 }
    }
}

/// Runs it to its verdict.
pub(crate) async fn run(engine: &Engine, entry: Entry<'_>, state: RunState) -> Ended<Verdict> {
    let limits = state.limits;
    let mut store = store(engine, state);
    let returned = timeout(wall(&store), call_run(&mut store, entry)).await;
    let Ended { end, state, fuel } = finish(store, returned.ok());
    Ended { end: end.and_then(|result| verdict::from_wit(result, &limits)), state, fuel }
}

/// Lets a runner compile a script: the program, or what is wrong with the source.
pub(crate) async fn compile(
    engine: &Engine,
    runner: &ScriptRunnerPre<RunState>,
    source: &str,
    state: RunState,
) -> Result<Result<Vec<u8>, String>, Abort> {
    let mut store = store(engine, state);
    let returned = timeout(wall(&store), call_compile(&mut store, runner, source)).await;
    finish(store, returned.ok()).end
}

fn store(engine: &Engine, state: RunState) -> Store<RunState> {
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(MAX_HANDED_BYTES);
    store.set_epoch_deadline(epochs(wall(&store)));
    store
}

fn wall(store: &Store<RunState>) -> Duration {
    Duration::from_millis(store.data().limits.wall_ms.into())
}

/// Starts a store's fuel. What needs the engine's consent comes here, where an error ends the run.
fn fill(store: &mut Store<RunState>) -> wasmtime::Result<()> {
    store.set_fuel(store.data().limits.fuel)?;
    store.fuel_async_yield_interval(Some(YIELD_INTERVAL))
}

async fn call_run(
    store: &mut Store<RunState>,
    entry: Entry<'_>,
) -> wasmtime::Result<Result<Decision, ScriptEnd>> {
    fill(store)?;
    match entry {
        Entry::Action(action) => {
            let instance = action.instantiate_async(&mut *store).await?;
            Ok(instance.call_run(store).await?.map_err(ScriptEnd::Refused))
        }
        Entry::Script(runner, program) => {
            let instance = runner.instantiate_async(&mut *store).await?;
            instance.call_run(store, program).await
        }
    }
}

async fn call_compile(
    store: &mut Store<RunState>,
    runner: &ScriptRunnerPre<RunState>,
    source: &str,
) -> wasmtime::Result<Result<Vec<u8>, String>> {
    fill(store)?;
    let instance = runner.instantiate_async(&mut *store).await?;
    instance.call_compile(store, source).await
}

/// Ends a run: with what was returned, unless the host ended it, or it did not end in time.
fn finish<T>(store: Store<RunState>, returned: Option<wasmtime::Result<T>>) -> Ended<T> {
    let limits = store.data().limits;
    let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(limits.fuel));
    let mut state = store.into_data();
    let halted = state.take_halt();
    let end = match (halted, returned) {
        (Some(abort), _) => Err(abort),
        (None, None) => Err(Abort::Time { limit_ms: limits.wall_ms }),
        (None, Some(Err(error))) => Err(classify(&error, &state)),
        (None, Some(Ok(result))) => Ok(result),
    };
    Ended { end, state, fuel }
}

fn classify(error: &wasmtime::Error, state: &RunState) -> Abort {
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Abort::Busy;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Abort::Fuel { limit: state.limits.fuel },
        Some(Trap::StackOverflow) => Abort::Stack,
        Some(Trap::Interrupt) => Abort::Time { limit_ms: state.limits.wall_ms },
        Some(Trap::UnreachableCodeReached) => Abort::trap(unreachable(&state.logs)),
        Some(trap) => Abort::trap(trap),
        None if Abort::is_of_system(error) => Abort::host(format!("{error:#}")),
        None => Abort::trap(format!("{error:#}")),
    }
}

/// What a panic ends with, in every language: told as it was logged, which is the same on every node.
fn unreachable(logs: &Logs) -> String {
    match logs.panic() {
        Some(panic) => format!("it {panic}"),
        None => "it came to an `unreachable` instruction, as by a panic that was not logged: refuse with a reason, \
                 which the caller reads"
            .into(),
    }
}
