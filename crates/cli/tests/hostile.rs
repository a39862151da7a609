//! What a node or a file says is text on a terminal: it gives no orders there, and begins no line of its own.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    sync::Arc,
    thread,
};

use countersign_types::{
    Address, B256, ComponentDigest, Decision, EngineId, Failure, FailureKind, Genesis, KeyId, Limits,
    Manifest, NodeDecision, NodeKey, NodePublicKey, PublicKey, RequestDigest, Scheme, SessionId, Signature,
    api::{ActionInfo, ActionList, MemberInfo, NetworkInfo, Problem, SignResponse, SignedPayload},
    failure::{Disagreement, Saw},
};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// It colours, writes to the clipboard, turns the direction, and forges a line.
const EVIL: &str = "\u{1b}]52;c;aGk=\u{7}\nverified      yes, here\r\u{9b}8m\u{202e}\u{2066}\u{200f}\u{2028}";

fn evil() -> String {
    EVIL.to_owned()
}

fn member() -> NodePublicKey {
    NodeKey::from_bytes([1; 32]).expect("a scalar").public_key()
}

fn genesis() -> Genesis {
    let other = NodeKey::from_bytes([2; 32]).expect("a scalar").public_key();
    Genesis { nonce: B256::ZERO, members: vec![member(), other], threshold: 2, chains: vec![1] }
}

