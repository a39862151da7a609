//! A process that ends without closing its database.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::fixture::{SCHEMES, attempt, copy, create, open, pending};

#[test]
fn what_was_acknowledged_is_in_a_copy_of_a_running_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, taken) = (folder.path().join("store"), folder.path().join("copy"));
    let store = create(&path);
    store.put_pending_shares(&pending(1)).expect("new");
    store.record_activation(1, attempt(1), vec![1].into()).expect("the first");
    copy(&path, &taken);
    // the first is neither closed nor dropped while the copy opens
    let copied = open(&taken).expect("whole");
    assert_eq!(copied.pending_shares(1).expect("readable"), [pending(1)]);
    assert_eq!(copied.activation(1, SCHEMES[0]).expect("readable").expect("recorded").attempt, attempt(1));
    assert_eq!(store.generation().expect("known"), 1);
}

const PATH: &str = "COUNTERSIGN_STORE_TEST_PATH";

/// Runs a test of this binary as a process of its own, on a database.
pub(crate) fn child(test: &str, path: &Path, through: Option<&str>) -> Child {
    let this = env::current_exe().expect("this test");
    let mut command = match through {
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(this);
            shell
        }
        None => Command::new(this),
    };
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process")
}

/// The database that a parent test named; none if the test runs by itself.
pub(crate) fn path_from_parent() -> Option<std::path::PathBuf> {
    env::var_os(PATH).map(Into::into)
}

#[test]
#[ignore = "the process that its parent test kills"]
fn writes_until_it_is_killed() {
    let Some(path) = path_from_parent() else { return };
    let store = open(&path).expect("whole");
    let there = store.pending_shares(1).expect("readable").len();
    for number in there + 1..250 {
        store.put_pending_shares(&pending(number as u8)).expect("writable");
        println!("\nstored {number}");
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    drop(create(&path));
    for round in 1..=8 {
        let mut child = child("killed::writes_until_it_is_killed", &path, None);
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let stored = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("stored ")?.parse().ok())
            .find(|stored: &u8| *stored >= 10 * round)
            .expect("it writes");
        child.kill().expect("it runs");
        child.wait().expect("it ends");

        let store = open(&path).expect("whole");
        let kept = store.pending_shares(1).expect("readable");
        assert!(kept.len() >= usize::from(stored), "{} of {stored}", kept.len());
        for number in 1..=stored {
            assert!(kept.contains(&pending(number)), "{number}");
        }
        assert_eq!(store.generation().expect("known"), 1 + 2 * u64::from(round));
    }
}
