//! Runs actions that are JavaScript: QuickJS in a component that imports nothing but what every action may.
//!
//! It is pre-initialised: when it is built, `engine::start` runs, and what it leaves in memory becomes the
//! component's own. So a run begins with an interpreter that has compiled and evaluated the bindings (`js/`).
//! Each run is in a fresh instance, and nothing of one reaches another.
//!
//! Bindings are JavaScript wherever they can be: they check arguments and say what to write instead. Rust only
//! converts (`native`, `convert`). Nothing here guards anything: an action that goes around the bindings
//! reaches the host's functions, which check everything themselves.

mod clock;
mod convert;
mod engine;
mod failure;
mod native;
mod refusal;
mod script;

mod bindings {
    #![allow(missing_docs, unsafe_code, clippy::crate_in_macro_def, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../crates/action-sdk/wit",
        world: "script-runner",
        pub_export_macro: true,
        default_bindings_module: "crate::bindings",
        generate_all,
    });
}

use bindings::{Decision, Guest, ScriptEnd};

struct Runner;

impl Guest for Runner {
    fn compile(source: String) -> Result<Vec<u8>, String> {
        engine::with(|ctx, _| script::compile(ctx, &source))
    }

    fn run(program: Vec<u8>) -> Result<Decision, ScriptEnd> {
        engine::with(|ctx, hooks| script::run(ctx, hooks, program))
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Runner with_types_in bindings);

/// Called once, when the component is built.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "the name by which wizer calls it")]
#[unsafe(export_name = "wizer-initialize")]
extern "C" fn initialize() {
    engine::start();
}

// Elsewhere nothing is exported, and all is in use all the same.
#[cfg(not(target_arch = "wasm32"))]
const _: fn() = || {
    engine::start();
    let _ = (Runner::compile, Runner::run);
};
