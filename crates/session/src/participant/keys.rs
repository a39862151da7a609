//! This node's root shares, and the keys derived from them, each computed once while it is in use.

use std::{collections::BTreeMap, sync::Arc};

use countersign_threshold::{DerivedPublic, DerivedShare, RootPublic, RootShare};
use countersign_types::{KeyId, Scheme};

/// The most derived keys that are kept; when full, all are dropped and computed again as they are used.
pub const MAX_KEYS: usize = 256;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Key generation for the scheme is not done.
    #[error("this node has no root key for {scheme} yet: key generation is not done")]
    NoRoot {
        /// The scheme.
        scheme: Scheme,
    },
    /// The share on disk does not fit its own root key.
    #[error("the root key for {scheme} does not fit its share: {reason}")]
    Root {
        /// The scheme.
        scheme: Scheme,
        /// What does not fit.
        reason: String,
    },
    /// The derived key is not usable; for an honest id this has probability 2^-128.
    #[error("key {key} cannot be derived: {reason}")]
    Derive {
        /// The key.
        key: KeyId,
        /// Why.
        reason: String,
    },
}

/// A derived key: this node's share, and the public side.
pub(super) struct KeyPair {
    pub(super) share: DerivedShare,
    pub(super) public: DerivedPublic,
}

#[derive(Default)]
pub(super) struct KeyCache {
    roots: BTreeMap<Scheme, (RootShare, RootPublic)>,
    derived: BTreeMap<(Scheme, KeyId), Arc<KeyPair>>,
}

impl KeyCache {
    pub(super) fn add_root(&mut self, share: RootShare) -> Result<(), KeyError> {
        let scheme = share.scheme();
        let public = RootPublic::new(&share.root_key(), share.threshold())
            .map_err(|error| KeyError::Root { scheme, reason: error.to_string() })?;
        self.roots.insert(scheme, (share, public));
        Ok(())
    }

    pub(super) fn schemes(&self) -> impl Iterator<Item = Scheme> + '_ {
        self.roots.keys().copied()
    }

    /// How many derived keys are kept.
    pub(super) fn len(&self) -> usize {
        self.derived.len()
    }

    pub(super) fn root(&self, scheme: Scheme) -> Option<&RootShare> {
        self.roots.get(&scheme).map(|(share, _)| share)
    }

    pub(super) fn get(&mut self, scheme: Scheme, key: KeyId) -> Result<Arc<KeyPair>, KeyError> {
        if let Some(pair) = self.derived.get(&(scheme, key)) {
            return Ok(Arc::clone(pair));
        }
        let (share, public) = self.roots.get(&scheme).ok_or(KeyError::NoRoot { scheme })?;
        let failed = |reason: String| KeyError::Derive { key, reason };
        let share = share.derive(&key).map_err(|error| failed(error.to_string()))?;
        let public = public.derive(&key).map_err(|error| failed(error.to_string()))?;
        if self.derived.len() >= MAX_KEYS {
            self.derived.clear();
        }
        let pair = Arc::new(KeyPair { share, public });
        self.derived.insert((scheme, key), Arc::clone(&pair));
        Ok(pair)
    }
}
