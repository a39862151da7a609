//! Networks for tests of other packages: in a temporary folder, that goes when the test ends.

use std::path::Path;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::{Network, Plan};

/// A network of which nothing runs yet, and the folder that it lies in. Its nodes run the program `countersign` that was built
/// beside `program`, a program of the same build.
pub fn network(nodes: u16, threshold: u16, program: &Path) -> Result<(Network, TempDir)> {
    let countersign = program.with_file_name("countersign");
    ensure!(countersign.exists(), "the program is not built: run `cargo build --workspace --all-targets`");
    let folder = TempDir::new()?;
    let plan = Plan { nodes, threshold, folder: folder.path().join("network"), program: countersign };
    Ok((Network::open(plan)?, folder))
}
