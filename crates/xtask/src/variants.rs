//! Simulator and core as they are in no program that is shipped: broken on purpose, or with curves that are toys.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{command::run, places::Places, test::target, toolchain::cargo, tools::NEXTEST};

/// One such build. Only what the workspace itself compiles is told of it: it lies apart from every other build, what is run in a
/// folder of its own, and all dependencies are those of the tests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    /// Its folder in the target folder; and `with-` it the wrapper that compiles it.
    name: &'static str,
    /// The tests that are there for it.
    test: &'static str,
}

/// The core, broken in one place at a time, and the seeds that catch it.
pub(crate) const MUTANTS: Variant = Variant { name: "mutants", test: "core_mutants" };

/// Keys and signatures that cost next to nothing and protect nothing.
pub(crate) const TOY_CURVES: Variant = Variant { name: "toy-curves", test: "toy_curves" };

impl Variant {
    /// Builds and runs its tests.
    pub(crate) fn test(self, places: &Places) -> Result<()> {
        let mut command = NEXTEST.command(places)?;
        command.args(["nextest", "run", "--workspace", "--locked", "--success-output", "immediate"]);
        command.args(["--test", self.test, "--test", "marks"]);
        run(self.told(places, &mut command))
    }

    /// Builds the simulator; says where it is.
    pub(crate) fn simulator(self, places: &Places) -> Result<PathBuf> {
        let mut command = cargo();
        command.args(["build", "--workspace", "--locked", "--bin", "countersign-sim"]);
        run(self.told(places, &mut command))?;
        Ok(self.target(places).join("debug/countersign-sim"))
    }

    fn told<'a>(self, places: &Places, command: &'a mut Command) -> &'a mut Command {
        let dependencies =
            env::var_os("CARGO_BUILD_BUILD_DIR").unwrap_or_else(|| OsString::from(target(places)));
        command
            .env("RUSTC_WORKSPACE_WRAPPER", self.wrapper(&places.root))
            .env("CARGO_BUILD_BUILD_DIR", dependencies)
            .env("CARGO_TARGET_DIR", self.target(places))
            .current_dir(&places.root)
    }

    fn target(self, places: &Places) -> PathBuf {
        target(places).join(self.name)
    }

    fn wrapper(self, root: &Path) -> PathBuf {
        root.join("crates/xtask").join(format!("with-{}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrappers_add_what_they_are_named_after_and_nothing_else() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let tell = r#"printenv CARGO_BIN_EXE_a-b; for word; do echo "$word"; done"#;
        for (variant, cfg) in [(MUTANTS, "countersign_mutants"), (TOY_CURVES, "countersign_toy_curves")] {
            let mut command = Command::new(variant.wrapper(&root));
            command.args(["bash", "-c", tell, "bash", "a b", "c"]).env("CARGO_BIN_EXE_a-b", "there");
            let said = command.output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&said.stdout), format!("there\na b\nc\n--cfg\n{cfg}\n"));
        }
    }
}
