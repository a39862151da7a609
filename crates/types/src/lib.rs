//! Identifiers, key specs, requests, records, outcomes and votes, and their canonical hashes.
//!
//! Everything that is hashed or signed is a Solidity struct hashed by EIP-712 ([`canonical`]): a wallet
//! can show and sign a request, and Rust, TypeScript and a contract compute the same bytes. The domain
//! is (name, version, salt), where the salt is the network id. Content ids ([`ActionId`], [`KeyId`],
//! [`NetworkId`]) are bare struct hashes, so that they are the same on every network.
//!
//! Values from outside are parsed into types that can only be built by validating: a [`Committee`] always
//! has a legal threshold, a [`ValidRequest`] is always well-formed. Inside, they are trusted.

pub mod action;
pub mod api;
pub mod canonical;
mod committee;
pub mod decimal;
mod ecdsa;
pub mod evm;
pub mod failure;
mod genesis;
pub mod http;
mod id;
mod identity;
mod key;
#[doc(hidden)]
pub mod mutant;
#[cfg(feature = "openapi")]
mod openapi;
pub mod outcome;
pub mod payload;
pub mod read;
mod receipt_access;
pub mod record;
mod request;
mod root_keys;
mod rule;
mod scheme;
mod session;
pub mod terminal;
pub mod typed_data;
mod vote;

pub use action::{Limits, Manifest, PublishAction, SignedPublishAction};
pub use committee::{Committee, CommitteeError, Identifier, MAX_MEMBERS};
pub use decimal::Decimal;
pub use failure::{Decision, Failure, FailureKind, NodeDecision};
pub use genesis::{Genesis, GenesisError, MAX_CHAINS};
pub use id::{
    ActionId, AttemptId, ComponentDigest, EngineId, HexError, KeyId, NetworkId, OutcomeHash, PackageHash,
    ReadId, RecordHash, RequestDigest, SessionId,
};
pub use identity::{IdentityError, NodeKey, NodePublicKey, NodeSignature};
pub use key::{Finality, KeyOptions, KeySpec, KeySpecError, PayloadKind, Policy};
pub use outcome::{Outcome, Verdict};
pub use payload::{
    MAX_PAYLOAD_BYTES, MAX_PAYLOADS, Payload, PayloadError, TypedDataError, typed_data_digest,
};
pub use receipt_access::{MAX_ACCESS_MS, ReceiptAccess, ReceiptAccessError};
pub use record::{FieldRead, Record, RecordEntry};
pub use request::{
    Caller, CallerKind, CallerSignature, MAX_CALLERS, MAX_CONFIG_BYTES, MAX_COORDINATORS, MAX_LIFETIME_MS,
    MAX_PARAMS_BYTES, Request, RequestError, SignedRequest, ValidRequest,
};
pub use root_keys::{
    Activation, AttemptTerms, RootKey, RootKeys, RootKeysError, activate, activation_digest, roots_hash,
};
pub use rule::{MAX_BPS, Rule, Tolerance};
pub use scheme::{PublicKey, Scheme, SchemeError, Signature};
pub use session::{Context, Pin, SessionTerms};
pub use vote::{SignedVote, Vote};

pub use alloy_primitives::{Address, B256, Bytes, U256};
