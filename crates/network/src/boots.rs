//! Whether a member runs on the memory that it had: how peers tell a database that was put back, or copied.
//!
//! Each start of a node is a *boot*: its generation, which rises by one, and a random id, both durable before anybody
//! hears of them. A member tells each peer its boot, and which boot of the peer it has seen last. The peer refuses a
//! boot that lies before the last one that it accepted, or that has its generation and another id. And the
//! node itself looks up the boot that a peer has seen in its own list of boots: a database that was put back to
//! an earlier state, and started again however often, has another boot in that place, or none.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use countersign_types::NodePublicKey;
use serde::{Deserialize, Serialize};

/// The random id of one start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootId(pub [u8; 16]);

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One start of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The how-manieth it is.
    pub generation: u64,
    /// Which it is.
    pub id: BootId,
}

/// What a node keeps of boots, durably. Methods may wait for the disk.
pub trait Boots: Send + Sync {
    /// This node's own boot of a generation; none if it had none.
    fn own(&self, generation: u64) -> Result<Option<BootId>, BootsError>;

    /// The last boot of a member that was accepted.
    fn last(&self, member: &NodePublicKey) -> Result<Option<Boot>, BootsError>;

    /// Keeps a boot that is accepted. An earlier one than is kept changes nothing.
    fn accept(&self, member: &NodePublicKey, boot: Boot) -> Result<(), BootsError>;
}

/// What is kept cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what is kept of boots cannot be used: {0}")]
pub struct BootsError(pub String);

/// Boots in memory only: for tests and measurements.
#[derive(Debug, Default)]
pub struct Forgotten {
    own: Vec<Boot>,
    last: Mutex<BTreeMap<NodePublicKey, Boot>>,
}

impl Forgotten {
    /// Of a node that had these boots.
    pub fn new(own: Vec<Boot>) -> Self {
        Self { own, last: Mutex::default() }
    }
}

impl Boots for Forgotten {
    fn own(&self, generation: u64) -> Result<Option<BootId>, BootsError> {
        Ok(self.own.iter().find(|boot| boot.generation == generation).map(|boot| boot.id))
    }

    fn last(&self, member: &NodePublicKey) -> Result<Option<Boot>, BootsError> {
        Ok(self.last.lock().unwrap_or_else(PoisonError::into_inner).get(member).copied())
    }

    fn accept(&self, member: &NodePublicKey, boot: Boot) -> Result<(), BootsError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last.entry(*member).or_insert(boot);
        if boot.generation > kept.generation {
            *kept = boot;
        }
        Ok(())
    }
}
