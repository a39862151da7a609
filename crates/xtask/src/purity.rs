//! The crates without clock, entropy, socket, file or task: what they may depend on, and what clippy lets them use.

mod bans;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{command::output, places::Places, toolchain::cargo};

/// Direct dependencies that the pure crates may have; those of tests are free. Randomness is passed in, so
/// `rand_core` is here for its traits.
const ALLOWED: [(&str, &[&str]); 3] = [
    (
        "countersign-agreement",
        &["alloy-primitives", "countersign-threshold", "countersign-types", "serde", "thiserror"],
    ),
    (
        "countersign-session",
        &[
            "alloy-primitives",
            "countersign-agreement",
            "countersign-threshold",
            "countersign-types",
            "rand_core",
            "serde",
            "thiserror",
        ],
    ),
    (
        "countersign-threshold",
        &[
            "countersign-types",
            "frost-core",
            "frost-ed25519",
            "frost-secp256k1",
            "frost-secp256k1-tr",
            "rand_core",
            "serde",
            "thiserror",
            "zeroize",
        ],
    ),
];

/// Checks the direct dependencies of the pure crates, and that clippy reports what is banned in them.
pub(crate) fn check(places: &Places) -> Result<()> {
    let metadata =
        output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&places.root))?;
    check_metadata(&metadata)?;
    bans::check(places)
}

/// What `cargo metadata` says, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or none for what the crate itself uses.
    kind: Option<String>,
}

fn check_metadata(json: &str) -> Result<()> {
    let metadata: Metadata = serde_json::from_str(json).context("cargo metadata cannot be read")?;
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    for (name, allowed) in ALLOWED {
        let package = packages.get(name).with_context(|| format!("there is no crate {name}"))?;
        let foreign: Vec<&str> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| dependency.name.as_str())
            .filter(|dependency| !allowed.contains(dependency))
            .collect();
        if !foreign.is_empty() {
            bail!(
                "{name} may depend on {} only, and it depends on {}: pass in what it needs from outside",
                allowed.join(", "),
                foreign.join(", ")
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(session: &str) -> String {
        format!(
            r#"{{"packages":[{{"name":"countersign-agreement","dependencies":[]}},
                {{"name":"countersign-threshold","dependencies":[]}},
                {{"name":"countersign-session","dependencies":[{session}]}}]}}"#
        )
    }

    #[test]
    fn a_runtime_in_a_pure_crate_is_noticed() {
        assert!(check_metadata(&metadata(r#"{"name":"serde","kind":null}"#)).is_ok());
        assert!(check_metadata(&metadata(r#"{"name":"tokio","kind":"dev"}"#)).is_ok());
        for kind in ["null", r#""build""#] {
            let json = metadata(&format!(r#"{{"name":"tokio","kind":{kind}}}"#));
            let error = check_metadata(&json).expect_err("tokio is not listed").to_string();
            assert!(error.contains("it depends on tokio"), "{error}");
        }
    }

    #[test]
    fn a_pure_crate_that_is_gone_is_noticed() {
        assert!(check_metadata(r#"{"packages":[]}"#).is_err());
    }
}
