//! The JavaScript runner with a world around it that answers each import and writes down what it was asked. The
//! engine is set as nodes set it.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::LazyLock;

use countersign_runners::by_name;
use wasmtime::{
    Config, Engine, Store,
    component::{Component, HasSelf, Linker},
};

mod bindings {
    #![allow(
        unreachable_pub,
        missing_docs,
        clippy::wildcard_enum_match_arm,
        clippy::unwrap_used,
        reason = "the code is generated; the interface file documents it"
    )]
    wasmtime::component::bindgen!({ world: "script-runner", path: "../action-sdk/wit" });
}

pub(crate) use bindings::{
    Decision, ScriptEnd, ScriptRunner,
    countersign::action::{
        context::{self, Caller, Pin, Request},
        crypto,
        evm::{self, Call, CallResult, Filter, Log, Receipt},
        http::{self, Header, Response},
        log,
        outcome::Payload,
        types::{self, Agree, Error},
    },
};

/// More than any test needs that ends by itself.
const FUEL: u64 = 5_000_000_000;

/// What the runner sees, and what it did.
pub(crate) struct World {
    pub(crate) request: Request,
    /// What a fetch brings.
    pub(crate) response: Result<Response, Error>,
    /// What a call of a contract brings.
    pub(crate) call: Result<CallResult, Error>,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) balance: u64,
    /// The imports that were called, with their arguments.
    pub(crate) asked: Vec<String>,
    pub(crate) logs: Vec<String>,
}

/// A run that ended by itself.
pub(crate) struct Ended {
    pub(crate) end: Result<Decision, ScriptEnd>,
    pub(crate) world: World,
    pub(crate) fuel: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            request: Request {
                request_digest: vec![1; 32],
                session_id: vec![2; 32],
                action_id: vec![3; 32],
                key_id: vec![4; 32],
                scheme: "schnorr-secp256k1".into(),
                public_key: vec![2; 33],
                config: br#"{"minimum":"5"}"#.to_vec(),
                params: b"hello".to_vec(),
                callers: vec![Caller { kind: "eip191".into(), id: vec![0x11; 20] }],
                time_ms: 1_700_000_000_000,
                seed: (0..32).collect(),
                pins: vec![Pin { chain_id: 31337, number: 7, hash: vec![9; 32], timestamp: 1_700_000_000 }],
            },
            response: Ok(response(r#"{"a":1}"#)),
            call: Ok(CallResult::Ok(word(5))),
            receipt: None,
            balance: 1000,
            asked: vec![],
            logs: vec![],
        }
    }
}

pub(crate) fn response(body: &str) -> Response {
    let headers = vec![Header { name: "content-type".into(), value: "application/json".into() }];
    Response { status: 200, headers, body: body.as_bytes().to_vec() }
}

pub(crate) fn word(number: u64) -> Vec<u8> {
    [&[0; 24][..], &number.to_be_bytes()].concat()
}

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    config.consume_fuel(true).cranelift_nan_canonicalization(true).max_wasm_stack(2 << 20);
    Engine::new(&config).expect("an engine")
});

static RUNNER: LazyLock<Component> = LazyLock::new(|| {
    let runner = by_name("javascript").expect("it comes with a node");
    Component::new(&ENGINE, runner.component).expect("a component")
});

impl World {
    fn instance(self, fuel: u64) -> (Store<Self>, ScriptRunner) {
        let mut linker = Linker::new(&ENGINE);
        ScriptRunner::add_to_linker::<_, HasSelf<_>>(&mut linker, |world: &mut Self| world)
            .expect("all imports");
        let mut store = Store::new(&ENGINE, self);
        store.set_fuel(fuel).expect("fuel is counted");
        let runner = ScriptRunner::instantiate(&mut store, &RUNNER, &linker).expect("an instance");
        (store, runner)
    }

