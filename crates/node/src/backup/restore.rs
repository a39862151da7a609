//! A database out of a backup.
//!
//! What must not go back: time, so the new database notes one that no clock of the lost node can have shown, and with it
//! the node's memory of requests, which ends with its boot; and the node's word on attempts at key generation, of which
//! only those that are done come back, so that it takes part in none that began before it was restored.

use std::{
    error::Error,
    fs,
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use countersign_backup::{Backup, Boot};
use countersign_session::participant::MAX_SKEW_MS;
use countersign_store::{
    CreateError, IdentityFile, IdentityFileError, KdfParameters, PendingShares, Store, StoredBoot,
    file::{folder_of, sync_folder},
};
use countersign_types::{NetworkId, NodePublicKey, RootKeys, RootKeysError, Scheme};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{WriteError, file::write_new, names, wait, within::outside};
use crate::{ConfigError, NodeConfig, PassphraseError, clock, config::load_genesis, forbid_core_dumps};

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a database.
    #[error(
        "{} holds a database already: nothing is restored over it. If it is whole, run it, since what a node ran on last is newer than \
         its backups. If it is not, move it away first", path.display()
    )]
    Database {
        /// The folder.
        path: PathBuf,
    },
    /// There is a database that the node cannot sign with.
    #[error(
        "{} holds a database without key shares, as `countersign node join` makes it, and nothing is restored over it: move that folder \
         away (the node must not run), and restore again", path.display()
    )]
    NoShares {
        /// The folder.
        path: PathBuf,
    },
    /// Another restore was faster.
    #[error(
        "a database has appeared at {} meanwhile: something else restores or makes this node at the same time, and this restore has changed \
         nothing", path.display()
    )]
    Overtaken {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is another node's.
    #[error("this is a backup of node {backup}, and {} is the identity of node {here}: use that node's backup, or another folder", path.display())]
    OtherNode {
        /// The identity that is there.
        path: PathBuf,
        /// Whose it is.
        here: NodePublicKey,
        /// The backup's node.
        backup: NodePublicKey,
    },
    /// It is not the node's that it must be.
    #[error(
        "this is a backup of node {backup}, and not of {expected}: use that node's backup, or name the right one"
    )]
    NotTheNode {
        /// Whose it must be.
        expected: NodePublicKey,
        /// The backup's node.
        backup: NodePublicKey,
    },
    /// Anybody can have made it, and nothing says whose it must be.
    #[error(
        "anybody who knows the public key that this backup is sealed for can have made it, and there is no identity at {} that says whose it \
         must be: give the node's public key with --node-key, as `countersign node init` and `countersign node backup` printed it, or as \
         the network's genesis lists it", identity.display()
    )]
    Unnamed {
        /// Where an identity would be.
        identity: PathBuf,
    },
    /// Its configuration has files written elsewhere.
    #[error(
        "the backup's configuration sets {setting} to {}, outside of the folder that it is restored to, and nothing is written there \
         because of what a backup says: write a configuration at {} first, which counts then", path.display(), config.display()
    )]
    Outside {
        /// The setting.
        setting: &'static str,
        /// Its path.
        path: PathBuf,
        /// Where a configuration would count.
        config: PathBuf,
    },
    /// The folder is another network's.
    #[error("this is a backup of network {backup}, and {} is the genesis of network {here}: use a backup of that network, or another folder", path.display())]
    OtherNetwork {
        /// The genesis that is there.
        path: PathBuf,
        /// Its network.
        here: NetworkId,
        /// The backup's network.
        backup: NetworkId,
    },
    /// The network's keys were generated later.
    #[error(
        "the backup is older than the root keys in {}: it has no share for {}, of epoch {epoch}. Use a backup that was taken after these \
         keys were generated; a share that is lost is not made again", path.display(), names(schemes)
    )]
    Older {
        /// The file of the root keys.
        path: PathBuf,
        /// Their epoch.
        epoch: u64,
        /// What they have and the backup has not.
        schemes: Vec<Scheme>,
    },
    /// Root keys that are known do not count.
    #[error("{} holds no root keys of the backup's network: if it is a leftover, move it away", path.display())]
    RootKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RootKeysError,
    },
    /// Root keys that are known cannot be read.
    #[error("{} is no file of root keys", path.display())]
    RootKeysFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A file that is there cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no passphrase for the new database.
    #[error(
        "the node's own passphrase, under which the new database is sealed, cannot be had; it is not the backup's, which --passphrase-file \
         gives. Put it into the file that `passphrase.file` in {} names (mode 0600); where that names none, set COUNTERSIGN_PASSPHRASE or the systemd credential \
         countersign-passphrase", config_of(config, *from_backup)
    )]
    Passphrase {
        /// The configuration file.
        config: PathBuf,
        /// Whether the configuration comes from the backup.
        from_backup: bool,
        /// What is wrong.
        source: PassphraseError,
    },
    /// The identity that is there is sealed under another passphrase.
    #[error(
        "the node's passphrase, under which the new database is sealed, does not open {}: give the passphrase that opens it; or, if that \
         is lost, move the file away, since the backup holds the identity", path.display()
    )]
    OtherPassphrase {
        /// The identity that is there.
        path: PathBuf,
    },
    /// The database is in place, and a file beside it is not.
    #[error(
        "the database is restored to {}, and a file beside it is not: mend what stopped it, remove that folder, of which nobody has heard \
         yet, and restore again", database.display()
    )]
    Partly {
        /// The new database.
        database: PathBuf,
        /// What failed.
        source: Box<RestoreError>,
    },
    /// The sealed identity.
    #[error("the sealed identity cannot be used")]
    Identity(#[from] IdentityFileError),
    /// A folder or file cannot be made.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The database cannot be made.
    #[error("cannot create the database")]
    Create(#[from] CreateError),
    /// The database cannot be filled.
    #[error("the new database failed")]
    Fill(#[source] Box<dyn Error + Send + Sync>),
}

/// What is known of a backup beside what it says itself.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Whether whoever sealed it knew a secret: its passphrase. What is sealed for a public key, anybody can have made.
    pub sealed_by_secret: bool,
    /// Whose it must be. Needed where it was not sealed by a secret, and no identity is there.
    pub node: Option<NodePublicKey>,
    /// A file of root keys that the network is known to have, beside the one in the data folder.
    pub root_keys: Option<&'a Path>,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The new database.
    pub database: PathBuf,
    /// What else was not there and was written: configuration, identity, genesis.
    pub written: Vec<PathBuf>,
    /// The files of root keys that the backup is not older than. None: nobody knows whether it has a share of each key.
    pub compared_with: Vec<PathBuf>,
    /// From when on the node signs, in milliseconds since 1970.
    pub signs_from_ms: u64,
}

/// Makes the database of a backup, and whatever of configuration, identity and genesis is not there. Nothing that is
/// there is changed. All that can be known to stand in the way is looked at first; then the database gets its name, when
/// it is whole; and then the others are written. A configuration that comes from the backup has nothing written outside of
/// its own folder.
pub fn restore(
    config_file: &Path,
    backup: &Backup,
    known: Known<'_>,
    kdf: KdfParameters,
) -> Result<Restored, RestoreError> {
    forbid_core_dumps();
    let is_there = config_file.exists();
    let config = if is_there { NodeConfig::load(config_file)? } else { brought(config_file, backup)? };
    check_node(&config, backup, known)?;
    check_free(&config.database())?;
    check_owner(&config, backup)?;
    let compared_with = check_age(&config, backup, known.root_keys)?;
    let passphrase = config.passphrase.read().map_err(|source| RestoreError::Passphrase {
        config: config_file.into(),
        from_backup: !is_there,
        source,
    })?;
    check_identity(&config, &passphrase)?;

    let signs_from_ms = place_database(&config, backup, &passphrase, kdf)?;
    let database = config.database();
    match write_lacking(config_file, &config, backup, &passphrase, kdf) {
        Ok(written) => Ok(Restored { database, written, compared_with, signs_from_ms }),
        Err(source) => Err(RestoreError::Partly { database, source: source.into() }),
    }
}

/// Makes the database under a name of its own, and gives it its name. Returns the time that it begins with.
pub(super) fn place_database(
    config: &NodeConfig,
    backup: &Backup,
    passphrase: &SecretString,
    kdf: KdfParameters,
) -> Result<u64, RestoreError> {
    make_folder(&config.data)?;
    let staged = tempfile::Builder::new()
        .prefix("db.restoring-")
        .tempdir_in(&config.data)
        .map_err(|source| RestoreError::Io { path: config.data.clone(), source })?;
    let signs_from_ms = fill(staged.path(), backup, passphrase, kdf)?;
    let failed = |source| RestoreError::Io { path: config.database(), source };
    wait::note(staged.path(), signs_from_ms).map_err(failed)?;
    let database = config.database();
    // fails where the folder has got content since
    match fs::rename(staged.path(), &database) {
        Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
            return Err(RestoreError::Overtaken { path: database });
        }
        renamed => renamed.and_then(|()| sync_folder(&config.data)).map_err(failed)?,
    }
    Ok(signs_from_ms)
}

