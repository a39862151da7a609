//! A typed client that trusts a genesis only: it fails over between nodes and verifies what they answer.
//!
//! Any node coordinates any request, and none is believed. Root keys count with every member's activation
//! ([`Trust`]); a signature counts if it verifies under the key that is derived offline, over the bytes that
//! the payload gives, and if a threshold of members voted for exactly this outcome of exactly this request
//! ([`verify_answer`]). A node that answers anything else is named and passed over.

mod addresses;
mod client;
mod error;
mod node;
mod signer;
mod verify;

pub use addresses::{BitcoinNetwork, BitcoinNetworkError, bitcoin_address, ethereum_address, solana_address};
pub use client::{Client, ClientConfig, Signed};
pub use countersign_receipt::{Trust, TrustError};
pub use error::{ClientError, NodeError, NodeFailure};
pub use reqwest::Url;
pub use signer::{LocalSigner, RequestSigner, SignerError, sign_publication, sign_request};
pub use verify::{VerifyError, verify_answer};
