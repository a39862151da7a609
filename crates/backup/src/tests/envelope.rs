//! Who can open a sealed backup, and what becomes of a changed one.

use proptest::prelude::*;
use secrecy::SecretString;

use super::fixture::backup;
use crate::{
    Backup, DocumentError, Identity, IdentityError, Key, Lock, MAX_RECIPIENTS, MAX_SEALED_BYTES, OpenError,
    Recipient, SealError,
    envelope::{fingerprint, open, seal, seal_with},
};

/// Next to no work.
const WORK: u8 = 4;

fn phrase(text: &str) -> SecretString {
    text.into()
}

fn sealed() -> Vec<u8> {
    seal_with(&backup().encode(), &Lock::Passphrase(phrase("correct horse")), WORK).expect("sealed")
}

/// Every place of the header and of the end, and some between.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..200).chain((200..length - 20).step_by(17)).chain(length - 20..length)
}

fn reads(sealed: &[u8], key: &Key) -> Result<(), OpenError> {
    let opened = open(sealed, key)?;
    assert!(*opened.encode() == *backup().encode(), "another backup came out");
    Ok(())
}

fn passphrase() -> Key {
    Key::Passphrase(phrase("correct horse"))
}

#[test]
fn the_passphrase_opens_it_and_no_other() {
    assert_eq!(reads(&sealed(), &passphrase()), Ok(()));
    for other in ["correct horsf", "correct horse ", "x"] {
        assert_eq!(reads(&sealed(), &Key::Passphrase(phrase(other))), Err(OpenError::Passphrase));
    }
    assert_ne!(sealed(), sealed(), "salt, key and nonce are drawn anew");
    assert_ne!(fingerprint(&sealed()), fingerprint(&sealed()));
}

#[test]
fn what_operators_get_takes_a_second_of_work() {
    let sealed = seal(&backup(), &Lock::Passphrase(phrase("correct horse"))).expect("sealed");
    let header = String::from_utf8_lossy(&sealed[..100]);
    assert!(header.contains("-> scrypt ") && header.lines().any(|line| line.ends_with(" 18")), "{header}");
    assert_eq!(reads(&sealed, &passphrase()), Ok(()));
}

#[test]
fn each_recipient_opens_it_and_nobody_else() {
    let keys: Vec<Identity> = std::iter::repeat_with(Identity::generate).take(3).collect();
    let recipients: Vec<Recipient> = keys[..2].iter().map(Identity::recipient).collect();
    let sealed = seal(&backup(), &Lock::Recipients(recipients)).expect("sealed");
    for key in &keys[..2] {
        assert_eq!(reads(&sealed, &Key::Identities(vec![key.clone()])), Ok(()));
    }
    assert_eq!(reads(&sealed, &Key::Identities(keys.clone())), Ok(()));
    assert_eq!(reads(&sealed, &Key::Identities(keys[2..].to_vec())), Err(OpenError::Identity));
    assert_eq!(reads(&sealed, &passphrase()), Err(OpenError::NeedsIdentity));
    assert_eq!(reads(&self::sealed(), &Key::Identities(keys)), Err(OpenError::NeedsPassphrase));
    // a byte of a header that has changed makes one kind of lock another
    for error in [OpenError::NeedsIdentity, OpenError::NeedsPassphrase] {
        assert!(error.to_string().contains("Or it is damaged"), "{error}");
    }
}

#[test]
fn recipients_are_bounded() {
    let one = Identity::generate().recipient();
    for got in [0, MAX_RECIPIENTS + 1] {
        let error = seal(&backup(), &Lock::Recipients(vec![one.clone(); got])).expect_err("too many or few");
        assert!(matches!(error, SealError::Recipients { got: told } if told == got), "{error}");
    }
}

#[test]
fn recipients_and_secret_keys_are_read_as_age_writes_them() {
    let key: Identity = Identity::generate();
    let recipient = key.recipient().to_string();
    assert!(recipient.starts_with("age1") && recipient.len() == 62, "{recipient}");
    assert_eq!(recipient.parse(), Ok(key.recipient()));
    for wrong in ["", "age1", &recipient[..61], "ssh-ed25519 AAAA", &format!("{recipient}q")] {
        assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
    }

    let file = format!("# created: 2026-11-29\n\n{}", *key.to_file());
    let secret = file.lines().last().expect("the key");
    assert!(secret.starts_with("AGE-SECRET-KEY-1"));
    let keys = Identity::parse_file(&file).expect("one key");
    assert_eq!(keys.iter().map(Identity::recipient).collect::<Vec<_>>(), [key.recipient()]);
    assert!(!format!("{keys:?}").contains("SECRET"));
    assert_eq!(Identity::parse_file("# none\n").expect_err("none"), IdentityError::None);
    let error = Identity::parse_file(&format!("{file}{}\n", &secret[..70])).expect_err("cut");
    assert_eq!(error, IdentityError::Line { line: 5 });
    assert!(!error.to_string().contains(&secret[20..30]), "{error}");
}

