//! The two rounds of a signer (RFC 9591 section 5): commitments, then a signature share.

use std::{collections::BTreeMap, fmt};

use countersign_types::{Bytes, Identifier, Scheme};
use frost_core::{keys::SigningShare, round1, round2};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};

use crate::{
    derive::{DerivedShare, ShareOfChild},
    encoding::{FrostIdentifier, frost_identifier},
    share::RootShare,
    suite::{BySuite, Family, Suite, dispatch},
};

/// The most bytes of the commitments of any scheme: two elements.
pub const MAX_COMMITMENTS_BYTES: usize = 66;
/// The most bytes of a signature share of any scheme: a scalar.
pub const MAX_SIGNATURE_SHARE_BYTES: usize = 32;

/// Bytes from a peer that no scheme's encoding can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {most} bytes, got {got}")]
pub struct LengthError {
    /// The most bytes that it may have.
    pub most: usize,
    /// How many it has.
    pub got: usize,
}

macro_rules! bounded_bytes {
    ($($(#[$doc:meta])* $name:ident, $most:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Bytes", into = "Bytes")]
        pub struct $name(Bytes);

        impl $name {
            /// The encoding.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl TryFrom<Bytes> for $name {
            type Error = LengthError;

            fn try_from(bytes: Bytes) -> Result<Self, LengthError> {
                if bytes.len() <= $most {
                    Ok(Self(bytes))
                } else {
                    Err(LengthError { most: $most, got: bytes.len() })
                }
            }
        }

        impl From<$name> for Bytes {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

bounded_bytes! {
    /// A signer's commitments to its nonces: the hiding, then the binding element, each in its only
    /// encoding. Parsed where they are used; at most [`MAX_COMMITMENTS_BYTES`].
    Commitments, MAX_COMMITMENTS_BYTES;
    /// What a signer adds to a signature: a scalar in its only encoding. Parsed where it is used; at most
    /// [`MAX_SIGNATURE_SHARE_BYTES`].
    SignatureShare, MAX_SIGNATURE_SHARE_BYTES;
}

/// A message and the commitments of everybody who signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningPackage {
    /// The signers, with their commitments.
    pub commitments: BTreeMap<Identifier, Commitments>,
    /// What is signed: exactly what a verifier takes.
    pub message: Bytes,
}

/// Why a signing package is none for this key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// Too few signers.
    #[error("expected at least {expected} signers, got {got}")]
    TooFewSigners {
        /// The threshold.
        expected: u16,
        /// How many there are.
        got: usize,
    },
    /// A signer that is no member.
    #[error("signer {signer} is none of the {size} members")]
    UnknownSigner {
        /// The signer.
        signer: Identifier,
        /// How many members there are.
        size: u16,
    },
    /// Commitments that are not two elements in canonical encoding.
    #[error("the commitments of signer {signer} are malformed")]
    MalformedCommitments {
        /// Whose they are.
        signer: Identifier,
    },
}

/// Why a signer gives no share. Its nonces are gone in every case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The nonces were made for a key of another scheme.
    #[error("the nonces are of {nonces}, the share of {share}")]
    Scheme {
        /// The nonces' scheme.
        nonces: Scheme,
        /// The share's scheme.
        share: Scheme,
    },
    /// This node is not among the signers.
    #[error("member {me} is not among the signers")]
    NotASigner {
        /// This node.
        me: Identifier,
    },
    /// The package has other commitments for this node than those of the nonces.
    #[error("the package has other commitments of member {me} than those that belong to its nonces")]
    OtherCommitments {
        /// This node.
        me: Identifier,
    },
    /// The package is none for this key.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The suite refuses, for example because the nonces of all signers cancel out.
    #[error("the suite refuses to sign: {reason}")]
    Suite {
        /// What it says.
        reason: String,
    },
}

/// The secret nonces of one signature.
///
/// They live in memory only and sign once: there is no way to clone, store or print them, and
/// [`sign`](Self::sign) takes them by value. Dropped, they are wiped.
///
/// ```compile_fail,E0382
/// # use countersign_threshold::*;
/// fn twice(nonces: SigningNonces, package: &SigningPackage, share: &DerivedShare) {
///     let _ = nonces.sign(package, share);
///     let _ = nonces.sign(package, share);
/// }
/// ```
///
/// ```compile_fail,E0599
/// # use countersign_threshold::*;
/// fn copy(nonces: &SigningNonces) -> SigningNonces {
///     nonces.clone()
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn stored<T: serde::Serialize>() {}
/// stored::<countersign_threshold::SigningNonces>();
/// ```
pub struct SigningNonces(BySuite<NoncesFamily>);

impl SigningPackage {
    /// A message, and who signs it.
    pub fn new(commitments: BTreeMap<Identifier, Commitments>, message: impl Into<Bytes>) -> Self {
        Self { commitments, message: message.into() }
    }

    /// The package as the suite has it.
    pub(crate) fn parse<C: Suite>(
        &self,
        threshold: u16,
        size: u16,
    ) -> Result<frost_core::SigningPackage<C>, PackageError> {
        let got = self.commitments.len();
        if got < usize::from(threshold) {
            return Err(PackageError::TooFewSigners { expected: threshold, got });
        }
        let mut parsed = BTreeMap::new();
        for (&signer, commitments) in &self.commitments {
            if signer.get() > size {
                return Err(PackageError::UnknownSigner { signer, size });
            }
            let commitments =
                commitments.parse::<C>().ok_or(PackageError::MalformedCommitments { signer })?;
            parsed.insert(frost_identifier::<C>(signer), commitments);
        }
        Ok(frost_core::SigningPackage::new(parsed, &self.message))
    }
}

impl DerivedShare {
    /// Round one: nonces to keep, and commitments to send. Nonces are hedged with the share, so that a weak
    /// source of randomness does not give it away.
    pub fn commit(&self, rng: &mut (impl RngCore + CryptoRng)) -> (SigningNonces, Commitments) {
        dispatch!(in &self.0, share => {
            let (nonces, commitments) = share.commit(rng);
            (SigningNonces(nonces), commitments)
        })
    }
}

impl RootShare {
    /// Round one in advance (RFC 9591 section 5.1): nonces that serve any key of this root, as what is signed, and for
    /// which key, binds them only in round two.
    pub fn commit(&self, rng: &mut (impl RngCore + CryptoRng)) -> (SigningNonces, Commitments) {
        dispatch!(in &self.0, share => {
            let (nonces, commitments) = commit(share.secret(), rng);
            (SigningNonces(nonces), commitments)
        })
    }
}

impl SigningNonces {
    /// The scheme of the share that they were made with.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme()
    }

    /// Round two: this node's signature share. Refuses a package in which this node's commitments are
    /// missing or are not those of these nonces, and one with fewer signers than the threshold. That the
    /// message is the right one is the caller's to know.
    pub fn sign(self, package: &SigningPackage, share: &DerivedShare) -> Result<SignatureShare, SignError> {
        dispatch!(in self.0, nonces => nonces.sign(package, share))
    }

    /// What must not be: the same nonces once more. For mutants, which are no part of any program but the simulator's.
    #[cfg(countersign_mutants)]
    #[doc(hidden)]
    pub fn copied(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for SigningNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningNonces").field("scheme", &self.scheme()).finish_non_exhaustive()
    }
}

struct NoncesFamily;

impl Family for NoncesFamily {
    type Of<C: Suite> = Nonces<C>;
}

/// The suite's nonces with the encoding of their commitments.
#[cfg_attr(countersign_mutants, derive(Clone))]
struct Nonces<C: Suite> {
    nonces: round1::SigningNonces<C>,
    commitments: Commitments,
}

impl<C: Suite> ShareOfChild<C> {
    fn commit(&self, rng: &mut (impl RngCore + CryptoRng)) -> (BySuite<NoncesFamily>, Commitments) {
        commit(self.package.signing_share(), rng)
    }
}

fn commit<C: Suite>(
    share: &SigningShare<C>,
    rng: &mut (impl RngCore + CryptoRng),
) -> (BySuite<NoncesFamily>, Commitments) {
    let (nonces, public) = round1::commit(share, rng);
    let commitments = Commitments::encode(&public);
    (C::wrap(Nonces { nonces, commitments: commitments.clone() }), commitments)
}

impl<C: Suite> Nonces<C> {
    fn sign(self, package: &SigningPackage, share: &DerivedShare) -> Result<SignatureShare, SignError> {
        let schemes = SignError::Scheme { nonces: C::SCHEME, share: share.scheme() };
        let share = C::open(&share.0).ok_or(schemes)?;
        let me = share.me;
        let own = package.commitments.get(&me).ok_or(SignError::NotASigner { me })?;
        if *own != self.commitments {
            return Err(SignError::OtherCommitments { me });
        }
        let parsed = package.parse::<C>(*share.package.min_signers(), share.size)?;
        round2::sign(&parsed, &self.nonces, &share.package)
            .map(|signed| SignatureShare(signed.serialize().into()))
            .map_err(|error| SignError::Suite { reason: error.to_string() })
    }
}

impl Commitments {
    fn encode<C: Suite>(public: &round1::SigningCommitments<C>) -> Self {
        let element = |commitment: &round1::NonceCommitment<C>| {
            commitment.serialize().expect("a nonce is zero as rarely as a private key is guessed")
        };
        Self([element(public.hiding()), element(public.binding())].concat().into())
    }

    fn parse<C: Suite>(&self) -> Option<round1::SigningCommitments<C>> {
        let bytes = self.as_bytes();
        if bytes.len() != 2 * C::ELEMENT_BYTES {
            return None;
        }
        let (hiding, binding) = bytes.split_at(C::ELEMENT_BYTES);
        if !C::is_canonical_element(hiding) || !C::is_canonical_element(binding) {
            return None;
        }
        let element = |bytes| round1::NonceCommitment::deserialize(bytes).ok();
        Some(round1::SigningCommitments::new(element(hiding)?, element(binding)?))
    }
}

impl SignatureShare {
    /// The share as the suite has it; none if it is no scalar.
    pub(crate) fn parse<C: Suite>(&self) -> Option<round2::SignatureShare<C>> {
        round2::SignatureShare::deserialize(self.as_bytes()).ok()
    }
}

/// Shares by the suite's identifiers.
pub(crate) type FrostShares<C> = BTreeMap<FrostIdentifier<C>, round2::SignatureShare<C>>;

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_for_every_scheme() {
        for scheme in Scheme::ALL {
            dispatch!(scheme, C => {
                const { assert!(2 * C::ELEMENT_BYTES <= MAX_COMMITMENTS_BYTES) };
                const { assert!(C::SCALAR_BYTES <= MAX_SIGNATURE_SHARE_BYTES) };
            });
        }
    }

    #[test]
    fn longer_bytes_are_refused_when_they_are_read() {
        let long = Bytes::from(vec![2; MAX_COMMITMENTS_BYTES + 1]);
        let json = serde_json::to_string(&long).expect("hex");
        assert!(serde_json::from_str::<Commitments>(&json).is_err());
        let frame = postcard::to_stdvec(&long).expect("bytes");
        assert!(postcard::from_bytes::<Commitments>(&frame).is_err());
        assert!(postcard::from_bytes::<SignatureShare>(&frame).is_err());
    }
}
