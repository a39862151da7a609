//! What the driver tells the HTTP interface about the node.

use std::sync::{PoisonError, RwLock};

use countersign_types::RootKeys;

/// Shared between the driver, which writes, and the interface, which reads.
#[derive(Default)]
pub(crate) struct Status {
    root_keys: RwLock<Option<RootKeys>>,
    key_generation: RwLock<String>,
}

impl Status {
    pub(crate) fn root_keys(&self) -> Option<RootKeys> {
        self.root_keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_root_keys(&self, root_keys: RootKeys) {
        *self.root_keys.write().unwrap_or_else(PoisonError::into_inner) = Some(root_keys);
    }

    /// Where key generation stands, for people.
    pub(crate) fn key_generation(&self) -> String {
        self.key_generation.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_key_generation(&self, text: String) {
        *self.key_generation.write().unwrap_or_else(PoisonError::into_inner) = text;
    }
}
