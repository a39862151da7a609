//! `cargo xtask mutants`: the core, broken in one place at a time, and the seeds that catch it.

use std::{env, path::Path};

use anyhow::Result;

use crate::{command::run, places::Places, test::target, tools::NEXTEST};

/// Builds simulator and core with the defects, and hunts each.
///
/// Only what the workspace itself compiles is told of the defects: it lies apart from every other build, what is run in a
/// folder of its own, and all dependencies are those of the tests.
pub(crate) fn hunt(places: &Places) -> Result<()> {
    let target = target(places);
    let mut command = NEXTEST.command(places)?;
    command.args(["nextest", "run", "--workspace", "--locked", "--success-output", "immediate"]);
    command.args(["--test", "core_mutants", "--test", "marks"]);
    command
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper(&places.root))
        .env(
            "CARGO_BUILD_BUILD_DIR",
            env::var_os("CARGO_BUILD_BUILD_DIR").unwrap_or_else(|| target.clone().into()),
        )
        .env("CARGO_TARGET_DIR", target.join("mutants"));
    run(command.current_dir(&places.root))
}

fn wrapper(root: &Path) -> std::path::PathBuf {
    root.join("crates/xtask/with-defects")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_wrapper_adds_the_defects_and_nothing_else() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let tell = r#"printenv CARGO_BIN_EXE_a-b; for word; do echo "$word"; done"#;
        let mut command = Command::new(wrapper(&root));
        command.args(["bash", "-c", tell, "bash", "a b", "c"]).env("CARGO_BIN_EXE_a-b", "there");
        let said = command.output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&said.stdout), "there\na b\nc\n--cfg\ncountersign_mutants\n");
    }
}
