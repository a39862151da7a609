//! What the command does without a network: every documented step, and what it says to bad input.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use countersign_types::SignedRequest;
use serde_json::Value;
use tempfile::TempDir;

const USAGE: i32 = 2;
const UNAVAILABLE: i32 = 4;
const UNAUTHORISED: i32 = 6;
const INVALID: i32 = 8;

/// A terminal in a folder of its own.
struct Terminal(TempDir);

impl Terminal {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let terminal = Self(folder);
        terminal.write("passphrase", "correct horse battery staple", 0o600);
        terminal
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) {
        fs::write(self.path(name), text).expect("written");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        Command::new(env!("CARGO_BIN_EXE_countersign"))
            .current_dir(self.0.path())
            .env_remove("COUNTERSIGN_PASSPHRASE")
            .env_remove("CREDENTIALS_DIRECTORY")
            .args(arguments)
            .output()
            .expect("the program runs")
    }

    /// Runs a line that must succeed, and returns what it prints.
    fn ok(&self, line: &str) -> String {
        let output = self.run(line.split_whitespace());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {}: {said}", output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("--json {line}"))).expect("one JSON document")
    }

    /// Runs a line that must fail with this code and these words.
    fn fails(&self, line: &str, code: i32, words: &[&str]) {
        let output = self.run(line.split_whitespace());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        for word in words {
            assert!(said.contains(word), "{line}: {word:?} is missing in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
        assert!(output.stdout.is_empty(), "{line} prints a result");
    }

    /// Makes nodes and their genesis.
    fn network(&self, nodes: usize, threshold: usize) {
        let keys: Vec<String> = (1..=nodes)
            .map(|node| {
                let line = format!("node init node{node} --passphrase-file passphrase --weak-passphrase");
                self.json(&line)["public_key"].as_str().expect("a key").to_owned()
            })
            .collect();
        let members: Vec<String> = keys.iter().map(|key| format!("--member {key}")).collect();
        self.ok(&format!("network create {} --threshold {threshold} --chain 1", members.join(" ")));
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn the_steps_of_the_readme_make_a_node() {
    let terminal = Terminal::new();
    terminal.network(3, 2);
    assert_eq!(mode(&terminal.path("node1")), 0o700);
    assert_eq!(mode(&terminal.path("node1/identity.sealed")), 0o600);
    let joined =
        terminal.ok("node join node1 --genesis genesis.json --passphrase-file passphrase --weak-passphrase");
    let shown = terminal.json("network show");
    assert!(joined.contains(shown["network"].as_str().expect("an id")), "{joined}");
    assert_eq!(shown["threshold"], 2);
    assert_eq!(shown["members"].as_array().map(Vec::len), Some(3));
    assert!(terminal.path("node1/data/db").is_dir());
    assert!(terminal.path("node1/genesis.json").is_file());
}

#[test]
fn a_node_joins_only_a_network_that_lists_it() {
    let (terminal, other) = (Terminal::new(), Terminal::new());
    terminal.network(3, 2);
    other.network(3, 2);
    fs::copy(other.path("genesis.json"), terminal.path("other.json")).expect("copied");
    let join = "node join node1 --passphrase-file passphrase --weak-passphrase --genesis";
    terminal.fails(&format!("{join} other.json"), INVALID, &["does not list this node's public key"]);
    terminal.fails(&format!("{join} nowhere.json"), INVALID, &["cannot read", "nowhere.json"]);
    terminal.write("wrong", "another passphrase", 0o600);
    let wrong = "node join node1 --passphrase-file wrong --weak-passphrase --genesis genesis.json";
    terminal.fails(wrong, INVALID, &["passphrase does not open"]);
    terminal.ok(&format!("{join} genesis.json"));
    terminal.fails(&format!("{join} genesis.json"), INVALID, &["not empty"]);
}

#[test]
fn an_identity_is_made_once_and_needs_a_private_passphrase() {
    let terminal = Terminal::new();
    terminal.fails("node init node1", INVALID, &["COUNTERSIGN_PASSPHRASE"]);
    terminal.write("open", "everybody reads this", 0o644);
    terminal.fails("node init node1 --passphrase-file open", INVALID, &["chmod 600"]);
    terminal.write("empty", "", 0o600);
    terminal.fails("node init node1 --passphrase-file empty", INVALID, &["empty"]);
    assert!(!terminal.path("node1/identity.sealed").exists());
    let init = "node init node1 --passphrase-file passphrase --weak-passphrase";
    let before = terminal.json(init);
    terminal.fails(init, INVALID, &["exists already"]);
    let key = fs::read_to_string(terminal.path("node1/public-key")).expect("the public key, in clear");
    assert_eq!(before["public_key"], key.trim());
    let config = fs::read_to_string(terminal.path("node1/node.toml")).expect("a configuration");
    let line = format!("file = \"{}\"", terminal.path("passphrase").display());
    assert!(config.contains(&line), "the passphrase's file is not named: {config}");
}

#[test]
fn a_genesis_that_makes_no_committee_is_not_written() {
    let terminal = Terminal::new();
    terminal.network(3, 2);
    let genesis: Value =
        serde_json::from_str(&fs::read_to_string(terminal.path("genesis.json")).expect("read"))
            .expect("JSON");
    let members: Vec<&str> =
        genesis["members"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let all = format!("network create --out new.json --member {}", members.join(" --member "));
    terminal.fails(&format!("{all} --threshold 1"), INVALID, &["threshold"]);
    terminal.fails(&format!("{all} --threshold 4"), INVALID, &["threshold"]);
    terminal.fails(&format!("{all} --member {} --threshold 3", members[0]), INVALID, &["twice"]);
    terminal.fails("network create --out new.json --member 0x02 --threshold 1", USAGE, &["--member"]);
    assert!(!terminal.path("new.json").exists());
    terminal.fails(&format!("{all} --threshold 2 --out genesis.json"), USAGE, &["--out"]);
    let again = format!("network create --member {} --threshold 2", members.join(","));
    terminal.fails(&again, INVALID, &["genesis.json exists", "another file"]);
}

#[test]
fn a_callers_key_is_private_and_never_overwritten() {
    let terminal = Terminal::new();
    let made = terminal.json("caller new --out caller.key");
    assert_eq!(mode(&terminal.path("caller.key")), 0o600);
    assert_eq!(terminal.json("caller address caller.key")["address"], made["address"]);
    terminal.fails("caller new --out caller.key", INVALID, &["caller.key exists", "another file"]);
    terminal.write("open.key", fs::read(terminal.path("caller.key")).expect("read"), 0o644);
    terminal.fails("caller address open.key", INVALID, &["chmod 600"]);
    terminal.write("short.key", "0x1234", 0o600);
    terminal.fails("caller address short.key", INVALID, &["64 hexadecimal digits"]);
    terminal.write("zero.key", format!("0x{}", "00".repeat(32)), 0o600);
    terminal.fails("caller address zero.key", INVALID, &[]);
    terminal.fails("caller address no.key", INVALID, &["cannot read no.key"]);
}

#[test]
fn an_actions_id_follows_from_manifest_and_component() {
    let terminal = Terminal::new();
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../actions/time-lock/time-lock.wasm");
    fs::copy(component, terminal.path("action.wasm")).expect("copied");
    let id = "action id --component action.wasm --manifest";
    terminal.write("a.toml", "name = 'one'", 0o644);
    terminal.write("b.toml", "name = 'two'", 0o644);
    terminal.write("c.toml", "name = 'one'\nchains = [1]", 0o644);
    let ids: Vec<Value> = ["a", "b", "c", "a"]
        .map(|file| terminal.json(&format!("{id} {file}.toml"))["action_id"].clone())
        .into();
    assert_eq!(ids[0], ids[3]);
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2], "{ids:?}");

    terminal.write("unknown.toml", "name = 'one'\nhost = ['a.example']", 0o644);
    terminal.fails(&format!("{id} unknown.toml"), INVALID, &["line 2", "host", "unknown field"]);
    terminal.write("forged.toml", "name = 'one'\n\"x\\nverified  yes\\u001b[8m\" = 1", 0o644);
    let forged = terminal.run(format!("{id} forged.toml").split(' '));
    let said = String::from_utf8(forged.stderr).expect("text");
    assert!(
        said.contains("unknown field") && said.lines().count() == 1 && !said.contains('\u{1b}'),
        "{said:?}"
    );
    terminal.write("name.toml", "name = 'Not A Name'", 0o644);
    terminal.fails(&format!("{id} name.toml"), INVALID, &["lower-case"]);
    terminal.write("limit.toml", "name = 'one'\nlimits = { wall_ms = 60000 }", 0o644);
    terminal.fails(&format!("{id} limit.toml"), INVALID, &["wall_ms"]);
    for (file, hint) in [(&b"\0asm\x01\0\0\0"[..], "wasm-component-ld"), (b"export default 1;", "--script")] {
        terminal.write("action.wasm", file, 0o644);
        terminal.fails(&format!("{id} a.toml"), INVALID, &["action.wasm is no component", hint]);
    }
}

#[test]
fn keys_need_root_keys_of_the_very_network() {
    let terminal = Terminal::new();
    terminal.network(3, 2);
    let action = format!("0x{}", "11".repeat(32));
    terminal.write("root-keys.json", "{}", 0o644);
    let show = format!("key show --action {action}");
    terminal.fails(&show, INVALID, &["root-keys.json", "missing field"]);
    terminal.fails("key show --action 0x11", USAGE, &["--action"]);
    terminal.fails("key show", USAGE, &["--action"]);
    terminal.fails(&format!("{show} --config 0xzz"), USAGE, &["--config"]);
    terminal.fails(&format!("{show} --scheme rsa"), USAGE, &["--scheme"]);
    terminal.fails(&format!("{show} --salt 3"), USAGE, &["--salt", "64 hexadecimal digits"]);
    let owner = format!("{show} --owner 0x12");
    terminal.fails(&owner, USAGE, &["--owner", "0x and 40 hexadecimal digits (20 bytes)"]);
    terminal.fails("node status --node localhost:8470", USAGE, &["--node", "http://"]);
    let port = "node status --node http://127.0.0.1:84700";
    terminal.fails(port, USAGE, &["--node", "invalid port number", "at most 65535"]);
}

/// What nobody listens at.
const NOBODY: &str = "--node http://127.0.0.1:1";

#[test]
fn what_cannot_be_is_wrong_usage_before_any_node_is_asked() {
    let terminal = Terminal::new();
    terminal.network(3, 2);
    terminal.ok("caller new --out caller.key");
    let action = format!("0x{}", "11".repeat(32));
    let sign = format!("sign {NOBODY} --action {action} --caller-key caller.key");
    for (wrong, words) in [
        ("--timeout 0", &["--timeout", "1..=86400"][..]),
        ("--timeout 86401", &["--timeout", "1..=86400"]),
        ("--lifetime 0", &["--lifetime", "1..=600"]),
        ("--lifetime 601", &["--lifetime", "1..=600"]),
        ("--opinions 0", &["--opinions", "1..="]),
        ("--opinions 6", &["--opinions 6: 1 can be asked", "--node"]),
    ] {
        let output = terminal.run(format!("{sign} {wrong}").split(' '));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(USAGE), "{wrong}: {said}");
        for word in words {
            assert!(said.contains(word), "{wrong}: {word:?} is missing in: {said}");
        }
    }
}

#[test]
fn a_request_is_saved_before_it_is_posted_and_posted_again() {
    let terminal = Terminal::new();
    terminal.network(3, 2);
    terminal.ok("caller new --out caller.key");
    let action = format!("0x{}", "11".repeat(32));
    let made = format!("--any-coordinator --action {action} --caller-key caller.key");
    let save = format!("sign {NOBODY} --timeout 1 {made} --save-request request.json");
    let again = format!("sign {NOBODY} --timeout 1 --request");
    terminal.fails(&save, UNAVAILABLE, &["request 0x", "--request request.json posts it again"]);
    assert_eq!(mode(&terminal.path("request.json")), 0o600);
    terminal.fails(&save, INVALID, &["request.json exists", "another file with --save-request"]);
    let text = fs::read_to_string(terminal.path("request.json")).expect("saved");
    let signed: SignedRequest = serde_json::from_str(&text).expect("as it is posted");
    let digest = signed.request.digest().to_string();
    signed.validate().expect("signed");
    terminal.fails(&format!("{again} request.json"), UNAVAILABLE, &[&digest]);

    terminal.fails(&format!("{again} nowhere.json"), INVALID, &["cannot read", "nowhere.json"]);
    terminal.fails(&format!("{again} genesis.json"), INVALID, &["genesis.json is no signed request"]);
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    document["request"]["nonce"] = format!("0x{}", "22".repeat(32)).into();
    terminal.write("changed.json", document.to_string(), 0o600);
    terminal.fails(&format!("{again} changed.json"), UNAUTHORISED, &["signature 0 is not by"]);
    document["request"]["expires_at"] = 1_000.into();
    terminal.write("old.json", document.to_string(), 0o600);
    terminal.fails(&format!("{again} old.json"), INVALID, &["old.json expired", "make a new one"]);
    let other = Terminal::new();
    other.network(3, 2);
    other.write("request.json", &text, 0o600);
    other.fails(&format!("{again} request.json"), INVALID, &["the request is for network"]);

    // it is that request, or a new one
    for further in ["--params 0x", "--lifetime 60", "--caller-key caller.key", "--save-request new.json"] {
        terminal.fails(&format!("{again} request.json {further}"), USAGE, &["cannot be used with"]);
    }
    terminal.fails(&format!("{again} request.json --action {action}"), USAGE, &["cannot be used with"]);
    terminal.fails(&format!("sign {NOBODY}"), USAGE, &["--action", "--caller-key"]);
    let unsigned = format!("sign {NOBODY} --action {action}");
    terminal.fails(&unsigned, USAGE, &["--caller-key"]);
}

#[test]
fn a_receipt_that_is_none_is_named() {
    let terminal = Terminal::new();
    terminal.network(3, 2);
    for text in ["", "{\"version\":1", "[]", "{\"version\":1}"] {
        terminal.write("cut.json", text, 0o600);
        terminal.fails("receipt verify cut.json", INVALID, &["cut.json cannot be read as a receipt"]);
    }
}

#[test]
fn errors_are_one_document_with_json() {
    let terminal = Terminal::new();
    let output = terminal.run(["--json", "network", "show"]);
    assert_eq!(output.status.code(), Some(INVALID));
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(document["error"]["kind"], "invalid");
    assert_eq!(document["error"]["code"], INVALID);
    assert!(document["error"]["detail"].as_str().is_some_and(|detail| detail.contains("genesis.json")));
}

#[test]
fn every_command_has_help_with_an_example() {
    let terminal = Terminal::new();
    for line in
        ["--help", "node --help", "network --help", "action --help", "caller --help", "receipt --help"]
    {
        assert!(terminal.ok(line).contains("Usage: countersign"), "{line}");
    }
    for line in [
        "node init --help",
        "node join --help",
        "node run --help",
        "node backup --help",
        "node restore --help",
        "node readmit --help",
        "node status --help",
        "node check --help",
        "network create --help",
        "network show --help",
        "key show --help",
        "action id --help",
        "action publish --help",
        "action list --help",
        "action show --help",
        "caller new --help",
        "caller address --help",
        "sign --help",
        "receipt verify --help",
        "receipt get --help",
        "result --help",
        "bench --help",
    ] {
        let help = terminal.ok(line);
        assert!(help.contains("Usage: countersign"), "{line}: {help}");
        assert!(help.contains("\n  countersign "), "{line} shows no example: {help}");
    }
    assert!(terminal.ok("--help").contains("Exit codes"));
}
