//! n real nodes and a real dev chain on this machine.
//!
//! [`Network`] makes and runs the processes, for the command `testnet`, for tests and for the benchmark.
//! Everything lies in one folder: configuration, keys, databases, logs, and what was started, so that just
//! that can be ended.

pub mod chain;
pub mod create;
pub mod delay;
pub mod demonstrations;
pub mod independent;
pub mod network;
pub mod node;
pub mod outside;
pub mod process;
pub mod relay;
pub mod report;
pub mod rpc;
pub mod settings;
pub mod shell;
pub mod temporary;
pub mod wire;

pub use network::Network;
pub use settings::Plan;
