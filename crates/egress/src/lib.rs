//! HTTP reads that reach only where they may.
//!
//! An action's author writes the URLs and a stranger's server answers: neither may use a node to reach into the network
//! that it stands in. [`Egress::fetch`] makes one GET, and at every hop of it
//!
//! - the URL is one of https, to a host name, on port 443, and the action's manifest lists that host;
//! - the name is resolved once, by a resolver of our own, and every address of it must be globally routable (`address`);
//! - the connection goes to exactly those addresses: the client of a hop knows no other (`client`);
//! - the certificate is verified for the name.
//!
//! Redirects are followed by hand (`redirect`), bodies are read and decompressed within a bound (`body`), the time is that
//! of the whole read, and there is a bound on reads at once (`slots`). No proxy variable counts, no cookie is kept, no
//! connection outlives its read.
//!
//! For a test network an operator can *open* a name: it leads to a given address then, over plain HTTP where that is said,
//! while actions and their ids still name `https://prices.test/`.

mod address;
mod body;
mod causes;
mod client;
mod config;
mod egress;
mod fault;
mod names;
mod redirect;
mod slots;
#[cfg(test)]
mod tests;

pub use config::{
    ConfigError, ConfigProblem, EgressConfig, MAX_NAMESERVERS, MAX_OPEN_NAMES, MAX_ROOTS, OpenName,
};
pub use egress::Egress;
pub use fault::{Fault, ResolveProblem, TlsProblem};
pub use redirect::MAX_REDIRECTS;
pub use slots::{MAX_READS, MAX_READS_PER_HOST};
