//! A command that hears nothing says whom it waits for, and how long.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Stdio},
};

use countersign_types::{B256, Genesis, NodeKey, RequestDigest};
use serde_json::Value;

#[test]
fn whom_a_command_waits_for_is_said_once_on_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let members = [1, 2].map(|byte| NodeKey::from_bytes([byte; 32]).expect("a scalar").public_key());
    let genesis = Genesis { nonce: B256::ZERO, members: members.into(), threshold: 2, chains: vec![1] };
    let text = serde_json::to_string(&genesis).expect("JSON");
    fs::write(folder.path().join("genesis.json"), text).expect("written");
    // the system takes connections for it, and it never answers
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let node = format!("http://{}", mute.local_addr().expect("bound"));
    let request = RequestDigest::from([1; 32]).to_string();
    let result = ["result", &request, "--genesis", "genesis.json", "--timeout", "5", "--node", &node];
    let status = ["--json", "node", "status", "--genesis", "genesis.json", "--timeout", "5", "--node", &node];
    // at the same time
    let running = [&result[..], &status].map(|arguments| {
        Command::new(env!("CARGO_BIN_EXE_countersign"))
            .current_dir(folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs")
    });
    let [result, status] = running.map(|child| child.wait_with_output().expect("it ends"));
    let notice = format!("waiting for an answer of {node}; giving up after 5 s (--timeout)");
    for output in [&result, &status] {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert_eq!(said.lines().filter(|line| *line == notice).count(), 1, "{said}");
    }
    assert!(result.stdout.is_empty());
    let document: Value = serde_json::from_slice(&status.stdout).expect("one JSON document");
    assert_eq!(document["error"]["kind"], "unavailable");
}
