//! The transport over real libp2p on loopback: what members can rely on, and what strangers and dishonest members
//! cannot do.

mod mesh;
mod misbehaviour;
mod raw;
mod reach;
mod recovery;
mod refusals;
mod starting;
mod ways;
mod world;
