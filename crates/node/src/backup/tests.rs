//! What comes back from a backup, what must not go back, and what is refused.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use countersign_backup::{Backup, Content};
use countersign_fuzzing::backups::{TWO_CEREMONIES, backup, content};
use countersign_session::{
    Membership,
    keygen::{Effect, KeyGen, Message},
};
use countersign_store::{ActivateError, IdentityFile, Owner, PendingShares, Store, StoredBoot};
use countersign_types::{AttemptTerms, B256, Bytes, EngineId, NodeSignature, Scheme};
use rand_core::OsRng;
use secrecy::SecretString;
use tempfile::TempDir;

mod forged;

use super::*;
use crate::{boot::journal, clock, init::KdfParameters};

const SKEW_MS: u64 = countersign_session::participant::MAX_SKEW_MS;

/// A node's folder with a passphrase and nothing else.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let passphrase = folder.path().join("passphrase");
        fs::write(&passphrase, "correct horse\n").expect("written");
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).expect("a mode");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn restore(&self, backup: &Backup) -> Result<Restored, RestoreError> {
        self.restore_known(backup, None)
    }

    fn restore_known(&self, backup: &Backup, root_keys: Option<&Path>) -> Result<Restored, RestoreError> {
        let known = Known { sealed_by_secret: true, node: None, root_keys };
        restore(&self.path("node.toml"), backup, known, kdf())
    }

    async fn take(&self) -> Result<Backup, TakeError> {
        take(&self.path("node.toml")).await
    }

    fn store(&self, backup: &Backup) -> Store {
        let owner = Owner { network: backup.network(), node: backup.node() };
        Store::open(&self.path("data/db"), &owner, &passphrase()).expect("whole")
    }

    /// Everything that lies in the folder, by name.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for folder in ["", "data"] {
            let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
            names.extend(
                entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")),
            );
        }
        names.sort();
        names
    }
}

fn kdf() -> KdfParameters {
    KdfParameters::new(8, 1).expect("cheap, and legal")
}

fn passphrase() -> SecretString {
    "correct horse".into()
}

/// A backup whose configuration names the passphrase's file.
fn of(content: Content) -> Backup {
    let config = "data = 'data'\ngenesis = 'genesis.json'\n[passphrase]\nfile = 'passphrase'\n".into();
    Backup::new(Content { config, ..content }).expect("all of one member")
}

fn two_ceremonies() -> Backup {
    of(content(0, 3, &TWO_CEREMONIES))
}

#[tokio::test]
async fn what_is_restored_is_what_was_backed_up_and_a_start_further() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    let restored = folder.restore(&backup).expect("an empty folder");
    let written = ["identity.sealed", "genesis.json", "node.toml"].map(|name| folder.path(name));
    assert_eq!((restored.database, restored.written), (folder.path("data/db"), written.to_vec()));
    assert_eq!(folder.names(), ["data", "db", "genesis.json", "identity.sealed", "node.toml", "passphrase"]);
    let identity = IdentityFile::open(&folder.path("identity.sealed"), &passphrase()).expect("whole");
    assert_eq!(identity.public_key(), backup.node());

    let again = folder.take().await.expect("a whole database");
    assert_eq!(*again.identity.to_bytes(), *backup.identity.to_bytes());
    assert_eq!((&again.genesis, &again.root_keys), (&backup.genesis, &backup.root_keys));
    assert!(again.ceremonies == backup.ceremonies);
    assert_eq!((&again.peers, &again.config), (&backup.peers, &backup.config));
    // restoring is a start, and backing up is one
    assert_eq!(again.boots[..3], backup.boots[..]);
    assert_eq!(again.generation(), backup.generation() + 2);
}

