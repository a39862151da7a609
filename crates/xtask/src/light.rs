//! What a client links: it checks signatures and receipts, and has no use for the host that runs actions.

use std::{collections::BTreeSet, process::Command};

use anyhow::{Result, bail};

use crate::{
    command::{output, run},
    places::Places,
    toolchain::cargo,
};

/// The crates that programs of others use.
const LIGHT: [&str; 2] = ["countersign-client", "countersign-receipt"];
/// How the names begin of what takes minutes to compile, and only runs actions.
const HEAVY: [&str; 2] = ["wasmtime", "cranelift"];

/// Checks what these crates depend on, each with its own features only, and that they compile so: in the workspace they are
/// only ever built with the features that others of it ask for.
pub(crate) fn check(places: &Places) -> Result<()> {
    for package in LIGHT {
        check_tree(package, &output(tree(package).current_dir(&places.root))?)?;
    }
    let packages = LIGHT.iter().flat_map(|package| ["--package", package]);
    run(cargo().args(["check", "--locked"]).args(packages).current_dir(&places.root))
}

/// What a crate depends on, a line for each, but for its tests.
fn tree(package: &str) -> Command {
    let mut command = cargo();
    command.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package", package]);
    command
}

fn check_tree(package: &str, tree: &str) -> Result<()> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let heavy: BTreeSet<&str> =
        names.filter(|name| HEAVY.iter().any(|heavy| name.starts_with(heavy))).collect();
    if !tree.starts_with(package) {
        bail!("cargo tree says nothing of {package}: {tree}");
    }
    if !heavy.is_empty() {
        let heavy: Vec<&str> = heavy.into_iter().collect();
        bail!("{package} is for clients, which run no actions, and it depends on {}", heavy.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tree_of(package: &str, features: &[&str]) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        output(tree(package).args(features).args(["--offline"]).current_dir(root)).expect("a tree")
    }

    #[test]
    fn a_host_of_actions_in_a_client_is_noticed() {
        let package = "countersign-receipt";
        let error =
            check_tree(package, &tree_of(package, &["--features", "replay"])).expect_err("it replays");
        for heavy in HEAVY {
            assert!(error.to_string().contains(heavy), "{error}");
        }
        assert!(check_tree(package, &tree_of(package, &[])).is_ok());
    }

    #[test]
    fn a_tree_of_nothing_is_no_light_one() {
        assert!(check_tree("countersign-receipt", "").is_err());
        assert!(check_tree("countersign-receipt", "countersign-receipt v0.1.0\nserde v1.0.0\n").is_ok());
    }
}
