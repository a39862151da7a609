//! The public interface of threshold keys, over whole committees in one process.

mod dkg;
mod groups;
mod keys;
mod members;
mod parity;
mod signing;
mod verifying;