#[test]
fn two_that_are_restored_from_one_backup_start_as_two() {
    let backup = two_ceremonies();
    let ids = [Folder::new(), Folder::new()].map(|folder| {
        folder.restore(&backup).expect("an empty folder");
        let store = folder.store(&backup);
        // what peers have seen before is known to both
        assert_eq!(store.own_boot(3).expect("readable"), Some(backup.boots[2].id));
        store.own_boot(4).expect("readable").expect("the start that restored it")
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn what_peers_were_seen_to_be_is_not_forgotten() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    folder.restore(&backup).expect("an empty folder");
    let store = folder.store(&backup);
    assert_eq!(backup.peers.len(), 3);
    for (member, boot) in &backup.peers {
        let expected = StoredBoot { generation: boot.generation, id: boot.id };
        assert_eq!(store.peer_boot(member).expect("readable"), Some(expected));
    }
}

#[test]
fn time_goes_on_where_no_clock_of_the_lost_node_has_been() {
    let now = clock::system();
    let noted = |time_ms: u64| {
        let folder = Folder::new();
        let backup = of(Content { time_ms, ..content(0, 3, &TWO_CEREMONIES) });
        let restored = folder.restore(&backup).expect("an empty folder");
        let noted = folder.store(&backup).last_time().expect("readable");
        assert_eq!(noted, restored.signs_from_ms);
        noted
    };
    // the node has run on since the backup, with a clock that was ahead of this one
    let earliest = noted(now - 1_000);
    assert!((now + SKEW_MS..=clock::system() + SKEW_MS).contains(&earliest), "{earliest}");
    // its clock was wrong
    let hour = 3_600_000;
    assert_eq!(noted(now + hour), now + hour);
}

#[test]
fn a_restored_node_keeps_its_word_on_key_generation() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    folder.restore(&backup).expect("an empty folder");
    let store = folder.store(&backup);
    let kept = &backup.ceremonies[0];
    let mut terms = kept.terms.clone();
    terms.number += 100;
    let other = PendingShares {
        epoch: 1,
        attempt: terms.id(backup.network()),
        roots: backup.root_keys.ceremonies[0].roots.clone(),
        shares: kept.shares.clone(),
        terms,
    };
    let attempt = other.attempt;
    store.put_pending_shares(&other).expect("writable");
    let error = store.record_activation(1, attempt, Bytes::new()).expect_err("a second activation");
    assert!(matches!(error, ActivateError::AlreadyActivated { .. }), "{error}");
}

/// Key generation as it goes on, at this time, in a restored database of the second member.
fn resumed(folder: &Folder, backup: &Backup, now: u64) -> KeyGen {
    let store = folder.store(backup);
    let committee = backup.genesis.committee().expect("a committee");
    let me = committee.identifier(&backup.node()).expect("a member");
    assert_eq!(me.get(), 2);
    let journal = journal(&store, store.root_keys().expect("readable")).expect("whole");
    let engine = EngineId(B256::ZERO);
    let membership = Arc::new(Membership { network: backup.network(), epoch: 1, committee, me, engine });
    let identity = Arc::new(store.identity().expect("readable"));
    KeyGen::resume(membership, identity, Scheme::ALL, journal, now)
}

#[test]
fn a_restored_node_takes_part_in_no_attempt_that_began_before_it() {
    let (folder, backup) = (Folder::new(), of(content(1, 3, &TWO_CEREMONIES[..1])));
    folder.restore(&backup).expect("an empty folder");
    let now = clock::system();
    let mut keygen = resumed(&folder, &backup, now);
    let committee = backup.genesis.committee().expect("a committee");
    let starter = committee.identifiers().next().expect("a first member");
    let lacking = Scheme::ALL.into_iter().filter(|scheme| backup.root_keys.root(*scheme).is_none());
    let schemes: Vec<Scheme> = lacking.collect();
    assert!(!schemes.is_empty(), "there is something to generate");
    let begun_at =
        |number| AttemptTerms { epoch: 1, schemes: schemes.clone(), number, starter, entropy: B256::ZERO };
    let joins = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::StoreJoined(_)));

    // as the lost node may have joined them, before the backup and after it
    for number in [backup.taken_at_ms, now - 1_000, now] {
        let terms = begun_at(number);
        let effects = keygen.receive(starter, Message::Start { terms: terms.clone() }, now, &mut OsRng);
        assert!(!joins(&effects), "{number}: {effects:?}");
        let signature = NodeSignature::from_slice(&[0; 65]).expect("65 bytes");
        let (attempt, packages) = (terms.id(backup.network()), Vec::new());
        let round1 = Message::Round1 { attempt, packages, signature };
        assert!(keygen.receive(starter, round1, now, &mut OsRng).is_empty(), "it has no part in {number}");
    }
    let terms = begun_at(now + 1);
    let effects = keygen.receive(starter, Message::Start { terms }, now, &mut OsRng);
    assert!(joins(&effects), "it takes part in what begins now: {effects:?}");
}

