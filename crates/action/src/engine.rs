//! The engine: wasmtime with the settings that every node shares.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use alloy_primitives::keccak256;
use countersign_types::EngineId;
use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{config::Config, fuel};

/// The interface that actions are compiled against.
pub const INTERFACE: &str = "countersign:action@0.1.0";

/// Changes whenever a run may end in another way, or cost other fuel, than under the revision before:
/// limits, costs, checks of arguments, texts that a guest sees. Nodes of different revisions share no
/// session.
const HOST_REVISION: u32 = 3;
/// wasmtime's exact version, as pinned in the workspace: fuel is only comparable within one.
const WASMTIME_VERSION: &str = "48.0.8";

/// The most bytes of one linear memory.
pub(crate) const MAX_MEMORY_BYTES: usize = 64 << 20;
/// The most linear memories of one component.
pub(crate) const MAX_MEMORIES: u32 = 4;
/// The most core instances of one component; one written in Rust has about 3.
pub(crate) const MAX_CORE_INSTANCES: u32 = 16;
/// The most tables of one component.
pub(crate) const MAX_TABLES: u32 = 16;
/// The most elements of one table.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 20_000;
/// The guest's stack, in bytes: deeper recursion traps. So large that the interpreter of scripts, whose own recursion takes
/// far more of this stack than of its own, notices first and tells the script.
const WASM_STACK_BYTES: usize = 2 << 20;
/// The fiber's stack, in bytes: the guest's and what host functions need on top.
const FIBER_STACK_BYTES: usize = 3 << 20;
/// Address space set aside for each memory: all that a 32-bit address reaches, so that no access needs a
/// bounds check.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
/// What a slot keeps of its last run's memory instead of giving it back to the system.
const KEEP_RESIDENT_BYTES: usize = 4 << 20;
/// The same of each of its tables: that of a component written in Rust has some hundred elements of 8 bytes. Nothing is given back and
/// nothing faulted in again then, which was a fifth of a short run.
const KEEP_RESIDENT_TABLE_BYTES: usize = 64 << 10;
/// Slots that stay warm while unused.
const WARM_SLOTS: u32 = 16;
/// How often the epoch advances. It only stops what fuel and the timeout have failed to stop.
const EPOCH_TICK: Duration = Duration::from_millis(100);

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine does not start: {reason}")]
pub struct EngineError {
    /// What wasmtime says: most often that address space is limited.
    pub reason: String,
}

/// wasmtime, set up so that a run costs and ends the same on every node. Clones share everything.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    _ticker: Arc<Ticker>,
}

impl Engine {
    /// An engine with slots for as many runs at once as `config` says.
    ///
    /// Reserves, without using it, 16 GiB of address space for each slot.
    pub fn new(config: &Config) -> Result<Self, EngineError> {
        let mut settings = shared_settings();
        settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config.slots())));
        Self::with(&settings)
    }

    /// An engine that compiles for the others, without slots.
    pub(crate) fn for_compiling() -> Result<Self, EngineError> {
        Self::with(&shared_settings())
    }

    fn with(settings: &wasmtime::Config) -> Result<Self, EngineError> {
        let start =
            wasmtime::Engine::new(settings).map_err(|error| EngineError { reason: format!("{error:#}") })?;
        let ticker =
            Ticker::start(start.clone()).map_err(|error| EngineError { reason: error.to_string() })?;
        Ok(Self { wasmtime: start, _ticker: Arc::new(ticker) })
    }

    /// What decides how a run ends: wasmtime's version, its settings and limits, the interface, the costs.
    ///
    /// It is the same on every machine: the processor decides which native code is made, not what it computes.
    pub fn engine_id(&self) -> EngineId {
        EngineId(keccak256(description()))
    }

    /// What native code must match to be loaded: also the processor's features.
    pub(crate) fn code_compatibility(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }
}

/// What the engine's id is the keccak-256 of. `vectors/engine.json` holds it as it is now.
fn description() -> String {
    format!(
        "countersign engine; wasmtime {WASMTIME_VERSION} cranelift; interface {INTERFACE}; revision \
         {HOST_REVISION}; nan canonical, no relaxed simd, no memory64, no multi-memory, no threads, no gc; \
         memory {MAX_MEMORY_BYTES} x {MAX_MEMORIES}; instances {MAX_CORE_INSTANCES}; tables \
         {MAX_TABLE_ELEMENTS} x {MAX_TABLES}; stack {WASM_STACK_BYTES}; fuel {costs:?}",
        costs = fuel::COSTS,
    )
}

/// Epochs that pass before a run of `wall` is killed: twice its time, as the timeout comes first.
pub(crate) fn epochs(wall: Duration) -> u64 {
    let ticks = wall.as_millis() * 2 / EPOCH_TICK.as_millis();
    u64::try_from(ticks).unwrap_or(u64::MAX / 2) + 2
}

fn shared_settings() -> wasmtime::Config {
    let mut settings = wasmtime::Config::new();
    settings
        .strategy(wasmtime::Strategy::Cranelift)
        .wasm_component_model(true)
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .memory_reservation(MEMORY_RESERVATION_BYTES);
    settings
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // As many of each as all slots can take at once: the pool is never what runs out.
    pool.total_component_instances(slots)
        .total_stacks(slots)
        .total_core_instances(slots.saturating_mul(MAX_CORE_INSTANCES))
        .total_memories(slots.saturating_mul(MAX_MEMORIES))
        .total_tables(slots.saturating_mul(MAX_TABLES))
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(MAX_MEMORY_BYTES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_TABLE_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// The thread that advances the epoch until the last clone of the engine is gone.
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        thread::Builder::new().name("action-epoch".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(EPOCH_TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    const VECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/engine.json");

    #[test]
    fn code_of_the_compiling_engine_fits_the_running_one() {
        let config = Config { concurrent_runs: 1, concurrent_replays: 1, ..Config::default() };
        let running = Engine::new(&config).expect("an engine");
        let compiling = Engine::for_compiling().expect("an engine");
        assert_eq!(running.code_compatibility(), compiling.code_compatibility());
        assert_eq!(running.engine_id(), compiling.engine_id());
    }

    #[test]
    fn the_version_in_the_id_is_the_one_that_is_pinned() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains(&format!("wasmtime = {{ version = \"={WASMTIME_VERSION}\"")));
    }

    #[test]
    fn the_id_is_the_one_in_the_vector() {
        let engine = Engine::for_compiling().expect("an engine");
        let computed = json!({ "text": description(), "engine_id": engine.engine_id() });
        let computed = serde_json::to_string_pretty(&computed).expect("JSON") + "\n";
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            fs::write(VECTOR, &computed).expect("written");
        }
        let committed = fs::read_to_string(VECTOR).expect("the vector");
        assert_eq!(computed, committed, "the engine is another: nodes of the two share no session");
    }

    #[test]
    fn how_much_runs_at_once_is_not_in_the_id() {
        let one = Config { concurrent_runs: 1, concurrent_replays: 1, ..Config::default() };
        let two = Config { concurrent_runs: 2, concurrent_replays: 2, ..Config::default() };
        let id = |config| Engine::new(config).expect("an engine").engine_id();
        assert_eq!(id(&one), id(&two));
    }
}
