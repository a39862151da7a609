//! A node's share of a root key, and the record in which it is kept.

use std::fmt;

use countersign_types::{Identifier, RootKey, Scheme};
use frost_core::{Element, Group, keys::SigningShare};
use zeroize::Zeroizing;

use crate::{
    encoding::{encode_scalar, parse_scalar},
    root::{Root, RootError, RootPublic},
    suite::{BySuite, Family, Suite, dispatch},
};

/// The version of the share record that is written and read.
pub const SHARE_RECORD_VERSION: u8 = 1;

/// A node's share of a root key, with the root key that it belongs to.
///
/// Secret: redacted, not cloned, and the share is wiped when dropped (copies that the suite makes on its
/// stack are not). Its record must be sealed before it is stored.
pub struct RootShare(pub(crate) BySuite<RootShares>);

/// Why bytes are no share record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Written in another format.
    #[error("expected a share record of version {SHARE_RECORD_VERSION}, got {got}")]
    Version {
        /// The record's version.
        got: u8,
    },
    /// Cut off, or longer than its number of members says.
    #[error("expected a share record of {expected} bytes, got {got}")]
    Length {
        /// The length that follows from its head.
        expected: usize,
        /// Its length.
        got: usize,
    },
    /// The identifier is none of the members'.
    #[error("the share of member {got} cannot be one of {size}")]
    Identifier {
        /// The identifier.
        got: u16,
        /// How many members there are.
        size: u16,
    },
    /// The secret is not below the group's order.
    #[error("the share is no scalar")]
    Scalar,
    /// The secret belongs to another verifying share.
    #[error("the share of member {member} does not match its verifying share")]
    Mismatch {
        /// Whose share it should be.
        member: Identifier,
    },
    /// The root key is none.
    #[error(transparent)]
    Root(#[from] RootError),
}

impl RootShare {
    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.0.scheme()
    }

    /// Whose share it is.
    pub fn identifier(&self) -> Identifier {
        dispatch!(in &self.0, share => share.me)
    }

    /// How many members sign.
    pub fn threshold(&self) -> u16 {
        dispatch!(in &self.0, share => share.root.quorum.threshold())
    }

    /// The root key.
    pub fn root_key(&self) -> RootKey {
        dispatch!(in &self.0, share => share.root.key.as_ref().clone())
    }

    /// The root key with its points, checked.
    pub fn public(&self) -> RootPublic {
        dispatch!(in &self.0, share => share.public())
    }

    /// The share record: version, identifier, threshold and number of members (big-endian, 1 + 3 x 2
    /// bytes), secret, group public key, verifying shares. Secret: seal it before it is stored.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        dispatch!(in &self.0, share => share.to_bytes())
    }

    /// Reads a share record. Every byte is checked: a record that was altered anywhere is refused, or it is
    /// another whole sharing, which only sealing prevents.
    pub fn from_bytes(scheme: Scheme, record: &[u8]) -> Result<Self, ShareError> {
        dispatch!(scheme, C => Ok(Self(C::wrap(Share::<C>::from_bytes(record)?))))
    }
}

impl fmt::Debug for RootShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootShare")
            .field("scheme", &self.scheme())
            .field("identifier", &self.identifier())
            .field("public_key", &self.root_key().public_key)
            .finish_non_exhaustive()
    }
}

pub(crate) struct RootShares;

impl Family for RootShares {
    type Of<C: Suite> = Share<C>;
}

/// The version, and the three numbers after it.
const HEAD_BYTES: usize = 1 + 3 * 2;

/// A share that matches its verifying share in a checked root.
pub(crate) struct Share<C: Suite> {
    me: Identifier,
    secret: Zeroizing<SigningShare<C>>,
    root: Root<C>,
    verifying_share: Element<C>,
}

impl<C: Suite> Share<C> {
    /// Checks that the secret is `me`'s share of the root. The secret is its encoding.
    pub(crate) fn new(me: Identifier, secret: &[u8], root: Root<C>) -> Result<Self, ShareError> {
        let scalar = parse_scalar::<C>(secret).ok_or(ShareError::Scalar)?;
        let size = root.quorum.size();
        let verifying_share = root.share(me).ok_or(ShareError::Identifier { got: me.get(), size })?;
        if <C::Group as Group>::generator() * scalar != verifying_share {
            return Err(ShareError::Mismatch { member: me });
        }
        let secret =
            SigningShare::deserialize(&encode_scalar::<C>(&scalar)).map_err(|_| ShareError::Scalar)?;
        Ok(Self { me, secret: Zeroizing::new(secret), root, verifying_share })
    }

    pub(crate) fn me(&self) -> Identifier {
        self.me
    }

    pub(crate) fn secret(&self) -> &SigningShare<C> {
        &self.secret
    }

    pub(crate) fn root(&self) -> &Root<C> {
        &self.root
    }

    pub(crate) fn verifying_share(&self) -> Element<C> {
        self.verifying_share
    }

    fn public(&self) -> RootPublic {
        RootPublic(C::wrap(self.root.clone()))
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let quorum = self.root.quorum;
        // As long as it gets: a buffer that grows leaves copies behind.
        let mut record = Zeroizing::new(Vec::with_capacity(record_bytes::<C>(quorum.size())));
        record.push(SHARE_RECORD_VERSION);
        for number in [self.me.get(), quorum.threshold(), quorum.size()] {
            record.extend_from_slice(&number.to_be_bytes());
        }
        record.extend_from_slice(&Zeroizing::new(self.secret.serialize()));
        record.extend_from_slice(&self.root.key.public_key.0);
        for share in &self.root.key.verifying_shares {
            record.extend_from_slice(share);
        }
        record
    }

    fn from_bytes(record: &[u8]) -> Result<Self, ShareError> {
        let (head, body) = record
            .split_first_chunk::<HEAD_BYTES>()
            .ok_or(ShareError::Length { expected: HEAD_BYTES, got: record.len() })?;
        let [version, i0, i1, t0, t1, n0, n1] = *head;
        if version != SHARE_RECORD_VERSION {
            return Err(ShareError::Version { got: version });
        }
        let [me, threshold, size] = [[i0, i1], [t0, t1], [n0, n1]].map(u16::from_be_bytes);
        let (expected, got) = (record_bytes::<C>(size), record.len());
        if got != expected {
            return Err(ShareError::Length { expected, got });
        }
        let me = Identifier::new(me).ok_or(ShareError::Identifier { got: me, size })?;
        let (secret, points) = body.split_at(C::SCALAR_BYTES);
        let (public_key, shares) = points.split_at(C::ELEMENT_BYTES);
        let verifying_shares = shares.chunks_exact(C::ELEMENT_BYTES).map(|share| share.to_vec().into());
        let key = RootKey {
            scheme: C::SCHEME,
            public_key: countersign_types::PublicKey(public_key.to_vec().into()),
            verifying_shares: verifying_shares.collect(),
        };
        Self::new(me, secret, Root::parse(&key, threshold)?)
    }
}

/// The length of a share record of so many members.
fn record_bytes<C: Suite>(size: u16) -> usize {
    HEAD_BYTES + C::SCALAR_BYTES + C::ELEMENT_BYTES * (1 + usize::from(size))
}
