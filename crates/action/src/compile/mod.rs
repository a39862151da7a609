//! From a component to native code: what is refused, and how it is compiled out of harm's way.
//!
//! Compiling is the one thing that a stranger's bytes make a node do outside of fuel. A node therefore
//! does it in a child process ([`Compiler`], [`child_main`]) that has no secrets and limits of its own.

mod child;
mod compiler;
mod export;

use countersign_types::action::MAX_COMPONENT_BYTES;
use serde::{Deserialize, Serialize};
use wasmtime::component::{Component, Linker, types::ComponentItem};

use crate::{
    abort::cut,
    action::Pre,
    bindings::{ActionPre, runner::ScriptRunnerPre},
    engine::{
        Engine, EngineError, INTERFACE, MAX_MEMORIES, MAX_MEMORY_BYTES, MAX_TABLE_ELEMENTS, MAX_TABLES,
    },
    imports::{self, INTERFACES},
    run::RunState,
};

use export::Kind;

pub use child::{ADDRESS_SPACE_BYTES, CPU_SECONDS, child_main};
pub use compiler::{Compiler, CompilerError, MAX_ARTEFACT_BYTES, TIMEOUT};

/// The most foreign imports that an error names.
const MAX_NAMED_IMPORTS: usize = 8;
/// The size of a page of linear memory, in bytes.
const PAGE_BYTES: u64 = 64 << 10;

/// Why a component is no action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CompileError {
    /// Too many bytes.
    #[error("a component has at most {MAX_COMPONENT_BYTES} bytes, got {got}")]
    TooLarge {
        /// How many bytes it has.
        got: usize,
    },
    /// Something else than a component.
    #[error("not a WebAssembly component but {found}")]
    NotComponent {
        /// What it seems to be.
        found: String,
    },
    /// A component that does not validate, or uses what this engine does not have.
    #[error("the component is not valid: {reason}")]
    Invalid {
        /// What wasmtime says, cut.
        reason: String,
    },
    /// It imports what actions do not have.
    #[error("the component imports {}: an action has only {INTERFACE}", imports.join(", "))]
    ForeignImports {
        /// The first of them.
        imports: Vec<String>,
    },
    /// It imports something of the interface under another type.
    #[error("an import of the component has another type than in {INTERFACE}: {reason}")]
    ImportType {
        /// What wasmtime says, cut.
        reason: String,
    },
    /// It exports no function `run`.
    #[error("the component exports no function run")]
    NoRun,
    /// Its `run` has another type.
    #[error("the component's run is {got}, expected {expected}")]
    RunType {
        /// The interface's type.
        expected: String,
        /// The component's, cut.
        got: String,
    },
    /// It is a script runner by its `run`, and its `compile` is missing or has another type.
    #[error("the component's run is that of a script runner, and its compile is {got}, expected {expected}")]
    ScriptCompileType {
        /// The interface's type.
        expected: String,
        /// The component's, cut.
        got: String,
    },
    /// It needs more than a run may have from the start.
    #[error("the component needs {got} {what}, at most {limit}")]
    Resources {
        /// What it needs too much of.
        what: String,
        /// How much.
        got: u64,
        /// The bound.
        limit: u64,
    },
    /// The compiling engine does not start: a fault of the machine, not of the component.
    #[error("the compiler does not start: {reason}")]
    Engine {
        /// Why.
        reason: String,
    },
}

impl From<EngineError> for CompileError {
    fn from(error: EngineError) -> Self {
        Self::Engine { reason: error.reason }
    }
}

/// Compiles a component and checks that it is an action or a script runner: its imports, its exports, what it needs.
///
/// The result is native code for [`Artefacts`](crate::Artefacts). Takes seconds for megabytes, and whatever
/// time a hostile component makes it take: a node calls it through a [`Compiler`].
pub fn compile(component: &[u8]) -> Result<Vec<u8>, CompileError> {
    let engine = Engine::for_compiling()?;
    let linker = imports::linker(&engine)
        .map_err(|error| CompileError::Engine { reason: cut(format!("{error:#}")) })?;
    let compiled = compile_with(&engine, component)?;
    link(&engine, &linker, &compiled)?;
    compiled.serialize().map_err(|error| invalid(&error))
}

