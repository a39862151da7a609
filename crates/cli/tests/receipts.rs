//! `receipt verify` without a network: what it says of receipts that somebody changed, and of members that lie.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use countersign_action::{Config, Engine};
use countersign_fuzzing::receipts::{Case, Story};
use countersign_types::{
    B256, Bytes, ComponentDigest, Identifier, Limits, Manifest, Payload, Scheme, Verdict,
};
use serde_json::Value;
use tempfile::TempDir;

const INVALID: i32 = 8;
const NOT_FOUND: i32 = 7;
const NOT_VERIFIED: i32 = 9;

/// After the time-lock has opened.
const TIME_MS: u64 = 1_800_000_000_000;

fn component() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../actions/time-lock/time-lock.wasm")
}

fn verdict(content: &'static [u8]) -> Verdict {
    Verdict::Allow {
        payloads: vec![Payload::Bytes(Bytes::from_static(content))],
        response: Bytes::from_static(br#"{"not_before":1700000000,"now":1800000000}"#),
    }
}

/// What three members say honestly that a time-lock gave for the message `hello`.
fn honest() -> Case {
    let engine = Engine::new(&Config::default()).expect("an engine");
    let manifest = Manifest {
        name: "time-lock".into(),
        component: ComponentDigest::of(&fs::read(component()).expect("it is built")),
        script: B256::ZERO,
        hosts: Vec::new(),
        chains: Vec::new(),
        limits: Limits::default(),
    };
    let story = Story {
        manifest,
        config: Bytes::from_static(br#"{"not_before":1700000000}"#),
        params: Bytes::from_static(br#"{"messages":["0x68656c6c6f"]}"#),
        engine: engine.engine_id(),
        time_ms: TIME_MS,
        reads: Default::default(),
        verdict: verdict(b"hello"),
        callers: 1,
        attempt: 1,
    };
    Case::of(Scheme::SchnorrSecp256k1, story)
}

fn member(number: u16) -> Identifier {
    Identifier::new(number).expect("not zero")
}

/// A folder with a genesis, root keys and a receipt.
struct Folder(TempDir);

impl Folder {
    fn of(case: &Case) -> Self {
        let folder = Self(TempDir::new().expect("a folder"));
        let written = |name: &str, text: Result<Vec<u8>, serde_json::Error>| {
            fs::write(folder.0.path().join(name), text.expect("JSON")).expect("written");
        };
        written("genesis.json", serde_json::to_vec(&case.genesis));
        written("root-keys.json", serde_json::to_vec(&case.root_keys));
        written("receipt.json", serde_json::to_vec(&case.receipt));
        folder
    }

    /// How `receipt verify` ends, and the error that it prints.
    fn verify(&self, further: &[&str]) -> (i32, Value) {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .current_dir(self.0.path())
            .env_remove("COUNTERSIGN_NODE")
            .env_remove("COUNTERSIGN_GENESIS")
            .env_remove("COUNTERSIGN_ROOT_KEYS")
            .args(["--json", "receipt", "verify"])
            .args(further)
            .output()
            .expect("the program runs");
        let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
        (output.status.code().expect("it ends"), document["error"].clone())
    }

    fn fails(&self, further: &[&str], code: i32, words: &[&str]) -> Value {
        let (got, error) = self.verify(further);
        assert_eq!(got, code, "{error:#}");
        let detail = error["detail"].as_str().expect("it says what is wrong");
        for word in words {
            assert!(detail.contains(word), "{word:?} is missing in: {detail}");
        }
        error
    }
}

fn with_component() -> [String; 3] {
    ["receipt.json".into(), "--component".into(), component().display().to_string()]
}

#[test]
fn an_honest_receipt_holds() {
    let (code, error) = Folder::of(&honest()).verify(&with_component().each_ref().map(String::as_str));
    assert_eq!((code, error), (0, Value::Null));
}

#[test]
fn a_receipt_whose_verdict_was_changed_is_told_from_a_lie() {
    let mut case = honest();
    case.receipt.verdict = verdict(b"hallo");
    let folder = Folder::of(&case);
    let component = with_component();
    let replayed = component.each_ref().map(String::as_str);
    let error =
        folder.fails(&replayed, NOT_VERIFIED, &["all signers voted for", "changed after they signed"]);
    assert!(error["evidence"].is_null() && !error["detail"].to_string().contains("lied"), "{error:#}");

    let left_out = ["receipt.json", "--no-replay"];
    folder.fails(&left_out, NOT_VERIFIED, &["[1, 2, 3]", "undecided", "leave --no-replay out"]);
    folder.fails(&["receipt.json"], NOT_VERIFIED, &["undecided", "not at hand", "--component"]);
}

#[test]
fn no_verdict_and_no_broken_vote_hides_who_lied() {
    let component = with_component();
    let replayed = component.each_ref().map(String::as_str);
    let mut case = honest();
    case.votes_for(member(2), verdict(b"hallo"));
    case.receipt.verdict = Verdict::Refuse { reason: "no".into() };
    let error = Folder::of(&case).fails(&replayed, NOT_VERIFIED, &["evidence against them"]);
    assert_eq!(error["evidence"]["against"].as_object().map(|all| all.len()), Some(1), "{error:#}");

    if let Some(part) = case.receipt.signers.get_mut(&member(3)) {
        part.vote.vote.outcome = [1; 32].into();
    }
    let words = ["evidence against them", "beside that", "`signers.3`", "did not sign it"];
    let error = Folder::of(&case).fails(&replayed, NOT_VERIFIED, &words);
    let against = error["evidence"]["against"].as_object().expect("who lied");
    assert!(against.contains_key("2") && against.len() == 1, "{error:#}");
}

#[test]
fn what_keeps_the_action_from_being_run_says_how_to_go_on() {
    let folder = Folder::of(&honest());
    let words = ["everything but the replay holds", "not at hand", "--component", "--no-replay"];
    folder.fails(&["receipt.json"], NOT_FOUND, &words);
    let script = ["receipt.json", "--script", "genesis.json", "--node", "http://127.0.0.1:1"];
    folder.fails(&script, INVALID, &["not what --script takes", "--component"]);
}

#[test]
fn who_checks_a_file_is_not_told_to_sign() {
    let mut case = honest();
    case.receipt.request.request.nonce = B256::ZERO;
    let words = ["signature was changed", "signature 0", "is not by"];
    let error = Folder::of(&case).fails(&["receipt.json"], NOT_VERIFIED, &words);
    assert!(!format!("{error}").contains("sign the request"), "{error:#}");
}

#[test]
fn a_pipe_is_read_to_its_bound() {
    Folder::of(&honest()).fails(&["/dev/zero"], INVALID, &["/dev/zero has more than 8388608 bytes"]);
}
