//! What happens once in a node's life: its identity, then its place in a network.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

pub use countersign_store::KdfParameters;
use countersign_store::{CreateError, IdentityFile, IdentityFileError, Store};
use countersign_types::{Genesis, GenesisError, NetworkId, NodePublicKey};
use secrecy::SecretString;

use crate::{
    backup::{WriteError, write_new},
    config::{ConfigError, IDENTITY_FILE, NodeConfig, load_genesis},
};

/// The configuration file in a node's folder.
pub const CONFIG_FILE: &str = "node.toml";
/// The genesis file in a node's folder.
pub const GENESIS_FILE: &str = "genesis.json";

/// The node's public key, in clear, in a node's folder.
pub const PUBLIC_KEY_FILE: &str = "public-key";
/// The line of the example that names no passphrase file.
const PASSPHRASE_LINE: &str = "# file = \"passphrase\"";

/// The configuration that a new node starts from: every setting with its meaning.
pub const CONFIG_EXAMPLE: &str = include_str!("../node.example.toml");

/// Why a node's folder cannot be made, or the node not join.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The folder is in use.
    #[error("{} exists already: choose another folder, or remove it if it is not needed", path.display())]
    Exists {
        /// What exists.
        path: PathBuf,
    },
    /// A file cannot be written or read.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The sealed identity.
    #[error("the sealed identity cannot be used")]
    Identity(#[from] IdentityFileError),
    /// The genesis cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis makes no committee.
    #[error("the genesis is not valid")]
    Genesis(#[from] GenesisError),
    /// The node is no member.
    #[error(
        "the genesis does not list this node's public key {node}: create it anew with this key, or use another folder"
    )]
    NotAMember {
        /// The node.
        node: NodePublicKey,
    },
    /// The database cannot be made.
    #[error("cannot create the database")]
    Create(#[from] CreateError),
    /// No randomness.
    #[error("the system gives no randomness")]
    Randomness,
}

/// Makes a node's folder (mode 0700) with a fresh sealed identity, its public key for the genesis, and an example
/// configuration, which names the passphrase's file if it came from one.
pub fn init(
    folder: &Path,
    passphrase: &SecretString,
    passphrase_file: Option<&Path>,
    kdf: KdfParameters,
) -> Result<NodePublicKey, InitError> {
    let identity = folder.join(IDENTITY_FILE);
    if identity.exists() {
        return Err(InitError::Exists { path: identity });
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| InitError::Io { path: folder.into(), source })?;
    let key = IdentityFile::create(&identity, passphrase, kdf)?;
    let config = folder.join(CONFIG_FILE);
    if !config.exists() {
        write_new(&config, example(passphrase_file)?.as_bytes())?;
    }
    let public = folder.join(PUBLIC_KEY_FILE);
    fs::write(&public, format!("{}\n", key.public_key()))
        .map_err(|source| InitError::Io { path: public, source })?;
    Ok(key.public_key())
}

/// Makes the node a member of the network of `genesis`: copies the file into the folder and creates the
/// database that the configuration names.
pub fn join(
    folder: &Path,
    genesis: &Path,
    passphrase: &SecretString,
    kdf: KdfParameters,
) -> Result<NetworkId, InitError> {
    let identity = IdentityFile::open(&folder.join(IDENTITY_FILE), passphrase)?;
    let parsed: Genesis = load_genesis(genesis)?;
    let committee = parsed.committee()?;
    let node = identity.public_key();
    if committee.identifier(&node).is_none() {
        return Err(InitError::NotAMember { node });
    }
    let config = NodeConfig::load(&folder.join(CONFIG_FILE))?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .map_err(|source| InitError::Io { path: config.data.clone(), source })?;
    let network = parsed.network_id();
    drop(Store::create(&config.database(), network, &identity, passphrase, kdf)?);
    if config.genesis != genesis {
        fs::copy(genesis, &config.genesis)
            .map_err(|source| InitError::Io { path: config.genesis.clone(), source })?;
    }
    Ok(network)
}

/// What a node that has been in a network before leaves in its folder: the first that is found, where `join` has not run yet. Its key
/// shares may have been lost with a database, and joining does not bring them back. A configuration that cannot be read is
/// for [`join`] to name.
pub fn trace_of_use(folder: &Path) -> Option<PathBuf> {
    let config = NodeConfig::load(&folder.join(CONFIG_FILE)).ok()?;
    let traces = [config.root_keys_file(), config.receipts_folder(), config.compiled_folder()];
    // a new node has no genesis either: joining puts it there
    traces.into_iter().chain([config.genesis]).find(|path| path.exists())
}

/// The example configuration, with the passphrase's file in its place.
fn example(passphrase_file: Option<&Path>) -> Result<String, InitError> {
    let Some(file) = passphrase_file else { return Ok(CONFIG_EXAMPLE.into()) };
    let absolute = std::path::absolute(file).map_err(|source| InitError::Io { path: file.into(), source })?;
    let line = format!("file = {}", toml::Value::String(absolute.display().to_string()));
    Ok(CONFIG_EXAMPLE.replacen(PASSPHRASE_LINE, &line, 1))
}

#[cfg(test)]
mod tests {
    use countersign_types::{B256, NodeKey};

    use super::*;

    #[test]
    fn a_node_that_lost_its_data_is_told_from_a_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (node, passphrase) = (folder.path().join("node"), SecretString::from("correct horse"));
        let kdf = KdfParameters::new(8, 1).expect("cheap, and legal");
        assert_eq!(trace_of_use(&node), None, "there is no node");
        let own = init(&node, &passphrase, None, kdf).expect("a new folder");
        assert_eq!(trace_of_use(&node), None, "it is new");

        let other = NodeKey::from_bytes([7; 32]).expect("a scalar").public_key();
        let genesis =
            Genesis { nonce: B256::ZERO, members: vec![own, other], threshold: 2, chains: Vec::new() };
        let file = folder.path().join("genesis.json");
        fs::write(&file, serde_json::to_string(&genesis).expect("JSON")).expect("written");
        join(&node, &file, &passphrase, kdf).expect("it is a member");
        fs::remove_dir_all(node.join("data")).expect("lost");
        assert_eq!(trace_of_use(&node), Some(node.join(GENESIS_FILE)));
        fs::create_dir(node.join("data")).expect("a folder");
        fs::write(node.join("data/root-keys.json"), "{}").expect("written");
        assert_eq!(trace_of_use(&node), Some(node.join("data/root-keys.json")));
    }
}
