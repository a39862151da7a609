//! Documents are read back, and nothing else is one.

use proptest::prelude::*;

use super::fixture::{backup, content};
use crate::{Backup, DOCUMENT_VERSION, DocumentError, MAX_DOCUMENT_BYTES};

/// Where the version lies.
const VERSION: std::ops::Range<usize> = 19..23;

#[test]
fn a_document_is_read_back() {
    let document = backup().encode();
    let read = Backup::decode(&document).expect("it was written");
    assert!(*read.encode() == *document, "another document");
    let content = content();
    assert_eq!(read.genesis, content.genesis);
    assert_eq!((read.taken_at_ms, read.time_ms), (content.taken_at_ms, content.time_ms));
    assert_eq!(read.node(), content.identity.public_key());
    assert_eq!((&read.boots, &read.peers), (&content.boots, &content.peers));
    assert_eq!((read.generation(), &read.config), (4, &content.config));
    assert_eq!((&read.root_keys, &read.ceremonies), (&content.root_keys, &content.ceremonies));
}

#[test]
fn what_is_printed_holds_no_secret() {
    let backup = backup();
    let printed = format!("{backup:?}").replace([' ', ','], "");
    let secret = |bytes: &[u8]| {
        let list: String = bytes.iter().map(u8::to_string).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        printed.contains(&list) || printed.contains(&hex)
    };
    assert!(!secret(backup.identity.to_bytes().as_slice()));
    // version and three numbers, then the secret
    assert!(!secret(&backup.ceremonies[0].shares[0][7..39]));
    // and this would see it
    assert!(secret(backup.node().as_bytes()));
}

#[test]
fn another_version_is_named_and_not_guessed_at() {
    for got in [0, DOCUMENT_VERSION + 1, u32::MAX] {
        let mut document = backup().encode();
        document[VERSION].copy_from_slice(&got.to_be_bytes());
        assert_eq!(Backup::decode(&document).expect_err("another"), DocumentError::Version { got });
        document.truncate(VERSION.end);
        assert_eq!(Backup::decode(&document).expect_err("another"), DocumentError::Version { got });
    }
}

#[test]
fn something_else_is_no_backup() {
    for other in [&b""[..], b"countersign", b"{\"nodes\":[]}"] {
        assert_eq!(Backup::decode(other).expect_err("something else"), DocumentError::NotABackup);
    }
    let got = MAX_DOCUMENT_BYTES + 1;
    assert_eq!(Backup::decode(&vec![0; got]).expect_err("too long"), DocumentError::TooLong { got });
}

#[test]
fn no_part_of_a_document_is_one() {
    let document = backup().encode();
    for length in VERSION.end..document.len() {
        let error = Backup::decode(&document[..length]).expect_err("its end is missing");
        assert!(matches!(error, DocumentError::Malformed { .. }), "{length}: {error}");
    }
    let longer = [document.as_slice(), &[0]].concat();
    let error = Backup::decode(&longer).expect_err("there is more");
    assert!(matches!(error, DocumentError::Malformed { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_is_refused_or_read_as_it_is(place in any::<prop::sample::Index>(), flip in 1_u8..) {
        let document = backup().encode();
        let mut changed = document.clone();
        changed[place.index(document.len())] ^= flip;
        // times, starts and confirmations are this node's word alone: sealing protects them
        if let Ok(read) = Backup::decode(&changed) {
            prop_assert_ne!(&*read.encode(), &*document);
            prop_assert_eq!(read.node(), backup().node());
            prop_assert_eq!(&read.root_keys, &backup().root_keys);
            for (read, own) in read.ceremonies.iter().zip(&backup().ceremonies) {
                prop_assert_eq!(&read.terms, &own.terms);
                prop_assert!(read.shares == own.shares);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Backup::decode(&bytes).is_err());
        let framed = [&backup().encode()[..VERSION.end], &bytes].concat();
        prop_assert!(Backup::decode(&framed).is_err());
    }
}
