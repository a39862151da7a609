//! Fuzz targets: what there is, how they are built, and what they find.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    command::{run, run_keeping},
    places::Places,
    report::Went,
    tools::FUZZ,
};

/// An input that takes longer than this is a finding, in seconds.
const INPUT_SECONDS: u64 = 60;
/// A program that takes more than this is a finding, in MiB.
const MEMORY_MIB: u64 = 2048;
/// The longest input that is tried where nothing is said of the target, in bytes.
const INPUT_BYTES: u64 = 4096;

/// The names of the targets, sorted: all, or those that are named.
pub(crate) fn targets(places: &Places, named: &[String]) -> Result<Vec<String>> {
    let folder = places.fuzz().join("fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let name = |path: PathBuf| {
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        is_rust.then(|| Some(path.file_stem()?.to_str()?.to_owned())).flatten()
    };
    let mut all: Vec<String> = entries.filter_map(|entry| name(entry.ok()?.path())).collect();
    all.sort();
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target {unknown}; there are {}", all.join(", "));
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}

/// Builds all targets.
pub(crate) fn build(places: &Places) -> Result<()> {
    run(&mut cargo_fuzz(places, "build")?)
}

/// Runs a target for so many seconds. What it learns stays in `fuzz/corpus`, and what it finds in `fuzz/artifacts`.
pub(crate) fn fuzz(places: &Places, target: &str, seconds: u64) -> Result<Went> {
    let longest = longest_input(places, target)?;
    let learnt = places.fuzz().join("corpus").join(target);
    fs::create_dir_all(&learnt).with_context(|| format!("{} cannot be made", learnt.display()))?;
    let mut command = cargo_fuzz(places, "run")?;
    // new inputs are written to the first folder
    command.arg(target).arg(&learnt).arg(places.corpora().join(target));
    command.arg("--").arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={INPUT_SECONDS}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MIB}")).arg(format!("-max_len={longest}"));
    command.arg("-print_final_stats=1");
    let (status, said) = run_keeping(&mut command, |line| is_statistic(line) || artefact(line).is_some())?;
    if status.success() {
        return Ok(Went::Well(statistics(&said)));
    }
    let Some(found) = said.iter().rev().find_map(|line| artefact(line)) else {
        bail!("{target}: {status}, and no input was left");
    };
    bail!(
        "{target} found something: {found}; run it again with `cargo fuzz run {OPTIONS} {target} {found}`, and keep \
         it in {} when it is mended: `cargo xtask test` runs it from there on",
        places.corpora().join(target).strip_prefix(&places.root).unwrap_or(Path::new("")).display(),
        OPTIONS = OPTIONS.join(" "),
    )
}

/// What the manifest of the programs says of targets.
#[derive(Deserialize)]
struct Manifest {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    #[serde(default)]
    longest_inputs: BTreeMap<String, u64>,
}

/// The longest input of a target that is tried, in bytes.
fn longest_input(places: &Places, target: &str) -> Result<u64> {
    let path = places.fuzz().join("Cargo.toml");
    let manifest = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let manifest: Manifest =
        toml::from_str(&manifest).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(manifest.package.metadata.longest_inputs.get(target).copied().unwrap_or(INPUT_BYTES))
}

/// What is built runs on a stable toolchain: coverage is LLVM's, and no sanitizer is linked in, as there is no unsafe
/// code here for it to watch. Conditional code for fuzzers is left out: dependencies are fuzzed as they are shipped.
const OPTIONS: [&str; 4] = ["--sanitizer", "none", "--no-cfg-fuzzing", "--codegen-units=16"];

fn cargo_fuzz(places: &Places, subcommand: &str) -> Result<Command> {
    let mut command = FUZZ.command(places)?;
    command.args(["fuzz", subcommand]).args(OPTIONS);
    command.arg("--target-dir").arg(places.fuzz_build()).current_dir(&places.root);
    Ok(command)
}

fn is_statistic(line: &str) -> bool {
    line.starts_with("stat::")
}

/// The file of a finding, from the line that tells of it.
fn artefact(line: &str) -> Option<&str> {
    line.split_once("Test unit written to ").map(|(_, path)| path.trim())
}

/// How many inputs there were, and how many a second.
fn statistics(said: &[String]) -> String {
    let value = |name: &str| {
        let line = said.iter().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line.map(|value| value.trim_start_matches(':').trim().to_owned()).unwrap_or_default()
    };
    format!("{} inputs, {}/s", value("number_of_executed_units"), value("average_exec_per_sec"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_and_statistics_are_read() {
        let line = "artifact_prefix='/r/fuzz/artifacts/hello/'; Test unit written to /r/fuzz/artifacts/hello/crash-1";
        assert_eq!(artefact(line), Some("/r/fuzz/artifacts/hello/crash-1"));
        assert_eq!(artefact("INFO: seed corpus: files: 1"), None);
        let said = ["stat::number_of_executed_units: 4096", "stat::average_exec_per_sec:     2048"];
        assert_eq!(statistics(&said.map(str::to_owned)), "4096 inputs, 2048/s");
    }

    #[test]
    fn the_longest_input_is_what_the_manifest_says_of_the_target() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places { root: folder.path().into(), cache: "/c".into() };
        fs::create_dir_all(places.fuzz()).expect("created");
        let write = |manifest: &str| fs::write(places.fuzz().join("Cargo.toml"), manifest).expect("written");
        let manifest = "[package]\nname = \"a\"\n[package.metadata]\ncargo-fuzz = true\n";
        write(manifest);
        assert_eq!(longest_input(&places, "long").expect("nothing is said"), INPUT_BYTES);
        write(&format!("{manifest}[package.metadata.longest-inputs]\nlong = 262_144\n"));
        assert_eq!(longest_input(&places, "long").expect("it is said"), 256 << 10);
        assert_eq!(longest_input(&places, "short").expect("nothing is said"), INPUT_BYTES);
        write(&format!("{manifest}[package.metadata.longest-inputs]\nlong = \"much\"\n"));
        assert!(longest_input(&places, "long").is_err());
    }

    #[test]
    fn targets_are_those_of_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places { root: folder.path().into(), cache: "/c".into() };
        let programs = places.fuzz().join("fuzz_targets");
        fs::create_dir_all(&programs).expect("created");
        for name in ["b.rs", "a.rs", "notes.txt"] {
            fs::write(programs.join(name), "").expect("written");
        }
        assert_eq!(targets(&places, &[]).expect("two"), ["a", "b"]);
        assert_eq!(targets(&places, &["b".into()]).expect("one"), ["b"]);
        let error = targets(&places, &["c".into()]).expect_err("unknown");
        assert_eq!(error.to_string(), "there is no fuzz target c; there are a, b");
    }
}
