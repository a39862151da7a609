//! Derived keys: the root plus a public multiple of the generator that commits to the key's id.
//!
//! The tweak is [`KeyId::derivation_digest`] read big-endian modulo the group's order. It covers the root's
//! full encoding; no parity is normalised. Only the child's public key, as a verifier takes it, is an x
//! coordinate in BIP-340.
//!
//! No child needs a Taproot tweak of its own. A hidden script path in one would be a point P and a script with
//! root + H(root, key) G = P + H(P, script) G: a collision of two hashes. For the root itself, which members
//! choose together, key generation has ruled it out (`post_dkg` of the suite, as BIP-341 recommends).

use std::{fmt, sync::Arc};

use countersign_types::{Identifier, KeyId, PublicKey, Scheme};
use frost_core::{
    Element, Group, Scalar, VerifyingKey,
    keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare},
};

use crate::{
    encoding::{encode_element, encode_scalar, frost_identifier, parse_element, parse_scalar, reduce},
    root::{Root, RootPublic},
    share::{RootShare, Share},
    suite::{BySuite, Family, Suite, dispatch},
};

/// Why a key cannot be derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// The root is no point in canonical encoding.
    #[error("the root public key {got} is not one of {scheme}")]
    Root {
        /// The scheme.
        scheme: Scheme,
        /// The root public key.
        got: PublicKey,
    },
    /// The child, or a member's share of it, is the identity: as likely as guessing the root's private key.
    #[error("the root has no child {key}")]
    Identity {
        /// The key.
        key: KeyId,
    },
}

/// The public key of a derived key, from public data only: what a client does offline. The root is a whole
/// element; the public key is what the scheme's verifiers take.
pub fn derive_public_key(root: &PublicKey, scheme: Scheme, key: &KeyId) -> Result<PublicKey, DeriveError> {
    dispatch!(scheme, C => {
        let group = parse_element::<C>(&root.0)
            .ok_or_else(|| DeriveError::Root { scheme, got: root.clone() })?;
        Ok(Child::<C>::new(group, root, key)?.public_key)
    })
}

/// A node's share of a derived key. Secret: redacted, wiped when dropped, neither cloned nor stored, as it
/// follows from the [`RootShare`].
///
/// Deriving costs one multiplication of the generator; signing does not repeat it.
pub struct DerivedShare(pub(crate) BySuite<DerivedShares>);

/// A derived key as everybody sees it: what a coordinator aggregates with. Cheap to clone.
#[derive(Clone)]
pub struct DerivedPublic(pub(crate) BySuite<DerivedPublics>);

impl RootShare {
    /// This node's share of a derived key.
    pub fn derive(&self, key: &KeyId) -> Result<DerivedShare, DeriveError> {
        dispatch!(in &self.0, share => share.derive(key).map(DerivedShare))
    }
}

impl RootPublic {
    /// The public side of a derived key.
    pub fn derive(&self, key: &KeyId) -> Result<DerivedPublic, DeriveError> {
        dispatch!(in &self.0, root => root.derive(key).map(DerivedPublic))
    }
}

impl DerivedShare {
    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme()
    }

    /// Whose share it is.
    pub fn identifier(&self) -> Identifier {
        dispatch!(in &self.0, share => share.me)
    }

    /// The derived public key.
    pub fn public_key(&self) -> PublicKey {
        dispatch!(in &self.0, share => share.public_key.clone())
    }
}

impl fmt::Debug for DerivedShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedShare")
            .field("scheme", &self.scheme())
            .field("identifier", &self.identifier())
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

impl DerivedPublic {
    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme()
    }

    /// The derived public key.
    pub fn public_key(&self) -> PublicKey {
        dispatch!(in &self.0, derived => derived.child.public_key.clone())
    }
}

impl fmt::Debug for DerivedPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedPublic")
            .field("scheme", &self.scheme())
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

pub(crate) struct DerivedShares;

impl Family for DerivedShares {
    type Of<C: Suite> = ShareOfChild<C>;
}

pub(crate) struct DerivedPublics;

impl Family for DerivedPublics {
    type Of<C: Suite> = PublicChild<C>;
}

/// A child of a root: the tweak and what it makes of the group public key.
#[derive(Clone)]
struct Child<C: Suite> {
    tweak: Scalar<C>,
    /// The tweak times the generator: the distance of every point of the child from the root's.
    offset: Element<C>,
    verifying_key: VerifyingKey<C>,
    public_key: PublicKey,
}

impl<C: Suite> Child<C> {
    fn new(group: Element<C>, root: &PublicKey, key: &KeyId) -> Result<Self, DeriveError> {
        let tweak = reduce::<C>(key.derivation_digest(root).as_slice());
        let offset = <C::Group as Group>::generator() * tweak;
        let encoded = encode_element::<C>(&(group + offset)).ok_or(DeriveError::Identity { key: *key })?;
        let verifying_key = VerifyingKey::deserialize(&encoded).expect("what was encoded is decoded");
        Ok(Self { tweak, offset, verifying_key, public_key: PublicKey(C::public_key(encoded)) })
    }