pub(crate) fn compile_with(engine: &Engine, component: &[u8]) -> Result<Component, CompileError> {
    if component.len() > MAX_COMPONENT_BYTES {
        return Err(CompileError::TooLarge { got: component.len() });
    }
    sniff(component)?;
    Component::new(engine.wasmtime(), component).map_err(|error| invalid(&error))
}

/// Resolves a component's imports, after checking that it is an action or a script runner.
pub(crate) fn link(
    engine: &Engine,
    linker: &Linker<RunState>,
    component: &Component,
) -> Result<Pre, CompileError> {
    check_imports(engine, component)?;
    check_resources(component)?;
    let kind = export::check(engine, component)?;
    let import_type = |error: wasmtime::Error| CompileError::ImportType { reason: cut(format!("{error:#}")) };
    let pre = linker.instantiate_pre(component).map_err(import_type)?;
    match kind {
        Kind::Action => ActionPre::new(pre).map(Pre::Action),
        Kind::Runner => ScriptRunnerPre::new(pre).map(Pre::Runner),
    }
    .map_err(|error| invalid(&error))
}

fn invalid(error: &wasmtime::Error) -> CompileError {
    CompileError::Invalid { reason: cut(format!("{error:#}")) }
}

/// Tells a component from what people hand in instead.
fn sniff(bytes: &[u8]) -> Result<(), CompileError> {
    let found = match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => "a core module: link it with wasm-component-ld",
        [0, b'a', b's', b'm', ..] => "WebAssembly of an unknown version",
        [b'(', ..] => "WebAssembly text: compile it first",
        [] => "nothing",
        _ => "something that is not WebAssembly",
    };
    Err(CompileError::NotComponent { found: found.into() })
}

fn check_imports(engine: &Engine, component: &Component) -> Result<(), CompileError> {
    let mut foreign = Vec::new();
    for (name, import) in component.component_type().imports(engine.wasmtime()) {
        let known = INTERFACES.iter().find(|(interface, _)| *interface == name);
        match (known, import.ty) {
            (Some((_, functions)), ComponentItem::ComponentInstance(instance)) => {
                let items = instance.exports(engine.wasmtime());
                let unknown = items.filter(|(item, export)| {
                    !matches!(export.ty, ComponentItem::Type(_)) && !functions.contains(item)
                });
                foreign.extend(unknown.map(|(item, _)| cut(format!("{name}#{item}"))));
            }
            // A type is no way out; the world's own come in like this.
            (_, ComponentItem::Type(_)) => {}
            _ => foreign.push(cut(name.to_owned())),
        }
    }
    if foreign.is_empty() {
        return Ok(());
    }
    foreign.truncate(MAX_NAMED_IMPORTS);
    Err(CompileError::ForeignImports { imports: foreign })
}

fn check_resources(component: &Component) -> Result<(), CompileError> {
    let Some(needs) = component.resources_required() else {
        return Err(CompileError::ForeignImports { imports: vec!["a module or component".into()] });
    };
    let memory = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES);
    let wide = |bound: usize| u64::try_from(bound).unwrap_or(u64::MAX);
    [
        ("memories", needs.num_memories.into(), MAX_MEMORIES.into()),
        ("bytes of memory", memory, wide(MAX_MEMORY_BYTES)),
        ("tables", needs.num_tables.into(), MAX_TABLES.into()),
        ("elements of a table", needs.max_initial_table_size.unwrap_or(0), wide(MAX_TABLE_ELEMENTS)),
    ]
    .into_iter()
    .try_for_each(|(what, got, limit)| {
        if got > limit { Err(CompileError::Resources { what: what.into(), got, limit }) } else { Ok(()) }
    })
}
