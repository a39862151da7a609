//! `countersign node restore`, without a network: what it asks for, what it refuses, and what it warns of.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use countersign_backup::{Backup, Content, Identity, Lock, seal};
use countersign_fuzzing::backups::{TWO_CEREMONIES, content};
use serde_json::Value;
use tempfile::TempDir;

const INVALID: i32 = 8;
const RESTORE: [&str; 6] = ["node", "restore", "--config", "node.toml", "--backup", "node.backup"];
const CONFIG: &str = "data = 'data'\ngenesis = 'genesis.json'\n[passphrase]\nfile = 'passphrase'\n";
const NOT_COMPARED: &str = "not compared with the network's root keys";

/// A new machine: the node's passphrase, what opens backups, and nothing else.
struct Machine {
    folder: TempDir,
    key: Identity,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: TempDir::new().expect("a folder"), key: Identity::generate() };
        machine.write("passphrase", "correct horse\n");
        machine.write("age.key", machine.key.to_file().as_str());
        machine.write("backup-passphrase", "battery staple\n");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("written");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).expect("a mode");
    }

    /// Brings a backup that is sealed for this machine's key, as whoever knows the public one can.
    fn bring(&self, backup: &Backup) {
        let sealed = seal(backup, &Lock::Recipients(vec![self.key.recipient()])).expect("sealed");
        self.write("node.backup", sealed);
    }

    fn restore(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_countersign"))
            .current_dir(self.folder.path())
            .env_remove("COUNTERSIGN_PASSPHRASE")
            .env_remove("COUNTERSIGN_BACKUP_PASSPHRASE")
            .env_remove("CREDENTIALS_DIRECTORY")
            .args(RESTORE)
            .args(arguments)
            .output()
            .expect("the program runs")
    }

    fn restored(&self, arguments: &[&str]) -> Output {
        let output = self.restore(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        output
    }

    /// Fails as invalid with these words, and leaves everything as it was.
    fn refused(&self, arguments: &[&str], words: &str) {
        let before = self.names();
        let output = self.restore(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(INVALID), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {words:?} is missing in: {said}");
        assert_eq!(self.names(), before, "something was written");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> = entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The backup of a member, by its place, in the network with this nonce.
fn backup_of(place: usize, nonce: u8, config: &str) -> Backup {
    let content = content(place, nonce, &TWO_CEREMONIES);
    Backup::new(Content { config: config.into(), ..content }).expect("all of one member")
}

fn own() -> Backup {
    backup_of(0, 3, CONFIG)
}

#[test]
fn what_anybody_can_have_sealed_is_restored_for_a_named_node_only() {
    let (machine, own) = (Machine::new(), own());
    let named = own.node().to_string();
    let (with_key, with_name) = (["--key-file", "age.key"], ["--key-file", "age.key", "--node-key", &named]);
    // of a network that somebody made up, with files where they like and an open egress
    let elsewhere = TempDir::new().expect("a folder");
    let away = elsewhere.path().join("data");
    let config = format!(
        "data = '{}'\ngenesis = 'genesis.json'\n[passphrase]\nfile = 'passphrase'\n[[egress.open]]\nname = 'api.example'\naddress = '192.0.2.1:80'\nplain_http = true\n",
        away.display()
    );
    for config in [CONFIG, config.as_str()] {
        machine.bring(&backup_of(1, 4, config));
        let output = machine.restore(&with_key);
        assert_eq!(output.status.code(), Some(INVALID), "{}", stderr(&output));
        assert_eq!(machine.restore(&with_name).status.code(), Some(INVALID));
        assert_eq!(machine.names(), ["age.key", "backup-passphrase", "node.backup", "passphrase"]);
    }
    assert!(!away.exists(), "something was written");
    machine.bring(&backup_of(1, 4, CONFIG));
    machine.refused(&with_key, "--node-key");
    machine.refused(&with_name, "this is a backup of node");

    machine.bring(&own);
    machine.refused(&with_key, "--node-key");
    machine.restored(&with_name);
    assert!(machine.path("data/db").is_dir() && machine.path("identity.sealed").exists());
    // from then on the identity says whose the folder is
    fs::remove_dir_all(machine.path("data")).expect("removed");
    machine.restored(&with_key);
}

#[test]
fn a_configuration_out_of_a_backup_stays_in_its_folder() {
    let machine = Machine::new();
    let away = TempDir::new().expect("a folder");
    let config = CONFIG.replace("'data'", &format!("'{}/data'", away.path().display()));
    let backup = backup_of(0, 3, &config);
    let named = backup.node().to_string();
    machine.bring(&backup);
    let arguments = ["--key-file", "age.key", "--node-key", &named];
    machine.refused(&arguments, "sets data to");
    assert!(!away.path().join("data").exists(), "something was written");
    machine.write("node.toml", &config);
    machine.restored(&arguments);
    assert!(away.path().join("data/db").is_dir());
}

#[test]
fn a_passphrase_says_enough() {
    let (machine, own) = (Machine::new(), own());
    let sealed = seal(&own, &Lock::Passphrase("battery staple".into())).expect("sealed");
    machine.write("node.backup", sealed);
    machine.restored(&["--passphrase-file", "backup-passphrase"]);
    assert!(machine.path("data/db").is_dir());
}

#[test]
fn a_backup_that_nobody_compared_with_the_networks_keys_is_warned_of() {
    let (machine, own) = (Machine::new(), own());
    let named = own.node().to_string();
    machine.bring(&own);
    let keys = serde_json::to_vec(&own.root_keys).expect("plain data");
    machine.write("root-keys.json", keys);
    let again = || {
        let data = machine.path("data");
        if data.exists() {
            fs::remove_dir_all(data).expect("removed");
        }
    };
    let bare = ["--key-file", "age.key", "--node-key", &named];
    let with = |more: &[&'static str]| -> Vec<String> {
        again();
        bare.iter().copied().chain(more.iter().copied()).map(str::to_owned).collect()
    };
    let run = |more: &[&'static str]| {
        let arguments = with(more);
        machine.restored(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let document =
        |output: &Output| serde_json::from_slice::<Value>(&output.stdout).expect("one JSON document");

    let said = stderr(&run(&[]));
    assert!(said.contains(&format!("WARNING: {NOT_COMPARED}")) && said.contains("--root-keys"), "{said}");
    let output = run(&["--json"]);
    let warned = document(&output);
    let warning = warned["warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with(NOT_COMPARED) && warning.contains("--root-keys"), "{warned}");
    assert_eq!(warned["compared_with"], serde_json::json!([]));
    assert!(stderr(&output).contains(NOT_COMPARED), "{}", stderr(&output));

    let named = ["--root-keys", "root-keys.json"];
    let said = stderr(&run(&named));
    assert!(!said.contains(NOT_COMPARED), "{said}");
    let compared = document(&run(&["--root-keys", "root-keys.json", "--json"]));
    assert_eq!(compared["warnings"], serde_json::json!([]));
    assert_eq!(compared["compared_with"], serde_json::json!([Path::new("root-keys.json")]));
}
