//! A compiled action, ready to run.

use countersign_types::ComponentDigest;
use wasmtime::component::{Component, Linker};

use crate::{
    bindings::ActionPre,
    compile::{self, CompileError},
    engine::Engine,
    run::RunState,
};

/// A component with its imports resolved: instantiating it takes microseconds.
pub struct Action {
    digest: ComponentDigest,
    engine: Engine,
    pre: ActionPre<RunState>,
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

    /// What to instantiate, unless it belongs to another engine.
    pub(crate) fn pre(&self, engine: &Engine) -> Option<&ActionPre<RunState>> {
        wasmtime::Engine::same(self.engine.wasmtime(), engine.wasmtime()).then_some(&self.pre)
    }
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Action").field("digest", &self.digest).finish_non_exhaustive()
    }
}
