//! The actions of this node: published to it or fetched from a peer, checked, compiled once, ready to run.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use countersign_action::{
    Abort, Action, CompiledScript, CompilerError, Host, LoadError, Script, ScriptError,
};
use countersign_store::{Bounds, PutActionError, Store, StoredAction};
use countersign_types::{
    ActionId, B256, Bytes, ComponentDigest, Failure, FailureKind, Genesis, Manifest, NetworkId,
    NodePublicKey, SignedPublishAction,
    action::{Content, ManifestError, PublishedAction},
    api::ActionInfo,
};
use lru::LruCache;
use tokio::{
    sync::{OnceCell, Semaphore},
    task::spawn_blocking,
};

use crate::{causes::with_causes, config::Publishers, replication::Replication};

/// The most actions that are being loaded at once.
const MAX_LOADING: usize = 128;
/// The most actions that one peer announced and that wait to be fetched; others are fetched when they are first asked for.
const MAX_ANNOUNCED: usize = 64;
/// The most announced actions that are fetched at once.
const MAX_FETCHES: usize = 2;
/// The pauses before each attempt at fetching an announced action.
const ANNOUNCED_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];

/// An action that can run.
pub(crate) struct Ready {
    pub(crate) manifest: Manifest,
    pub(crate) action: Arc<Action>,
    /// What the action runs, where it is a runner.
    pub(crate) script: Option<CompiledScript>,
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
    actions: Mutex<Actions>,
    /// With the peer that announced it first.
    announced: Mutex<BTreeMap<ActionId, NodePublicKey>>,
    fetches: Semaphore,
}

/// The actions in memory.
struct Actions {
    /// The most recently used ones.
    ready: LruCache<ActionId, Arc<Ready>>,
    /// Apart from those that are ready, so that however many are asked for that do not exist, none of those is evicted.
    loading: BTreeMap<ActionId, Waiting>,
}

/// An action that is being loaded, and how many wait for it.
#[derive(Default)]
struct Waiting {
    cell: Arc<OnceCell<Arc<Ready>>>,
    count: usize,
}

/// A place among the actions that are being loaded. It is given back when nobody waits any more, whatever came of it.
struct Loading<'a> {
    library: &'a Library,
    id: ActionId,
    cell: Arc<OnceCell<Arc<Ready>>>,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let mut actions = self.library.actions();
        if let Some(waiting) = actions.loading.get_mut(&self.id) {
            waiting.count -= 1;
            if waiting.count == 0 {
                actions.loading.remove(&self.id);
            }
        }
    }
}

impl Library {
    pub(crate) fn new(
        genesis: &Genesis,
        store: Arc<Store>,
        host: Host,
        replication: Arc<Replication>,
        publishers: Publishers,
        bounds: Bounds,
        most_ready: NonZeroUsize,
    ) -> Self {
        Self {
            network: genesis.network_id(),
            chains: genesis.chains.iter().copied().collect(),
            store,
            host,
            replication,
            publishers,
            bounds,
            actions: Mutex::new(Actions { ready: LruCache::new(most_ready), loading: BTreeMap::new() }),
            announced: Mutex::new(BTreeMap::new()),
            fetches: Semaphore::new(MAX_FETCHES),
        }
    }

    /// The action, from memory, disk or a peer. Concurrent calls for one action share the work.
    pub(crate) async fn ready(&self, id: ActionId) -> Result<Arc<Ready>, Failure> {
        let loading = {
            let mut actions = self.actions();
            if let Some(ready) = actions.ready.get(&id) {
                return Ok(Arc::clone(ready));
            }
            if actions.loading.len() >= MAX_LOADING && !actions.loading.contains_key(&id) {
                let detail = format!("{MAX_LOADING} actions are being loaded here: ask again later");
                return Err(Failure::new(FailureKind::Busy, detail));
            }
            let waiting = actions.loading.entry(id).or_default();
            waiting.count += 1;
            Loading { library: self, id, cell: Arc::clone(&waiting.cell) }
        };
        let loaded = loading.cell.get_or_try_init(|| self.load(id)).await.cloned()?;
        self.actions().ready.put(id, Arc::clone(&loaded));
        Ok(loaded)
    }