#[test]
fn nothing_is_restored_over_a_database() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    folder.restore(&backup).expect("an empty folder");
    let before = folder.store(&backup).generation().expect("readable");
    let error = folder.restore(&backup).expect_err("there is a database");
    assert!(matches!(error, RestoreError::Database { .. }), "{error}");
    assert_eq!(folder.store(&backup).generation().expect("readable"), before + 1);

    // whatever lies there
    let folder = Folder::new();
    fs::create_dir_all(folder.path("data/db")).expect("a folder");
    fs::write(folder.path("data/db/header"), "x").expect("written");
    assert!(matches!(folder.restore(&backup), Err(RestoreError::Database { .. })));
    fs::remove_file(folder.path("data/db/header")).expect("removed");
    folder.restore(&backup).expect("an empty folder is none");
}

#[test]
fn a_database_without_key_shares_is_told_from_one_that_counts() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    fs::create_dir(folder.path("data")).expect("a folder");
    let database = folder.path("data/db");
    let joined = Store::create(&database, backup.network(), &backup.identity, &passphrase(), kdf());
    let running = joined.expect("a new folder");
    let error = folder.restore(&backup).expect_err("it is in use");
    assert!(matches!(error, RestoreError::Database { .. }), "{error}");
    drop(running);
    let error = folder.restore(&backup).expect_err("there is a database");
    assert!(matches!(error, RestoreError::NoShares { .. }), "{error}");
    let told = error.to_string();
    assert!(told.contains("without key shares") && told.contains("restore again"), "{told}");
    assert!(!told.contains("newer"), "{told}");
    // what it says to do
    fs::rename(&database, folder.path("data/aside")).expect("moved");
    folder.restore(&backup).expect("nothing is in the way");
}

#[test]
fn of_restores_at_the_same_time_one_wins_and_the_others_say_so() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    let parsed = crate::NodeConfig::parse(&folder.path("node.toml"), &backup.config);
    let config = parsed.expect("a configuration");
    // it was looked at before the other one came
    fs::create_dir_all(config.database()).expect("a folder");
    fs::write(config.database().join("header"), "x").expect("written");
    let placed = super::restore::place_database(&config, &backup, &passphrase(), kdf());
    let error = placed.expect_err("it is taken");
    assert!(matches!(error, RestoreError::Overtaken { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path("data")).expect("a folder").count(), 1, "something else is left");
    fs::remove_dir_all(folder.path("data")).expect("removed");

    let results: Vec<_> = std::thread::scope(|scope| {
        let restores = [(); 3].map(|()| scope.spawn(|| folder.restore(&backup)));
        restores.map(|restore| restore.join().expect("no panic")).into_iter().collect()
    });
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 1, "{results:?}");
    for error in results.into_iter().filter_map(Result::err) {
        let is_named = matches!(error, RestoreError::Overtaken { .. } | RestoreError::Database { .. });
        assert!(is_named, "{error:?}");
    }
    drop(folder.store(&backup));
}

#[test]
fn a_restored_database_says_that_it_is_one() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    let restored = folder.restore(&backup).expect("an empty folder");
    assert_eq!(signs_from(&restored.database), Some(restored.signs_from_ms));
}

#[test]
fn another_node_or_network_is_refused_and_nothing_is_changed() {
    let (folder, own) = (Folder::new(), two_ceremonies());
    folder.restore(&own).expect("an empty folder");
    fs::rename(folder.path("data"), folder.path("aside")).expect("moved");
    let before = folder.names();

    let other_node = of(content(1, 3, &TWO_CEREMONIES));
    let error = folder.restore(&other_node).expect_err("another node");
    assert!(matches!(error, RestoreError::OtherNode { here, .. } if here == own.node()), "{error}");
    let other_network = of(content(0, 4, &TWO_CEREMONIES));
    let error = folder.restore(&other_network).expect_err("another network");
    assert!(matches!(error, RestoreError::OtherNetwork { here, .. } if here == own.network()), "{error}");
    assert_eq!(folder.names(), before);
    assert!(folder.restore(&own).expect("its own").written.is_empty());
}

