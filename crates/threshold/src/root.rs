//! A root key as everybody sees it: parsed, and checked to be one sharing of one key.

use std::{fmt, sync::Arc};

use countersign_types::{Identifier, PublicKey, RootKey, Scheme};
use frost_core::{Element, Group};

use crate::{
    encoding::parse_element,
    quorum::{Quorum, QuorumError},
    suite::{BySuite, Family, Suite, dispatch},
};

/// A root key's public side: the group public key and every member's verifying share, all valid points
/// other than the identity, on one polynomial whose degree belongs to the threshold.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct RootPublic(pub(crate) BySuite<RootPublics>);

/// Why a root key is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// Threshold and number of verifying shares do not go together.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The group public key is no point in canonical encoding, or the identity.
    #[error("the group public key {got} is not one of {scheme}")]
    PublicKey {
        /// The scheme.
        scheme: Scheme,
        /// The group public key.
        got: PublicKey,
    },
    /// A verifying share is no point in canonical encoding, or the identity.
    #[error("the verifying share of member {member} is not one of {scheme}")]
    VerifyingShare {
        /// The scheme.
        scheme: Scheme,
        /// Whose it is.
        member: Identifier,
    },
    /// The points are valid, but no sharing of this key with this threshold.
    #[error(
        "the verifying shares do not share the group public key {public_key} among {threshold} of {size}"
    )]
    Inconsistent {
        /// The group public key.
        public_key: PublicKey,
        /// The threshold.
        threshold: u16,
        /// How many verifying shares there are.
        size: u16,
    },
}

impl RootPublic {
    /// Parses and checks. The threshold is the committee's.
    pub fn new(root: &RootKey, threshold: u16) -> Result<Self, RootError> {
        dispatch!(root.scheme, C => Ok(Self(C::wrap(Root::<C>::parse(root, threshold)?))))
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme()
    }

    /// How many members sign.
    pub fn threshold(&self) -> u16 {
        dispatch!(in &self.0, root => root.quorum.threshold())
    }

    /// The root key as it travels.
    pub fn root_key(&self) -> RootKey {
        dispatch!(in &self.0, root => root.key.as_ref().clone())
    }
}

impl fmt::Debug for RootPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootPublic")
            .field("root", &self.root_key())
            .field("threshold", &self.threshold())
            .finish()
    }
}

pub(crate) struct RootPublics;

impl Family for RootPublics {
    type Of<C: Suite> = Root<C>;
}

/// A root key with its points.
#[derive(Clone)]
pub(crate) struct Root<C: Suite> {
    pub(crate) quorum: Quorum,
    pub(crate) group: Element<C>,
    /// In the order of the identifiers.
    pub(crate) shares: Arc<[Element<C>]>,
    pub(crate) key: Arc<RootKey>,
}

impl<C: Suite> Root<C> {
    pub(crate) fn parse(key: &RootKey, threshold: u16) -> Result<Self, RootError> {
        let scheme = C::SCHEME;
        let size = u16::try_from(key.verifying_shares.len()).unwrap_or(u16::MAX);
        let quorum = Quorum::new(threshold, size)?;
        let group = parse_element::<C>(&key.public_key.0)
            .ok_or_else(|| RootError::PublicKey { scheme, got: key.public_key.clone() })?;
        let shares = quorum
            .identifiers()
            .zip(&key.verifying_shares)
            .map(|(member, bytes)| {
                parse_element::<C>(bytes).ok_or(RootError::VerifyingShare { scheme, member })
            })
            .collect::<Result<Arc<[_]>, _>>()?;
        let points = std::iter::once(group).chain(shares.iter().copied()).collect();
        if !is_sharing::<C>(points, threshold) {
            return Err(RootError::Inconsistent { public_key: key.public_key.clone(), threshold, size });
        }
        Ok(Self { quorum, group, shares, key: Arc::new(key.clone()) })
    }

    /// A member's verifying share.
    pub(crate) fn share(&self, member: Identifier) -> Option<Element<C>> {
        self.shares.get(usize::from(member.get()) - 1).copied()
    }
}

/// Whether the points at 0, 1, .. n lie on a polynomial of degree exactly `threshold` - 1, by finite
/// differences: the (t-1)th are all equal and not zero. So neither a share nor the threshold can be another.
/// There are more than `threshold` points.
fn is_sharing<C: Suite>(mut points: Vec<Element<C>>, threshold: u16) -> bool {
    for _ in 1..threshold {
        points = points.windows(2).map(|pair| pair[1] - pair[0]).collect();
    }
    let constant = points.windows(2).all(|pair| pair[0] == pair[1]);
    constant && points.first().is_some_and(|point| *point != <C::Group as Group>::identity())
}

#[cfg(test)]
mod tests {
    use frost_secp256k1::Secp256K1Sha256 as Secp;
    use k256::{ProjectivePoint, Scalar};

    use super::*;

    /// The points at 0, 1, .. n of a polynomial with these coefficients, lowest first.
    fn points(coefficients: &[u64], n: u64) -> Vec<ProjectivePoint> {
        let at = |x: u64| {
            coefficients.iter().rev().fold(Scalar::ZERO, |sum, c| sum * Scalar::from(x) + Scalar::from(*c))
        };
        (0..=n).map(|x| ProjectivePoint::GENERATOR * at(x)).collect()
    }

    #[test]
    fn a_sharing_has_one_threshold() {
        let shared = points(&[7, 5, 3], 5);
        for threshold in 2..=5 {
            assert_eq!(is_sharing::<Secp>(shared.clone(), threshold), threshold == 3, "{threshold}");
        }
    }

    #[test]
    fn any_other_point_breaks_it() {
        for threshold in [3, 5] {
            let coefficients = [7, 5, 3, 2, 9];
            let shared = points(&coefficients[..usize::from(threshold)], 5);
            assert!(is_sharing::<Secp>(shared.clone(), threshold));
            for index in 0..shared.len() {
                let mut altered = shared.clone();
                altered[index] += ProjectivePoint::GENERATOR;
                assert!(!is_sharing::<Secp>(altered, threshold), "{threshold} {index}");
            }
        }
    }
}
