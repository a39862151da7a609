//! A compiled action, ready to run.

use countersign_types::ComponentDigest;
use wasmtime::component::{Component, Linker};

use crate::{
    bindings::{ActionPre, runner::ScriptRunnerPre},
    compile::{self, CompileError},
    engine::Engine,
    run::RunState,
};

/// A component with its imports resolved: instantiating it takes microseconds.
pub struct Action {
    digest: ComponentDigest,
    engine: Engine,
    pre: Pre,
}

/// What a component is, by what it exports.
pub(crate) enum Pre {
    /// An action by itself.
    Action(ActionPre<RunState>),
    /// What runs scripts.
    Runner(ScriptRunnerPre<RunState>),
}

impl Action {
    pub(crate) fn new(
        engine: &Engine,
        linker: &Linker<RunState>,
        digest: ComponentDigest,
        component: &Component,
    ) -> Result<Self, CompileError> {
        let pre = compile::link(engine, linker, component)?;
        Ok(Self { digest, engine: engine.clone(), pre })
    }

    /// The digest of the component that this is.
    pub fn digest(&self) -> ComponentDigest {
        self.digest
    }

    /// Whether it is a runner, which needs a script.
    pub fn is_runner(&self) -> bool {
        matches!(self.pre, Pre::Runner(_))
    }

    /// What to instantiate, unless it belongs to another engine.
    pub(crate) fn pre(&self, engine: &Engine) -> Option<&Pre> {
        wasmtime::Engine::same(self.engine.wasmtime(), engine.wasmtime()).then_some(&self.pre)
    }
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Action")
            .field("digest", &self.digest)
            .field("is_runner", &self.is_runner())
            .finish_non_exhaustive()
    }
}