#[test]
fn a_backup_of_before_the_keys_is_refused() {
    let early = of(content(0, 3, &TWO_CEREMONIES[..1]));
    let late = two_ceremonies();
    let keys = serde_json::to_vec(&late.root_keys).expect("plain data");

    // that a node has left behind, and that the operator names
    let folder = Folder::new();
    fs::create_dir(folder.path("data")).expect("a folder");
    fs::write(folder.path("data/root-keys.json"), &keys).expect("written");
    let elsewhere = Folder::new();
    let named = elsewhere.path("root-keys.json");
    fs::write(&named, &keys).expect("written");
    for error in [folder.restore(&early), elsewhere.restore_known(&early, Some(&named))] {
        let error = error.expect_err("it has no share of the second ceremony");
        let RestoreError::Older { epoch: 1, ref schemes, .. } = error else { panic!("{error}") };
        assert_eq!(schemes, &[Scheme::Bip340]);
        assert!(error.to_string().contains("bip340"), "{error}");
    }
    assert!(!folder.path("data/db").exists() && !elsewhere.path("data").exists());
    let restored = folder.restore(&late).expect("it has them all");
    assert_eq!(restored.compared_with, [folder.path("data/root-keys.json")]);
    // root keys that are older than the backup do not matter
    let folder = Folder::new();
    fs::write(folder.path("early"), serde_json::to_vec(&early.root_keys).expect("plain data"))
        .expect("written");
    let restored = folder.restore_known(&late, Some(&folder.path("early"))).expect("it has more");
    assert_eq!(restored.compared_with, [folder.path("early")]);
    // where nobody says what the network has, nobody can tell
    let restored = Folder::new().restore(&early).expect("nothing is known");
    assert!(restored.compared_with.is_empty());
}

#[test]
fn root_keys_that_do_not_count_are_named() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    let named = folder.path("keys.json");
    let refused = |content: &[u8]| {
        fs::write(&named, content).expect("written");
        folder.restore_known(&backup, Some(&named)).expect_err("they do not count")
    };
    assert!(matches!(refused(b"{}"), RestoreError::RootKeysFile { .. }));
    let other = of(content(0, 4, &TWO_CEREMONIES));
    let other = serde_json::to_vec(&other.root_keys).expect("plain data");
    assert!(matches!(refused(&other), RestoreError::RootKeys { .. }));
    let mut forged = backup.root_keys.clone();
    forged.epoch = 2;
    let forged = serde_json::to_vec(&forged).expect("plain data");
    assert!(matches!(refused(&forged), RestoreError::RootKeys { .. }));
    fs::remove_file(&named).expect("removed");
    let missing = folder.restore_known(&backup, Some(&named)).expect_err("it is not there");
    assert!(matches!(missing, RestoreError::Io { .. }), "{missing}");
    assert!(!folder.path("data").exists());
}

