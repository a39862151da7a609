//! The suites behind the schemes: the only place that names a ciphersuite.
//!
//! Code is written once, generic over [`Suite`]. Types that leave the crate hold a [`BySuite`], one variant
//! for each scheme, and [`dispatch!`] goes from the one to the other. A further scheme is a variant, an
//! implementation of [`Suite`] and a line in every `match` of this file.

mod bip340;
mod ed25519;
mod secp256k1;
#[cfg(countersign_toy_curves)]
mod toy;

use std::borrow::Cow;

use countersign_types::{Bytes, Scheme};
use frost_core::Ciphersuite;
use frost_ed25519::Ed25519Sha512;
#[cfg(not(countersign_toy_curves))]
pub(crate) use frost_secp256k1::Secp256K1Sha256;
use frost_secp256k1_tr::Secp256K1Sha256TR;

#[cfg(countersign_toy_curves)]
pub(crate) use self::toy::Secp256K1Sha256;

/// A ciphersuite that serves a scheme.
///
/// What a suite does beside the equations of RFC 9591, such as the negations of BIP-340, happens in the hooks
/// of [`Ciphersuite`]: everything here goes through `frost_core`'s functions, which call them.
pub(crate) trait Suite: Ciphersuite {
    /// The scheme.
    const SCHEME: Scheme;
    /// The length of an encoded element, in bytes.
    const ELEMENT_BYTES: usize;
    /// The length of an encoded scalar, in bytes.
    const SCALAR_BYTES: usize;

    /// Whether an encoding of the right length that the group's decoder accepts is the only one of its
    /// element. Cheaper than encoding again.
    fn is_canonical_element(encoding: &[u8]) -> bool;

    /// The same for a signature: an element followed by a scalar, unless the suite says otherwise.
    fn is_canonical_signature(encoding: &[u8]) -> bool {
        encoding.get(..Self::ELEMENT_BYTES).is_some_and(Self::is_canonical_element)
    }

    /// What a verifier takes for a key with this encoded element: the same bytes, unless the suite says
    /// otherwise.
    fn public_key(element: Vec<u8>) -> Bytes {
        element.into()
    }

    /// The encoding of the element that a verifier takes for this public key.
    fn element_of(public_key: &[u8]) -> Cow<'_, [u8]> {
        Cow::Borrowed(public_key)
    }

    /// Hides which suite it is.
    fn wrap<F: Family>(value: F::Of<Self>) -> BySuite<F>;

    /// The value, if it is of this suite.
    fn open<F: Family>(value: &BySuite<F>) -> Option<&F::Of<Self>>;
}

/// Names a type that is generic over the suite, such as the shares of all suites.
pub(crate) trait Family {
    /// The member for one suite.
    type Of<C: Suite>;
}

/// A family's member for one of the suites.
pub(crate) enum BySuite<F: Family> {
    SchnorrSecp256k1(F::Of<Secp256K1Sha256>),
    Bip340(F::Of<Secp256K1Sha256TR>),
    Ed25519(F::Of<Ed25519Sha512>),
}

impl<F: Family> BySuite<F> {
    /// The scheme that the suite serves.
    pub(crate) fn scheme(&self) -> Scheme {
        match self {
            Self::SchnorrSecp256k1(_) => Scheme::SchnorrSecp256k1,
            Self::Bip340(_) => Scheme::Bip340,
            Self::Ed25519(_) => Scheme::Ed25519,
        }
    }
}

impl<F: Family> Clone for BySuite<F>
where
    F::Of<Secp256K1Sha256>: Clone,
    F::Of<Secp256K1Sha256TR>: Clone,
    F::Of<Ed25519Sha512>: Clone,
{
    fn clone(&self) -> Self {
        match self {
            Self::SchnorrSecp256k1(inner) => Self::SchnorrSecp256k1(inner.clone()),
            Self::Bip340(inner) => Self::Bip340(inner.clone()),
            Self::Ed25519(inner) => Self::Ed25519(inner.clone()),
        }
    }
}

/// `dispatch!(scheme, C => body)` runs the body with `C` the suite of a scheme;
/// `dispatch!(in value, inner => body)` runs it with the contents of a [`BySuite`].
macro_rules! dispatch {
    (in $value:expr, $inner:pat => $body:expr) => {
        match $value {
            $crate::suite::BySuite::SchnorrSecp256k1($inner) => $body,
            $crate::suite::BySuite::Bip340($inner) => $body,
            $crate::suite::BySuite::Ed25519($inner) => $body,
        }
    };
    ($scheme:expr, $suite:ident => $body:expr) => {
        match $scheme {
            countersign_types::Scheme::SchnorrSecp256k1 => {
                type $suite = $crate::suite::Secp256K1Sha256;
                $body
            }
            countersign_types::Scheme::Bip340 => {
                type $suite = frost_secp256k1_tr::Secp256K1Sha256TR;
                $body
            }
            countersign_types::Scheme::Ed25519 => {
                type $suite = frost_ed25519::Ed25519Sha512;
                $body
            }
        }
    };
}
pub(crate) use dispatch;
