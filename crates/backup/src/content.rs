//! What a backup holds, and what must be true of it.

use std::{collections::BTreeMap, fmt, ops::Deref};

use countersign_threshold::{RootShare, ShareError};
use countersign_types::{
    Activation, AttemptId, AttemptTerms, Bytes, Committee, Genesis, GenesisError, Identifier, NetworkId,
    NodeKey, NodePublicKey, RootKeys, RootKeysError, Scheme,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The bytes of a start's id.
pub const BOOT_ID_BYTES: usize = 16;
/// The most starts of a node, and so the greatest generation, in a backup: one each minute for four years.
pub const MAX_BOOTS: u64 = 1 << 21;
/// The longest configuration in a backup, in bytes: 1 MiB.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;

/// One start of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The how-manieth it is, from 1.
    pub generation: u64,
    /// Which it is.
    pub id: [u8; BOOT_ID_BYTES],
}

/// What a member keeps of one ceremony of the root keys.
#[derive(PartialEq, Eq)]
pub struct Ceremony {
    /// The attempt that all members activated.
    pub terms: AttemptTerms,
    /// What was stored with this node's activation: all members' confirmations.
    pub confirmations: Option<Bytes>,
    /// A share record for each scheme, in the order of the terms. Secret.
    pub shares: Vec<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Ceremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ceremony").field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// What a node's backup is made of.
pub struct Content {
    /// The genesis of its network.
    pub genesis: Genesis,
    /// When the backup was taken, in milliseconds since 1970 by the node's clock.
    pub taken_at_ms: u64,
    /// The latest time that the node had noted, in milliseconds since 1970: its clock never shows less again.
    pub time_ms: u64,
    /// The node's secret identity key.
    pub identity: NodeKey,
    /// The node's starts, the first one first. Databases of old versions lack the first ones.
    pub boots: Vec<Boot>,
    /// The last start of each other member that the node has accepted.
    pub peers: BTreeMap<NodePublicKey, Boot>,
    /// The root keys, activated by all members.
    pub root_keys: RootKeys,
    /// What the node keeps of each of their ceremonies, in their order.
    pub ceremonies: Vec<Ceremony>,
    /// The text of its configuration file, which may hold the credentials of providers.
    pub config: String,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("genesis", &self.genesis)
            .field("identity", &self.identity)
            .field("taken_at_ms", &self.taken_at_ms)
            .field("root_keys", &self.root_keys)
            .field("ceremonies", &self.ceremonies)
            .finish_non_exhaustive()
    }
}

/// A node's backup, of which everything belongs together.
#[derive(Debug)]
pub struct Backup(Content);

