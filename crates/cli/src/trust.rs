//! What is trusted where nobody is asked: a genesis, and root keys that every member activated.

use std::path::PathBuf;

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
        files::json_file(&self.genesis, "genesis")
    }

    pub(crate) fn trust(&self) -> Result<Trust, Exit> {
        let root_keys: RootKeys = files::json_file(&self.root_keys, "file of root keys")?;
        Trust::new(&self.genesis()?, root_keys).map_err(Exit::invalid)
    }
}