    /// Compiles a script and runs it; an error is a trap.
    pub(crate) fn try_run(self, source: &str, fuel: u64) -> wasmtime::Result<Ended> {
        match compile(source) {
            Ok(program) => self.try_program(&program, fuel),
            Err(text) => Ok(Ended { end: Err(ScriptEnd::Failed(text)), world: self, fuel: 0 }),
        }
    }

    /// Runs what was compiled; an error is a trap.
    pub(crate) fn try_program(self, program: &[u8], fuel: u64) -> wasmtime::Result<Ended> {
        let (mut store, runner) = self.instance(fuel);
        let end = runner.call_run(&mut store, program)?;
        let fuel = fuel - store.get_fuel().expect("fuel is counted");
        Ok(Ended { end, world: store.into_data(), fuel })
    }

    /// Runs a script that traps nothing.
    pub(crate) fn run(self, source: &str) -> Ended {
        self.try_run(source, FUEL).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Runs the body of `run`, with everything of "countersign" in scope as `cs`.
    pub(crate) fn body(self, body: &str) -> Ended {
        self.run(&format!(
            "import * as cs from \"countersign\";\nexport default function run() {{\n{body}\n}}"
        ))
    }
}

/// Compiles a script, in an instance of its own.
pub(crate) fn compile(source: &str) -> Result<Vec<u8>, String> {
    let (mut store, runner) = World::default().instance(FUEL);
    runner.call_compile(&mut store, source).unwrap_or_else(|error| panic!("{error:?}"))
}

impl Ended {
    /// The text of the failure.
    pub(crate) fn failed(&self) -> &str {
        match &self.end {
            Err(ScriptEnd::Failed(text)) => text,
            other => panic!("expected a failure, got {other:?}"),
        }
    }

