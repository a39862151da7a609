//! The journal of key generation: pending shares, the one activation, root keys.
//!
//! A member stores its pending share before it confirms, and its activation before it signs it: at most one for an
//! epoch and scheme. Shares are never replaced and never deleted.

use std::fmt;

use countersign_types::{AttemptId, AttemptTerms, Bytes, NetworkId, RootKey, RootKeys, Scheme};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Put, Store, StoreError,
    layout::{Kind, Place},
    store::{decode, encode},
};

/// The longest key share, in bytes: 1 MiB. One of ECDSA among five has 210 KB.
pub const MAX_SHARE_BYTES: usize = 1 << 20;
/// The most pending shares of one epoch and scheme. Only attempts that came as far as a share count.
pub const MAX_PENDING_SHARES: usize = 256;
/// The longest confirmations, in bytes: 256 KiB.
pub const MAX_CONFIRMATIONS_BYTES: usize = 256 << 10;

/// A share that an attempt at key generation gave, and that counts once the attempt is activated by all.
#[derive(PartialEq, Eq)]
pub struct PendingShare {
    /// The scheme, as in the terms and the root.
    pub scheme: Scheme,
    /// The epoch, as in the terms.
    pub epoch: u64,
    /// The attempt: the id of the terms.
    pub attempt: AttemptId,
    /// What the attempt is.
    pub terms: AttemptTerms,
    /// The public outcome.
    pub root: RootKey,
    /// The secret share in the scheme's own encoding, at most [`MAX_SHARE_BYTES`].
    pub share: Zeroizing<Vec<u8>>,
}

/// The one attempt that this node activated for an epoch and scheme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationRecord {
    /// The attempt.
    pub attempt: AttemptId,
    /// All members' confirmations, as they were recorded.
    pub confirmations: Bytes,
}

