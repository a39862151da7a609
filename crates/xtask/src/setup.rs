//! What this machine lacks, and how it is installed.

use std::{
    env, fs,
    io::{self, BufRead, IsTerminal, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    command::{self, on_path, run_within, shown},
    interpreter::{self, DEBIAN_CLANG, WIZER_PACKAGE},
    places::Places,
    scripts::{self, TYPESCRIPT_PACKAGE},
    toolchain::{DEBIAN_PACKAGES, TARGET, Toolchain, cargo},
    tools::{ANVIL_PACKAGE, DENY, FUZZ, MACHETE, NEXTEST, Tool, anvil},
};

/// How long rustup may take to fetch a target; without a network it may hang.
const RUSTUP_BOUND: Duration = Duration::from_secs(120);

/// For what a machine is set up. Each needs what those before it need; what [`Scope::Soak`] adds, it alone needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Scope {
    /// The test network.
    Testnet,
    /// The tests.
    Test,
    /// Fuzzing, and tests for hours.
    Soak,
    /// The checks.
    Check,
    /// Changes of the actions that come with the repository.
    Actions,
}

/// Whether to install without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Install.
    Given,
    /// Ask at a terminal; elsewhere, install nothing.
    Ask,
}

impl Consent {
    /// `--yes` gives it, and so does `CI=true`.
    pub(crate) fn given(yes: bool) -> Self {
        if yes || env::var("CI").is_ok_and(|ci| ci == "true") { Self::Given } else { Self::Ask }
    }
}

/// Something that is not there.
#[derive(Debug, Clone, Copy)]
struct Missing {
    what: &'static str,
    why: &'static str,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Debian packages.
    Debian(&'static [&'static str]),
    /// A package of npm, into the cache.
    Npm(Package),
    /// A crate's program, into the cache.
    Crate(Tool),
    /// The target for WebAssembly, from rustup; all goes on without it.
    RustupOnly,
    /// The target for WebAssembly, from rustup or else Debian.
    RustupOrDebian,
}

/// What set-up takes from npm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Package {
    Anvil,
    Wizer,
    TypeScript,
}

/// Lists what is missing for `scope` and installs it, if that is agreed to.
pub(crate) fn run(places: &Places, scope: Scope, consent: Consent) -> Result<()> {
    let missing = missing(places, scope)?;
    if missing.is_empty() {
        eprintln!("nothing is missing");
        return Ok(());
    }
    eprintln!("missing on this machine:");
    for item in &missing {
        eprintln!("  {:24} {}", item.what, item.why);
    }
    let required = missing.iter().any(|item| item.how != How::RustupOnly);
    if !agreed(places, &missing, consent, required)? {
        return Ok(());
    }
    install(places, &missing)?;
    let still: Vec<&str> = self::missing(places, scope)?
        .iter()
        .filter(|item| item.how != How::RustupOnly)
        .map(|item| item.what)
        .collect();
    if still.is_empty() { Ok(()) } else { bail!("still missing: {}", still.join(", ")) }
}

/// Whether to install: as agreed, or as somebody at the terminal answers.
fn agreed(places: &Places, missing: &[Missing], consent: Consent, required: bool) -> Result<bool> {
    if consent == Consent::Given {
        return Ok(true);
    }
    eprintln!("to be run:");
    for item in missing {
        eprintln!("  {}", plan(places, item.how));
    }
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        eprint!("install all that? [y/N] ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if answer.trim().eq_ignore_ascii_case("y") {
            return Ok(true);
        }
    }
    if required {
        bail!("nothing was installed: run it yourself, or `cargo xtask setup --yes`")
    } else {
        Ok(false)
    }
}