#[test]
fn without_the_nodes_passphrase_nothing_is_made() {
    // no passphrase
    let (folder, backup) = (Folder::new(), two_ceremonies());
    fs::remove_file(folder.path("passphrase")).expect("removed");
    let error = folder.restore(&backup).expect_err("no passphrase");
    assert!(matches!(error, RestoreError::Passphrase { from_backup: true, .. }), "{error}");
    let told = error.to_string();
    for part in ["the node's own passphrase", "it is not the backup's", "COUNTERSIGN_PASSPHRASE"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(folder.names().is_empty(), "{:?}", folder.names());

    // one that does not open the identity that is there
    let folder = Folder::new();
    let other = SecretString::from("another");
    IdentityFile::restore(&folder.path("identity.sealed"), &backup.identity, &other, kdf()).expect("new");
    let before = folder.names();
    let error = folder.restore(&backup).expect_err("the node would have two passphrases");
    assert!(matches!(error, RestoreError::OtherPassphrase { .. }), "{error}");
    assert!(error.to_string().contains("identity.sealed"), "{error}");
    assert_eq!(folder.names(), before);
}

#[test]
fn a_database_comes_first_and_what_cannot_be_written_after_it_is_named() {
    // a file is where the folder of the database, and then that of the genesis, shall be
    let content = content(0, 3, &TWO_CEREMONIES);
    let config =
        "data = 'data'\ngenesis = 'network/genesis.json'\n[passphrase]\nfile = 'passphrase'\n".into();
    let backup = Backup::new(Content { config, ..content }).expect("all of one member");
    let folder = Folder::new();
    fs::write(folder.path("data"), "").expect("written");
    let error = folder.restore(&backup).expect_err("no place for the database");
    assert!(matches!(error, RestoreError::Io { .. }), "{error}");
    assert_eq!(folder.names(), ["data", "passphrase"]);

    fs::remove_file(folder.path("data")).expect("removed");
    fs::write(folder.path("network"), "").expect("written");
    let error = folder.restore(&backup).expect_err("no place for the genesis");
    let RestoreError::Partly { ref database, .. } = error else { panic!("{error}") };
    assert_eq!(*database, folder.path("data/db"));
    drop(folder.store(&backup));
    assert!(!folder.path("node.toml").exists(), "the configuration comes last");
    // what the error says to do
    fs::remove_dir_all(database).expect("removed");
    fs::remove_file(folder.path("network")).expect("removed");
    folder.restore(&backup).expect("nothing is in the way");
    assert!(folder.path("node.toml").exists() && folder.path("network/genesis.json").exists());
}

#[tokio::test]
async fn a_node_that_runs_is_not_backed_up() {
    let (folder, backup) = (Folder::new(), two_ceremonies());
    folder.restore(&backup).expect("an empty folder");
    let running = folder.store(&backup);
    let error = folder.take().await.expect_err("it is in use");
    assert!(matches!(error, TakeError::Running { .. }), "{error}");
    let config = crate::NodeConfig::load(&folder.path("node.toml")).expect("a configuration");
    let (other, _) = backup.peers.iter().next().expect("another member");
    let error = crate::boots::readmit(&config, other).await.expect_err("it is in use");
    assert!(matches!(error, crate::boots::ReadmitError::Running { .. }), "{error}");
    assert!(error.to_string().contains("stop it"), "{error}");
    drop(running);
    folder.take().await.expect("it is free");
}

#[tokio::test]
async fn before_there_are_keys_there_is_nothing_to_back_up() {
    let (folder, backup) = (Folder::new(), backup(&TWO_CEREMONIES));
    fs::write(folder.path("node.toml"), &of(content(0, 3, &TWO_CEREMONIES)).config).expect("written");
    fs::write(folder.path("genesis.json"), serde_json::to_vec(&backup.genesis).expect("plain data"))
        .expect("written");
    fs::create_dir(folder.path("data")).expect("a folder");
    let database = folder.path("data/db");
    let store = Store::create(&database, backup.network(), &backup.identity, &passphrase(), kdf());
    let store = store.expect("a new folder");
    let error = {
        drop(store);
        folder.take().await.expect_err("no root keys")
    };
    assert!(matches!(error, TakeError::NoRootKeys { .. }), "{error}");

    // root keys of which it has no share
    folder.store(&backup).put_root_keys(&backup.root_keys).expect("writable");
    let error = folder.take().await.expect_err("no shares");
    assert!(matches!(error, TakeError::NoShares), "{error}");
}

#[tokio::test]
async fn while_an_attempt_that_it_confirmed_is_not_done_a_node_is_not_backed_up() {
    let (folder, backup) = (Folder::new(), of(content(0, 3, &TWO_CEREMONIES[..1])));
    folder.restore(&backup).expect("an empty folder");
    // the shares of the second ceremony, which are stored before it is confirmed
    let later = of(content(0, 3, &TWO_CEREMONIES));
    let (done, own) = (&later.root_keys.ceremonies[1], &later.ceremonies[1]);
    let confirmed = PendingShares {
        epoch: 1,
        attempt: done.attempt,
        terms: own.terms.clone(),
        roots: done.roots.clone(),
        shares: own.shares.clone(),
    };
    folder.store(&backup).put_pending_shares(&confirmed).expect("writable");
    let error = folder.take().await.expect_err("it would refuse what it confirmed");
    let TakeError::Unfinished { attempt, ref schemes } = error else { panic!("{error}") };
    assert_eq!((attempt, schemes.as_slice()), (done.attempt, TWO_CEREMONIES[1]));
    let told = error.to_string();
    assert!(told.contains("bip340") && told.contains("Start the node"), "{told}");

    folder.store(&backup).put_root_keys(&later.root_keys).expect("writable");
    let taken = folder.take().await.expect("it is done");
    assert_eq!(taken.root_keys, later.root_keys);
}
