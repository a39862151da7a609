//! Actions: publications by action id, components and scripts by digest, and how much each publisher has here.

use std::collections::{BTreeMap, BTreeSet};

use countersign_types::{
    ActionId, Address, B256, ComponentDigest, SignedPublishAction,
    action::{Content, MAX_COMPONENT_BYTES, MAX_SCRIPT_BYTES, ManifestError},
};

use crate::{
    Put, Store, StoreError, StoredAction,
    layout::{Kind, Place},
    records::{check_component, check_script, decode_action, encode},
};

/// The most actions that one call of [`Store::actions`] gives.
pub const MAX_LISTED: usize = 4096;

/// How much may be stored. What is there already when a bound is lowered stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all publications, components and scripts.
    pub total_bytes: u64,
    /// Bytes of one publisher's publications, components and scripts.
    pub per_publisher_bytes: u64,
    /// Actions.
    pub actions: u64,
}

/// How much is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActionUsage {
    /// Actions.
    pub actions: u64,
    /// Bytes. In all, a component or script counts once, as it is stored; for a publisher, once for each of its
    /// actions.
    pub bytes: u64,
}

/// Why an action was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutActionError {
    /// The manifest, its signature or the component does not hold.
    #[error(transparent)]
    Invalid(#[from] ManifestError),
    /// There are as many actions as may be.
    #[error("this node stores at most {most} actions")]
    TooMany {
        /// The bound.
        most: u64,
    },
    /// All actions together would be too large.
    #[error("this node stores at most {most} bytes of actions, has {used} and was sent {asked} more")]
    TotalFull {
        /// The bound, in bytes.
        most: u64,
        /// What there is, in bytes.
        used: u64,
        /// What this would add, in bytes.
        asked: u64,
    },
    /// The publisher's actions would be too large.
    #[error("{publisher} may store at most {most} bytes of actions, has {used} and sent {asked} more")]
    PublisherFull {
        /// The publisher.
        publisher: Address,
        /// The bound, in bytes.
        most: u64,
        /// What there is, in bytes.
        used: u64,
        /// What this would add, in bytes.
        asked: u64,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The counters, derived from the records whenever the database is opened: they cannot disagree with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) total: ActionUsage,
    publishers: BTreeMap<Address, ActionUsage>,
}

/// What one more action takes.
struct Cost {
    publisher: Address,
    publication: u64,
    component: Piece,
    script: Piece,
}

/// A component or a script.
struct Piece {
    bytes: u64,
    is_new: bool,
}

impl Piece {
    fn in_all(&self) -> u64 {
        if self.is_new { self.bytes } else { 0 }
    }
}

impl Cost {
    fn for_publisher(&self) -> u64 {
        self.publication + self.component.bytes + self.script.bytes
    }

    fn in_all(&self) -> u64 {
        self.publication + self.component.in_all() + self.script.in_all()
    }
}

impl Usage {
    fn of(&self, publisher: &Address) -> ActionUsage {
        self.publishers.get(publisher).copied().unwrap_or_default()
    }

    fn add(&mut self, cost: &Cost) {
        let publisher = self.publishers.entry(cost.publisher).or_default();
        publisher.actions += 1;
        publisher.bytes = publisher.bytes.saturating_add(cost.for_publisher());
        self.total.actions += 1;
        self.total.bytes = self.total.bytes.saturating_add(cost.in_all());
    }

    fn check(&self, cost: &Cost, bounds: &Bounds) -> Result<(), PutActionError> {
        if self.total.actions >= bounds.actions {
            return Err(PutActionError::TooMany { most: bounds.actions });
        }
        let (most, used, asked) = (bounds.total_bytes, self.total.bytes, cost.in_all());
        if used.saturating_add(asked) > most {
            return Err(PutActionError::TotalFull { most, used, asked });
        }
        let publisher = cost.publisher;
        let (most, used, asked) =
            (bounds.per_publisher_bytes, self.of(&publisher).bytes, cost.for_publisher());
        if used.saturating_add(asked) > most {
            return Err(PutActionError::PublisherFull { publisher, most, used, asked });
        }
        Ok(())
    }
}