    fn actions(&self) -> MutexGuard<'_, Actions> {
        self.actions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load(&self, id: ActionId) -> Result<Arc<Ready>, Failure> {
        let stored = match self.read(move |store| store.action(&id)).await? {
            Some(stored) => stored.signed,
            None => {
                let fetched = self.replication.fetch(id, |signed| self.check_wanted(signed)).await?;
                self.accept(&fetched.signed, fetched.content).await?;
                fetched.signed
            }
        };
        let manifest = stored.publish.manifest;
        let action = match self.host.load(manifest.component).await.map_err(load_failure)? {
            Some(action) => action,
            None => {
                let component = self.component_of(id, manifest.component).await?;
                self.host.prepare(&component).await.map_err(load_failure)?
            }
        };
        let script =
            if manifest.is_script() { Some(self.script_of(id, manifest.script).await?) } else { None };
        let script = self.host.compile_script(&action, script.as_ref()).await.map_err(script_failure)?;
        Ok(Arc::new(Ready { manifest, action, script }))
    }

    async fn component_of(&self, id: ActionId, digest: ComponentDigest) -> Result<Bytes, Failure> {
        if let Some(built_in) = built_in(digest) {
            return Ok(Bytes::from_static(built_in));
        }
        let component = self.read(move |store| store.component(&digest)).await?;
        component.map(Bytes::from).ok_or_else(|| {
            let detail = format!("the component {digest} of action {id} is not stored");
            Failure::new(FailureKind::Internal, detail)
        })
    }

    async fn script_of(&self, id: ActionId, digest: B256) -> Result<Script, Failure> {
        let script = self.read(move |store| store.script(&digest)).await?;
        let script = script.ok_or_else(|| {
            let detail = format!("the script {digest} of action {id} is not stored");
            Failure::new(FailureKind::Internal, detail)
        })?;
        Script::new(script).map_err(script_failure)
    }

    /// Checks and stores a publication, and tells the other members.
    pub(crate) async fn publish(&self, published: PublishedAction) -> Result<ActionInfo, Failure> {
        let (signed, content) = published.into_parts();
        let info = self.accept(&signed, content).await?;
        self.replication.announce(info.action_id);
        Ok(info)
    }

    /// Everything that must hold before an action is stored, wherever it comes from.
    async fn accept(&self, signed: &SignedPublishAction, content: Content) -> Result<ActionInfo, Failure> {
        signed.validate(self.network).map_err(manifest_failure)?;
        self.check_wanted(signed)?;
        let (manifest, publisher) = (&signed.publish.manifest, signed.publish.publisher);
        content.check(manifest).map_err(manifest_failure)?;
        let (component, content) = settle(manifest, content)?;
        let action = self.host.prepare(&component).await.map_err(load_failure)?;
        let script = content.script.clone().map(Script::new).transpose().map_err(script_failure)?;
        self.host.compile_script(&action, script.as_ref()).await.map_err(script_failure)?;
        let info =
            info_of(signed, component.len() as u64, content.script.as_ref().map_or(0, String::len) as u64);
        let (signed, bounds) = (signed.clone(), self.bounds);
        let store = Arc::clone(&self.store);
        let put = spawn_blocking(move || store.put_action(&signed, &content, &bounds)).await;
        put.map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?.map_err(put_failure)?;
        tracing::info!(action = %info.action_id, name = info.manifest.name, %publisher, "action stored");
        Ok(info)
    }

    /// Whether this node stores what this publisher signed.
    fn check_wanted(&self, signed: &SignedPublishAction) -> Result<(), Failure> {
        let publisher = signed.publish.publisher;
        if !self.publishers.accept(&publisher) {
            let detail = format!(
                "this node's operator does not list the publisher {publisher}: ask to be added to actions.publishers"
            );
            return Err(Failure::new(FailureKind::PublisherNotListed, detail));
        }
        let chains = &signed.publish.manifest.chains;
        if let Some(chain) = chains.iter().find(|chain| !self.chains.contains(chain)) {
            let detail = format!(
                "the action reads chain {chain}, and the network's genesis lists {:?}: change chains in the manifest",
                self.chains
            );
            return Err(Failure::new(FailureKind::Invalid, detail));
        }
        Ok(())
    }

