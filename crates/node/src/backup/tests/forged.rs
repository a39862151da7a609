//! Backups that somebody else made: whoever knows a public key can seal one for it.

use super::*;

const ANYBODY: Known<'_> = Known { sealed_by_secret: false, node: None, root_keys: None };

impl Folder {
    /// Restores what was opened by a secret key.
    fn restore_sealed_for_a_key(
        &self,
        backup: &Backup,
        node: Option<countersign_types::NodePublicKey>,
    ) -> Result<Restored, RestoreError> {
        restore(&self.path("node.toml"), backup, Known { node, ..ANYBODY }, kdf())
    }
}

/// The backup of another node in another network, of which the operator knows nothing.
fn forged() -> Backup {
    of(content(1, 4, &TWO_CEREMONIES))
}

#[test]
fn what_anybody_can_have_sealed_is_restored_for_a_named_node_only() {
    let (folder, own, forged) = (Folder::new(), two_ceremonies(), forged());
    for backup in [&own, &forged] {
        let error = folder.restore_sealed_for_a_key(backup, None).expect_err("nobody says whose it is");
        assert!(matches!(error, RestoreError::Unnamed { .. }), "{error}");
        let told = error.to_string();
        assert!(told.contains("--node-key") && !told.contains(&backup.node().to_string()), "{told}");
    }
    let error = folder.restore_sealed_for_a_key(&forged, Some(own.node())).expect_err("another node");
    assert!(
        matches!(error, RestoreError::NotTheNode { expected, backup } if expected == own.node() && backup == forged.node()),
        "{error}"
    );
    assert_eq!(folder.names(), ["passphrase"], "something was written");
    folder.restore_sealed_for_a_key(&own, Some(own.node())).expect("it is that node");
}

#[test]
fn an_identity_that_is_there_says_whose_it_must_be_and_a_genesis_or_a_configuration_does_not() {
    let (folder, own) = (Folder::new(), two_ceremonies());
    folder.restore(&own).expect("an empty folder");
    fs::remove_dir_all(folder.path("data")).expect("removed");
    let error = folder.restore_sealed_for_a_key(&forged(), None).expect_err("another network");
    assert!(matches!(error, RestoreError::OtherNetwork { .. }), "{error}");
    let other_member = of(content(1, 3, &TWO_CEREMONIES));
    let error = folder.restore_sealed_for_a_key(&other_member, None).expect_err("another node");
    assert!(matches!(error, RestoreError::OtherNode { .. }), "{error}");
    folder.restore_sealed_for_a_key(&own, None).expect("the identity says that it is this one");

    // any member of the network can have made one
    fs::remove_dir_all(folder.path("data")).expect("removed");
    fs::remove_file(folder.path("identity.sealed")).expect("removed");
    let before = folder.names();
    let error = folder.restore_sealed_for_a_key(&other_member, None).expect_err("nobody says whose it is");
    assert!(matches!(error, RestoreError::Unnamed { .. }), "{error}");
    assert_eq!(folder.names(), before);
}

#[test]
fn a_node_that_is_named_must_be_it_whatever_opened_the_backup() {
    let (folder, own) = (Folder::new(), two_ceremonies());
    let node = Some(forged().node());
    let known = Known { sealed_by_secret: true, node, root_keys: None };
    let error = restore(&folder.path("node.toml"), &own, known, kdf()).expect_err("another node");
    assert!(matches!(error, RestoreError::NotTheNode { .. }), "{error}");
    assert_eq!(folder.names(), ["passphrase"], "something was written");
}

#[test]
fn a_configuration_out_of_a_backup_writes_in_its_own_folder_only() {
    let (folder, elsewhere) = (Folder::new(), tempfile::tempdir().expect("a folder"));
    let away = elsewhere.path().join("away");
    let away = away.to_str().expect("UTF-8");
    let name = elsewhere.path().file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let beside = format!("../{name}/away");
    let around = format!("down/../../{name}/away");
    let settings = ["data = 'data'", "genesis = 'genesis.json'", "identity = 'identity.sealed'"];
    let with = |lines: [String; 3]| {
        let config = format!("{}\n[passphrase]\nfile = 'passphrase'\n", lines.join("\n"));
        Backup::new(Content { config, ..content(0, 3, &TWO_CEREMONIES) }).expect("all of one member")
    };
    for (moved, line) in settings.iter().enumerate() {
        for path in [away, &beside, &around] {
            let mut lines = settings.map(str::to_owned);
            let (moving, _) = line.split_once(' ').expect("a setting");
            lines[moved] = format!("{moving} = '{path}'");
            let backup = with(lines);
            let error = folder.restore(&backup).expect_err("it leaves the folder");
            assert!(matches!(error, RestoreError::Outside { setting, .. } if setting == moving), "{error}");
            assert_eq!(folder.names(), ["passphrase"], "something was written");
            assert!(!Path::new(away).exists(), "something was written");
        }
    }
    // the operator's own configuration counts
    let mut lines = settings.map(str::to_owned);
    lines[0] = format!("data = '{away}'");
    let backup = with(lines);
    fs::write(folder.path("node.toml"), &backup.config).expect("written");
    let restored = folder.restore(&backup).expect("as the operator wants it");
    assert_eq!(restored.database, Path::new(away).join("db"));
}