    /// The reason of the refusal.
    pub(crate) fn refused(&self) -> &str {
        match &self.end {
            Err(ScriptEnd::Refused(refusal)) => &refusal.reason,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    /// The response of the decision, as text.
    pub(crate) fn response(&self) -> &str {
        match &self.end {
            Ok(decision) => std::str::from_utf8(&decision.response).expect("a text"),
            other => panic!("expected a decision, got {other:?}"),
        }
    }

    /// What is to be signed.
    pub(crate) fn signs(&self) -> &[Payload] {
        match &self.end {
            Ok(decision) => &decision.sign,
            other => panic!("expected a decision, got {other:?}"),
        }
    }
}

impl World {
    fn note(&mut self, what: String) {
        self.asked.push(what);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl types::Host for World {}

impl bindings::countersign::action::outcome::Host for World {}

impl context::Host for World {
    fn get(&mut self) -> Request {
        self.request.clone()
    }
}

impl http::Host for World {
    fn fetch(&mut self, req: http::Request, how: Agree) -> Result<Response, Error> {
        self.note(format!("fetch {req:?} {how:?}"));
        self.response.clone()
    }

    fn fetch_all(&mut self, reqs: Vec<(http::Request, Agree)>) -> Result<Vec<Response>, Error> {
        self.note(format!("fetch-all {reqs:?}"));
        reqs.iter().map(|_| self.response.clone()).collect()
    }
}

impl evm::Host for World {
    fn eth_call(&mut self, c: Call) -> Result<CallResult, Error> {
        self.note(format!(
            "eth-call {} {} {} {:?}",
            c.chain_id,
            hex(&c.to),
            hex(&c.data),
            c.from.map(|a| hex(&a))
        ));
        self.call.clone()
    }

    fn eth_call_all(&mut self, cs: Vec<Call>) -> Result<Vec<CallResult>, Error> {
        self.note(format!("eth-call-all {}", cs.len()));
        cs.iter().map(|_| self.call.clone()).collect()
    }

    fn balance(&mut self, chain_id: u64, address: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.note(format!("balance {chain_id} {}", hex(&address)));
        if chain_id == 31337 {
            Ok(word(self.balance))
        } else {
            Err(Error::Denied(format!("chain {chain_id}")))
        }
    }

    fn nonce(&mut self, chain_id: u64, address: Vec<u8>) -> Result<u64, Error> {
        self.note(format!("nonce {chain_id} {}", hex(&address)));
        Ok(42)
    }

    fn code_hash(&mut self, chain_id: u64, address: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.note(format!("code-hash {chain_id} {}", hex(&address)));
        Ok(vec![0xcc; 32])
    }

    fn storage_at(&mut self, chain_id: u64, address: Vec<u8>, slot: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.note(format!("storage-at {chain_id} {} {}", hex(&address), hex(&slot)));
        Ok(word(99))
    }

    fn logs(&mut self, f: Filter) -> Result<Vec<Log>, Error> {
        self.note(format!(
            "logs {} {:?} {:?} {}..{}",
            f.chain_id,
            f.addresses.iter().map(|a| hex(a)).collect::<Vec<_>>(),
            f.topics.iter().map(|any| any.iter().map(|t| t[0]).collect::<Vec<_>>()).collect::<Vec<_>>(),
            f.from_block,
            f.to_block
        ));
        Ok(vec![entry()])
    }

    fn transaction_receipt(&mut self, chain_id: u64, tx_hash: Vec<u8>) -> Result<Option<Receipt>, Error> {
        self.note(format!("transaction-receipt {chain_id} {}", hex(&tx_hash)));
        Ok(self.receipt.clone())
    }
}

/// A log entry.
pub(crate) fn entry() -> Log {
    Log {
        address: vec![0xaa; 20],
        topics: vec![vec![1; 32], vec![2; 32]],
        data: vec![3],
        block_number: 6,
        tx_hash: vec![4; 32],
        index: 5,
    }
}

/// Hashes and signatures are other tests' matter: here each says what it was given.
impl crypto::Host for World {
    fn keccak256(&mut self, data: Vec<u8>) -> Vec<u8> {
        self.note(format!("keccak256 {}", hex(&data)));
        // The beginning of that of "balanceOf(address)".
        [&[0x70, 0xa0, 0x82, 0x31][..], &[0; 28]].concat()
    }

    fn sha256(&mut self, data: Vec<u8>) -> Vec<u8> {
        self.note(format!("sha256 {}", hex(&data)));
        vec![0x22; 32]
    }

    fn secp256k1_recover(&mut self, digest: Vec<u8>, signature: Vec<u8>) -> Option<Vec<u8>> {
        self.note(format!("secp256k1-recover {} {}", digest.len(), signature.len()));
        (signature.len() == 65).then(|| vec![0xab; 20])
    }

    fn secp256k1_verify(&mut self, public_key: Vec<u8>, digest: Vec<u8>, signature: Vec<u8>) -> bool {
        self.note(format!("secp256k1-verify {} {} {}", public_key[0], digest[0], signature[0]));
        true
    }

    fn bip340_verify(&mut self, public_key: Vec<u8>, message: Vec<u8>, signature: Vec<u8>) -> bool {
        self.note(format!("bip340-verify {} {} {}", public_key[0], message[0], signature[0]));
        true
    }

    fn p256_verify(&mut self, public_key: Vec<u8>, digest: Vec<u8>, signature: Vec<u8>) -> bool {
        self.note(format!("p256-verify {} {} {}", public_key[0], digest[0], signature[0]));
        false
    }

    fn ed25519_verify(&mut self, public_key: Vec<u8>, message: Vec<u8>, signature: Vec<u8>) -> bool {
        self.note(format!("ed25519-verify {} {} {}", public_key[0], message[0], signature[0]));
        true
    }

    fn typed_data_digest(&mut self, typed_data_json: String) -> Result<Vec<u8>, String> {
        self.note(format!("typed-data-digest {typed_data_json}"));
        if typed_data_json.contains("types") { Ok(vec![0x77; 32]) } else { Err("it has no types".into()) }
    }
}

impl log::Host for World {
    fn emit(&mut self, l: log::Level, message: String) {
        self.logs.push(format!("{l:?} {message}"));
    }
}