    /// A peer stores an action: it is fetched now, so that the first request does not wait for it.
    pub(crate) fn announced(self: &Arc<Self>, peer: NodePublicKey, action: ActionId) {
        {
            let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = announced.values().filter(|by| **by == peer).count();
            if waiting >= MAX_ANNOUNCED || announced.contains_key(&action) {
                return;
            }
            announced.insert(action, peer);
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
        Ok(info_of_stored(&stored))
    }

    /// Everything that is stored, in ascending order of id.
    pub(crate) async fn list(&self) -> Result<Vec<ActionInfo>, Failure> {
        let most = usize::try_from(self.bounds.actions).unwrap_or(usize::MAX);
        let stored = self.read(move |store| store.actions(None, most)).await?;
        Ok(stored.iter().map(info_of_stored).collect())
    }

    /// The component of a stored action.
    pub(crate) async fn component(&self, id: ActionId) -> Result<Bytes, Failure> {
        let manifest = self.manifest(id).await?;
        self.component_of(id, manifest.component).await
    }

    /// The script of a stored action.
    pub(crate) async fn script(&self, id: ActionId) -> Result<String, Failure> {
        let manifest = self.manifest(id).await?;
        if !manifest.is_script() {
            let detail = format!("action {id} has no script: its component is the whole of it");
            return Err(Failure::new(FailureKind::NotFound, detail));
        }
        Ok(self.script_of(id, manifest.script).await?.source().to_owned())
    }

    async fn manifest(&self, id: ActionId) -> Result<Manifest, Failure> {
        let stored = self.read(move |store| store.action(&id)).await?;
        Ok(stored.ok_or_else(|| not_found(id))?.signed.publish.manifest)
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

/// A runner that is part of this program.
pub(crate) fn built_in(digest: ComponentDigest) -> Option<&'static [u8]> {
    countersign_runners::by_digest(digest).map(|runner| runner.component)
}

/// The component to run, and what of the content is stored: a component that is built in is not.
fn settle(manifest: &Manifest, content: Content) -> Result<(Bytes, Content), Failure> {
    if let Some(built_in) = built_in(manifest.component) {
        return Ok((Bytes::from_static(built_in), Content { component: None, ..content }));
    }
    let Some(component) = content.component.clone() else {
        let detail = format!(
            "the component {} is not built into this node: send it with the publication",
            manifest.component
        );
        return Err(Failure::new(FailureKind::Invalid, detail));
    };
    Ok((component, content))
}

fn info_of_stored(stored: &StoredAction) -> ActionInfo {
    let built_in = built_in(stored.signed.publish.manifest.component);
    let component_bytes = built_in.map_or(stored.component_bytes, |bytes| bytes.len() as u64);
    info_of(&stored.signed, component_bytes, stored.script_bytes)
}

fn info_of(signed: &SignedPublishAction, component_bytes: u64, script_bytes: u64) -> ActionInfo {
    ActionInfo {
        action_id: signed.action_id(),
        manifest: signed.publish.manifest.clone(),
        publisher: signed.publish.publisher,
        component_bytes,
        script_bytes,
    }
}

fn not_found(id: ActionId) -> Failure {
    Failure::new(FailureKind::NotFound, format!("this node stores no action {id}"))
}

fn manifest_failure(error: ManifestError) -> Failure {
    let kind = match error {
        ManifestError::Signature { .. } => FailureKind::Unauthorised,
        ManifestError::Size { .. } | ManifestError::ScriptSize { .. } => FailureKind::TooLarge,
        ManifestError::Name { .. }
        | ManifestError::List { .. }
        | ManifestError::Host { .. }
        | ManifestError::Limit { .. }
        | ManifestError::Component { .. }
        | ManifestError::Script { .. } => FailureKind::Invalid,
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

fn script_failure(error: ScriptError) -> Failure {
    let kind = match &error {
        ScriptError::Size { .. } | ScriptError::ProgramSize { .. } => FailureKind::TooLarge,
        ScriptError::NotRunner | ScriptError::Missing | ScriptError::Invalid { .. } => FailureKind::Invalid,
        ScriptError::Compile(Abort::Busy) => FailureKind::Busy,
        ScriptError::Compile(Abort::Stack) => FailureKind::Invalid,
        ScriptError::Compile(abort) if abort.is_local() => FailureKind::Internal,
        ScriptError::Compile(_) => FailureKind::Invalid,
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
