//! The journal of key generation: pending shares, the one activation, root keys.
//!
//! A member stores its pending shares before it confirms, those of all schemes of an attempt in one record, and its
//! activation before it signs it: at most one for an epoch and scheme. Shares are never replaced; what may be dropped
//! says `attempts`.

use std::fmt;

use countersign_types::{Activation, AttemptId, Bytes, NetworkId, RootKey, RootKeys, Scheme};
use zeroize::Zeroizing;

use crate::{
    ActivationRecord, MAX_SHARE_BYTES, PendingShares, Put, Store, StoreError,
    layout::{Kind, Place},
};

/// The most attempts of one epoch whose shares are kept. Only attempts that came as far as shares count. Where there
/// are more, the oldest are dropped that are neither activated nor done.
pub const MAX_PENDING_SHARES: usize = 1024;
/// The longest confirmations, in bytes: 256 KiB.
pub const MAX_CONFIRMATIONS_BYTES: usize = 256 << 10;

/// The share that this node signs with, and the root key that it belongs to.
#[derive(PartialEq, Eq)]
pub struct ActiveShare {
    /// The root key.
    pub root: RootKey,
    /// The secret share in the scheme's own encoding.
    pub share: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ActiveShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveShare").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Why pending shares were not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutShareError {
    /// The attempt has other shares already.
    #[error("attempt {attempt} has other shares on disk: shares are never replaced")]
    Different {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Epoch and attempt are not those of the terms, or there is not one root key and one share for each scheme.
    #[error("the shares of attempt {attempt} do not match its terms or its root keys")]
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
    /// Too many attempts, of which none may be dropped.
    #[error(
        "there are shares of {MAX_PENDING_SHARES} attempts in epoch {epoch} already, none of them earlier"
    )]
    TooMany {
        /// The epoch.
        epoch: u64,
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
    #[error(
        "attempt {attempt} is activated already for {scheme}, and there is one activation for each epoch and scheme"
    )]
    AlreadyActivated {
        /// The attempt that was activated.
        attempt: AttemptId,
        /// For which scheme.
        scheme: Scheme,
    },
    /// There are no shares to activate.
    #[error("attempt {attempt} has no pending shares on disk")]
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

impl Store {
    /// Stores durably the shares of an attempt, before its confirmation is sent. From then on no earlier attempt may be
    /// activated that is not already.
    pub fn put_pending_shares(&self, pending: &PendingShares) -> Result<Put, PutShareError> {
        const OPERATION: &str = "storing pending shares";
        let PendingShares { epoch, attempt, .. } = *pending;
        if !pending.matches(self.owner().network) {
            return Err(PutShareError::Mismatch { attempt });
        }
        if let Some(long) = pending.shares.iter().find(|share| share.len() > MAX_SHARE_BYTES) {
            return Err(PutShareError::TooLong { got: long.len() });
        }
        let place = pending.place();
        let mut writer = self.writer()?;
        if let Some(there) = self.unseal(OPERATION, place)? {
            let same = *there == *pending.encode();
            return if same { Ok(Put::AlreadyThere) } else { Err(PutShareError::Different { attempt }) };
        }
        let count = self.count_pending(OPERATION, epoch)?;
        let dropped =
            if count < MAX_PENDING_SHARES { Vec::new() } else { self.outlived(OPERATION, pending)? };
        if count - dropped.len() >= MAX_PENDING_SHARES {
            return Err(PutShareError::TooMany { epoch });
        }
        let sealed = self.seal_bytes(place, &pending.encode())?;
        self.commit_replacing(&mut writer, OPERATION, &dropped, &[(place, &sealed)], |head| {
            head.pending_shares = head.pending_shares + 1 - dropped.len() as u64;
        })?;
        Ok(Put::Stored)
    }

    fn count_pending(&self, operation: &'static str, epoch: u64) -> Result<usize, StoreError> {
        let mut count = 0;
        self.database().visit(operation, &Place::pending_shares(epoch), None, |_, _| {
            count += 1;
            Ok(true)
        })?;
        Ok(count)
    }