/// Writes what of identity, genesis and configuration is not there: the configuration last, by which the others are found.
fn write_lacking(
    config_file: &Path,
    config: &NodeConfig,
    backup: &Backup,
    passphrase: &SecretString,
    kdf: KdfParameters,
) -> Result<Vec<PathBuf>, RestoreError> {
    let mut written = Vec::new();
    if !config.identity.exists() {
        make_folder(folder_of(&config.identity))?;
        IdentityFile::restore(&config.identity, &backup.identity, passphrase, kdf)?;
        written.push(config.identity.clone());
    }
    if !config.genesis.exists() {
        make_folder(folder_of(&config.genesis))?;
        let text = serde_json::to_string_pretty(&backup.genesis).expect("strings, numbers and lists");
        write_new(&config.genesis, format!("{text}\n").as_bytes())?;
        written.push(config.genesis.clone());
    }
    if !config_file.exists() {
        make_folder(folder_of(config_file))?;
        write_new(config_file, backup.config.as_bytes())?;
        written.push(config_file.to_owned());
    }
    Ok(written)
}

/// The backup's own configuration, for a folder that has none.
fn brought(config_file: &Path, backup: &Backup) -> Result<NodeConfig, RestoreError> {
    let config = NodeConfig::parse(config_file, &backup.config)?;
    match outside(config_file, &config).into_iter().next() {
        Some((setting, path)) => Err(RestoreError::Outside { setting, path, config: config_file.into() }),
        None => Ok(config),
    }
}

