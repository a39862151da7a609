//! A deterministic world around the session state machines: network, faults, attackers and invariants.
//!
//! The machines of `countersign-session` run here unmodified. Everything around them is played from one seed:
//! the time, the network, crashes, the other members' dishonesty, what the actions read. After every event
//! the invariants are checked ([`Violation`]), against what honest nodes send and what the script of the world
//! says, not against what the machines think of themselves.
//!
//! ```
//! use countersign_sim::{Scenario, World};
//!
//! let report = World::new(Scenario::default(), 7).run().expect("every invariant holds");
//! assert!(report.trace.len() > 0);
//! ```
//!
//! The same seed gives the same trace, byte for byte. A [`Mutant`] is a node that is built wrong around the
//! right machines: an invariant that no mutant ever breaks proves nothing.

mod chance;
pub mod keygen;
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "a lie changes one thing and leaves everything else as it is"
)]
mod liar;
mod network;
mod node;
mod queue;
mod quotes;
mod roots;
mod scenario;
mod script;
mod trace;
mod violation;
mod watch;
mod world;

pub use network::Links;
pub use scenario::{Mutant, Scenario};
pub use trace::Trace;
pub use violation::{Broken, Violation};
pub use world::{Report, World};
