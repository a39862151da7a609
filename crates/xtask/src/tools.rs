//! Programs that set-up provides, and where they are found.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    command::{on_path, path_with},
    places::Places,
};

/// A program from the package registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    /// The crate, and the program.
    pub(crate) name: &'static str,
    /// The version that set-up installs.
    pub(crate) version: &'static str,
    /// The features that it is built with, as `cargo install` takes them.
    pub(crate) features: &'static str,
    /// Why it is wanted.
    pub(crate) why: &'static str,
}

/// Runs the tests.
pub(crate) const NEXTEST: Tool =
    Tool { name: "cargo-nextest", version: "0.9.143", features: "default-no-update", why: "runs the tests" };
/// Checks dependencies.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    features: "",
    why: "checks licences, sources, bans and advisories",
};
/// Finds dependencies that nothing uses.
pub(crate) const MACHETE: Tool =
    Tool { name: "cargo-machete", version: "0.9.2", features: "", why: "finds unused dependencies" };

/// Builds and runs the fuzz targets.
pub(crate) const FUZZ: Tool =
    Tool { name: "cargo-fuzz", version: "0.13.2", features: "", why: "builds and runs the fuzz targets" };

/// The npm package of the dev chain, with its version.
pub(crate) const ANVIL_PACKAGE: &str = "@foundry-rs/anvil@1.7.1";

impl Tool {
    /// Where the tool is: what set-up installed, else on the PATH.
    pub(crate) fn find(&self, places: &Places) -> Option<PathBuf> {
        let installed = places.tools().join("bin").join(self.name);
        if installed.is_file() { Some(installed) } else { on_path(self.name) }
    }

    /// A command that starts the tool.
    pub(crate) fn command(&self, places: &Places) -> Result<Command> {
        self.find(places).map(Command::new).with_context(|| format!("{} is not installed", self.name))
    }
}

/// The dev chain's program: on the PATH, else what set-up installed.
pub(crate) fn anvil(places: &Places) -> Option<PathBuf> {
    on_path("anvil").or_else(|| packaged(&places.anvil(), "@foundry-rs", "bin/anvil"))
}

/// Puts the dev chain on the PATH of a command.
pub(crate) fn with_anvil<'a>(places: &Places, command: &'a mut Command) -> Result<&'a mut Command> {
    match anvil(places).as_deref().and_then(Path::parent) {
        Some(folder) => Ok(command.env("PATH", path_with(folder)?)),
        None => Ok(command),
    }
}

/// A program of which npm has a package for each platform: in which of the scope's packages it lies.
pub(crate) fn packaged(folder: &Path, scope: &str, program: &str) -> Option<PathBuf> {
    let packages = fs::read_dir(folder.join("node_modules").join(scope)).ok()?;
    packages.filter_map(|package| Some(package.ok()?.path().join(program))).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dev_chain_is_found_in_its_platforms_package() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(packaged(folder.path(), "@foundry-rs", "bin/anvil"), None);
        let packages = folder.path().join("node_modules/@foundry-rs");
        fs::create_dir_all(packages.join("anvil")).expect("created");
        fs::create_dir_all(packages.join("anvil-linux-amd64/bin")).expect("created");
        let program = packages.join("anvil-linux-amd64/bin/anvil");
        fs::write(&program, "").expect("written");
        assert_eq!(packaged(folder.path(), "@foundry-rs", "bin/anvil"), Some(program));
    }
}
