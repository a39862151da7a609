//! Threshold keys: distributed key generation, derivation and signing, generic over the suite.
//!
//! The members of a committee make a root key with [`dkg`]: each ends with a [`RootShare`], nobody with
//! the key. Every key of the network is a child of its scheme's root: [`RootShare::derive`] and
//! [`RootPublic::derive`] add the same public number, so that a child costs no message. A child signs by
//! FROST (RFC 9591): [`DerivedShare::commit`] is its round one, [`SigningNonces::sign`] its round two,
//! [`DerivedPublic::aggregate`] the coordinator's part.
//!
//! Nothing here reads a clock, a file, a socket or a source of entropy: randomness is passed in. The types
//! outside are the same for every [`Scheme`](countersign_types::Scheme); the suites behind them are named in
//! one place, the module `suite`.
//!
//! # What a caller must see to
//!
//! - The sender of a package, of commitments or of a share is known from the channel, never from the bytes.
//! - Broadcasts of key generation are echoed, and bound to network, epoch, attempt and roster by a signed
//!   envelope: the proof of possession inside has no context of its own.
//! - A [`SigningPackage`]'s message is one that the signer derived itself.
//! - Keys derived here are never exported: a child's private key and the public tweak give the root's.

mod aggregate;
mod derive;
pub mod dkg;
mod encoding;
mod quorum;
mod root;
mod share;
mod signing;
mod suite;
mod verify;

pub use aggregate::AggregateError;
pub use derive::{DeriveError, DerivedPublic, DerivedShare, derive_public_key};
pub use quorum::QuorumError;
pub use root::{RootError, RootPublic};
pub use share::{RootShare, SHARE_RECORD_VERSION, ShareError};
pub use signing::{
    Commitments, LengthError, MAX_COMMITMENTS_BYTES, MAX_SIGNATURE_SHARE_BYTES, PackageError, SignError,
    SignatureShare, SigningNonces, SigningPackage,
};
pub use verify::{VerifyError, is_public_key, verify};
