//! Connections between members: frames of bytes, bounded, between the nodes of a known list.
//!
//! [`start`] listens and connects; [`Handle::send`] queues a frame for a member; [`EventReceiver::recv`]
//! gives what arrives. The crate knows nothing of the protocols whose frames it carries.
//!
//! - Who sent a frame follows from the connection alone: libp2p authenticates the peer's secp256k1 key, and
//!   only members are let in.
//! - Each pair of members has one connection (QUIC, else TCP), and on it one long-lived stream for each
//!   [`Lane`] and direction, so that bulk work does not delay signing.
//! - Everything is bounded. A full queue is [`SendError::Busy`]; a slow consumer stops the reading, which in
//!   the end fills the sender's queue. Nothing is dropped silently while a connection lives. A connection
//!   that breaks loses what is in flight: the protocols above resend.
//! - Both sides dial, the member with the lower PeerId at once, the other a little later and only where it is
//!   not connected: whoever notices a loss first mends it. Of two connections that crossed the lower chooses.

mod address;
mod backoff;
pub mod boots;
mod closing;
mod config;
mod dial;
mod driver;
mod event;
pub mod frame;
mod handle;
pub mod hello;
mod identity;
mod lane;
mod link;
pub mod memory;
mod peer;
pub mod reach;
mod sources;
mod start;
mod streams;
mod swarm;
mod transport;

pub use boots::{Boot, BootId, Boots, BootsError};
pub use config::{Config, ConfigError, DEFAULT_PORT};
pub use event::{Event, EventReceiver};
pub use handle::Handle;
pub use hello::Hello;
pub use identity::keypair;
pub use libp2p::Multiaddr;
pub use start::{StartError, start};
pub use streams::{BACKGROUND_PROTOCOL, HELLO_PROTOCOL, SIGNING_PROTOCOL};
pub use transport::{Lane, PeerStatus, SendError, Stats, Transport};