fn missing(places: &Places, scope: Scope) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    let mut need = |there: bool, what, why, how| {
        if !there {
            missing.push(Missing { what, why, how });
        }
    };
    need(
        on_path("c++").is_some(),
        "a C++ compiler",
        "builds the database of the nodes",
        How::Debian(&["build-essential"]),
    );
    need(
        has_libclang(),
        "libclang",
        "generates the bindings to the database",
        How::Debian(&["libclang-dev"]),
    );
    let chain = anvil(places).is_some();
    need(
        (chain && scope < Scope::Check) || on_path("npm").is_some(),
        "npm",
        "installs the dev chain, and what builds and checks scripts",
        How::Debian(&["nodejs", "npm", "ca-certificates"]),
    );
    need(chain, "anvil", "the dev chain", How::Npm(Package::Anvil));
    if scope >= Scope::Test {
        need(NEXTEST.find(places).is_some(), NEXTEST.name, NEXTEST.why, How::Crate(NEXTEST));
    }
    if scope == Scope::Soak {
        need(FUZZ.find(places).is_some(), FUZZ.name, FUZZ.why, How::Crate(FUZZ));
    }
    if scope >= Scope::Check {
        for tool in [DENY, MACHETE] {
            need(tool.find(places).is_some(), tool.name, tool.why, How::Crate(tool));
        }
    }
    if scope >= Scope::Check {
        let found = scripts::compiler(places).is_some();
        need(found, "typescript", "checks the actions' types", How::Npm(Package::TypeScript));
    }
    if scope == Scope::Actions {
        need(
            interpreter::has_clang(),
            "clang for WebAssembly",
            "builds the runner of scripts",
            How::Debian(DEBIAN_CLANG),
        );
        let found = interpreter::wizer(places).is_some();
        need(found, "wizer", "builds the runner of scripts", How::Npm(Package::Wizer));
    }
    if scope >= Scope::Test {
        let how = if scope == Scope::Actions { How::RustupOrDebian } else { How::RustupOnly };
        need(Toolchain::find()?.is_some(), TARGET, "rebuilds the actions", how);
    }
    Ok(missing)
}

/// What installing will run, for people.
fn plan(places: &Places, how: How) -> String {
    match how {
        How::Debian(packages) => shown(&debian_install(packages)),
        How::Npm(package) => shown(&npm_install(places, package)),
        How::Crate(tool) => shown(&crate_install(places, tool)),
        How::RustupOnly => format!("{} (goes on without it)", shown(&rustup_install())),
        How::RustupOrDebian => {
            format!("{} (else {})", shown(&rustup_install()), shown(&debian_install(DEBIAN_PACKAGES)))
        }
    }
}

fn install(places: &Places, missing: &[Missing]) -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    for item in missing {
        if let How::Debian(more) = item.how {
            packages.extend(more);
        }
    }
    install_debian(&packages)?;
    for item in missing {
        match item.how {
            How::Debian(_) => {}
            How::Npm(package) => command::run(&mut npm_install(places, package))?,
            How::Crate(tool) => install_crate(places, tool)?,
            How::RustupOnly => {
                if let Err(error) = run_within(RUSTUP_BOUND, &mut rustup_install()) {
                    eprintln!("!! no target {TARGET}, so the actions are not rebuilt: {error:#}");
                }
            }
            How::RustupOrDebian => {
                if let Err(error) = run_within(RUSTUP_BOUND, &mut rustup_install()) {
                    eprintln!("!! rustup gives no target {TARGET}, so Debian's compiler is taken: {error:#}");
                    install_debian(DEBIAN_PACKAGES)?;
                }
            }
        }
    }
    Ok(())
}

fn install_debian(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    on_path("apt-get").with_context(|| {
        format!("this is no Debian: install what its packages {} hold", packages.join(", "))
    })?;
    command::run(&mut as_root(&["apt-get", "update", "-q"]))?;
    command::run(&mut debian_install(packages))
}

fn debian_install(packages: &[&str]) -> Command {
    let mut command = as_root(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y"]);
    command.arg("--no-install-recommends").args(packages);
    command
}

/// The command as it is for root, through sudo for others.
fn as_root(words: &[&str]) -> Command {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let words: Vec<&str> = if root { words.to_vec() } else { [&["sudo"], words].concat() };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn npm_install(places: &Places, package: Package) -> Command {
    let (folder, package) = match package {
        Package::Anvil => (places.anvil(), ANVIL_PACKAGE),
        Package::Wizer => (places.wizer(), WIZER_PACKAGE),
        Package::TypeScript => (places.typescript(), TYPESCRIPT_PACKAGE),
    };
    let mut command = Command::new("npm");
    command.args(["install", "--no-save", "--no-fund", "--no-audit", "--prefix"]);
    command.arg(folder).arg(package);
    command
}

fn rustup_install() -> Command {
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]);
    command
}

