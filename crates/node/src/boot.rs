//! From a configuration to a running node, and back to nothing.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use countersign_action::{ArtefactKey, Artefacts, Compilation, Compiler, Engine, Host};
use countersign_api::{Rates, Tls};
use countersign_chain::Chains;
use countersign_egress::Egress;
use countersign_network::{Handle, Hello};
use countersign_session::{
    Membership,
    keygen::{Journal, KeyGen, Pending},
    participant::Participant,
};
use countersign_store::{Bounds, IdentityFile, Owner, ReceiptsError, Store};
use countersign_threshold::RootShare;
use countersign_types::{Genesis, NodeKey, NodePublicKey, RootKeys, Scheme};
use rustix::process::{Resource, Rlimit, setrlimit};
use secrecy::SecretString;
use tokio::{net::TcpListener, sync::mpsc, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    backend::NodeBackend,
    backup,
    boots::{self, StoredBoots},
    causes::with_causes,
    clock::Clock,
    config::{ActionsConfig, NodeConfig},
    driver::{Driver, MAX_INPUTS, Parts},
    heads::Heads,
    library::Library,
    measures,
    outside::Outside,
    questions::Questions,
    receipts,
    replication::Replication,
    runs::Runs,
    status::Status,
    wire_log::WireLog,
};

/// The epoch of a network's first committee.
const FIRST_EPOCH: u64 = 1;
/// How long sessions that are under way may go on after the node was told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long answers may take to leave after that.
const INTERFACE_DRAIN: Duration = Duration::from_secs(3);
/// How much earlier than the interface's deadline a session ends, in milliseconds, so that the caller gets
/// its reasons.
const ANSWER_MARGIN_MS: u64 = 1_000;