/// Why a pending share was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutShareError {
    /// The attempt has another share already.
    #[error("attempt {attempt} has another share on disk: shares are never replaced")]
    Different {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Scheme, epoch and attempt are not those of the terms, or the root key is of another scheme.
    #[error("the share of attempt {attempt} does not match its terms or its root key")]
    Mismatch {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The share is too long.
    #[error("a share has at most {MAX_SHARE_BYTES} bytes, got {got}")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// Too many attempts.
    #[error("there are {MAX_PENDING_SHARES} pending shares for {scheme} in epoch {epoch} already")]
    TooMany {
        /// The epoch.
        epoch: u64,
        /// The scheme.
        scheme: Scheme,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an activation was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivateError {
    /// Another attempt was activated: this node must never sign for a second.
    #[error("attempt {attempt} is activated already, and there is one activation for each epoch and scheme")]
    AlreadyActivated {
        /// The attempt that was activated.
        attempt: AttemptId,
    },
    /// There is no share to activate.
    #[error("attempt {attempt} has no pending share on disk")]
    NoShare {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The confirmations are too long.
    #[error("confirmations have at most {MAX_CONFIRMATIONS_BYTES} bytes, got {got}")]
    TooLong {
        /// Their length, in bytes.
        got: usize,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why root keys were not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutRootKeysError {
    /// They belong to another network.
    #[error("the root keys are of network {got}, this database of {expected}")]
    Network {
        /// The database's network.
        expected: NetworkId,
        /// The root keys' network.
        got: NetworkId,
    },
    /// They contradict what this node stored or activated.
    #[error("the root key for {scheme} in epoch {epoch} is not the one that this node knows")]
    Conflict {
        /// The epoch.
        epoch: u64,
        /// The scheme.
        scheme: Scheme,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PendingShare {
    fn place(&self) -> Place {
        Place::PendingShare { epoch: self.epoch, scheme: self.scheme, attempt: self.attempt }
    }

    fn matches(&self, network: NetworkId) -> bool {
        let AttemptTerms { epoch, scheme, .. } = self.terms;
        self.epoch == epoch
            && [scheme, self.root.scheme] == [self.scheme; 2]
            && self.attempt == self.terms.id(network)
    }

    /// Length of the public part u32, public part, share: so that the secret passes through no encoder's buffers.
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let public = encode(&(&self.terms, &self.root));
        let length = u32::try_from(public.len()).expect("a root key is far below 4 GiB");
        Zeroizing::new([length.to_be_bytes().as_slice(), &public, &self.share].concat())
    }

    fn decode(
        operation: &'static str,
        network: NetworkId,
        place: Place,
        bytes: &[u8],
    ) -> Result<Self, StoreError> {
        let damaged = || StoreError::corrupt(operation, format!("{place:?} is not a share of that attempt"));
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (public, share) =
            rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(damaged)?;
        let (terms, root): (AttemptTerms, RootKey) = decode(operation, place, public)?;
        let (scheme, epoch, attempt) = (terms.scheme, terms.epoch, terms.id(network));
        let share = Zeroizing::new(share.to_vec());
        let pending = Self { scheme, epoch, attempt, terms, root, share };
        let whole = pending.place() == place && pending.root.scheme == scheme;
        if whole { Ok(pending) } else { Err(damaged()) }
    }
}

impl fmt::Debug for PendingShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingShare")
            .field("attempt", &self.attempt)
            .field("terms", &self.terms)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Stores durably the share of an attempt, before its confirmation is sent.
    pub fn put_pending_share(&self, pending: &PendingShare) -> Result<Put, PutShareError> {
        const OPERATION: &str = "storing a pending share";
        let PendingShare { scheme, epoch, attempt, .. } = *pending;
        if !pending.matches(self.owner().network) {
            return Err(PutShareError::Mismatch { attempt });
        }
        if pending.share.len() > MAX_SHARE_BYTES {
            return Err(PutShareError::TooLong { got: pending.share.len() });
        }
        let place = pending.place();
        let mut writer = self.writer()?;
        if let Some(there) = self.unseal(OPERATION, place)? {
            let same = *there == *pending.encode();
            return if same { Ok(Put::AlreadyThere) } else { Err(PutShareError::Different { attempt }) };
        }
        if self.count_pending(OPERATION, epoch, scheme)? >= MAX_PENDING_SHARES {
            return Err(PutShareError::TooMany { epoch, scheme });
        }
        let sealed = self.seal_bytes(place, &pending.encode())?;
        self.commit(&mut writer, OPERATION, &[(place, &sealed)], |head| head.pending_shares += 1)?;
        Ok(Put::Stored)
    }

    fn count_pending(
        &self,
        operation: &'static str,
        epoch: u64,
        scheme: Scheme,
    ) -> Result<usize, StoreError> {
        let mut count = 0;
        self.database().visit(operation, &Place::pending_shares(epoch, scheme), None, |_, _| {
            count += 1;
            Ok(true)
        })?;
        Ok(count)
    }

    /// The pending shares of an epoch and scheme by attempt, activated ones included.
    pub fn pending_shares(&self, epoch: u64, scheme: Scheme) -> Result<Vec<PendingShare>, StoreError> {
        const OPERATION: &str = "reading the pending shares";
        let mut found = Vec::new();
        self.database().visit(OPERATION, &Place::pending_shares(epoch, scheme), None, |place, sealed| {
            let plain = self.unseal_bytes(OPERATION, place, sealed)?;
            found.push(PendingShare::decode(OPERATION, self.owner().network, place, &plain)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// The pending share of one attempt.
    pub fn pending_share(
        &self,
        epoch: u64,
        scheme: Scheme,
        attempt: AttemptId,
    ) -> Result<Option<PendingShare>, StoreError> {
        const OPERATION: &str = "reading a pending share";
        let place = Place::PendingShare { epoch, scheme, attempt };
        self.unseal(OPERATION, place)?
            .map(|plain| PendingShare::decode(OPERATION, self.owner().network, place, &plain))
            .transpose()
    }

    /// Records durably that this node activates an attempt, before it signs the activation.
    ///
    /// At most one attempt for an epoch and scheme, ever, and only one whose share is on disk. The same attempt again
    /// changes nothing: the first confirmations stay.
    pub fn record_activation(
        &self,
        epoch: u64,
        scheme: Scheme,
        attempt: AttemptId,
        confirmations: Bytes,
    ) -> Result<Put, ActivateError> {
        const OPERATION: &str = "recording an activation";
        if confirmations.len() > MAX_CONFIRMATIONS_BYTES {
            return Err(ActivateError::TooLong { got: confirmations.len() });
        }
        let mut writer = self.writer()?;
        match self.activation(epoch, scheme)? {
            Some(there) if there.attempt == attempt => return Ok(Put::AlreadyThere),
            Some(there) => return Err(ActivateError::AlreadyActivated { attempt: there.attempt }),
            None => {}
        }
        if self.pending_share(epoch, scheme, attempt)?.is_none() {
            return Err(ActivateError::NoShare { attempt });
        }
        let place = Place::Activation { epoch, scheme };
        let sealed = self.seal(place, &ActivationRecord { attempt, confirmations })?;
        self.commit(&mut writer, OPERATION, &[(place, &sealed)], |head| head.activations += 1)?;
        Ok(Put::Stored)
    }

    /// The attempt that this node activated, if it did.
    pub fn activation(&self, epoch: u64, scheme: Scheme) -> Result<Option<ActivationRecord>, StoreError> {
        self.sealed("reading an activation", Place::Activation { epoch, scheme })
    }

    /// Stores durably the root keys of an epoch, whose signatures the caller has verified.
    ///
    /// Later ones may add schemes. What was stored, activated or pending here must not be contradicted.
    pub fn put_root_keys(&self, root_keys: &RootKeys) -> Result<Put, PutRootKeysError> {
        let expected = self.owner().network;
        if root_keys.network != expected {
            return Err(PutRootKeysError::Network { expected, got: root_keys.network });
        }
        let epoch = root_keys.epoch;
        let mut writer = self.writer()?;
        let stored = self.root_keys_of(epoch)?;
        if stored.as_ref() == Some(root_keys) {
            return Ok(Put::AlreadyThere);
        }
        if let Some(scheme) = self.contradiction(stored.as_ref(), root_keys)? {
            return Err(PutRootKeysError::Conflict { epoch, scheme });
        }
        let place = Place::RootKeys { epoch };
        let sealed = self.seal(place, root_keys)?;
        let epochs = u64::from(stored.is_none());
        self.commit(&mut writer, "storing the root keys", &[(place, &sealed)], |head| {
            head.root_keys += epochs
        })?;
        Ok(Put::Stored)
    }

    /// The scheme for which `new` is not what this node knows.
    fn contradiction(&self, stored: Option<&RootKeys>, new: &RootKeys) -> Result<Option<Scheme>, StoreError> {
        let same = |a: &countersign_types::Activation, b: &countersign_types::Activation| {
            a.root == b.root && a.attempt == b.attempt
        };
        for known in stored.into_iter().flat_map(|stored| &stored.keys) {
            if !new.keys.iter().any(|key| same(key, known)) {
                return Ok(Some(known.root.scheme));
            }
        }
        for key in &new.keys {
            let (epoch, scheme) = (new.epoch, key.root.scheme);
            let other_attempt = self.activation(epoch, scheme)?.is_some_and(|own| own.attempt != key.attempt);
            let other_root =
                self.pending_share(epoch, scheme, key.attempt)?.is_some_and(|own| own.root != key.root);
            if other_attempt || other_root {
                return Ok(Some(scheme));
            }
        }
        Ok(None)
    }

    /// The root keys of the latest epoch that has any.
    pub fn root_keys(&self) -> Result<Option<RootKeys>, StoreError> {
        const OPERATION: &str = "reading the root keys";
        let mut latest = None;
        self.database().visit(OPERATION, &Kind::RootKeys.prefix(), None, |place, _| {
            latest = Some(place);
            Ok(true)
        })?;
        latest.map_or(Ok(None), |place| self.sealed(OPERATION, place))
    }

    /// The root keys of an epoch.
    pub fn root_keys_of(&self, epoch: u64) -> Result<Option<RootKeys>, StoreError> {
        self.sealed("reading the root keys", Place::RootKeys { epoch })
    }

    /// The share that this node signs with: that of the attempt that all members activated, by the stored root keys.
    ///
    /// None before there are root keys for the scheme, or if this node never had a share of that attempt.
    pub fn active_share(&self, epoch: u64, scheme: Scheme) -> Result<Option<PendingShare>, StoreError> {
        let Some(root_keys) = self.root_keys_of(epoch)? else { return Ok(None) };
        let Some(key) = root_keys.keys.iter().find(|key| key.root.scheme == scheme) else { return Ok(None) };
        let pending = self.pending_share(epoch, scheme, key.attempt)?;
        match pending {
            Some(pending) if pending.root != key.root => {
                Err(StoreError::corrupt("reading the active share", "share and root key are of two attempts"))
            }
            pending => Ok(pending),
        }
    }
}