fn crate_install(places: &Places, tool: Tool) -> Command {
    let mut command = cargo();
    command.args(["install", "--locked", "--no-default-features", "--features", tool.features]);
    command.arg("--root").arg(places.tools());
    command.arg(format!("{}@{}", tool.name, tool.version));
    command
}

/// Builds outside of the workspace's target folder, and keeps only the program.
fn install_crate(places: &Places, tool: Tool) -> Result<()> {
    let target = places.tools().join("target");
    command::run(crate_install(places, tool).env("CARGO_TARGET_DIR", &target))?;
    fs::remove_dir_all(&target).with_context(|| format!("{} cannot be removed", target.display()))
}

/// Whether the library and its own headers are where bindgen looks.
fn has_libclang() -> bool {
    let headers = ["/usr/lib/clang", "/usr/lib/llvm-*/lib/clang"];
    let libraries = ["/usr/lib/llvm-*/lib", "/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/local/lib"];
    let is_library = |name: &str| {
        name.starts_with("libclang.so")
            || (name.starts_with("libclang-") && !name.starts_with("libclang-cpp"))
    };
    let holds = |pattern: &str, wanted: &dyn Fn(&str) -> bool| {
        folders(pattern).iter().flat_map(|folder| names(folder)).any(|name| wanted(&name))
    };
    env::var_os("LIBCLANG_PATH").is_some()
        || (libraries.iter().any(|pattern| holds(pattern, &is_library))
            && headers.iter().any(|pattern| holds(pattern, &|_| true)))
}

/// The folders of a pattern in which one component may hold one `*`.
fn folders(pattern: &str) -> Vec<std::path::PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![pattern.into()];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let (suffix, rest) = after.split_once('/').unwrap_or((after, ""));
    names(Path::new(parent))
        .into_iter()
        .filter(|name| name.starts_with(prefix) && name.ends_with(suffix))
        .map(|name| Path::new(parent).join(name).join(rest))
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_folders() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["llvm-14/lib", "llvm-19/lib", "gcc/lib"] {
            fs::create_dir_all(folder.path().join(path)).expect("created");
        }
        let pattern = format!("{}/llvm-*/lib", folder.path().display());
        let mut found = folders(&pattern);
        found.sort();
        assert_eq!(found, ["llvm-14/lib", "llvm-19/lib"].map(|path| folder.path().join(path)));
        assert_eq!(folders("/usr/lib"), [Path::new("/usr/lib")]);
        assert_eq!(folders("/no/such/*/folder").len(), 0);
    }

    #[test]
    fn without_consent_and_terminal_nothing_is_installed() {
        let places = Places { root: "/r".into(), cache: "/c".into() };
        let missing = [Missing { what: "anvil", why: "the dev chain", how: How::Npm(Package::Anvil) }];
        if !io::stdin().is_terminal() {
            assert!(agreed(&places, &missing, Consent::Ask, true).is_err());
            assert!(!agreed(&places, &missing, Consent::Ask, false).expect("optional"));
        }
        assert!(agreed(&places, &missing, Consent::Given, true).expect("given"));
    }

    #[test]
    fn the_plan_says_what_will_be_run() {
        let places = Places { root: "/r".into(), cache: "/c".into() };
        assert!(
            plan(&places, How::Debian(&["libclang-dev"])).ends_with("--no-install-recommends libclang-dev")
        );
        assert!(
            plan(&places, How::Npm(Package::Anvil)).contains("--prefix /c/anvil @foundry-rs/anvil@1.7.1")
        );
        assert!(plan(&places, How::Crate(DENY)).contains("--root /c/tools cargo-deny@"));
    }
}