impl Store {
    /// Stores durably an action with what it names, after checking manifest, signature, digests and bounds. A
    /// component that is left out is not stored: whoever leaves it out has it built in.
    ///
    /// A component or script that two manifests name is stored once. An action that two publishers publish stays
    /// the first's.
    pub fn put_action(
        &self,
        signed: &SignedPublishAction,
        content: &Content,
        bounds: &Bounds,
    ) -> Result<Put, PutActionError> {
        const OPERATION: &str = "storing an action";
        signed.validate(self.owner().network)?;
        let manifest = &signed.publish.manifest;
        content.check(manifest)?;
        let component = content.component.as_ref().map(AsRef::<[u8]>::as_ref);
        let script = content.script.as_ref().map(String::as_bytes);
        let length = |piece: Option<&[u8]>| piece.map_or(0, <[u8]>::len) as u64;
        let action = Place::Action(signed.action_id());
        let record = encode(&StoredAction {
            signed: signed.clone(),
            component_bytes: length(component),
            script_bytes: length(script),
        });

        let mut writer = self.writer()?;
        if self.database().get(OPERATION, action)?.is_some() {
            return Ok(Put::AlreadyThere);
        }
        let mut records = vec![(action, record.as_slice())];
        for (place, bytes) in
            [(Place::Component(manifest.component), component), (Place::Script(manifest.script), script)]
        {
            if let Some(bytes) = bytes
                && self.database().get(OPERATION, place)?.is_none()
            {
                records.push((place, bytes));
            }
        }
        let is_new = |kind: Kind| records.iter().any(|(place, _)| place.kind() == kind);
        let cost = Cost {
            publisher: signed.publish.publisher,
            publication: record.len() as u64,
            component: Piece { bytes: length(component), is_new: is_new(Kind::Component) },
            script: Piece { bytes: length(script), is_new: is_new(Kind::Script) },
        };
        writer.usage.check(&cost, bounds)?;
        self.commit(&mut writer, OPERATION, &records, |head| head.actions += 1)?;
        writer.usage.add(&cost);
        Ok(Put::Stored)
    }

    /// The publication of an action.
    pub fn action(&self, id: &ActionId) -> Result<Option<StoredAction>, StoreError> {
        const OPERATION: &str = "reading an action";
        let place = Place::Action(*id);
        self.database()
            .get(OPERATION, place)?
            .map(|bytes| decode_action(OPERATION, place, &bytes))
            .transpose()
    }

    /// The bytes of a component, checked against the digest: damaged ones are an error and never returned.
    pub fn component(&self, digest: &ComponentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.database().get("reading a component", Place::Component(*digest))?;
        stored.map(|bytes| check_component(*digest, bytes)).transpose()
    }

    /// The text of a script, checked against the digest: a damaged one is an error and never returned.
    pub fn script(&self, digest: &B256) -> Result<Option<String>, StoreError> {
        const OPERATION: &str = "reading a script";
        let stored = self.database().get(OPERATION, Place::Script(*digest))?;
        stored.map(|bytes| check_script(OPERATION, *digest, bytes)).transpose()
    }

    /// The actions after an id, or the first, in the order of their ids: at most `limit` and [`MAX_LISTED`].
    pub fn actions(&self, after: Option<ActionId>, limit: usize) -> Result<Vec<StoredAction>, StoreError> {
        const OPERATION: &str = "listing the actions";
        let limit = limit.min(MAX_LISTED);
        let mut page = Vec::new();
        if limit == 0 {
            return Ok(page);
        }
        let after = after.map(Place::Action);
        self.database().visit(OPERATION, &Kind::Action.prefix(), after, |place, bytes| {
            page.push(decode_action(OPERATION, place, bytes)?);
            Ok(page.len() < limit)
        })?;
        Ok(page)
    }

    /// How much all actions take.
    pub fn action_usage(&self) -> Result<ActionUsage, StoreError> {
        Ok(self.writer()?.usage.total)
    }

    /// How much the actions of a publisher take.
    pub fn publisher_usage(&self, publisher: &Address) -> Result<ActionUsage, StoreError> {
        Ok(self.writer()?.usage.of(publisher))
    }

    /// Counts what there is.
    pub(crate) fn load_usage(&self, operation: &'static str) -> Result<Usage, StoreError> {
        let (mut usage, mut components, mut scripts) = (Usage::default(), BTreeSet::new(), BTreeSet::new());
        self.database().visit(operation, &Kind::Action.prefix(), None, |place, bytes| {
            let action = decode_action(operation, place, bytes)?;
            let possible = action.component_bytes <= MAX_COMPONENT_BYTES as u64
                && action.script_bytes <= MAX_SCRIPT_BYTES as u64;
            if !possible {
                return Err(StoreError::corrupt(operation, format!("{place:?} has an impossible length")));
            }
            let manifest = &action.signed.publish.manifest;
            let (component, script) = (action.component_bytes, action.script_bytes);
            usage.add(&Cost {
                publisher: action.signed.publish.publisher,
                publication: bytes.len() as u64,
                component: Piece {
                    bytes: component,
                    is_new: component > 0 && components.insert(manifest.component),
                },
                script: Piece { bytes: script, is_new: script > 0 && scripts.insert(manifest.script) },
            });
            Ok(true)
        })?;
        Ok(usage)
    }
}
