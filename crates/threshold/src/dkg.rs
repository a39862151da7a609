//! Distributed key generation: every member ends with a share of a key that nobody ever had.
//!
//! Pedersen's protocol with proofs of possession, as in the FROST paper, figure 1. States are taken by value
//! and return the next:
//!
//! 1. [`start`] gives a broadcast package: commitments to a secret polynomial, and a proof that its sender
//!    knows the polynomial's constant.
//! 2. [`Round1::receive`] takes the broadcasts of all others, and gives a private package for each of them.
//! 3. [`Round2::finish`] takes the private packages of all others, and gives this member's [`RootShare`].
//!
//! Everybody must have seen the same broadcasts (echo them before round 2), and a broadcast must be signed by
//! its sender together with network, epoch, attempt and roster: the proof covers sender and polynomial only.
//! An attempt that fails is given up as a whole; nothing of it is used again.

use std::{collections::BTreeMap, fmt};

use countersign_types::{Bytes, Identifier, Scheme};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    quorum::QuorumError,
    root::RootError,
    share::{RootShare, ShareError},
    signing::LengthError,
    suite::{BySuite, Family, Suite, dispatch},
};

mod rounds;

/// Why an attempt at key generation ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DkgError {
    /// Threshold and number of members do not go together.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// This node is none of the members.
    #[error("member {me} is none of the {size} members")]
    Identifier {
        /// This node.
        me: Identifier,
        /// How many members there are.
        size: u16,
    },
    /// The packages are not one of each other member.
    #[error("expected one package of each other member, {missing:?} are missing and {unexpected:?} too many")]
    Senders {
        /// Members without a package.
        missing: Vec<Identifier>,
        /// Packages of nobody who takes part, or of this node.
        unexpected: Vec<Identifier>,
    },
    /// The sender commits to a polynomial of another degree: it tries to change the threshold.
    #[error("member {culprit} committed to {got} coefficients, expected {expected}")]
    CommitmentLength {
        /// The sender.
        culprit: Identifier,
        /// The threshold.
        expected: u16,
        /// How many coefficients the package has.
        got: usize,
    },
    /// A package that is not in canonical encoding; the identity has none.
    #[error("the package of member {culprit} is malformed")]
    Malformed {
        /// The sender.
        culprit: Identifier,
    },
    /// The sender does not know the secret that it committed to, or took somebody else's commitments.
    #[error("member {culprit} does not prove possession of its secret")]
    Proof {
        /// The sender.
        culprit: Identifier,
    },
    /// A private package does not match its sender's broadcast.
    #[error("the share that member {culprit} dealt does not match its commitments")]
    Share {
        /// The sender.
        culprit: Identifier,
    },
    /// All packages are right, but their sum is no root key: as likely as guessing a private key.
    #[error("the packages make no root key")]
    Root(#[from] RootError),
    /// The sum of the shares does not match: a fault of this node.
    #[error("the packages make no share")]
    Sum(#[source] ShareError),
    /// The suite refuses for a reason that is not a member's package.
    #[error("the suite refuses: {reason}")]
    Suite {
        /// What it says.
        reason: String,
    },
}

impl DkgError {
    /// The member that provably broke the protocol, given that packages are filed under their sender. A
    /// missing package proves nothing.
    pub fn culprit(&self) -> Option<Identifier> {
        match self {
            Self::CommitmentLength { culprit, .. }
            | Self::Malformed { culprit }
            | Self::Proof { culprit }
            | Self::Share { culprit } => Some(*culprit),
            Self::Quorum(_)
            | Self::Identifier { .. }
            | Self::Senders { .. }
            | Self::Root(_)
            | Self::Sum(_)
            | Self::Suite { .. } => None,
        }
    }
}

/// The most bytes of a private package of any scheme: a scalar.
pub const MAX_PRIVATE_PACKAGE_BYTES: usize = 32;

/// What one member deals to another in round 2: a scalar. Secret: redacted, wiped when dropped, sent only over
/// a channel that its recipient alone reads.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<u8>")]
pub struct PrivatePackage(Zeroizing<Vec<u8>>);

impl PrivatePackage {
    /// The encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for PrivatePackage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_slice().serialize(serializer)
    }
}

impl AsRef<[u8]> for PrivatePackage {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for PrivatePackage {
    type Error = LengthError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, LengthError> {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() <= MAX_PRIVATE_PACKAGE_BYTES {
            Ok(Self(bytes))
        } else {
            Err(LengthError { most: MAX_PRIVATE_PACKAGE_BYTES, got: bytes.len() })
        }
    }
}

impl fmt::Debug for PrivatePackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivatePackage(redacted)")
    }
}

/// A member that has sent its broadcast and waits for the others'. Secret: redacted, wiped when dropped.
pub struct Round1(BySuite<Rounds1>);

/// A member that has sent its private packages and waits for the others'. Secret: redacted, wiped when
/// dropped.
pub struct Round2(BySuite<Rounds2>);

/// Begins: member `me` of `size` members, any `threshold` of whom shall sign. Returns the package to broadcast.
pub fn start(
    scheme: Scheme,
    me: Identifier,
    size: u16,
    threshold: u16,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Round1, Bytes), DkgError> {
    dispatch!(scheme, C => {
        let (state, package) = rounds::First::<C>::start(me, size, threshold, rng)?;
        Ok((Round1(C::wrap(state)), package))
    })
}

/// The length of a broadcast package, in bytes.
pub fn broadcast_package_len(scheme: Scheme, threshold: u16) -> usize {
    dispatch!(scheme, C => rounds::broadcast_len::<C>(threshold))
}

/// Judges a complaint: whether the private package that `sender` dealt to `recipient` matches the sender's
/// broadcast. Anybody to whom both are shown with the sender's signature can tell who is wrong.
pub fn check_private(
    scheme: Scheme,
    threshold: u16,
    sender: Identifier,
    broadcast: &[u8],
    recipient: Identifier,
    package: &[u8],
) -> Result<(), DkgError> {
    dispatch!(scheme, C => rounds::check_private::<C>(threshold, sender, broadcast, recipient, package))
}

impl Round1 {
    /// Takes the broadcasts of exactly all other members, each filed under its sender. Returns what to send
    /// to each of them in private.
    pub fn receive(
        self,
        packages: BTreeMap<Identifier, Bytes>,
    ) -> Result<(Round2, BTreeMap<Identifier, PrivatePackage>), DkgError> {
        dispatch!(in self.0, state => {
            let (next, packages) = state.receive(&packages)?;
            Ok((Round2(next), packages))
        })
    }
}

impl Round2 {
    /// Takes the private packages of exactly all other members, each filed under its sender. Returns this
    /// member's share, checked against the root key.
    pub fn finish<B: AsRef<[u8]>>(self, packages: BTreeMap<Identifier, B>) -> Result<RootShare, DkgError> {
        dispatch!(in self.0, state => state.finish(&packages).map(RootShare))
    }
}

impl fmt::Debug for Round1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Round1").field("scheme", &self.0.scheme()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Round2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Round2").field("scheme", &self.0.scheme()).finish_non_exhaustive()
    }
}

struct Rounds1;

impl Family for Rounds1 {
    type Of<C: Suite> = rounds::First<C>;
}

struct Rounds2;

impl Family for Rounds2 {
    type Of<C: Suite> = rounds::Second<C>;
}
