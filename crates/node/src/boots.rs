//! Boots on disk, as the connections between members need them, and the way out for operators.

use std::sync::Arc;

use countersign_network::{Boot, BootId, Boots, BootsError};
use countersign_store::{OpenError, Store, StoreError, StoredBoot};
use countersign_types::{GenesisError, NodePublicKey};

use crate::{ConfigError, NodeConfig, NodeError, boot::open_store, causes::with_causes};

/// A database as a memory of boots.
pub(crate) struct StoredBoots(pub(crate) Arc<Store>);

impl Boots for StoredBoots {
    fn own(&self, generation: u64) -> Result<Option<BootId>, BootsError> {
        Ok(self.0.own_boot(generation).map_err(told)?.map(BootId))
    }

    fn last(&self, member: &NodePublicKey) -> Result<Option<Boot>, BootsError> {
        Ok(self.0.peer_boot(member).map_err(told)?.map(from_stored))
    }

    fn accept(&self, member: &NodePublicKey, boot: Boot) -> Result<(), BootsError> {
        let stored = StoredBoot { generation: boot.generation, id: boot.id.0 };
        self.0.put_peer_boot(member, stored).map_err(told)
    }
}

fn from_stored(stored: StoredBoot) -> Boot {
    Boot { generation: stored.generation, id: BootId(stored.id) }
}

fn told(error: StoreError) -> BootsError {
    BootsError(with_causes(&error))
}

/// This start of the node.
pub(crate) fn own(store: &Store) -> Result<Boot, StoreError> {
    store.boot().map(from_stored)
}

/// Why a member is not readmitted.
#[derive(Debug, thiserror::Error)]
pub enum ReadmitError {
    /// The node runs, and its database is its own.
    #[error(
        "the node runs: stop it, readmit the member, and start it again. This takes seconds, and the network signs without it"
    )]
    Running {
        /// What the database says.
        source: OpenError,
    },
    /// It is no other member.
    #[error("{member} is not another member of the network")]
    NotAMember {
        /// Who it is.
        member: NodePublicKey,
    },
    /// The configuration, or a file that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis makes no committee.
    #[error("the genesis is not valid")]
    Genesis(#[from] GenesisError),
    /// The database does not open.
    #[error(transparent)]
    Node(NodeError),
    /// The database fails.
    #[error("the database failed")]
    Store(#[from] StoreError),
}

impl From<NodeError> for ReadmitError {
    fn from(error: NodeError) -> Self {
        if let NodeError::Open(source @ OpenError::InUse { .. }) = error {
            return Self::Running { source };
        }
        Self::Node(error)
    }
}

/// Forgets what this node has seen of another member's starts, so that it takes the member's next start for the first. For a
/// member whose operator has restored an old database, because there is no newer one. The node must not run.
///
/// Returns the generation of the last start that was known, if any was.
pub async fn readmit(config: &NodeConfig, member: &NodePublicKey) -> Result<Option<u64>, ReadmitError> {
    let genesis = config.load_genesis()?;
    let passphrase = config.passphrase.read().map_err(NodeError::from)?;
    let (store, identity) = open_store(config, &genesis, passphrase).await?;
    if genesis.committee()?.identifier(member).is_none() || identity.public_key() == *member {
        return Err(ReadmitError::NotAMember { member: *member });
    }
    Ok(store.forget_peer_boot(member)?.map(|boot| boot.generation))
}
