//! The actions of this node: published to it or fetched from a peer, checked, compiled once, ready to run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use countersign_action::{Action, CompilerError, Host, LoadError};
use countersign_store::{Bounds, PutActionError, Store};
use countersign_types::{
    ActionId, Bytes, Failure, FailureKind, Genesis, Manifest, NetworkId, SignedPublishAction,
    action::{ManifestError, PublishedAction},
    api::ActionInfo,
};
use tokio::{
    sync::{OnceCell, Semaphore},
    task::spawn_blocking,
};

use crate::{causes::with_causes, config::Publishers, replication::Replication};

/// The most actions that are kept ready; when full, all are dropped and loaded again as they are used.
const MAX_READY: usize = 256;
/// The most announced actions that wait to be fetched; others are fetched when they are first asked for.
const MAX_ANNOUNCED: usize = 256;
/// The most announced actions that are fetched at once.
const MAX_FETCHES: usize = 2;
/// The pauses before each attempt at fetching an announced action.
const ANNOUNCED_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// An action that can run.
pub(crate) struct Ready {
    pub(crate) manifest: Manifest,
    pub(crate) action: Arc<Action>,
}

/// Everything that has to do with getting at actions.
pub(crate) struct Library {
    network: NetworkId,
    chains: BTreeSet<u64>,
    store: Arc<Store>,
    host: Host,
    replication: Arc<Replication>,
    publishers: Publishers,
    bounds: Bounds,
    ready: Mutex<BTreeMap<ActionId, Arc<OnceCell<Arc<Ready>>>>>,
    announced: Mutex<BTreeSet<ActionId>>,
    fetches: Semaphore,
}

impl Library {
    pub(crate) fn new(
        genesis: &Genesis,
        store: Arc<Store>,
        host: Host,
        replication: Arc<Replication>,
        publishers: Publishers,
        bounds: Bounds,
    ) -> Self {
        Self {
            network: genesis.network_id(),
            chains: genesis.chains.iter().copied().collect(),
            store,
            host,
            replication,
            publishers,
            bounds,
            ready: Mutex::new(BTreeMap::new()),
            announced: Mutex::new(BTreeSet::new()),
            fetches: Semaphore::new(MAX_FETCHES),
        }
    }

    /// The action, from memory, disk or a peer. Concurrent calls for one action share the work.
    pub(crate) async fn ready(&self, id: ActionId) -> Result<Arc<Ready>, Failure> {
        let cell = {
            let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
            if ready.len() >= MAX_READY && !ready.contains_key(&id) {
                ready.clear();
            }
            Arc::clone(ready.entry(id).or_default())
        };
        let loaded = cell.get_or_try_init(|| self.load(id)).await;
        if loaded.is_err() {
            self.forget_empty(id);
        }
        loaded.cloned()
    }

