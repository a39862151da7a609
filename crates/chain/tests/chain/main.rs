//! The public API against real development chains and providers that misbehave.

mod examine;
mod pins;
mod proxy;
mod quorum;
mod reads;
mod world;
