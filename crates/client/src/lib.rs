//! A typed client that trusts a genesis only: it fails over between nodes and verifies what they answer.
//!
//! Any node coordinates any request, and none is believed. Root keys count with every member's activation
//! ([`Trust`]); a signature counts if it verifies under the key that is derived offline, over the bytes that
//! the payload gives, and if a threshold of members voted for exactly this outcome of exactly this request
//! ([`verify_answer`]). A node that answers anything else is named and passed over.
//!
//! Of several nodes the one that is well and quick is asked first. Where it fails or is silent the next one is asked, with the same
//! signed request, all within one timeout. The table of what a node's answer means for a call is at the head of `meaning.rs`; whom
//! to ask and when (`course.rs`, `standings.rs`) is decided without clock or socket.
//!
//! What needs no node asks none: [`DerivedKey`] gives a key and its addresses from genesis, root keys and spec.

#[cfg(countersign_toy_curves)]
compile_error!("a client with toy curves protects nothing: they are for the simulator");

mod actions;
mod addresses;
mod asking;
mod client;
mod course;
mod error;
mod key;
mod meaning;
mod node;
mod receipts;
mod signer;
mod standings;
mod verify;

pub use addresses::{BitcoinNetwork, BitcoinNetworkError, bitcoin_address, ethereum_address, solana_address};
pub use client::{Client, ClientConfig, Signed};
pub use countersign_receipt::{Trust, TrustError};
pub use error::{ClientError, NodeError, NodeFailure};
pub use key::{DerivedKey, DerivedKeyError, SignatureError};
pub use reqwest::Url;
pub use signer::{LocalSigner, RequestSigner, SignerError, sign_publication, sign_request};
pub use standings::NodeHealth;
pub use verify::{VerifyError, verify_answer};
