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
//! right machines: an invariant that no mutant ever breaks proves nothing. Defects of the machines themselves are in
//! `hunt`, which is there only where the compiler is told `--cfg countersign_mutants`.

mod blame;
mod bounds;
mod chance;
mod cut;
mod explain;
mod faults;
#[cfg(countersign_mutants)]
pub mod hunt;
pub mod keygen;
mod ledger;
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "a lie changes one thing and leaves everything else as it is"
)]
mod liar;
pub mod liveness;
mod network;
mod node;
mod queue;
mod quotes;
mod roots;
mod scenario;
mod script;
mod setting;
pub mod shrink;
mod trace;
mod violation;
mod watch;
mod world;

pub use faults::{Class, Fault, FaultError};
pub use network::Links;
pub use scenario::{Mutant, Scenario};
pub use setting::{Ended, Setting, SettingError, TOY_CURVES};
pub use trace::Trace;
pub use violation::{Broken, Violation};
pub use world::{Report, Session, World};

/// A defect of the core.
#[cfg(countersign_mutants)]
pub use countersign_types::mutant::Mutant as CoreMutant;

/// A run as text: what its world is made of, what happens, step by step, and what breaks, with an explanation. The same
/// seed gives the same text, byte for byte.
pub fn replay(setting: &Setting, seed: u64) -> String {
    let head = format!("seed {seed}, {}\n", setting.arguments());
    match setting.run(seed) {
        Ok(ended) => format!("{head}{}\nno invariant breaks\n", ended.trace().text()),
        Err(broken) => format!("{head}{}\n{}\n", broken.trace.text(), verdict(&broken)),
    }
}

/// What broke, and why it must not.
pub fn verdict(broken: &Broken) -> String {
    format!("{}\n{}: {}", broken.violation, broken.violation.name(), broken.violation.explanation())
}
