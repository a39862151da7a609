//! `cargo xtask mutants`: the core, broken in one place at a time, and the seeds that catch it.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{command::run, places::Places, test::target, tools::NEXTEST};

/// What the compiler is told so that the core holds its defects.
const FLAGS: &str = "--cfg countersign_mutants";

/// Builds simulator and core with the defects, in a target folder of their own so that no other build meets them, and
/// hunts each.
pub(crate) fn hunt(places: &Places) -> Result<()> {
    let mut command = NEXTEST.command(places)?;
    command.args(["nextest", "run", "--package", "countersign-sim", "--locked"]);
    command.args(["--test", "core_mutants", "--test", "marks", "--success-output", "immediate"]);
    command
        .env("RUSTFLAGS", flags(env::var("RUSTFLAGS").ok()))
        .env("CARGO_TARGET_DIR", folder(&target(places)));
    run(command.current_dir(&places.root))
}

/// Where they are built.
fn folder(target: &Path) -> PathBuf {
    target.join("mutants")
}

/// The compiler's flags, besides those that are set.
fn flags(set: Option<String>) -> String {
    match set.filter(|set| !set.is_empty()) {
        Some(set) => format!("{set} {FLAGS}"),
        None => FLAGS.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_are_set_are_kept() {
        assert_eq!(flags(None), FLAGS);
        assert_eq!(flags(Some(String::new())), FLAGS);
        assert_eq!(flags(Some("-D warnings".into())), format!("-D warnings {FLAGS}"));
    }

    #[test]
    fn defects_are_built_apart() {
        assert_eq!(folder(Path::new("/t")), Path::new("/t/mutants"));
    }
}
