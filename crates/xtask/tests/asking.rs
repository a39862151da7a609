//! What `testnet/up` asks for before it installs anything: at a terminal, which `script` of util-linux gives it, and without one.
//!
//! The machine that it runs on is made up: its commands are small programs that note that they were called.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// Commands that are what they are.
const REAL: [&str; 5] = ["bash", "dirname", "env", "mkdir", "sh"];

/// Builds nothing, and knows one task: the program under test.
const CARGO: &str = r#"
echo "this is cargo"
[ "$1" = xtask ] || exit 0
shift
exec "$XTASK" "$@"
"#;

/// Installs the dev chain, as far as set-up looks.
const NPM: &str = r#"
echo "this is npm"
for word; do
    if [ "$before" = --prefix ]; then folder=$word; fi
    before=$word
done
mkdir -p "$folder/node_modules/@foundry-rs/anvil/bin"
: > "$folder/node_modules/@foundry-rs/anvil/bin/anvil"
"#;

const QUESTION: &str = "install all that? [y/N]";
/// What is asked where there is no compiler: then not even set-up can be built.
const FIRST_QUESTION: &str = "install it? [y/N]";

const SETUP: &str = "cargo xtask setup --for testnet";
const BUILD: &str = "cargo build --workspace --all-targets";
const UP: &str = "testnet up --once";

/// A machine on which everything is there but the dev chain.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(TempDir::new().expect("a folder"));
        for name in REAL {
            let path = machine.path(&format!("bin/{name}"));
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            symlink(on_path(name), path).expect("linked");
        }
        machine.command("bin/cargo", CARGO);
        machine.command("bin/npm", NPM);
        machine.command("bin/cc", "");
        machine.command("bin/c++", "");
        machine.command("bin/sudo", "exec \"$@\"");
        machine.command("bin/apt-get", "");
        machine.command("target/debug/testnet", "echo '{}'");
        machine
    }

    fn without_compiler() -> Self {
        let machine = Self::new();
        fs::remove_file(machine.path("bin/cc")).expect("removed");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, path: &str, what_it_does: &str) {
        let path = self.path(path);
        let name = path.file_name().expect("a name").to_string_lossy();
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> \"$CALLS\"\n{what_it_does}\n");
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
    }

    fn run(&self, command: &mut Command, typed: &str) -> Output {
        command
            .current_dir(root())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("SHELL", "/bin/sh")
            .env("HOME", self.0.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("CARGO_TARGET_DIR", self.path("target"))
            .env("LIBCLANG_PATH", self.0.path())
            .env("XTASK", env!("CARGO_BIN_EXE_xtask"))
            .env("CALLS", self.path("calls"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut stdin = child.stdin.take().expect("a pipe");
        // whoever does not ask may have ended before this is written
        let _ = stdin.write_all(typed.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("ended")
    }

    /// Runs `testnet/up` at a terminal, where somebody types; returns whether it succeeded, and what is on the screen.
    fn at_terminal(&self, arguments: &str, typed: &str) -> (bool, String) {
        let mut command = Command::new(on_path("script"));
        command.args(["--quiet", "--return", "--command", &format!("testnet/up {arguments}"), "/dev/null"]);
        let output = self.run(&mut command, typed);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `testnet/up` without a terminal.
    fn elsewhere(&self, arguments: &[&str], piped: &str) -> Output {
        self.run(Command::new(root().join("testnet/up")).args(arguments), piped)
    }

    /// What was called, one after the other.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The call that installs the dev chain.
    fn npm(&self) -> String {
        let folder = self.path("cache/countersign/anvil");
        let install = "npm install --no-save --no-fund --no-audit --prefix";
        format!("{install} {} @foundry-rs/anvil@1.7.1", folder.display())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where a command of the real machine is.
fn on_path(name: &str) -> PathBuf {
    let path = env::var_os("PATH").expect("a PATH");
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not on the PATH"))
}

#[test]
fn at_a_terminal_it_says_what_is_missing_and_asks() {
    for typed in ["n\n", "\n", "no\n", "yesterday\n", ""] {
        let machine = Machine::new();
        let (succeeded, screen) = machine.at_terminal("--once", typed);
        for said in ["anvil", "the dev chain", "npm install", QUESTION, "nothing was installed"] {
            assert!(screen.contains(said), "{typed:?}: {said} is not in {screen}");
        }
        assert!(!succeeded, "{typed:?}: {screen}");
        assert_eq!(machine.calls(), [SETUP], "{typed:?}: {screen}");
    }
}

#[test]
fn at_a_terminal_it_installs_once_that_is_agreed_to() {
    for typed in ["y\n", "Y\n"] {
        let machine = Machine::new();
        let (succeeded, screen) = machine.at_terminal("--once", typed);
        assert!(succeeded && screen.contains(QUESTION), "{screen}");
        assert_eq!(machine.calls(), [SETUP, &machine.npm(), BUILD, UP], "{screen}");

        // nothing is missing now, so nothing is asked
        let (succeeded, screen) = machine.at_terminal("--once", "");
        assert!(succeeded && !screen.contains(QUESTION), "{screen}");
        assert_eq!(machine.calls()[4..], [SETUP, BUILD, UP], "{screen}");
    }
}

#[test]
fn with_yes_it_asks_nothing() {
    let machine = Machine::new();
    let (succeeded, screen) = machine.at_terminal("--once --yes", "");
    assert!(succeeded && !screen.contains(QUESTION), "{screen}");
    let (setup, up) = (format!("{SETUP} --yes"), format!("{UP} --yes"));
    assert_eq!(machine.calls(), [&setup, &machine.npm(), BUILD, &up], "{screen}");
}

#[test]
fn without_a_terminal_it_installs_nothing_unless_told() {
    let machine = Machine::new();
    let output = machine.elsewhere(&["--once"], "y\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !said.contains(QUESTION), "{said}");
    assert!(said.contains("npm install") && said.contains("nothing was installed"), "{said}");
    assert_eq!(machine.calls(), [SETUP], "{said}");

    let output = machine.elsewhere(&["--once", "--yes"], "");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{}\n", "only what the network prints");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("this is cargo") && said.contains("this is npm"), "{said}");
    assert!(machine.calls().contains(&machine.npm()));
}

#[test]
fn without_a_compiler_it_asks_before_it_installs_one() {
    for typed in ["n\n", "\n", ""] {
        let machine = Machine::without_compiler();
        let (succeeded, screen) = machine.at_terminal("--once", typed);
        assert!(!succeeded && screen.contains(FIRST_QUESTION), "{typed:?}: {screen}");
        assert_eq!(machine.calls(), [""; 0], "{typed:?}: {screen}");
    }
    let machine = Machine::without_compiler();
    let output = machine.elsewhere(&["--once"], "y\n");
    assert!(!output.status.success(), "nobody is asked");
    assert_eq!(machine.calls(), [""; 0]);

    let (succeeded, screen) = machine.at_terminal("--once", "y\ny\n");
    assert!(succeeded && screen.contains(FIRST_QUESTION) && screen.contains(QUESTION), "{screen}");
    let calls = machine.calls();
    let place = |what: &str| calls.iter().position(|call| call.ends_with(what));
    let install = "apt-get install -q -y --no-install-recommends build-essential";
    let (compiler, setup, chain) = (place(install), place(SETUP), place(&machine.npm()));
    assert!(compiler.is_some() && compiler < setup && setup < chain, "{calls:?}");
}