    /// A member's verifying share of the child, from its share of the root.
    fn verifying_share(&self, root: Element<C>) -> Option<VerifyingShare<C>> {
        let encoded = encode_element::<C>(&(root + self.offset))?;
        Some(VerifyingShare::deserialize(&encoded).expect("what was encoded is decoded"))
    }
}

/// A member's share of a child.
pub(crate) struct ShareOfChild<C: Suite> {
    pub(crate) me: Identifier,
    pub(crate) package: KeyPackage<C>,
    pub(crate) size: u16,
    pub(crate) public_key: PublicKey,
}

impl<C: Suite> Share<C> {
    fn derive(&self, key: &KeyId) -> Result<BySuite<DerivedShares>, DeriveError> {
        let root = self.root();
        let child = Child::<C>::new(root.group, &root.key.public_key, key)?;
        let verifying_share =
            child.verifying_share(self.verifying_share()).ok_or(DeriveError::Identity { key: *key })?;
        let package = KeyPackage::new(
            frost_identifier::<C>(self.me()),
            add(self.secret(), child.tweak),
            verifying_share,
            child.verifying_key,
            root.quorum.threshold(),
        );
        let size = root.quorum.size();
        Ok(C::wrap(ShareOfChild { me: self.me(), package, size, public_key: child.public_key }))
    }
}

/// The share with the tweak added. The suite hands out shares as bytes only.
fn add<C: Suite>(share: &SigningShare<C>, tweak: Scalar<C>) -> SigningShare<C> {
    let bytes = zeroize::Zeroizing::new(share.serialize());
    let scalar = parse_scalar::<C>(&bytes).expect("a share is a scalar");
    SigningShare::deserialize(&encode_scalar::<C>(&(scalar + tweak))).expect("what was encoded is decoded")
}

/// The public side of a child. Verifying shares are derived only when a cheater is looked for.
#[derive(Clone)]
pub(crate) struct PublicChild<C: Suite> {
    root: Arc<Root<C>>,
    child: Child<C>,
}

impl<C: Suite> Root<C> {
    fn derive(&self, key: &KeyId) -> Result<BySuite<DerivedPublics>, DeriveError> {
        let child = Child::<C>::new(self.group, &self.key.public_key, key)?;
        Ok(C::wrap(PublicChild { root: Arc::new(self.clone()), child }))
    }
}

impl<C: Suite> PublicChild<C> {
    pub(crate) fn root(&self) -> &Root<C> {
        &self.root
    }

    pub(crate) fn verifying_key(&self) -> &VerifyingKey<C> {
        &self.child.verifying_key
    }

    /// The suite's public keys, with the verifying shares of these members.
    pub(crate) fn package(&self, members: impl IntoIterator<Item = Identifier>) -> PublicKeyPackage<C> {
        let shares = members.into_iter().filter_map(|member| {
            let share = self.child.verifying_share(self.root.share(member)?)?;
            Some((frost_identifier::<C>(member), share))
        });
        let threshold = self.root.quorum.threshold();
        PublicKeyPackage::new(shares.collect(), self.child.verifying_key, Some(threshold))
    }
}

#[cfg(test)]
impl<C: Suite> PublicChild<C> {
    /// The root itself as a key that signs: what vectors of the suite need, and no network has.
    pub(crate) fn underived(root: Root<C>) -> Self {
        use frost_core::Field;
        let tweak = crate::encoding::FieldOf::<C>::zero();
        let offset = <C::Group as Group>::identity();
        let encoded = root.key.public_key.0.to_vec();
        let verifying_key = VerifyingKey::deserialize(&encoded).expect("parsed before");
        let public_key = PublicKey(C::public_key(encoded));
        Self { root: Arc::new(root), child: Child { tweak, offset, verifying_key, public_key } }
    }
}

#[cfg(test)]
mod tests {
    use frost_secp256k1::Secp256K1Sha256 as Secp;
    use k256::ProjectivePoint;

    use super::*;

    #[test]
    fn a_child_that_is_the_identity_is_refused() {
        let key = KeyId::from([1; 32]);
        let root = PublicKey(vec![2; 33].into());
        let tweak = reduce::<Secp>(key.derivation_digest(&root).as_slice());
        let opposite = ProjectivePoint::GENERATOR * -tweak;
        let child = Child::<Secp>::new(opposite, &root, &key);
        assert_eq!(child.map(|child| child.public_key), Err(DeriveError::Identity { key }));
    }

    #[test]
    fn a_root_that_is_no_point_is_refused() {
        let root = PublicKey(vec![4; 33].into());
        let scheme = Scheme::SchnorrSecp256k1;
        let derived = derive_public_key(&root, scheme, &KeyId::from([1; 32]));
        assert_eq!(derived, Err(DeriveError::Root { scheme, got: root }));
    }
}
