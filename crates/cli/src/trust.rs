//! What is trusted where nobody is asked: a genesis, and root keys that every member activated.

use std::path::{Path, PathBuf};

use clap::Args;
use countersign_client::Trust;
use countersign_types::{Genesis, RootKeys};

use crate::{exit::Exit, files};

/// The variable that names the genesis file.
pub(crate) const GENESIS: &str = "COUNTERSIGN_GENESIS";
/// The variable that names the root keys.
pub(crate) const ROOT_KEYS: &str = "COUNTERSIGN_ROOT_KEYS";

/// Which network is trusted.
#[derive(Args)]
pub(crate) struct TrustArguments {
    /// The genesis file: which network is trusted.
    #[arg(long, env = GENESIS, default_value = "genesis.json")]
    genesis: PathBuf,
    /// The root keys: `root-keys.json` of any node. They count only with the activations of all members.
    #[arg(long, env = ROOT_KEYS, default_value = "root-keys.json")]
    root_keys: PathBuf,
}

impl TrustArguments {
    pub(crate) fn genesis(&self) -> Result<Genesis, Exit> {
        genesis_file(&self.genesis)
    }

    pub(crate) fn trust(&self) -> Result<Trust, Exit> {
        let root_keys: RootKeys = files::json_file(&self.root_keys, "file of root keys")
            .map_err(|exit| named(exit, &self.root_keys, "--root-keys", ROOT_KEYS))?;
        Trust::new(&self.genesis()?, root_keys).map_err(Exit::invalid)
    }
}

/// Reads a genesis; where there is none, with how to name another file.
pub(crate) fn genesis_file(path: &Path) -> Result<Genesis, Exit> {
    files::json_file(path, "genesis").map_err(|exit| named(exit, path, "--genesis", GENESIS))
}

/// What a file's absence is told with: a shell without the variables reads what lies in its folder by chance.
fn named(exit: Exit, path: &Path, option: &str, variable: &str) -> Exit {
    if path.exists() {
        return exit;
    }
    let message = format!(
        "{}: name the file with {option} or {variable}; of a test network: eval \"$(./testnet/status --env)\"",
        exit.message
    );
    Exit { message, ..exit }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn where_there_is_no_genesis_it_is_said_how_to_name_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("genesis.json");
        let absent = genesis_file(&path).expect_err("no file");
        for part in ["cannot read genesis", "--genesis", GENESIS, "testnet/status --env"] {
            assert!(absent.message.contains(part), "{absent}");
        }
        fs::write(&path, "{}").expect("written");
        let malformed = genesis_file(&path).expect_err("no genesis");
        assert!(!malformed.message.contains(GENESIS), "{malformed}");
    }
}
