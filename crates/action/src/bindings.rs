//! The Rust face of `action.wit`: types of arguments and results, and the calls of what a component exports.
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    reason = "the code is generated; the interface file documents it"
)]

wasmtime::component::bindgen!({
    world: "action",
    path: "../action-sdk/wit",
    exports: { default: async },
});

/// The exports of what runs a script; all else is as for an action.
pub mod runner {
    wasmtime::component::bindgen!({
        world: "script-runner",
        path: "../action-sdk/wit",
        exports: { default: async },
        with: {
            "countersign:action/context": crate::bindings::countersign::action::context,
            "countersign:action/types": crate::bindings::countersign::action::types,
            "countersign:action/http": crate::bindings::countersign::action::http,
            "countersign:action/evm": crate::bindings::countersign::action::evm,
            "countersign:action/crypto": crate::bindings::countersign::action::crypto,
            "countersign:action/log": crate::bindings::countersign::action::log,
            "countersign:action/outcome": crate::bindings::countersign::action::outcome,
        },
    });
}