/// Why a node does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration, or a file that it names.
    #[error(transparent)]
    Config(#[from] crate::ConfigError),
    /// The genesis makes no committee.
    #[error("the genesis is not valid")]
    Genesis(#[from] countersign_types::GenesisError),
    /// There is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] crate::PassphraseError),
    /// The sealed identity is damaged.
    #[error("the node's sealed identity cannot be read")]
    Identity(#[from] countersign_store::IdentityFileError),
    /// The database does not open.
    #[error("cannot open the database")]
    Open(#[from] countersign_store::OpenError),
    /// The database fails.
    #[error("the database failed")]
    Store(#[from] countersign_store::StoreError),
    /// The node is no member of the network.
    #[error("this node, {node}, is not a member of network {network}: check genesis and data folder")]
    NotAMember {
        /// The node's identity.
        node: countersign_types::NodePublicKey,
        /// The network.
        network: countersign_types::NetworkId,
    },
    /// The root keys on disk do not count.
    #[error("the stored root keys are not valid")]
    RootKeys(#[from] countersign_types::RootKeysError),
    /// The key share on disk does not fit.
    #[error("the stored key share is not valid: {0}")]
    Share(String),
    /// A chain's settings.
    #[error("the chains' settings are not valid")]
    Chains(#[from] countersign_chain::ConfigError),
    /// The database of receipts.
    #[error(transparent)]
    Receipts(#[from] ReceiptsError),
    /// What actions may reach over HTTP.
    #[error("the section [egress] of the configuration is not valid")]
    Egress(#[from] countersign_egress::ConfigError),
    /// The engine does not start.
    #[error("the engine that runs actions does not start")]
    Engine(#[from] countersign_action::EngineError),
    /// The folder of compiled actions.
    #[error("the folder of compiled actions cannot be used")]
    Artefacts(#[from] countersign_action::ArtefactError),
    /// The network does not start.
    #[error("the connections between members do not start: see the section [network] of the configuration")]
    Network(#[from] countersign_network::StartError),
    /// The interface's address cannot be had.
    #[error(
        "cannot listen on {address} for the HTTP interface: is another program using the port? set api.listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The interface's settings.
    #[error("the HTTP interface's settings are not valid")]
    Api(#[from] countersign_api::ConfigError),
    /// The interface's certificate.
    #[error("TLS of the HTTP interface cannot be used as api.tls says")]
    Tls(#[from] countersign_api::TlsError),
    /// Metrics cannot be collected.
    #[error("metrics cannot be collected: {0}")]
    Metrics(String),
    /// The driver stopped by itself.
    #[error("the node stops")]
    Driver(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A task ended that never ends.
    #[error("a task of the node ended: {0}")]
    Task(String),
}

/// Runs a node until `stop`, then lets sessions under way end. `ready` is told the interface's address.
pub async fn run(
    config: NodeConfig,
    compiler: Compiler,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr) + Send,
) -> Result<(), NodeError> {
    config.api.validate()?;
    let tls = config.api.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
    if tls.is_none() && !config.api.listen.ip().is_loopback() {
        tracing::warn!(
            address = %config.api.listen,
            "the HTTP interface is open to others in plain text: set api.tls, or put a proxy with TLS before it"
        );
    }
    forbid_core_dumps();
    let genesis = config.load_genesis()?;
    let committee = genesis.committee()?;
    let network = genesis.network_id();
    let passphrase = config.passphrase.read()?;
    let (store, identity) = open_store(&config, &genesis, passphrase).await?;
    let own = identity.public_key();
    let me = committee.identifier(&own).ok_or(NodeError::NotAMember { node: own, network })?;

    let engine = Engine::new(&config.actions.host)?;
    let egress = Egress::new(&config.egress)?;
    let engine_id = engine.engine_id();
    let membership = Arc::new(Membership { network, epoch: FIRST_EPOCH, committee, me, engine: engine_id });
    let metrics = measures::install(stop.clone()).map_err(|error| NodeError::Metrics(error.to_string()))?;
    let status = Arc::new(Status::default());
    let clock = Arc::new(Clock::new(store.last_time()?).of_restored(backup::signs_from(&config.database())));
    clock.catch_up().await;
    let boot = clock.now();

    let mut participant = Participant::new(Arc::clone(&membership), Arc::clone(&identity), boot);
    if let Some(root_keys) = store.root_keys()? {
        root_keys.verify(network, &membership.committee)?;
        add_roots(&store, &mut participant, &root_keys)?;
        crate::driver::write_root_keys(&config.root_keys_file(), &root_keys);
        status.set_root_keys(root_keys);
    }
    let journal = journal(&store, status.root_keys())?;
    let keygen = KeyGen::resume(Arc::clone(&membership), Arc::clone(&identity), Scheme::ALL, journal, boot);

    warn_of_gaps(&config, &genesis, own);
    let (listener, address) = listen(config.api.listen)?;
    let hello = Hello {
        network,
        protocol: countersign_session::PROTOCOL,
        engine: engine_id,
        boot: boots::own(&store)?,
        version: crate::VERSION.into(),
    };
    let (handle, events) = countersign_network::start(
        &identity,
        hello,
        membership.committee.members(),
        config.network.clone(),
        Arc::new(StoredBoots(Arc::clone(&store))),
    )
    .await?;
    let chains = Arc::new(Chains::start(config.chains.clone())?);
    let host = host(&config, engine, compiler, &store)?;

    let wire_log = WireLog::open(&config.debug, network, me, store.generation()?, boot);
    let (inputs, queue) = mpsc::channel(MAX_INPUTS);
    let questions = Arc::new(Questions::new(Arc::new(handle.clone())));
    let replication = Arc::new(Replication::new(Arc::clone(&questions), Arc::clone(&store)));
    let heads = Arc::new(Heads::new(Arc::clone(&chains), Arc::clone(&questions)));
    let library = Arc::new(Library::new(
        &genesis,
        Arc::clone(&store),
        host.clone(),
        Arc::clone(&replication),
        config.actions.publishers.clone(),
        bounds(&config.actions),
        most_ready(&config.actions),
    ));
    let outside = Outside { chains: Arc::clone(&chains), egress };
    let (keeper, shown) =
        receipts::start(&config.receipts, config.receipts_folder(), &genesis, &membership, &clock).await?;
    let runs = Runs::new(me, Arc::clone(&library), host, outside, Arc::clone(&heads), inputs.clone());
    let driver = Driver::new(Parts {
        membership: Arc::clone(&membership),
        clock: Arc::clone(&clock),
        participant,
        keygen,
        transport: Arc::new(handle.clone()),
        library: Arc::clone(&library),
        questions,
        replication,
        heads,
        runs,
        store,
        status: Arc::clone(&status),
        deadline_ms: config.api.deadline_ms.saturating_sub(ANSWER_MARGIN_MS).max(1),
        root_keys_file: config.root_keys_file(),
        wire_log,
        keeper,
        caller_rates: config.api.caller_rate.map(Rates::new),
    });
    let interface_stop = CancellationToken::new();
    let backend = Arc::new(NodeBackend {
        genesis,
        membership,
        own,
        clock: Arc::clone(&clock),
        transport: handle.clone(),
        chains,
        library,
        status,
        inputs,
        receipts: shown,
        metrics,
        stop: stop.clone(),
    });
    tracing::info!(peer = %own.peer_id(), %network, %address, "node started");
    ready(address);

    let interface =
        tokio::spawn(countersign_api::serve(listener, backend, config.api, tls, interface_stop.clone()));
    let driver = driver.run(queue, events, stop, DRAIN).await;
    shut_down(handle, interface, interface_stop).await?;
    driver.map_err(|error| NodeError::Driver(Box::new(error)))
}

/// A core dump would hold the key shares, on a disk that nobody seals. Whoever handles them forbids it before anything
/// secret is read.
pub fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps cannot be forbidden: a crash may write key shares to disk");
    }
}

/// Says what the configuration leaves out that the network needs.
fn warn_of_gaps(config: &NodeConfig, genesis: &Genesis, own: NodePublicKey) {
    for member in genesis.members.iter().filter(|member| **member != own) {
        if !config.network.peers.contains_key(member) {
            tracing::warn!(%member, peer = %member.peer_id(), "no address for a member: it has to dial this node, or set network.peers");
        }
    }
    let read: Vec<u64> = config.chains.iter().map(|chain| chain.chain_id).collect();
    for chain in genesis.chains.iter().filter(|chain| !read.contains(chain)) {
        tracing::warn!(
            chain,
            "no section [[chains]] for a chain of the genesis: this node abstains where it is read"
        );
    }
    for chain in read.iter().filter(|chain| !genesis.chains.contains(chain)) {
        tracing::warn!(
            chain,
            "a section [[chains]] for a chain that is not in the genesis: no action reads it"
        );
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), NodeError> {
    let failed = |source| NodeError::Listen { address, source };
    let listener = countersign_api::listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// What runs actions, with the compiled ones of earlier lives at hand.
fn host(config: &NodeConfig, engine: Engine, compiler: Compiler, store: &Store) -> Result<Host, NodeError> {
    let key = ArtefactKey::new(*store.artefact_key());
    let host = &config.actions.host;
    let artefacts = Artefacts::open(config.compiled_folder(), key, &engine, host.artefact_bytes)?;
    Ok(Host::new(host, engine, Compilation::Child(compiler), Some(artefacts))?)
}

/// As many actions are kept ready as compiled code is.
fn most_ready(config: &ActionsConfig) -> NonZeroUsize {
    usize::try_from(config.host.cached_actions).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}

fn bounds(config: &ActionsConfig) -> Bounds {
    Bounds {
        total_bytes: config.total_bytes,
        per_publisher_bytes: config.publisher_bytes,
        actions: config.count,
    }
}

async fn shut_down(
    handle: Handle,
    mut interface: tokio::task::JoinHandle<Result<(), countersign_api::ConfigError>>,
    interface_stop: CancellationToken,
) -> Result<(), NodeError> {
    interface_stop.cancel();
    // sessions are over: whoever still reads its answer has little time left
    let served = match timeout(INTERFACE_DRAIN, &mut interface).await {
        Ok(served) => served.map_err(|error| NodeError::Task(error.to_string()))?,
        Err(_) => {
            interface.abort();
            Ok(())
        }
    };
    handle.shutdown().await;
    tracing::info!("node stopped");
    Ok(served?)
}

pub(crate) async fn open_store(
    config: &NodeConfig,
    genesis: &Genesis,
    passphrase: SecretString,
) -> Result<(Arc<Store>, Arc<NodeKey>), NodeError> {
    let path = config.database();
    let network = genesis.network_id();
    let identity = config.identity.exists().then(|| IdentityFile::read_public_key(&config.identity));
    let expected = identity.transpose()?;
    // the derivation of the key takes a second of work and much memory: not on an async thread
    let opened = spawn_blocking(move || {
        let node = match expected {
            Some(node) => node,
            None => Store::read_owner(&path)?.node,
        };
        Store::open(&path, &Owner { network, node }, &passphrase)
    })
    .await;
    let store = Arc::new(opened.map_err(|error| NodeError::Task(error.to_string()))??);
    let identity = Arc::new(store.identity()?);
    Ok((store, identity))
}

fn add_roots(
    store: &Store,
    participant: &mut Participant<crate::runs::Recorded>,
    root_keys: &RootKeys,
) -> Result<(), NodeError> {
    for root in root_keys.roots() {
        let scheme = root.scheme;
        let Some(stored) = store.active_share(root_keys.epoch, scheme)? else {
            return Err(NodeError::Share(format!("there is no share of the root key for {scheme}")));
        };
        let share = RootShare::from_bytes(scheme, &stored.share)
            .map_err(|error| NodeError::Share(with_causes(&error)))?;
        if share.root_key() != *root {
            return Err(NodeError::Share(format!("the share for {scheme} is of another root key")));
        }
        participant.add_root(share).map_err(|error| NodeError::Share(error.to_string()))?;
    }
    Ok(())
}

pub(crate) fn journal(store: &Store, root_keys: Option<RootKeys>) -> Result<Journal, NodeError> {
    let pending = store
        .pending_shares(FIRST_EPOCH)?
        .into_iter()
        .map(|stored| Pending { terms: stored.terms, roots: stored.roots })
        .collect();
    let mut activated = Vec::new();
    for scheme in Scheme::ALL {
        let Some(stored) = store.activation(FIRST_EPOCH, scheme)? else { continue };
        if activated.iter().any(|(attempt, _)| *attempt == stored.attempt) {
            continue;
        }
        let confirmations = postcard::from_bytes(&stored.confirmations)
            .map_err(|error| NodeError::Share(format!("the stored confirmations do not decode: {error}")))?;
        activated.push((stored.attempt, confirmations));
    }
    let joined = store.joined(FIRST_EPOCH)?.map(|record| postcard::from_bytes(&record.note));
    let joined = joined
        .transpose()
        .map_err(|error| NodeError::Share(format!("the latest attempt does not decode: {error}")))?;
    let complete = root_keys.map(|keys| keys.ceremonies).unwrap_or_default();
    Ok(Journal { joined, pending, activated, complete })
}
