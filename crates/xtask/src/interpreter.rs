//! What the JavaScript runner is built with, besides Rust: a C compiler for the interpreter, and wizer, which
//! starts it once and keeps the memory.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    command::{on_path, output},
    places::Places,
    toolchain::{TARGET, Toolchain},
    tools::packaged,
};

/// The guest that is built with it.
pub(crate) const RUNNER: &str = "javascript-runner";
/// Debian's packages of compiler and archiver.
pub(crate) const DEBIAN_CLANG: &[&str] = &["clang-19", "llvm-19"];
/// The npm package of wizer, with its version.
pub(crate) const WIZER_PACKAGE: &str = "@bytecodealliance/wizer@11.0.3";

const CLANG: &str = "clang-19";
const ARCHIVER: &str = "llvm-ar-19";
/// Assertions name files, whose paths are this machine's: their last part is enough.
const C_FLAGS: &str = "-Wno-builtin-macro-redefined -D__FILE__=__FILE_NAME__";

/// The programs.
#[derive(Debug, Clone)]
pub(crate) struct Interpreter {
    name: String,
    wizer: PathBuf,
}

impl Interpreter {
    /// Finds them; none if one is missing.
    pub(crate) fn find(places: &Places) -> Result<Option<Self>> {
        let (true, Some(wizer)) = (has_clang(), wizer(places)) else { return Ok(None) };
        let clang = output(Command::new(CLANG).arg("--version"))?;
        let clang = clang.lines().next().unwrap_or_default();
        let (_, version) = WIZER_PACKAGE.rsplit_once('@').context("the package has a version")?;
        Ok(Some(Self { name: format!("{clang}, wizer {version}"), wizer }))
    }

    /// Everything about them that the bytes of the runner may depend on.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A build of the runner that is staged in `stage`, with the flags that the other guests have.
    pub(crate) fn build(
        &self,
        toolchain: &Toolchain,
        stage: &Path,
        remapped: &[(PathBuf, String)],
    ) -> Result<Command> {
        let variable = |name: &str| format!("{name}_{}", TARGET.replace('-', "_"));
        let linker = stage.join("actions").join(RUNNER).join("link/wasm-ld");
        let mut command = toolchain.cargo("rustc", remapped)?;
        command
            .args(["--package", RUNNER, "--"])
            .arg(format!("-Clink-arg=--wasm-ld-path={}", linker.display()))
            .env(variable("CC"), CLANG)
            .env(variable("AR"), ARCHIVER)
            .env(variable("CFLAGS"), C_FLAGS)
            .env("WASM_LD", toolchain.wasm_ld())
            .env("WIZER", &self.wizer);
        Ok(command)
    }
}

/// Whether compiler and archiver are there.
pub(crate) fn has_clang() -> bool {
    [CLANG, ARCHIVER].iter().all(|program| on_path(program).is_some())
}

/// wizer, where set-up installed it: in a package of its own for each platform.
pub(crate) fn wizer(places: &Places) -> Option<PathBuf> {
    packaged_wizer(&places.wizer())
}

fn packaged_wizer(folder: &Path) -> Option<PathBuf> {
    packaged(folder, "@bytecodealliance", "wizer")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn wizer_is_found_in_its_platforms_package() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(packaged_wizer(folder.path()), None);
        let package = folder.path().join("node_modules/@bytecodealliance/wizer-linux-x64");
        fs::create_dir_all(&package).expect("created");
        fs::write(package.join("wizer"), "").expect("written");
        assert_eq!(packaged_wizer(folder.path()), Some(package.join("wizer")));
    }
}
