//! The suites behind the schemes: the only place that names a ciphersuite.
//!
//! Code is written once, generic over [`Suite`]. Types that leave the crate hold a [`BySuite`], one variant
//! for each scheme, and [`dispatch!`] goes from the one to the other. A further scheme is a variant, an
//! implementation of [`Suite`] and a line in every `match` of this file.

use countersign_types::Scheme;
use frost_core::Ciphersuite;
use frost_secp256k1::Secp256K1Sha256;

/// A ciphersuite that serves a scheme.
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
}

impl<F: Family> BySuite<F> {
    /// The scheme that the suite serves.
    pub(crate) fn scheme(&self) -> Scheme {
        match self {
            Self::SchnorrSecp256k1(_) => Scheme::SchnorrSecp256k1,
        }
    }
}

impl<F: Family> Clone for BySuite<F>
where
    F::Of<Secp256K1Sha256>: Clone,
{
    fn clone(&self) -> Self {
        match self {
            Self::SchnorrSecp256k1(inner) => Self::SchnorrSecp256k1(inner.clone()),
        }
    }
}

/// `dispatch!(scheme, C => body)` runs the body with `C` the suite of a scheme;
/// `dispatch!(in value, inner => body)` runs it with the contents of a [`BySuite`].
macro_rules! dispatch {
    (in $value:expr, $inner:pat => $body:expr) => {
        match $value {
            $crate::suite::BySuite::SchnorrSecp256k1($inner) => $body,
        }
    };
    ($scheme:expr, $suite:ident => $body:expr) => {
        match $scheme {
            countersign_types::Scheme::SchnorrSecp256k1 => {
                type $suite = frost_secp256k1::Secp256K1Sha256;
                $body
            }
        }
    };
}
pub(crate) use dispatch;

/// SEC 1 tags of compressed points. The decoder also takes tag 5, the compact form, which is a second
/// encoding of half of the points.
const COMPRESSED: [u8; 2] = [2, 3];

impl Suite for Secp256K1Sha256 {
    const SCHEME: Scheme = Scheme::SchnorrSecp256k1;
    const ELEMENT_BYTES: usize = 33;
    const SCALAR_BYTES: usize = 32;

    fn is_canonical_element(encoding: &[u8]) -> bool {
        encoding.first().is_some_and(|tag| COMPRESSED.contains(tag))
    }

    fn wrap<F: Family>(value: F::Of<Self>) -> BySuite<F> {
        BySuite::SchnorrSecp256k1(value)
    }

    fn open<F: Family>(value: &BySuite<F>) -> Option<&F::Of<Self>> {
        match value {
            BySuite::SchnorrSecp256k1(inner) => Some(inner),
        }
    }
}