    fn forget_empty(&self, id: ActionId) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.get(&id).is_some_and(|cell| !cell.initialized()) {
            ready.remove(&id);
        }
    }

    async fn load(&self, id: ActionId) -> Result<Arc<Ready>, Failure> {
        let stored = match self.read(move |store| store.action(&id)).await? {
            Some(stored) => stored.signed,
            None => {
                let fetched = self.replication.fetch(id).await?;
                if fetched.signed.action_id() != id {
                    return Err(Failure::new(FailureKind::UnknownAction, "a peer sent another action"));
                }
                self.accept(&fetched.signed, fetched.component.into()).await?;
                fetched.signed
            }
        };
        let manifest = stored.publish.manifest;
        let digest = manifest.component;
        let action = match self.host.load(digest).await.map_err(load_failure)? {
            Some(action) => action,
            None => {
                let component = self.read(move |store| store.component(&digest)).await?;
                let Some(component) = component else {
                    let detail = format!("the component {digest} of action {id} is not stored");
                    return Err(Failure::new(FailureKind::Internal, detail));
                };
                self.host.prepare(&component).await.map_err(load_failure)?
            }
        };
        Ok(Arc::new(Ready { manifest, action }))
    }

    /// Checks and stores a publication, and tells the other members.
    pub(crate) async fn publish(&self, published: PublishedAction) -> Result<ActionInfo, Failure> {
        let PublishedAction { signed, component } = published;
        let info = self.accept(&signed, component).await?;
        self.replication.announce(info.action_id);
        Ok(info)
    }

    /// Everything that must hold before an action is stored, wherever it comes from.
    async fn accept(&self, signed: &SignedPublishAction, component: Bytes) -> Result<ActionInfo, Failure> {
        signed.validate(self.network).map_err(manifest_failure)?;
        let publisher = signed.publish.publisher;
        if !self.publishers.accept(&publisher) {
            let detail = format!(
                "this node's operator does not list the publisher {publisher}: ask to be added to actions.publishers"
            );
            return Err(Failure::new(FailureKind::PublisherNotListed, detail));
        }
        signed.publish.manifest.check_component(&component).map_err(manifest_failure)?;
        let unknown = signed.publish.manifest.chains.iter().find(|chain| !self.chains.contains(chain));
        if let Some(chain) = unknown {
            let detail = format!(
                "the action reads chain {chain}, and the network's genesis lists {:?}: change chains in the manifest",
                self.chains
            );
            return Err(Failure::new(FailureKind::Invalid, detail));
        }
        if !signed.publish.manifest.script.is_zero() {
            let detail = "this engine runs no scripts: leave the manifest's script out";
            return Err(Failure::new(FailureKind::Invalid, detail));
        }
        self.host.prepare(&component).await.map_err(load_failure)?;
        let info = info_of(signed, component.len() as u64);
        let (signed, bounds) = (signed.clone(), self.bounds);
        let store = Arc::clone(&self.store);
        let put = spawn_blocking(move || store.put_action(&signed, &component, &bounds)).await;
        put.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?.map_err(put_failure)?;
        tracing::info!(action = %info.action_id, name = info.manifest.name, %publisher, "action stored");
        Ok(info)
    }

    /// A peer stores an action: it is fetched now, so that the first request does not wait for it.
    pub(crate) fn announced(self: &Arc<Self>, action: ActionId) {
        {
            let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
            if announced.len() >= MAX_ANNOUNCED || !announced.insert(action) {
                return;
            }
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            this.take_announced(action).await;
            this.announced.lock().unwrap_or_else(PoisonError::into_inner).remove(&action);
        });
    }

    async fn take_announced(&self, action: ActionId) {
        if matches!(self.read(move |store| store.action(&action)).await, Ok(Some(_))) {
            return;
        }
        for pause in ANNOUNCED_PAUSES {
            // one that cannot be had does not hold up the others while it waits
            tokio::time::sleep(pause).await;
            let Ok(_permit) = self.fetches.acquire().await else { return };
            match self.ready(action).await {
                Ok(_) => return,
                Err(failure) => {
                    tracing::warn!(%action, %failure, "an announced action was not taken");
                    if !failure.kind.is_transient() && failure.kind != FailureKind::UnknownAction {
                        return;
                    }
                }
            }
        }
    }

    /// What is stored of an action.
    pub(crate) async fn info(&self, id: ActionId) -> Result<ActionInfo, Failure> {
        let stored = self.read(move |store| store.action(&id)).await?;
        let stored = stored.ok_or_else(|| not_found(id))?;
        Ok(info_of(&stored.signed, stored.component_bytes))
    }

    /// Everything that is stored, in ascending order of id.
    pub(crate) async fn list(&self) -> Result<Vec<ActionInfo>, Failure> {
        let most = usize::try_from(self.bounds.actions).unwrap_or(usize::MAX);
        let stored = self.read(move |store| store.actions(None, most)).await?;
        Ok(stored.iter().map(|stored| info_of(&stored.signed, stored.component_bytes)).collect())
    }

    /// The component of a stored action.
    pub(crate) async fn component(&self, id: ActionId) -> Result<Bytes, Failure> {
        let component = self
            .read(move |store| match store.action(&id)? {
                Some(stored) => store.component(&stored.signed.publish.manifest.component),
                None => Ok(None),
            })
            .await?;
        component.map(Bytes::from).ok_or_else(|| not_found(id))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, countersign_store::StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let store = Arc::clone(&self.store);
        let result = spawn_blocking(move || read(&store)).await;
        result
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?
            .map_err(|error| Failure::new(FailureKind::Internal, with_causes(&error)))
    }
}

fn info_of(signed: &SignedPublishAction, component_bytes: u64) -> ActionInfo {
    ActionInfo {
        action_id: signed.action_id(),
        manifest: signed.publish.manifest.clone(),
        publisher: signed.publish.publisher,
        component_bytes,
    }
}

fn not_found(id: ActionId) -> Failure {
    Failure::new(FailureKind::NotFound, format!("this node stores no action {id}"))
}

fn manifest_failure(error: ManifestError) -> Failure {
    let kind = match error {
        ManifestError::Signature { .. } => FailureKind::Unauthorised,
        ManifestError::Size { .. } => FailureKind::TooLarge,
        ManifestError::Name { .. }
        | ManifestError::List { .. }
        | ManifestError::Host { .. }
        | ManifestError::Limit { .. }
        | ManifestError::Component { .. } => FailureKind::Invalid,
    };
    Failure::new(kind, error.to_string())
}

fn load_failure(error: LoadError) -> Failure {
    let kind = match &error {
        LoadError::Compiler(CompilerError::Busy) => FailureKind::Busy,
        LoadError::Compiler(CompilerError::Process { .. } | CompilerError::Failed { .. })
        | LoadError::Code { .. } => FailureKind::Internal,
        LoadError::Compiler(
            CompilerError::Component(_)
            | CompilerError::Exhausted { .. }
            | CompilerError::Time { .. }
            | CompilerError::TooLarge,
        ) => FailureKind::Invalid,
    };
    Failure::new(kind, with_causes(&error))
}

fn put_failure(error: PutActionError) -> Failure {
    let kind = match error {
        PutActionError::Invalid(error) => return manifest_failure(error),
        PutActionError::TooMany { .. }
        | PutActionError::TotalFull { .. }
        | PutActionError::PublisherFull { .. } => FailureKind::StorageFull,
        // the disk, and whatever else may come
        PutActionError::Store(_) | _ => FailureKind::Internal,
    };
    let failure = Failure::new(kind, with_causes(&error));
    if kind == FailureKind::Internal {
        tracing::error!(%failure, "an action was not stored");
    }
    failure
}
