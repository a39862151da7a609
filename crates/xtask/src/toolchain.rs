//! The toolchain that builds guests for WebAssembly.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::command::{output, path_with};

/// The target that guests are built for.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
/// Debian's newer Rust, and the source of its standard library.
pub(crate) const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "rust-web-src"];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
/// Where the standard library's own paths point to in a component, as in rustup's builds of it.
const LIBRARY_PREFIX: &str = "/rustc";

/// A way to build for [`TARGET`].
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    name: String,
    /// rustup's linkers for WebAssembly, which come with every toolchain.
    linkers: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The toolchain in use, which has the target's standard library.
    Rustup,
    /// Debian's compiler, which builds its standard library from source.
    Debian,
}

impl Toolchain {
    /// The toolchain in use if it has the target, else Debian's, else none.
    pub(crate) fn find() -> Result<Option<Self>> {
        let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
        let rustc = Version::of("rustc")?;
        let linkers = sysroot.join("lib/rustlib").join(&rustc.host).join("bin");
        let on = format!("on {}", rustc.host);
        if !linkers.join("wasm-component-ld").is_file() {
            return Ok(None);
        }
        if sysroot.join("lib/rustlib").join(TARGET).is_dir() {
            let name = format!("rustc {} {on}", rustc.version);
            return Ok(Some(Self { name, linkers, kind: Kind::Rustup }));
        }
        if Path::new(DEBIAN_LIBRARY).is_file() && Path::new(DEBIAN_RUSTC).is_file() {
            let debian = Version::of(DEBIAN_RUSTC)?;
            let name =
                format!("Debian's rustc {} with cargo and linkers of {} {on}", debian.version, rustc.version);
            return Ok(Some(Self { name, linkers, kind: Kind::Debian }));
        }
        Ok(None)
    }

    /// Everything about the toolchain that the bytes of a component may depend on.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The linker for core modules.
    pub(crate) fn wasm_ld(&self) -> PathBuf {
        self.linkers.join("gcc-ld/wasm-ld")
    }

    /// A `cargo build`, or another subcommand that builds, for [`TARGET`] that links components; `remapped` are
    /// folders, and what stands for them in the component.
    pub(crate) fn cargo(&self, build: &str, remapped: &[(PathBuf, String)]) -> Result<Command> {
        let linker = self.linkers.join("wasm-component-ld");
        let mut flags = vec!["-Clinker-flavor=wasm-ld".to_owned(), format!("-Clinker={}", linker.display())];
        flags
            .extend(remapped.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())));
        let mut command = cargo();
        command.args([build, "--release", "--locked", "--target", TARGET]);
        if self.kind == Kind::Debian {
            let library = Path::new(DEBIAN_LIBRARY).ancestors().nth(3).unwrap_or(Path::new("/"));
            for from in [library.to_owned(), library.canonicalize()?] {
                flags.push(format!("--remap-path-prefix={}={LIBRARY_PREFIX}", from.display()));
            }
            command
                .args(["-Zbuild-std=std,panic_abort"])
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
        }
        command
            .env("PATH", path_with(&self.linkers.join("gcc-ld"))?)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env_remove("RUSTFLAGS")
            .env_remove("LD_LIBRARY_PATH");
        Ok(command)
    }
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

struct Version {
    version: String,
    host: String,
}

impl Version {
    fn of(rustc: &str) -> Result<Self> {
        let text = output(Command::new(rustc).arg("-vV").env_remove("LD_LIBRARY_PATH"))?;
        Self::parse(&text).with_context(|| format!("{rustc} -vV prints something unexpected: {text}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let version = text.lines().next()?.strip_prefix("rustc ")?.to_owned();
        let host = text.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        Some(Self { version, host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_host_are_read() {
        let text = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n";
        let version = Version::parse(text).expect("a version");
        assert_eq!(version.version, "1.95.0 (59807616e 2026-04-14)");
        assert_eq!(version.host, "x86_64-unknown-linux-gnu");
        assert!(Version::parse("clang 19").is_none());
    }
}