    /// The pending shares of an epoch by attempt, activated ones included.
    pub fn pending_shares(&self, epoch: u64) -> Result<Vec<PendingShares>, StoreError> {
        const OPERATION: &str = "reading the pending shares";
        let mut found = Vec::new();
        self.database().visit(OPERATION, &Place::pending_shares(epoch), None, |place, sealed| {
            let plain = self.unseal_bytes(OPERATION, place, sealed)?;
            found.push(PendingShares::decode(OPERATION, self.owner().network, place, &plain)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// The pending shares of one attempt.
    pub fn pending_shares_of(
        &self,
        epoch: u64,
        attempt: AttemptId,
    ) -> Result<Option<PendingShares>, StoreError> {
        const OPERATION: &str = "reading the pending shares of an attempt";
        let place = Place::PendingShares { epoch, attempt };
        self.unseal(OPERATION, place)?
            .map(|plain| PendingShares::decode(OPERATION, self.owner().network, place, &plain))
            .transpose()
    }

    /// Records durably that this node activates an attempt, for all of its schemes or none, before it signs the
    /// activation.
    ///
    /// At most one attempt for an epoch and scheme, ever, and only one whose shares are on disk. The same attempt
    /// again changes nothing: the first confirmations stay.
    pub fn record_activation(
        &self,
        epoch: u64,
        attempt: AttemptId,
        confirmations: Bytes,
    ) -> Result<Put, ActivateError> {
        const OPERATION: &str = "recording an activation";
        if confirmations.len() > MAX_CONFIRMATIONS_BYTES {
            return Err(ActivateError::TooLong { got: confirmations.len() });
        }
        let mut writer = self.writer()?;
        let pending = self.pending_shares_of(epoch, attempt)?.ok_or(ActivateError::NoShare { attempt })?;
        let schemes = &pending.terms.schemes;
        for &scheme in schemes {
            match self.activation(epoch, scheme)? {
                Some(there) if there.attempt == attempt => return Ok(Put::AlreadyThere),
                Some(there) => {
                    return Err(ActivateError::AlreadyActivated { attempt: there.attempt, scheme });
                }
                None => {}
            }
        }
        let record = ActivationRecord { attempt, confirmations };
        let sealed = schemes
            .iter()
            .map(|&scheme| {
                let place = Place::Activation { epoch, scheme };
                Ok((place, self.seal(place, &record)?))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let writes: Vec<_> = sealed.iter().map(|(place, bytes)| (*place, bytes.as_slice())).collect();
        let count = writes.len() as u64;
        self.commit(&mut writer, OPERATION, &writes, |head| head.activations += count)?;
        Ok(Put::Stored)
    }

    /// The attempt that this node activated for a scheme, if it did.
    pub fn activation(&self, epoch: u64, scheme: Scheme) -> Result<Option<ActivationRecord>, StoreError> {
        self.sealed("reading an activation", Place::Activation { epoch, scheme })
    }

    /// Stores durably the root keys of an epoch, whose signatures the caller has verified.
    ///
    /// Later ones may add ceremonies. What was stored, activated or pending here must not be contradicted.
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
        let same = |a: &Activation, b: &Activation| a.roots == b.roots && a.attempt == b.attempt;
        for known in stored.into_iter().flat_map(|stored| &stored.ceremonies) {
            if !new.ceremonies.iter().any(|ceremony| same(ceremony, known)) {
                return Ok(known.schemes().next());
            }
        }
        for ceremony in &new.ceremonies {
            let pending = self.pending_shares_of(new.epoch, ceremony.attempt)?;
            if pending.is_some_and(|own| own.roots != ceremony.roots) {
                return Ok(ceremony.schemes().next());
            }
            for scheme in ceremony.schemes() {
                let activated = self.activation(new.epoch, scheme)?;
                if activated.is_some_and(|own| own.attempt != ceremony.attempt) {
                    return Ok(Some(scheme));
                }
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
    pub fn active_share(&self, epoch: u64, scheme: Scheme) -> Result<Option<ActiveShare>, StoreError> {
        const OPERATION: &str = "reading the active share";
        let Some(root_keys) = self.root_keys_of(epoch)? else { return Ok(None) };
        let done = root_keys.ceremonies.iter().find(|done| done.schemes().any(|own| own == scheme));
        let Some(done) = done else { return Ok(None) };
        let Some(pending) = self.pending_shares_of(epoch, done.attempt)? else { return Ok(None) };
        if pending.roots != done.roots {
            return Err(StoreError::corrupt(OPERATION, "shares and root keys are of two attempts"));
        }
        let mut shares = pending.roots.into_iter().zip(pending.shares);
        let share = shares.find(|(root, _)| root.scheme == scheme);
        Ok(share.map(|(root, share)| ActiveShare { root, share }))
    }
}
