//! What signatures cost: latencies and signatures per second of a network that runs, beside the ceiling that the
//! cryptography alone sets on the same machine at the same time.
//!
//! Requests are made and signed before the clock starts, and answers verified after it has stopped: what is measured is the
//! network, asked over HTTP as applications ask it, and what whoever measures does for itself costs it nothing but the calls.

mod ceiling;
mod error;
mod latencies;
mod load;
mod report;

pub use ceiling::Ceiling;
pub use error::BenchError;
pub use latencies::Latencies;
pub use load::{Load, Run};
pub use report::{Row, markdown};
