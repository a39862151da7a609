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
    Action, Compilation, CompiledScript, Config, Engine, Host, LiveRun, ReadFailure, Reader, Replay, Script,
    ScriptError,
};
use countersign_types::{
    ActionId, Address, B256, Bytes, Caller, CallerKind, ComponentDigest, Context, KeyId, Limits, Manifest,
    Payload, Pin, PublicKey, RequestDigest, Scheme, SessionId, U256, Verdict,
    evm::{EvmRead, EvmValue},
    http::{HttpRead, HttpResponse},
    read::RecordedRead,
};

/// The frame that every guest is set into.
const FRAME: &str = include_str!("../guests/frame.wat");
/// What an action exports.
const ACTION: &str = r#"
  (func $run (result (result $decision (error $refusal)))
    (canon lift (core func $g "run") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (export "run" (func $run))"#;
/// What a script runner exports, with the type of its world as linkers write it.
pub(crate) const RUNNER: &str = r#"
  (type $end (variant (case "refused" $refusal) (case "failed" string)))
  (import "script-end" (type $script-end (eq $end)))
  (func $compile (param "source" string) (result (result (list u8) (error string)))
    (canon lift (core func $g "compile") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (export "compile" (func $compile))
  (func $run (param "program" (list u8)) (result (result $decision (error $script-end)))
    (canon lift (core func $g "run") (memory (core memory $m "memory")) (realloc (core func $m "realloc"))))
  (export "run" (func $run))"#;

/// A component from the guest's functions in `tests/guests`.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/guests/{name}.wat"));
    from_functions(&std::fs::read_to_string(path).expect("a guest of this name"))
}

/// A component from a guest's functions, of which `$decide` gives the address of the result.
pub(crate) fn from_functions(functions: &str) -> Vec<u8> {
    let run = r#"(func (export "run") (result i32) (call $decide))"#;
    from_text(&FRAME.replace("$GUEST", &format!("{functions}\n{run}")).replace("$EXPORTS", ACTION))
}

/// A script runner from its functions: `$compile` takes the source and `$script` the program; both give the address of a
/// result.
pub(crate) fn runner(functions: &str) -> Vec<u8> {
    runner_with(functions, RUNNER)
}

/// A script runner with other exports than the interface's.
pub(crate) fn runner_with(functions: &str, exports: &str) -> Vec<u8> {
    let core = r#"(func (export "compile") (param i32 i32) (result i32) (call $compile (local.get 0) (local.get 1)))
                  (func (export "run") (param i32 i32) (result i32) (call $script (local.get 0) (local.get 1)))"#;
    from_text(&FRAME.replace("$GUEST", &format!("{functions}\n{core}")).replace("$EXPORTS", exports))
}

/// A component from its text.
pub(crate) fn from_text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A host that compiles in this process.
pub(crate) fn host(config: &Config) -> Host {
    let engine = Engine::new(config).expect("an engine");
    Host::new(config, engine, Compilation::InProcess, None).expect("a host")
}

/// Settings for few runs at once, so that many tests fit beside each other.
pub(crate) fn small() -> Config {
    Config { concurrent_runs: 2, concurrent_replays: 2, ..Config::default() }
}

/// A guest, ready to run.
pub(crate) struct Guest {
    pub(crate) host: Host,
    pub(crate) action: Arc<Action>,
    pub(crate) script: Option<CompiledScript>,
    pub(crate) manifest: Manifest,
    pub(crate) context: Context,
}

impl Guest {
    /// The guest of a name in `tests/guests`.
    pub(crate) async fn named(name: &str) -> Self {
        Self::of(&component(name)).await
    }

    /// A guest from its component.
    pub(crate) async fn of(component: &[u8]) -> Self {
        Self::on(host(&small()), component).await
    }

    /// A guest on a host that others share.
    pub(crate) async fn on(host: Host, component: &[u8]) -> Self {
        let action = host.prepare(component).await.expect("an action");
        Self { host, action, script: None, manifest: manifest(component), context: context() }
    }

    /// A runner with its script.
    pub(crate) async fn script(runner: &[u8], source: &str) -> Self {
        let mut guest = Self::of(runner).await;
        let script = guest.compiled(source).await.expect("a script");
        guest.manifest.script = script.digest();
        guest.script = Some(script);
        guest
    }

    /// What the guest, a runner, makes of a source.
    pub(crate) async fn compiled(&self, source: &str) -> Result<CompiledScript, ScriptError> {
        let script = Script::new(source)?;
        let compiled = self.host.compile_script(&self.action, Some(&script)).await?;
        compiled.ok_or(ScriptError::Missing)
    }

    /// An action of this repository on the dev chain, with a key's config and a caller's params.
    pub(crate) async fn action(host: Host, name: &str, config: &str, params: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../actions/{name}/{name}.wasm"));
        let component = std::fs::read(path).expect("a built action");
        let mut guest = Self::on(host, &component).await;
        guest.manifest.chains = vec![31337];
        guest.context.pins[0].chain_id = 31337;
        guest.context.config = config.as_bytes().to_vec().into();
        guest.context.params = params.as_bytes().to_vec().into();
        guest
    }

    /// A script of this repository on its runner, with a key's config.
    pub(crate) async fn javascript(name: &str, config: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../actions/{name}/{name}.js"));
        let source = std::fs::read_to_string(path).expect("a script");
        let mut guest = Self::script(countersign_runners::javascript().component, &source).await;
        guest.manifest.chains = vec![31337];
        guest.context.pins[0].chain_id = 31337;
        guest.context.config = config.as_bytes().to_vec().into();
        guest.context.params = b"hello".to_vec().into();
        guest
    }

    /// With other limits.
    pub(crate) fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.manifest.limits);
        self
    }

    /// Runs it live, on what `reader` answers.
    pub(crate) async fn live(&self, reader: impl Reader + 'static) -> LiveRun {
        let script = self.script.as_ref();
        self.host.run_live(&self.action, script, &self.manifest, &self.context, Arc::new(reader)).await
    }

    /// Replays it over `reads`.
    pub(crate) async fn replay(&self, reads: &[RecordedRead]) -> Replay {
        self.host.replay(&self.action, self.script.as_ref(), &self.manifest, &self.context, reads).await
    }
}

/// A manifest with chain 1, the hosts a.example and b.example, and the default limits.
pub(crate) fn manifest(component: &[u8]) -> Manifest {
    Manifest {
        name: "guest".into(),
        component: ComponentDigest::of(component),
        script: B256::ZERO,
        hosts: vec!["a.example".into(), "b.example".into()],
        chains: vec![1],
        limits: Limits::default(),
    }
}

/// A context with block 1000 of chain 1.
pub(crate) fn context() -> Context {
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

/// Answers from functions, and counts.
pub(crate) struct Answers {
    answer: fn(&EvmRead) -> Result<EvmValue, ReadFailure>,
    web: fn(&HttpRead) -> Result<HttpResponse, ReadFailure>,
    asked: Arc<AtomicUsize>,
}

impl Answers {
    pub(crate) fn new(answer: fn(&EvmRead) -> Result<EvmValue, ReadFailure>) -> Self {
        Self { answer, web: no_web, asked: Arc::default() }
    }

    /// Chains as in [`world`], and hosts that answer from a function.
    pub(crate) fn web(web: fn(&HttpRead) -> Result<HttpResponse, ReadFailure>) -> Self {
        Self { web, ..Self::new(world) }
    }

    /// How often it was asked, also after it has been given away.
    pub(crate) fn counter(&self) -> Arc<AtomicUsize> {
        self.asked.clone()
    }
}

#[async_trait]
impl Reader for Answers {
    async fn evm(&self, pin: &Pin, read: &EvmRead) -> Result<EvmValue, ReadFailure> {
        assert_eq!((pin.chain_id, pin.number), (read.chain_id(), 1000), "the session's pin");
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        (self.answer)(read)
    }

    async fn http(&self, hosts: &[String], read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
        assert_eq!(hosts, ["a.example", "b.example"], "the manifest's hosts");
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        (self.web)(read)
    }
}

fn no_web(_read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
    Err(ReadFailure::unreached("this world has no hosts"))
}

/// A response of status 200.
pub(crate) fn response(body: &str) -> HttpResponse {
    HttpResponse {
        status: 200,
        content_type: Some("application/json".into()),
        body: body.as_bytes().to_vec().into(),
    }
}

/// Prices: 1.50, and a text.
pub(crate) fn prices(_read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
    Ok(response(r#"{"price": 1.50, "name": "gold", "more": [1, 2]}"#))
}

/// Balances: 1000 and the account's first byte. Calls return their calldata, twice.
pub(crate) fn world(read: &EvmRead) -> Result<EvmValue, ReadFailure> {
    if let EvmRead::Balance { address, .. } = read {
        return Ok(balance(1000 + u64::from(address[0])));
    }
    if let EvmRead::Call { data, .. } = read {
        return Ok(EvmValue::Call { reverted: false, data: [data.as_ref(), data.as_ref()].concat().into() });
    }
    Err(ReadFailure::unreached("this world has balances and calls"))
}

pub(crate) fn balance(wei: u64) -> EvmValue {
    EvmValue::Balance(U256::from(wei))
}

/// A reader that knows nothing: for guests that must not ask.
pub(crate) fn nobody() -> Answers {
    Answers::new(|_| Err(ReadFailure::unreached("nobody was to ask")))
}

/// Waits for a very long time, and says when it is dropped.
pub(crate) struct Sleeper {
    pub(crate) started: Arc<AtomicUsize>,
    pub(crate) dropped: Arc<AtomicUsize>,
}

#[async_trait]
impl Reader for Sleeper {
    async fn evm(&self, _pin: &Pin, _read: &EvmRead) -> Result<EvmValue, ReadFailure> {
        self.sleep().await;
        Ok(balance(0))
    }

    async fn http(&self, _hosts: &[String], _read: &HttpRead) -> Result<HttpResponse, ReadFailure> {
        self.sleep().await;
        Ok(response("{}"))
    }
}

impl Sleeper {
    async fn sleep(&self) {
        struct OnDrop(Arc<AtomicUsize>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let _dropped = OnDrop(self.dropped.clone());
        self.started.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
}

/// A verdict that signs these bytes.
pub(crate) fn signs(bytes: impl Into<Bytes>) -> Verdict {
    Verdict::Allow { payloads: vec![Payload::Bytes(bytes.into())], response: Bytes::new() }
}

/// The bytes of a balance as a guest sees them.
pub(crate) fn wei(wei: u64) -> Vec<u8> {
    U256::from(wei).to_be_bytes::<32>().to_vec()
}

/// The text of a refusal.
pub(crate) fn refusal(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Refuse { reason } => reason,
        Verdict::Allow { .. } => panic!("expected a refusal, got {verdict:?}"),
    }
}
