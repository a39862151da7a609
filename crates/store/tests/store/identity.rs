//! The identity file.

use std::{fs, os::unix::fs::PermissionsExt};

use countersign_store::{IdentityFile, IdentityFileError};

use crate::fixture::{kdf, passphrase};

#[test]
fn an_identity_is_opened_with_its_passphrase_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("identity");
    let missing = IdentityFile::open(&path, &passphrase()).expect_err("there is none");
    assert!(missing.to_string().contains("countersign node init"), "{missing}");

    let key = IdentityFile::create(&path, &passphrase(), kdf()).expect("a new file");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(IdentityFile::read_public_key(&path).expect("whole"), key.public_key());
    let opened = IdentityFile::open(&path, &passphrase()).expect("the right one");
    assert_eq!(opened.to_bytes(), key.to_bytes());
    let wrong = IdentityFile::open(&path, &"wrong".into());
    assert!(matches!(wrong, Err(IdentityFileError::Passphrase { .. })), "{wrong:?}");
}

#[test]
fn an_identity_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("identity");
    let key = IdentityFile::create(&path, &passphrase(), kdf()).expect("a new file");
    let again = IdentityFile::create(&path, &passphrase(), kdf());
    assert!(matches!(again, Err(IdentityFileError::Exists { .. })), "{again:?}");
    assert_eq!(IdentityFile::read_public_key(&path).expect("whole"), key.public_key());
    let other = IdentityFile::create(&folder.path().join("other"), &passphrase(), kdf()).expect("a new file");
    assert_ne!(other.public_key(), key.public_key());
    let empty = IdentityFile::create(&folder.path().join("empty"), &"".into(), kdf());
    assert!(matches!(empty, Err(IdentityFileError::EmptyPassphrase)), "{empty:?}");
}

#[test]
fn any_flipped_byte_of_an_identity_is_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("identity");
    IdentityFile::create(&path, &passphrase(), kdf()).expect("a new file");
    let whole = fs::read(&path).expect("readable");
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x40;
        fs::write(&path, flipped).expect("writable");
        let result = IdentityFile::open(&path, &passphrase());
        assert!(matches!(result, Err(IdentityFileError::Damaged { .. })), "{position}: {result:?}");
    }
}
