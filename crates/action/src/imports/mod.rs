//! The host's side of `action.wit`: one file for each interface.
//!
//! Functions are defined on the linker itself, as each needs the store: it pays before it works.

mod arguments;
mod context;
mod crypto;
mod define;
mod evm;
mod http;
mod log;
mod reads;
mod results;

use wasmtime::component::Linker;

use crate::{engine::Engine, run::RunState};

/// What a component may import: each interface with its functions.
pub(crate) const INTERFACES: [(&str, &[&str]); 7] = [
    (context::NAME, &["get"]),
    ("countersign:action/types@0.1.0", &[]),
    (http::NAME, &["fetch", "fetch-all"]),
    (
        evm::NAME,
        &[
            "eth-call",
            "eth-call-all",
            "balance",
            "nonce",
            "code-hash",
            "storage-at",
            "logs",
            "transaction-receipt",
        ],
    ),
    (
        crypto::NAME,
        &[
            "keccak256",
            "sha256",
            "secp256k1-recover",
            "secp256k1-verify",
            "bip340-verify",
            "p256-verify",
            "ed25519-verify",
            "typed-data-digest",
        ],
    ),
    (log::NAME, &["emit"]),
    ("countersign:action/outcome@0.1.0", &[]),
];

/// Everything that an action may call.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<RunState>> {
    let mut linker = Linker::new(engine.wasmtime());
    context::define(&mut linker.instance(context::NAME)?)?;
    http::define(&mut linker.instance(http::NAME)?)?;
    evm::define(&mut linker.instance(evm::NAME)?)?;
    crypto::define(&mut linker.instance(crypto::NAME)?)?;
    log::define(&mut linker.instance(log::NAME)?)?;
    for (name, functions) in INTERFACES {
        if functions.is_empty() {
            linker.instance(name)?;
        }
    }
    Ok(linker)
}