/// Why content is no backup of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The genesis makes no committee.
    #[error("the genesis is not valid")]
    Genesis(#[from] GenesisError),
    /// The node is no member.
    #[error("the node {node} is not a member of network {network}")]
    NotAMember {
        /// The node.
        node: NodePublicKey,
        /// The network of the genesis.
        network: NetworkId,
    },
    /// A node has started at least once, and its starts are counted.
    #[error("the node's {got} starts are not numbered one after the other, from 1 to {MAX_BOOTS} at most")]
    Boots {
        /// How many starts there are.
        got: usize,
    },
    /// The configuration is too long.
    #[error("a configuration has at most {MAX_CONFIG_BYTES} bytes, got {got}")]
    Config {
        /// Its length, in bytes.
        got: usize,
    },
    /// A start of somebody who is not another member.
    #[error("there is a start of {peer}, which is not another member")]
    Peer {
        /// Who it is.
        peer: NodePublicKey,
    },
    /// There is no root key.
    #[error("there are no root keys, and so no key shares")]
    NoRootKeys,
    /// The root keys do not count.
    #[error("the root keys are not valid")]
    RootKeys(#[from] RootKeysError),
    /// There are not as many ceremonies as the root keys have.
    #[error("the root keys are of {expected} ceremonies, there are shares of {got}")]
    Ceremonies {
        /// How many the root keys have.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// The shares are of another attempt than the root keys, or not one for each scheme.
    #[error("the shares are not those of attempt {attempt}, which all members activated")]
    Attempt {
        /// The attempt of the root keys.
        attempt: AttemptId,
    },
    /// A share is none.
    #[error("the share of the root key for {scheme} is not valid")]
    Share {
        /// The scheme.
        scheme: Scheme,
        /// What is wrong.
        source: ShareError,
    },
    /// A share belongs to another member, or to another root key.
    #[error("the share for {scheme} is of another member, or of another root key")]
    OtherShare {
        /// The scheme.
        scheme: Scheme,
    },
}

impl Backup {
    /// Checks that everything belongs together: the node is a member, all members activated the root keys, and each
    /// share is this member's share of its root key.
    pub fn new(content: Content) -> Result<Self, ContentError> {
        let committee = content.genesis.committee()?;
        let network = content.genesis.network_id();
        let node = content.identity.public_key();
        let me = committee.identifier(&node).ok_or(ContentError::NotAMember { node, network })?;
        check_boots(&content, &committee, &node)?;
        if content.config.len() > MAX_CONFIG_BYTES {
            return Err(ContentError::Config { got: content.config.len() });
        }
        if content.root_keys.ceremonies.is_empty() {
            return Err(ContentError::NoRootKeys);
        }
        content.root_keys.verify(network, &committee)?;
        let (done, kept) = (&content.root_keys.ceremonies, &content.ceremonies);
        if done.len() != kept.len() {
            return Err(ContentError::Ceremonies { expected: done.len(), got: kept.len() });
        }
        for (done, kept) in done.iter().zip(kept) {
            check_terms(done, kept, network, content.root_keys.epoch)?;
            check_shares(done, kept, me, committee.threshold())?;
        }
        Ok(Self(content))
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.genesis.network_id()
    }

    /// The node.
    pub fn node(&self) -> NodePublicKey {
        self.identity.public_key()
    }

    /// The how-manieth the node's last start was.
    pub fn generation(&self) -> u64 {
        self.boots.last().map_or(0, |boot| boot.generation)
    }
}

impl Deref for Backup {
    type Target = Content;

    fn deref(&self) -> &Content {
        &self.0
    }
}

fn check_boots(content: &Content, committee: &Committee, node: &NodePublicKey) -> Result<(), ContentError> {
    let numbers = || content.boots.iter().map(|boot| boot.generation);
    let are_counted = numbers().is_sorted_by(|a, b| a < b) && numbers().all(|g| (1..=MAX_BOOTS).contains(&g));
    if content.boots.is_empty() || !are_counted {
        return Err(ContentError::Boots { got: content.boots.len() });
    }
    let is_other = |peer: &NodePublicKey| peer != node && committee.identifier(peer).is_some();
    match content.peers.keys().find(|peer| !is_other(peer)) {
        Some(peer) => Err(ContentError::Peer { peer: *peer }),
        None => Ok(()),
    }
}

fn check_terms(
    done: &Activation,
    kept: &Ceremony,
    network: NetworkId,
    epoch: u64,
) -> Result<(), ContentError> {
    let Ceremony { terms, shares, .. } = kept;
    let same = terms.id(network) == done.attempt
        && terms.epoch == epoch
        && done.schemes().eq(terms.schemes.iter().copied())
        && shares.len() == done.roots.len();
    if same { Ok(()) } else { Err(ContentError::Attempt { attempt: done.attempt }) }
}

fn check_shares(
    done: &Activation,
    kept: &Ceremony,
    me: Identifier,
    threshold: u16,
) -> Result<(), ContentError> {
    for (root, record) in done.roots.iter().zip(&kept.shares) {
        let scheme = root.scheme;
        let share =
            RootShare::from_bytes(scheme, record).map_err(|source| ContentError::Share { scheme, source })?;
        let is_own = share.identifier() == me && share.threshold() == threshold && share.root_key() == *root;
        if !is_own {
            return Err(ContentError::OtherShare { scheme });
        }
    }
    Ok(())
}
