//! A backup out of a node's database.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use countersign_backup::{Backup, Boot, Ceremony, Content, ContentError};
use countersign_store::{OpenError, PendingShares, Store, StoreError, StoredBoot};
use countersign_types::{AttemptId, Committee, NodePublicKey, RootKeys, Scheme};

use super::names;
use crate::{ConfigError, NodeConfig, NodeError, boot::open_store, clock, forbid_core_dumps};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The node runs, and its database is its own.
    #[error(
        "the node runs: stop it, back it up, and start it again. This takes seconds, and the network signs without it; the backup \
         stays good until keys are generated again"
    )]
    Running {
        /// What the database says.
        source: OpenError,
    },
    /// Keys are not generated yet.
    #[error(
        "the network has no root keys yet, so this node has nothing to lose but {}, of which a copy will do: back it up once \
         `countersign node status` says that it is ready", identity.display()
    )]
    NoRootKeys {
        /// The file of its identity.
        identity: PathBuf,
    },
    /// This node confirmed an attempt that is not done.
    #[error(
        "this node has confirmed key generation for {} (attempt {attempt}), which is not done: restored without it, the node would \
         sign that it never confirms it. Start the node, wait until `/readyz` and `countersign node status` say that it is ready and that all \
         of these have root keys, stop it, and back it up then",
        names(schemes)
    )]
    Unfinished {
        /// The attempt.
        attempt: AttemptId,
        /// What it makes keys for.
        schemes: Vec<Scheme>,
    },
    /// The share of a ceremony is not there.
    #[error(
        "the database has root keys without this node's shares: it is no member that can sign, or the database is damaged"
    )]
    NoShares,
    /// The configuration, or a file that it names.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database does not open.
    #[error(transparent)]
    Node(NodeError),
    /// The database fails.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// What it holds does not belong together.
    #[error("the database does not hold what a backup needs: check the disk, or restore an earlier backup")]
    Content(#[from] ContentError),
}

impl From<NodeError> for TakeError {
    fn from(error: NodeError) -> Self {
        if let NodeError::Open(source @ OpenError::InUse { .. }) = error {
            return Self::Running { source };
        }
        Self::Node(error)
    }
}

/// Takes the backup of the node of a configuration file. The node must not run.
///
/// Opening the database is a start of the node, though no peer hears of it: the last one in the backup.
pub async fn take(config_file: &Path) -> Result<Backup, TakeError> {
    forbid_core_dumps();
    let config = NodeConfig::load(config_file)?;
    let text = fs::read_to_string(config_file)
        .map_err(|source| TakeError::Read { path: config_file.into(), source })?;
    let genesis = config.load_genesis()?;
    let committee = genesis.committee().map_err(NodeError::from)?;
    let passphrase = config.passphrase.read().map_err(NodeError::from)?;
    let (store, _) = open_store(&config, &genesis, passphrase).await?;
    let Some(root_keys) = store.root_keys()? else {
        return Err(TakeError::NoRootKeys { identity: config.identity });
    };
    check_finished(&store, &root_keys)?;
    let content = Content {
        taken_at_ms: clock::system(),
        time_ms: store.last_time()?,
        identity: store.identity()?,
        boots: store.own_boots()?.into_iter().map(boot).collect(),
        peers: peers(&store, &committee)?,
        ceremonies: ceremonies(&store, &root_keys)?,
        root_keys,
        genesis,
        config: text,
    };
    Ok(Backup::new(content)?)
}

fn boot(stored: StoredBoot) -> Boot {
    Boot { generation: stored.generation, id: stored.id }
}

fn peers(store: &Store, committee: &Committee) -> Result<BTreeMap<NodePublicKey, Boot>, StoreError> {
    let own = store.owner().node;
    let others = committee.members().iter().filter(|member| **member != own);
    let known = others.map(|member| Ok(store.peer_boot(member)?.map(|stored| (*member, boot(stored)))));
    known.filter_map(Result::transpose).collect()
}

/// No attempt is left of which a member holds pending shares, and which may yet be activated: it confirmed that one, and
/// without its shares it would refuse it. One for a scheme that is done is activated by nobody.
fn check_finished(store: &Store, root_keys: &RootKeys) -> Result<(), TakeError> {
    let is_done = |scheme: &Scheme| root_keys.root(*scheme).is_some();
    let mut pending = store.pending_shares(root_keys.epoch)?.into_iter();
    match pending.find(|pending| !pending.terms.schemes.iter().any(is_done)) {
        Some(PendingShares { attempt, terms, .. }) => {
            Err(TakeError::Unfinished { attempt, schemes: terms.schemes })
        }
        None => Ok(()),
    }
}

/// What belongs to the ceremonies that are done. Of attempts that this node took part in without confirming them nothing is
/// kept: none of them is activated, and a restored node takes part in none that began before it.
fn ceremonies(store: &Store, root_keys: &RootKeys) -> Result<Vec<Ceremony>, TakeError> {
    let epoch = root_keys.epoch;
    let own = root_keys.ceremonies.iter().map(|done| {
        let pending = store.pending_shares_of(epoch, done.attempt)?.ok_or(TakeError::NoShares)?;
        let scheme = done.schemes().next().ok_or(TakeError::NoShares)?;
        let activation = store.activation(epoch, scheme)?.filter(|own| own.attempt == done.attempt);
        Ok(Ceremony {
            terms: pending.terms,
            confirmations: activation.map(|own| own.confirmations),
            shares: pending.shares,
        })
    });
    own.collect()
}
