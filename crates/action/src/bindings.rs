//! The Rust face of `action.wit`: types of arguments and results, and the call of `run`.
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
