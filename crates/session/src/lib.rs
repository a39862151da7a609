//! The signing and key-generation protocols as state machines without input or output.
//!
//! Messages, results and the time go in; effects come out, and whoever drives the machines carries them
//! out in order. Nothing here has a clock, entropy, a socket, a file or a task: time is a parameter,
//! randomness a generator that is passed in. The same inputs give the same effects, so a simulator can
//! play any schedule, and the node adds nothing but wiring.
//!
//! - [`participant`]: what a node does with a proposal, a package, a replay. It alone makes shares.
//! - [`coordinator`]: what collects observations and shares for one request. It learns no secret.
//! - [`Stock`]: commitments that members handed out in advance, with which a session takes one round.
//! - [`Sent`]: which commitments stood in a coordinator's packages.
//! - [`Order`]: which members to ask first.
//! - [`keygen`]: distributed key generation, from the first message to an activated root key.

pub mod coordinator;
pub mod keygen;
mod membership;
pub mod message;
#[cfg(countersign_mutants)]
#[doc(hidden)]
pub mod mutant;
pub mod order;
pub mod participant;
mod recent;
mod sent;
mod stock;

pub use membership::Membership;
pub use order::Order;
pub use sent::{MAX_SENT, Sent};
pub use stock::{MAX_ACTIONS, MAX_STOCK, Stock};

/// The version of the messages in this crate; members announce it and talk to equals only.
pub const PROTOCOL: u16 = 6;

/// Milliseconds since 1970 by the node's own clock, which never runs backwards.
pub type Millis = u64;
