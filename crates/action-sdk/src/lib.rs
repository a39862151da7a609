//! What an action written in Rust depends on: the context, the host's functions, and what a run ends with.
//!
//! An action is one function. It reads the [`Context`], asks the host for whatever it needs to know, and
//! returns a [`Decision`], which names what is to be signed with the request's key, or a [`Refusal`], whose
//! reason reaches the caller. It never signs, and it never ends in an error: what it cannot find out is a
//! refusal, and a panic ends the run on that node without a verdict.
//!
//! Every node of the committee runs it, and then runs it again over the reads that all agreed on. Both runs
//! must do the same, and they do: the only time is [`Context::time_ms`], and there is no randomness.
//!
//! ```
//! use countersign_action_sdk::{Context, Decision, Payload, Refusal, U256, action, evm, json};
//!
//! /// The key's config, as JSON.
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     chain_id: u64,
//!     #[serde(with = "json::decimal")]
//!     minimum: U256,
//! }
//!
//! fn run() -> Result<Decision, Refusal> {
//!     let context = Context::get();
//!     let config: Config = context.config_json()?;
//!     let caller = context.first_caller()?;
//!     let block = context.pin(config.chain_id)?.number;
//!     let balance = evm::balance(config.chain_id, caller)?;
//!     if balance < config.minimum {
//!         return Err(Refusal::new(format!(
//!             "{caller} has {balance} wei at block {block}, the key asks for {}",
//!             config.minimum
//!         )));
//!     }
//!     Ok(Decision::sign([Payload::Bytes(context.params)]).respond(format!("{balance} wei at block {block}")))
//! }
//!
//! action!(run);
//! # fn main() {}
//! ```
//!
//! The crate that holds it is a `cdylib`, built for `wasm32-unknown-unknown` and linked by
//! `wasm-component-ld`, so that the result is a component; `actions/README.md` has the command. On other
//! targets everything compiles, so that the rules of an action can be tested natively, and the host's
//! functions panic: keep the rules apart from the reads.

mod address;
#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    reason = "generated; the interface's own comments say what it is"
)]
#[doc(hidden)]
pub mod bindings;
mod context;
pub mod crypto;
mod decimal;
pub mod erc20;
pub mod evm;
pub mod http;
#[cfg(feature = "json")]
pub mod json;
pub mod log;
mod outcome;
mod read;

pub use address::{Address, AddressError};
pub use context::{Caller, Context, Pin};
pub use decimal::{Decimal, DecimalError};
pub use outcome::{Decision, MAX_PAYLOADS, Payload, Refusal};

/// An unsigned number of 256 bits: amounts in base units, and words of the EVM.
pub use ruint::aliases::U256;

/// Makes a function the action's entry point. It takes nothing and returns `Result<Decision, Refusal>`.
///
/// A panic is logged with its message and place, then ends the run.
#[macro_export]
macro_rules! action {
    ($run:path) => {
        #[allow(unsafe_code, reason = "the exports that the component model asks for")]
        const _: () = {
            struct EntryPoint;

            impl $crate::bindings::Guest for EntryPoint {
                fn run() -> ::core::result::Result<$crate::Decision, $crate::Refusal> {
                    $crate::log::panics();
                    $run()
                }
            }

            #[cfg(target_arch = "wasm32")]
    $crate::bindings::export_action!(EntryPoint with_types_in $crate::bindings);
        };

        // Elsewhere nothing is exported, and the entry point is in use all the same.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> ::core::result::Result<$crate::Decision, $crate::Refusal> = $run;
    };
}
