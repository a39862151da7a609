//! That everything which the pure crates' settings of clippy ban is reported. A ban of what does not exist under that
//! name, or no longer, reports nothing either.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use toml::{Table, Value};

use super::ALLOWED;
use crate::{command::shown, places::Places, toolchain::cargo};

/// A use of everything that is banned.
const USES: &str = include_str!("banned.rs");
/// The crate of which something is banned besides the standard library.
const DEPENDENCY: &str = "rand_core";

/// Has clippy look at [`USES`] with the pure crates' settings.
pub(super) fn check(places: &Places) -> Result<()> {
    let settings = settings(places)?;
    let package = write_package(places, &settings)?;
    check_reports(&settings, &clippy(&package)?)
}

/// The settings, which are the same for all.
fn settings(places: &Places) -> Result<String> {
    let folder = |name: &str| places.root.join("crates").join(name.trim_start_matches("countersign-"));
    let [first, others @ ..] = ALLOWED.map(|(name, _)| folder(name).join("clippy.toml"));
    let settings = read(&first)?;
    for other in others {
        ensure!(read(&other)? == settings, "{} and {} differ", first.display(), other.display());
    }
    Ok(settings)
}

/// Makes a package of the uses, with the workspace's version of the one dependency.
fn write_package(places: &Places, settings: &str) -> Result<PathBuf> {
    let workspace: Table = read(&places.root.join("Cargo.toml"))?.parse()?;
    let dependency = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies")?.get(DEPENDENCY))
        .with_context(|| format!("the workspace does not depend on {DEPENDENCY}"))?;
    let mut manifest: Table =
        "workspace = {}\npackage = { name = \"banned\", edition = \"2024\" }".parse()?;
    let dependencies = Table::from_iter([(DEPENDENCY.to_owned(), dependency.clone())]);
    manifest.insert("dependencies".into(), Value::Table(dependencies));
    let package = places.cache.join("purity");
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("Cargo.toml"), toml::to_string(&manifest)?)?;
    fs::write(package.join("clippy.toml"), settings)?;
    fs::write(package.join("src/lib.rs"), USES)?;
    fs::copy(places.root.join("Cargo.lock"), package.join("Cargo.lock"))?;
    Ok(package)
}

/// What clippy says of a package, a JSON document a line.
fn clippy(package: &Path) -> Result<String> {
    let mut command = cargo();
    command.args(["clippy", "--quiet", "--message-format", "json", "--target-dir", "target"]);
    let output = command.current_dir(package).env_remove("RUSTFLAGS").output()?;
    let said = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{} in {} failed: {errors}{said}", shown(&command), package.display());
    }
    Ok(said)
}

/// A line of what cargo says, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Message {
    /// `use of a disallowed method `std::fs::read``, if it is that.
    message: String,
}

/// The file as text.
fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn check_reports(settings: &str, said: &str) -> Result<()> {
    let mut silent: BTreeSet<String> = banned(settings)?;
    for line in said.lines() {
        let line: Line = serde_json::from_str(line).context("cargo says something unexpected")?;
        let report = line.message.map(|message| message.message).unwrap_or_default();
        if let Some(path) =
            report.strip_prefix("use of a disallowed ").and_then(|rest| rest.split('`').nth(1))
        {
            silent.remove(path);
        }
    }
    if !silent.is_empty() {
        let silent: Vec<String> = silent.into_iter().collect();
        bail!(
            "clippy does not report the use of {}, which the clippy.toml of the pure crates bans: write it as it is \
             called now, and use it in crates/xtask/src/purity/banned.rs",
            silent.join(", ")
        );
    }
    Ok(())
}

/// The paths in all lists of bans.
fn banned(settings: &str) -> Result<BTreeSet<String>> {
    let lists: Table = settings.parse().context("clippy.toml cannot be read")?;
    let entries = lists.values().filter_map(Value::as_array).flatten();
    let path = |entry: &Value| Some(entry.get("path")?.as_str()?.to_owned());
    entries.map(|entry| path(entry).with_context(|| format!("a ban without a path: {entry}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"
        disallowed-methods = [{ path = "std::fs::read", reason = "no files" }, { path = "std::fs::raed" }]
        disallowed-types = [{ path = "std::fs::File" }]
    "#;

    fn report(kind: &str, path: &str) -> String {
        let message = format!("use of a disallowed {kind} `{path}`");
        serde_json::json!({ "reason": "compiler-message", "message": { "message": message } }).to_string()
    }

    #[test]
    fn a_ban_that_is_never_reported_is_noticed() {
        let said = [
            report("method", "std::fs::read"),
            report("type", "std::fs::File"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let error = check_reports(SETTINGS, &said.join("\n")).expect_err("one is not reported").to_string();
        assert!(error.contains("the use of std::fs::raed,"), "{error}");
        let all = [said.join("\n"), report("method", "std::fs::raed")].join("\n");
        assert!(check_reports(SETTINGS, &all).is_ok());
    }

    #[test]
    fn the_settings_of_the_pure_crates_are_the_same() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let places = Places { root, cache: PathBuf::new() };
        let banned = banned(&settings(&places).expect("the same")).expect("bans");
        for some in ["std::time::Instant::now", "std::path::Path::exists", "rand_core::OsRng"] {
            assert!(banned.contains(some), "{some}");
        }
    }
}
