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
//!
//! A program depends on two crates: this one, and `countersign-types` for specs, requests and what else is said (with
//! `countersign-receipt`, where it checks receipts). The workspace's `examples` are whole programs; this one asks for a signature:
//!
//! ```no_run
//! use std::{fs, time::Duration};
//!
//! use countersign_client::{Client, ClientConfig, LocalSigner, RequestSigner, Url, sign_request};
//! use countersign_types::{
//!     ActionId, Address, B256, Bytes, Caller, CallerKind, Genesis, KeyOptions, KeySpec, PayloadKind, Policy, Scheme,
//! };
//!
//! # async fn ask(now_ms: u64, action: ActionId, caller: LocalSigner) -> Result<(), Box<dyn std::error::Error>> {
//! let genesis: Genesis = serde_json::from_str(&fs::read_to_string("genesis.json")?)?;
//! let nodes = vec![Url::parse("http://127.0.0.1:8470")?, Url::parse("http://127.0.0.1:8471")?];
//! let client = Client::new(ClientConfig { nodes, genesis, timeout: Duration::from_secs(30) })?;
//!
//! // which key: its action, with settings, decides what it signs
//! let key = KeySpec {
//!     scheme: Scheme::SchnorrSecp256k1,
//!     policy: Policy { action, config: Bytes::from_static(br#"{"not_before":1700000000}"#) },
//!     payloads: vec![PayloadKind::Bytes],
//!     options: KeyOptions::default(),
//!     owner: Address::ZERO,
//!     salt: B256::ZERO,
//! };
//! let callers = vec![Caller { kind: CallerKind::Eip191, id: caller.address() }];
//! let params = Bytes::from_static(br#"{"messages":["0x68656c6c6f"]}"#);
//! let mut request = client.build_request(key, params, callers, now_ms, 60_000);
//! request.coordinators = client.coordinators().await?;
//!
//! let signed = client.sign(sign_request(request, &[&caller])?).await?;
//! for signed in &signed.answer.signatures {
//!     println!("{} signs {}", signed.signature.0, signed.message);
//! }
//! # Ok(())
//! # }
//! ```

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
