//! Guests from text, a reader that answers from a function, and a host to run them.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign_action::{
    Action, Compilation, Config, Engine, Host, LiveRun, ReadFailure, Reader, RecordedRead, Replay,
};
use countersign_types::{
    ActionId, Address, B256, Bytes, Caller, CallerKind, ComponentDigest, Context, KeyId, Limits, Manifest,
    Payload, Pin, PublicKey, RequestDigest, Scheme, SessionId, U256, Verdict,
    evm::{EvmRead, EvmValue},
};

/// The frame that every guest is set into.
const FRAME: &str = include_str!("../guests/frame.wat");

/// A component from the guest's functions in `tests/guests`.
pub fn component(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/guests/{name}.wat"));
    from_functions(&std::fs::read_to_string(path).expect("a guest of this name"))
}

/// A component from a guest's functions.
pub fn from_functions(functions: &str) -> Vec<u8> {
    from_text(&FRAME.replace("$GUEST", functions))
}

/// A component from its text.
pub fn from_text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A host that compiles in this process.
pub fn host(config: &Config) -> Host {
    let engine = Engine::new(config).expect("an engine");
    Host::new(config, engine, Compilation::InProcess, None).expect("a host")
}

/// Settings for few runs at once, so that many tests fit beside each other.
pub fn small() -> Config {
    Config { concurrent_runs: 2, concurrent_replays: 2, ..Config::default() }
}

/// A guest, ready to run.
pub struct Guest {
    pub host: Host,
    pub action: Arc<Action>,
    pub manifest: Manifest,
    pub context: Context,
}

impl Guest {
    /// The guest of a name in `tests/guests`.
    pub async fn named(name: &str) -> Self {
        Self::of(&component(name)).await
    }

    /// A guest from its component.
    pub async fn of(component: &[u8]) -> Self {
        Self::on(host(&small()), component).await
    }

    /// A guest on a host that others share.
    pub async fn on(host: Host, component: &[u8]) -> Self {
        let action = host.prepare(component).await.expect("an action");
        Self { host, action, manifest: manifest(component), context: context() }
    }

    /// With other limits.
    pub fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.manifest.limits);
        self
    }

    /// Runs it live, on what `reader` answers.
    pub async fn live(&self, reader: impl Reader + 'static) -> LiveRun {
        self.host.run_live(&self.action, &self.manifest, &self.context, Arc::new(reader)).await
    }

    /// Replays it over `reads`.
    pub async fn replay(&self, reads: &[RecordedRead]) -> Replay {
        self.host.replay(&self.action, &self.manifest, &self.context, reads).await
    }
}

/// A manifest with chain 1 and the default limits.
pub fn manifest(component: &[u8]) -> Manifest {
    Manifest {
        name: "guest".into(),
        component: ComponentDigest::of(component),
        script: B256::ZERO,
        hosts: vec![],
        chains: vec![1],
        limits: Limits::default(),
    }
}

/// A context with block 1000 of chain 1.
pub fn context() -> Context {
    Context {
        request: RequestDigest::from([1; 32]),
        session: SessionId::from([2; 32]),
        action: ActionId::from([3; 32]),
        key: KeyId::from([4; 32]),
        scheme: Scheme::SchnorrSecp256k1,
        public_key: PublicKey(vec![2; 33].into()),
        config: vec![5; 10].into(),
        params: vec![6; 20].into(),
        callers: vec![Caller { kind: CallerKind::Eip191, id: Address::repeat_byte(7) }],
        time_ms: 1_700_000_000_000,
        seed: B256::repeat_byte(8),
        pins: vec![Pin { chain_id: 1, number: 1000, hash: B256::repeat_byte(9), timestamp: 1_700_000_000 }],
    }
}

/// Answers from a function, and counts.
pub struct Answers {
    answer: fn(&EvmRead) -> Result<EvmValue, ReadFailure>,
    asked: Arc<AtomicUsize>,
}

impl Answers {
    pub fn new(answer: fn(&EvmRead) -> Result<EvmValue, ReadFailure>) -> Self {
        Self { answer, asked: Arc::default() }
    }

    /// How often it was asked, also after it has been given away.
    pub fn counter(&self) -> Arc<AtomicUsize> {
        self.asked.clone()
    }
}

#[async_trait]
impl Reader for Answers {
    async fn evm(&self, pin: &Pin, read: &EvmRead) -> Result<EvmValue, ReadFailure> {
        assert_eq!((pin.chain_id, pin.number), (1, 1000), "the session's pin");
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        (self.answer)(read)
    }
}

/// Balances: 1000 and the account's first byte. Calls return their calldata, twice.
pub fn world(read: &EvmRead) -> Result<EvmValue, ReadFailure> {
    if let EvmRead::Balance { address, .. } = read {
        return Ok(balance(1000 + u64::from(address[0])));
    }
    if let EvmRead::Call { data, .. } = read {
        return Ok(EvmValue::Call { reverted: false, data: [data.as_ref(), data.as_ref()].concat().into() });
    }
    Err(ReadFailure::new("this world has balances and calls"))
}

pub fn balance(wei: u64) -> EvmValue {
    EvmValue::Balance(U256::from(wei))
}

/// A reader that knows nothing: for guests that must not ask.
pub fn nobody() -> Answers {
    Answers::new(|_| Err(ReadFailure::new("nobody was to ask")))
}

/// Waits for a very long time, and says when it is dropped.
pub struct Sleeper {
    pub started: Arc<AtomicUsize>,
    pub dropped: Arc<AtomicUsize>,
}

#[async_trait]
impl Reader for Sleeper {
    async fn evm(&self, _pin: &Pin, _read: &EvmRead) -> Result<EvmValue, ReadFailure> {
        struct OnDrop(Arc<AtomicUsize>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let _dropped = OnDrop(self.dropped.clone());
        self.started.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(balance(0))
    }
}

/// A verdict that signs these bytes.
pub fn signs(bytes: impl Into<Bytes>) -> Verdict {
    Verdict::Allow { payloads: vec![Payload::Bytes(bytes.into())], response: Bytes::new() }
}

/// The bytes of a balance as a guest sees them.
pub fn wei(wei: u64) -> Vec<u8> {
    U256::from(wei).to_be_bytes::<32>().to_vec()
}

/// The text of a refusal.
pub fn refusal(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Refuse { reason } => reason,
        Verdict::Allow { .. } => panic!("expected a refusal, got {verdict:?}"),
    }
}
