//! The node: configuration, driver loop and shutdown around the session core.
//!
//! [`run`] opens the database, connects to the other members, and drives the state machines of
//! `countersign-session` until it is told to stop. It holds no decision of the protocol: it carries
//! messages, runs actions, stores what must be durable, and answers the HTTP interface.

#[cfg(countersign_toy_curves)]
compile_error!("a node with toy curves protects nothing: they are for the simulator");

mod backend;
pub mod backup;
mod boot;
pub mod boots;
mod causes;
mod clock;
pub mod config;
mod driver;
mod heads;
pub mod init;
mod library;
pub mod logging;
pub mod measures;
mod outside;
mod pace;
mod passphrase;
mod per_peer;
mod questions;
mod receipts;
mod replication;
mod runs;
mod scrape;
mod status;
mod wire;
mod wire_log;

pub use boot::{NodeError, forbid_core_dumps, run};
pub use config::{ConfigError, NodeConfig};
pub use passphrase::{PassphraseConfig, PassphraseError};
pub use receipts::{ReceiptsConfig, ShownTo};
pub use wire_log::DebugConfig;

/// The version that a node announces.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