/// It is the backup of the node that it must be; and that is known, unless whoever sealed it knew a secret.
fn check_node(config: &NodeConfig, backup: &Backup, known: Known<'_>) -> Result<(), RestoreError> {
    match known.node {
        Some(expected) if expected != backup.node() => {
            Err(RestoreError::NotTheNode { expected, backup: backup.node() })
        }
        None if !known.sealed_by_secret && !config.identity.exists() => {
            Err(RestoreError::Unnamed { identity: config.identity.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

fn check_free(database: &Path) -> Result<(), RestoreError> {
    match fs::read_dir(database).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(()),
        // one that runs, or that nobody can look into, is not called worthless
        Ok(true) => Err(match Store::has_shares(database) {
            Ok(false) => RestoreError::NoShares { path: database.into() },
            Ok(true) | Err(_) => RestoreError::Database { path: database.into() },
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(RestoreError::Io { path: database.into(), source }),
    }
}

/// What is there already belongs to the same node of the same network.
fn check_owner(config: &NodeConfig, backup: &Backup) -> Result<(), RestoreError> {
    if config.genesis.exists() {
        let (here, backup) = (load_genesis(&config.genesis)?.network_id(), backup.network());
        if here != backup {
            return Err(RestoreError::OtherNetwork { path: config.genesis.clone(), here, backup });
        }
    }
    if config.identity.exists() {
        let (here, backup) = (IdentityFile::read_public_key(&config.identity)?, backup.node());
        if here != backup {
            return Err(RestoreError::OtherNode { path: config.identity.clone(), here, backup });
        }
    }
    Ok(())
}

/// An identity that is there opens with the passphrase that the new database gets: a node has one passphrase.
fn check_identity(config: &NodeConfig, passphrase: &SecretString) -> Result<(), RestoreError> {
    if !config.identity.exists() {
        return Ok(());
    }
    match IdentityFile::open(&config.identity, passphrase) {
        Ok(_) => Ok(()),
        Err(IdentityFileError::Passphrase { path }) => Err(RestoreError::OtherPassphrase { path }),
        Err(error) => Err(error.into()),
    }
}

/// The network has no root keys, as far as is known here, of which the backup has no share. Returns where that is known from.
fn check_age(
    config: &NodeConfig,
    backup: &Backup,
    named: Option<&Path>,
) -> Result<Vec<PathBuf>, RestoreError> {
    let own = config.root_keys_file();
    let own = own.exists().then_some(own.as_path());
    let committee = backup.genesis.committee().map_err(|error| RestoreError::Fill(error.into()))?;
    let mut compared_with = Vec::new();
    for path in named.into_iter().chain(own) {
        let text = fs::read(path).map_err(|source| RestoreError::Io { path: path.into(), source })?;
        let known: RootKeys = serde_json::from_slice(&text)
            .map_err(|source| RestoreError::RootKeysFile { path: path.into(), source })?;
        known
            .verify(backup.network(), &committee)
            .map_err(|source| RestoreError::RootKeys { path: path.into(), source })?;
        let schemes = lacking(&backup.root_keys, &known);
        if !schemes.is_empty() {
            return Err(RestoreError::Older { path: path.into(), epoch: known.epoch, schemes });
        }
        compared_with.push(path.to_owned());
    }
    Ok(compared_with)
}

/// What `known` has and the backup's root keys have not, or have from another attempt. Those of earlier epochs are
/// none of a node's business any more.
fn lacking(own: &RootKeys, known: &RootKeys) -> Vec<Scheme> {
    let has = |attempt| known.epoch == own.epoch && own.ceremonies.iter().any(|done| done.attempt == attempt);
    let missing = known.ceremonies.iter().filter(|done| known.epoch >= own.epoch && !has(done.attempt));
    missing.flat_map(|done| done.schemes()).collect()
}

/// Makes the database. Returns the time that it begins with.
fn fill(
    path: &Path,
    backup: &Backup,
    passphrase: &SecretString,
    kdf: KdfParameters,
) -> Result<u64, RestoreError> {
    let past: Vec<StoredBoot> = backup.boots.iter().map(stored).collect();
    let store = Store::create_after(path, backup.network(), &backup.identity, passphrase, kdf, &past)?;
    for (member, boot) in &backup.peers {
        store.put_peer_boot(member, stored(boot)).map_err(filling)?;
    }
    let epoch = backup.root_keys.epoch;
    for (done, own) in backup.root_keys.ceremonies.iter().zip(&backup.ceremonies) {
        let pending = PendingShares {
            epoch,
            attempt: done.attempt,
            terms: own.terms.clone(),
            roots: done.roots.clone(),
            shares: own.shares.iter().map(|share| Zeroizing::new(share.to_vec())).collect(),
        };
        store.put_pending_shares(&pending).map_err(filling)?;
        if let Some(confirmations) = &own.confirmations {
            store.record_activation(epoch, done.attempt, confirmations.clone()).map_err(filling)?;
        }
    }
    store.put_root_keys(&backup.root_keys).map_err(filling)?;
    // No clock of this node has shown more, if clocks differ by what nodes bear with: it never takes a request that it
    // may have answered before.
    let begins = clock::system().saturating_add(MAX_SKEW_MS).max(backup.time_ms);
    store.put_time(begins).map_err(filling)?;
    Ok(begins)
}

/// The configuration that counts, for people.
fn config_of(file: &Path, from_backup: bool) -> String {
    if from_backup { "the backup's configuration".into() } else { file.display().to_string() }
}

fn filling(error: impl Error + Send + Sync + 'static) -> RestoreError {
    RestoreError::Fill(error.into())
}

fn stored(boot: &Boot) -> StoredBoot {
    StoredBoot { generation: boot.generation, id: boot.id }
}

fn make_folder(path: &Path) -> Result<(), RestoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| RestoreError::Io { path: path.into(), source })
}
