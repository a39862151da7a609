//! A node on disk, for tests.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use countersign_node::{
    NodeConfig,
    init::{self, KdfParameters},
};
use countersign_types::{B256, Genesis, NodePublicKey};
use secrecy::SecretString;

use crate::membership::Known;

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// A node that is the first of two members, in its folder.
pub(crate) fn joined(folder: &Path) -> (NodeConfig, Known) {
    let kdf = KdfParameters::new(8, 1).expect("parameters");
    let passphrase = SecretString::from(PASSPHRASE);
    let file = folder.join("passphrase");
    write_passphrase(&file, PASSPHRASE);
    let node = folder.join("node");
    let key = init::init(&node, &passphrase, Some(&file), kdf).expect("made");
    let other: NodePublicKey =
        countersign_types::NodeKey::from_bytes([7; 32]).expect("a scalar").public_key();
    let genesis = Genesis { nonce: B256::ZERO, members: vec![key, other], threshold: 2, chains: Vec::new() };
    let genesis_file = folder.join("genesis.json");
    fs::write(&genesis_file, serde_json::to_string(&genesis).expect("JSON")).expect("written");
    init::join(&node, &genesis_file, &passphrase, kdf).expect("joined");
    let config = NodeConfig::load(&node.join(init::CONFIG_FILE)).expect("a configuration");
    let known = Known::read(&config);
    (config, known)
}

pub(crate) fn write_passphrase(file: &Path, text: &str) {
    fs::write(file, text).expect("written");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("a mode");
}