#[test]
fn something_else_is_no_backup() {
    for other in [&b""[..], b"CSSTORE\n", b"-----BEGIN AGE ENCRYPTED FILE-----", b"age-encryption.net/v1\n"] {
        assert_eq!(reads(other, &passphrase()), Err(OpenError::NotABackup));
    }
    let got = MAX_SEALED_BYTES + 1;
    assert_eq!(reads(&vec![b'a'; got], &passphrase()), Err(OpenError::TooLong { got }));
    // a file of age that holds something else
    let other = seal_with(b"a letter", &Lock::Passphrase(phrase("correct horse")), WORK).expect("sealed");
    assert_eq!(reads(&other, &passphrase()), Err(OpenError::Document(DocumentError::NotABackup)));
    let mut later = backup().encode();
    later[22] = 2;
    let later = seal_with(&later, &Lock::Passphrase(phrase("correct horse")), WORK).expect("sealed");
    assert_eq!(reads(&later, &passphrase()), Err(OpenError::Document(DocumentError::Version { got: 2 })));
}

#[test]
fn more_work_than_any_backup_asks_for_is_refused_before_it_is_done() {
    let text = sealed();
    let at = text.windows(3).position(|three| three == b" 4\n").expect("the work in the header");
    for required in [21, 63] {
        let changed = [&text[..=at], required.to_string().as_bytes(), &text[at + 2..]].concat();
        assert_eq!(reads(&changed, &passphrase()), Err(OpenError::Work { required }));
    }
}

#[test]
fn a_cut_file_is_told_from_a_wrong_passphrase() {
    let whole = sealed();
    let cut = |length: usize| reads(&whole[..length], &passphrase()).expect_err("its end is missing");
    for length in places(whole.len()).filter(|length| *length > 0) {
        let error = cut(length);
        assert!(matches!(error, OpenError::CutShort | OpenError::Damaged), "{length}: {error}");
    }
    assert_eq!(cut(10), OpenError::CutShort);
    let longer = [whole.as_slice(), b"x"].concat();
    assert_eq!(reads(&longer, &passphrase()), Err(OpenError::Damaged));
}

#[test]
fn no_changed_byte_is_overlooked() {
    let whole = sealed();
    let header = 4 + whole.windows(4).position(|four| four == b"\n---").expect("the end of the header");
    let (mut damaged, mut passphrases) = (0, 0);
    for place in places(whole.len()) {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        match reads(&changed, &passphrase()).expect_err("it was changed") {
            // in the few bytes that the passphrase opens, nobody can tell
            OpenError::Passphrase => {
                assert!(place < header, "{place}");
                passphrases += 1;
            }
            OpenError::NotABackup => assert!(place < 19, "{place}"),
            OpenError::Format => assert!(place < 22, "{place}"),
            OpenError::Work { .. } | OpenError::NeedsIdentity => assert!(place < header, "{place}"),
            OpenError::Damaged | OpenError::CutShort => damaged += 1,
            error @ (OpenError::TooLong { .. }
            | OpenError::Identity
            | OpenError::NeedsPassphrase
            | OpenError::Document(_)) => panic!("{place}: {error}"),
        }
    }
    assert!(passphrases < 100 && damaged > 150, "{passphrases} {damaged}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let framed = [b"age-encryption.org/v1\n".as_slice(), &bytes].concat();
        prop_assert!(open(&bytes, &passphrase()).is_err());
        prop_assert!(open(&framed, &passphrase()).is_err());
    }
}

#[test]
fn a_backup_is_checked_after_it_is_opened() {
    // sealed by somebody who has the passphrase: still not believed
    let mut document = backup().encode();
    let share = &backup().ceremonies[1].shares[0];
    let at = document.windows(share.len()).position(|part| part == share.as_slice()).expect("the share");
    document[at + share.len() - 1] ^= 1;
    let sealed = seal_with(&document, &Lock::Passphrase(phrase("correct horse")), WORK).expect("sealed");
    let error = reads(&sealed, &passphrase()).expect_err("the share is another");
    assert!(matches!(error, OpenError::Document(DocumentError::Content(_))), "{error}");
    assert!(Backup::decode(&backup().encode()).is_ok());
}