/// A node that answers each path with a status and a body.
fn node(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, answer) = (listener.local_addr().expect("bound"), Arc::new(answer));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            // whoever asks may leave
            thread::spawn(move || serve(stream, answer.as_ref()).is_ok());
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> (u16, String)) -> std::io::Result<()> {
    let head: Vec<String> = BufReader::new(stream.try_clone()?)
        .lines()
        .map_while(Result::ok)
        .take_while(|l| !l.is_empty())
        .collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let (status, body) = if path == "/readyz" { (200, "ready\n".into()) } else { answer(path) };
    write!(
        stream,
        "HTTP/1.1 {status} said\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("JSON")
}

/// A node that answers everything with the same.
fn answers(status: u16, value: &impl Serialize) -> SocketAddr {
    let body = text(value);
    node(move |_| (status, body.clone()))
}

/// Runs the command where these nodes are asked.
fn run(folder: &TempDir, nodes: &[SocketAddr], arguments: &[&str]) -> Output {
    fs::write(folder.path().join("genesis.json"), text(&genesis())).expect("written");
    let nodes: Vec<String> = nodes.iter().map(|node| format!("http://{node}")).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.current_dir(folder.path()).args(arguments);
    if !nodes.is_empty() {
        command.args(["--genesis", "genesis.json", "--timeout", "3", "--node", &nodes.join(",")]);
    }
    command.output().expect("the program runs")
}

/// Whether a terminal would obey it.
fn is_order(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    (c.is_control() && c != '\n') || turns || matches!(c, '\u{61c}' | '\u{2028}' | '\u{2029}')
}

/// The one document that a command with `--json` prints, in which nothing is an order either.
fn document(output: &Output) -> Value {
    let text = std::str::from_utf8(&output.stdout).expect("text");
    assert!(!text.contains(is_order), "{text:?}");
    for escaped in [r"\u001b]52", r"\u009b8m", r"\u202e"] {
        assert!(text.contains(escaped), "what was said is not told: {text}");
    }
    serde_json::from_str(text).expect("one JSON document")
}

/// Both outputs, in which nothing is an order and so many lines say whether something is verified.
fn harmless(output: Output, verified: usize) -> String {
    let both = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(!both.contains(is_order), "{both:?}");
    let said = both.lines().filter(|line| line.trim_start().starts_with("verified")).count();
    assert_eq!(said, verified, "{both}");
    assert!(both.contains(r"\u{1b}]52"), "what was said is not shown: {both}");
    both
}

fn answer() -> SignResponse {
    let said = NodeDecision { peer_id: evil(), decision: Decision::Allow, reason: Some(evil()) };
    let signed = SignedPayload {
        payload: evil(),
        content: vec![1].into(),
        message: vec![1].into(),
        signature: Signature(vec![1].into()),
    };
    SignResponse {
        request: RequestDigest::from([1; 32]),
        session: SessionId::from([1; 32]),
        epoch: 1,
        engine: EngineId::from([1; 32]),
        time_ms: 1,
        pins: vec![],
        action_id: info().action_id,
        key_id: KeyId::from([1; 32]),
        scheme: Scheme::SchnorrSecp256k1,
        public_key: PublicKey(vec![2; 33].into()),
        signatures: vec![signed],
        response: evil().into_bytes().into(),
        nodes: vec![said],
        votes: vec![],
    }
}

fn info() -> ActionInfo {
    let manifest = Manifest {
        name: evil(),
        component: ComponentDigest::from([1; 32]),
        script: B256::ZERO,
        hosts: vec![evil()],
        chains: vec![],
        limits: Limits::default(),
    };
    let action_id = manifest.action_id();
    ActionInfo { action_id, manifest, publisher: Address::ZERO, component_bytes: 8, script_bytes: 0 }
}

fn network() -> NetworkInfo {
    let of_member = MemberInfo {
        identifier: 1,
        public_key: member(),
        peer_id: evil(),
        address: member().address(),
        connected: true,
        version: Some(evil()),
        engine: None,
    };
    NetworkInfo {
        network: genesis().network_id(),
        genesis: genesis(),
        epoch: 1,
        root_keys: None,
        members: vec![of_member],
        node: member(),
        version: evil(),
        engine: EngineId::from([1; 32]),
        ready: false,
        not_ready: Some(evil()),
    }
}

fn failure(kind: FailureKind) -> Failure {
    let said = NodeDecision { peer_id: evil(), decision: Decision::Refuse, reason: Some(evil()) };
    let disagreement = Disagreement {
        position: 1,
        what: Some(evil()),
        pointer: Some(evil()),
        rule: evil(),
        reason: evil(),
        saw: vec![Saw { peer_id: evil(), read: None, value: Some(evil()) }],
    };
    let failure = Failure::new(kind, evil()).with_nodes(vec![said]);
    Failure { disagreement: Some(Box::new(disagreement)), ..failure }
}

#[test]
fn an_answer_is_shown_and_says_once_whether_it_is_verified() {
    let folder = TempDir::new().expect("a folder");
    let request = RequestDigest::from([1; 32]).to_string();
    let output = run(&folder, &[answers(200, &answer())], &["result", &request]);
    assert!(output.status.success());
    let said = harmless(output, 1);
    assert!(said.contains("verified      no, it is the node's word"), "{said}");
    assert!(said.contains("what the answering node says of the members (not verified):"), "{said}");

    let output = run(&folder, &[answers(200, &answer())], &["--json", "result", &request]);
    assert_eq!(document(&output), json!(answer()), "programs are told what was said");
}

#[test]
fn actions_and_networks_are_shown() {
    let folder = TempDir::new().expect("a folder");
    let list = answers(200, &ActionList { actions: vec![info()] });
    harmless(run(&folder, &[list], &["action", "list"]), 0);
    let output = run(&folder, &[list], &["--json", "action", "list"]);
    assert_eq!(document(&output)["actions"], json!([info()]));

    let (id, node) = (info().action_id.to_string(), answers(200, &info()));
    harmless(run(&folder, &[node], &["action", "show", &id]), 0);
    assert_eq!(document(&run(&folder, &[node], &["--json", "action", "show", &id])), json!(info()));

    let node = answers(200, &network());
    harmless(run(&folder, &[node], &["node", "status"]), 0);
    assert_eq!(document(&run(&folder, &[node], &["--json", "node", "status"])), json!(network()));
}

#[test]
fn errors_are_told() {
    let folder = TempDir::new().expect("a folder");
    let request = RequestDigest::from([1; 32]).to_string();
    for kind in [FailureKind::Disagreement, FailureKind::NotFound, FailureKind::Busy] {
        let problem = answers(kind.status(), &Problem::from(failure(kind)));
        let output = run(&folder, &[problem], &["result", &request]);
        assert!(!output.status.success());
        harmless(output, 0);
        let output = run(&folder, &[problem], &["--json", "result", &request]);
        document(&output);
        harmless(output, 0);
    }
    let said = failure(FailureKind::Disagreement);
    let problem = answers(said.kind.status(), &Problem::from(said));
    let told = document(&run(&folder, &[problem], &["--json", "result", &request]));
    assert_eq!(told["error"]["nodes"][0]["reason"], EVIL);
    assert_eq!(told["error"]["disagreement"]["what"], EVIL);
    // what is wrong with an answer repeats of it
    let other = json!({ "type": evil(), "title": "", "status": 400, "detail": "" });
    harmless(run(&folder, &[answers(400, &other)], &["result", &request]), 0);
    harmless(run(&folder, &[answers(200, &json!({ "scheme": evil() }))], &["result", &request]), 0);

    let busy = answers(429, &Problem::from(failure(FailureKind::Busy)));
    let output = run(&folder, &[busy, answers(200, &network())], &["node", "status"]);
    assert!(output.status.success());
    assert!(harmless(output, 0).contains("passed over"));
}

#[test]
fn files_are_no_better() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("evil.json"), text(&json!({ EVIL: 1 }))).expect("written");
    let output = run(&folder, &[], &["network", "show", "--genesis", "evil.json"]);
    assert!(!output.status.success());
    harmless(output, 0);
    document(&run(&folder, &[], &["--json", "network", "show", "--genesis", "evil.json"]));
}
