//! What is stored, for how long, and who makes room.

use super::*;
use crate::receipts::surplus::{MAX_INCOMPLETE, MAX_OF_REQUEST};

const LONG_MS: u64 = 1_000_000;

fn hash<T: From<[u8; 32]>>(number: u32) -> T {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes.into()
}

fn member(number: u16) -> Identifier {
    Identifier::new(number).expect("not zero")
}

/// A receipt of a request, of which nothing else is special.
fn of_request(request: u32, content: &[u8]) -> NewReceipt<'_> {
    NewReceipt {
        request: hash(request),
        coordinator: member(1),
        package: hash(1),
        action: hash(1),
        key: hash(1),
        complete: true,
        content,
    }
}

/// Room for so many receipts of a hundred bytes.
fn room_for(count: u64) -> u64 {
    count * (100 + ROWS_BYTES)
}

fn opened(folder: &tempfile::TempDir, total_bytes: u64, keep_ms: u64) -> Receipts {
    Receipts::open(&folder.path().join("receipts"), ReceiptBounds { total_bytes, keep_ms }).expect("it opens")
}

/// How many of these requests have a receipt.
fn kept(receipts: &Receipts, requests: impl Iterator<Item = u32>) -> usize {
    requests.filter(|request| !receipts.of(hash(*request), 0).expect("read").is_empty()).count()
}

/// Every row is accounted for: the totals are the sums of what is there, and nothing is left of what is gone.
fn check(receipts: &Receipts) {
    let rows = |kind: &[u8]| {
        let mut found = Vec::new();
        let visit = |key: &[u8], value: &[u8]| {
            found.push((key.to_vec(), value.to_vec()));
            true
        };
        receipts.rows.visit("checking", kind, visit).expect("read");
        found
    };
    let labels: Vec<Label> =
        rows(b"l").iter().map(|(_, value)| Label::parse(value).expect("a label")).collect();
    for kind in [&b"r"[..], b"t", b"h"] {
        assert_eq!(rows(kind).len(), labels.len(), "{kind:?}");
    }
    let total: u64 = labels.iter().map(|label| label.bytes).sum();
    assert_eq!(receipts.stored_bytes(), total);
    let actions = rows(b"a").into_iter().map(|(key, value)| (Ranking::of_actions(), key, value));
    let keys = rows(b"k").into_iter().map(|(key, value)| {
        let action: [u8; 32] = key[1..33].try_into().expect("an action");
        (receipts.keys_of(action.into()), key, value)
    });
    for (all, kind) in [(actions.collect::<Vec<_>>(), &b"A"[..]), (keys.collect(), b"K")] {
        let places = rows(kind);
        assert_eq!(all.len(), places.len());
        let mut sum = 0;
        for (ranking, key, value) in all {
            let counted = Total::parse(&value).expect("a total");
            sum += counted.bytes;
            let place = ranking.place(&counted, key.last_chunk().expect("whose"));
            assert!(places.iter().any(|(key, _)| *key == place), "{key:?} has no place");
        }
        assert_eq!(sum, total);
    }
}

#[test]
fn receipts_are_kept_one_for_each_package_and_coordinator() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let receipts = opened(&folder, room_for(10), LONG_MS);
        let two = NewReceipt { package: hash(2), ..of_request(1, b"two") };
        receipts.put(&two, 5).expect("stored");
        let early = NewReceipt { complete: false, ..of_request(1, b"one, incomplete") };
        receipts.put(&early, 6).expect("stored");
        receipts.put(&of_request(1, b"one"), 7).expect("stored");
        let others = NewReceipt { coordinator: member(2), ..of_request(1, b"another's one") };
        receipts.put(&others, 8).expect("stored");
        receipts.put(&of_request(2, b"another"), 8).expect("stored");
        let found = receipts.of(hash(1), 8).expect("read");
        assert_eq!(found, [b"one".to_vec(), b"two".to_vec(), b"another's one".to_vec()]);
        check(&receipts);
    }
    let receipts = opened(&folder, room_for(10), LONG_MS);
    assert_eq!(receipts.of(hash(2), 9).expect("read"), [b"another".to_vec()]);
    assert_eq!(receipts.of(hash(3), 9).expect("read"), Vec::<Vec<u8>>::new());
    assert_eq!(receipts.stored_bytes(), 3 + 3 + 13 + 7 + 4 * ROWS_BYTES, "counted anew");
    check(&receipts);
}

#[test]
fn no_coordinator_erases_what_another_left() {
    for complete in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let receipts = opened(&folder, room_for(100), LONG_MS);
        receipts.put(&of_request(1, b"honest"), 0).expect("stored");
        let mut displaced = 0;
        for number in 1..=20_u32 {
            let content = number.to_be_bytes();
            let later = NewReceipt {
                coordinator: member(2),
                package: hash(100 + number),
                complete,
                ..of_request(1, &content)
            };
            displaced += receipts.put(&later, u64::from(number)).expect("stored").displaced;
        }
        let left = receipts.of(hash(1), 20).expect("read");
        assert!(left.contains(&b"honest".to_vec()), "the other one's is gone: {left:?}");
        assert!(left.contains(&20_u32.to_be_bytes().to_vec()), "the newest is not there: {left:?}");
        let most = if complete { MAX_OF_REQUEST } else { 1 + MAX_INCOMPLETE };
        assert_eq!((left.len(), displaced), (most, 21 - most));
        check(&receipts);
    }
}

#[test]
fn a_coordinators_incomplete_receipts_do_not_erase_its_complete_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let receipts = opened(&folder, room_for(100), LONG_MS);
    receipts.put(&of_request(1, b"complete"), 0).expect("stored");
    for number in 2..=20_u32 {
        let part = NewReceipt { package: hash(number), complete: false, ..of_request(1, b"part") };
        receipts.put(&part, u64::from(number)).expect("stored");
    }
    let left = receipts.of(hash(1), 20).expect("read");
    assert_eq!(left.len(), 1 + MAX_INCOMPLETE);
    assert!(left.contains(&b"complete".to_vec()));
}

#[test]
fn one_of_more_coordinators_than_have_room_gives_way_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let receipts = opened(&folder, room_for(100), LONG_MS);
    let by = |number: u16| NewReceipt { coordinator: member(number), ..of_request(1, b"x") };
    for number in 2..=17 {
        assert_eq!(receipts.put(&by(number), u64::from(number)).expect("stored").displaced, 0);
    }
    let content = [1];
    let put = receipts.put(&NewReceipt { content: &content, ..by(1) }, 18).expect("it is told");
    let kept = receipts.of(hash(1), 18).expect("read");
    assert_eq!((put.displaced, kept.len(), kept.contains(&content.to_vec())), (1, MAX_OF_REQUEST, false));
    check(&receipts);
}

#[test]
fn whoever_has_the_most_makes_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let receipts = opened(&folder, room_for(300), LONG_MS);
    let content = [7; 100];
    let mut displaced = 0;
    for number in 0..1_010 {
        let few = NewReceipt { action: hash(2), key: hash(number), ..of_request(number, &content) };
        // an action that everybody may use: each receipt is another key's
        let many = NewReceipt { action: hash(3), ..few };
        let new = if number < 10 { few } else { many };
        displaced += receipts.put(&new, u64::from(number)).expect("stored").displaced;
    }
    assert_eq!(kept(&receipts, 0..10), 10, "an action took another one's room");
    assert_eq!((kept(&receipts, 10..1_010), displaced), (290, 710));
    assert_eq!(kept(&receipts, 720..1_010), 290, "the oldest went");
    assert_eq!(receipts.stored_bytes(), room_for(300));
    check(&receipts);
}

#[test]
fn of_one_action_the_key_that_has_the_most_makes_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let receipts = opened(&folder, room_for(50), LONG_MS);
    let content = [7; 100];
    for number in 0..210 {
        let key = if number < 10 { hash(1) } else { hash(2) };
        receipts.put(&NewReceipt { key, ..of_request(number, &content) }, u64::from(number)).expect("stored");
    }
    assert_eq!((kept(&receipts, 0..10), kept(&receipts, 170..210)), (10, 40));
    check(&receipts);
}

#[test]
fn of_keys_that_have_about_as_much_the_one_that_was_quiet_for_longest_makes_room() {
    let folder = tempfile::tempdir().expect("a folder");
    // less than a unit each
    let receipts = opened(&folder, (ROWS_BYTES + 200) * KEY_UNITS, LONG_MS);
    for number in 0..1_200 {
        // the second one is a little larger, and so is the last
        let content: &[u8] = if [1, 1_199].contains(&number) { &[7; 150] } else { &[7; 100] };
        let new = NewReceipt { key: hash(number), ..of_request(number, content) };
        receipts.put(&new, u64::from(number)).expect("stored");
    }
    let left = 1_200 - kept(&receipts, 0..1_200);
    assert!(left > 10, "there was room for all");
    let gone = u32::try_from(left).expect("small");
    assert_eq!((kept(&receipts, 0..gone), kept(&receipts, gone..1_200)), (0, 1_200 - left));
    check(&receipts);
}

#[test]
fn what_is_too_old_is_not_shown_and_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let receipts = opened(&folder, room_for(10), 1_000);
    for request in 1..=3 {
        receipts.put(&of_request(request, b"x"), u64::from(request)).expect("stored");
    }
    // nobody has stored or dropped anything since
    assert_eq!(receipts.of(hash(1), 1_001).expect("read").len(), 1, "it is kept a second");
    assert!(receipts.of(hash(1), 1_002).expect("read").is_empty());
    assert_eq!(receipts.of(hash(2), 1_002).expect("read").len(), 1);
    assert_eq!(receipts.prune(1_003).expect("pruned"), Dropped::default());
    assert_eq!(receipts.stored_bytes(), 1 + ROWS_BYTES);
    check(&receipts);
}

#[test]
fn what_is_to_go_goes_in_bounded_steps() {
    let folder = tempfile::tempdir().expect("a folder");
    let many = u32::try_from(MAX_DROPPED).expect("small") + 10;
    {
        let receipts = opened(&folder, u64::MAX, LONG_MS);
        for request in 0..many {
            receipts.put(&of_request(request, b"x"), 1).expect("stored");
        }
    }
    // the operator has lowered the bound
    let receipts = opened(&folder, 0, LONG_MS);
    let first = receipts.prune(2).expect("pruned");
    assert_eq!(first, Dropped { displaced: MAX_DROPPED, more: true });
    assert_eq!(receipts.prune(2).expect("pruned"), Dropped { displaced: 10, more: false });
    assert_eq!(receipts.stored_bytes(), 0);
    check(&receipts);
}

#[test]
fn receipts_are_for_their_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("receipts");
    let mode = || fs::metadata(&path).expect("a folder").permissions().mode() & 0o777;
    drop(opened(&folder, room_for(10), LONG_MS));
    assert_eq!(mode(), 0o700, "new");
    // as earlier versions made it
    for open in [0o755, 0o777, 0o710] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).expect("a mode");
        drop(opened(&folder, room_for(10), LONG_MS));
        assert_eq!(mode(), 0o700, "{open:o}");
    }
    let nowhere = folder.path().join("file");
    fs::write(&nowhere, "").expect("written");
    let bounds = ReceiptBounds { total_bytes: 1, keep_ms: 1 };
    let error = Receipts::open(&nowhere.join("receipts"), bounds).expect_err("no place for it");
    assert!(matches!(error, ReceiptsError::Folder { .. }), "{error}");
}

#[test]
fn a_damaged_database_and_one_of_another_format_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("receipts");
    let bounds = ReceiptBounds { total_bytes: 1, keep_ms: 1 };
    let write = |key: &[u8], value: &[u8]| {
        let mut batch = WriteBatch::default();
        batch.put(key, value);
        Rows::open(&path).expect("it opens").write("writing", batch).expect("written");
    };
    write(b"r of the first format", b"");
    let error = Receipts::open(&path, bounds).expect_err("the first format").to_string();
    assert!(error.contains("of format 1") && error.contains("move the folder away"), "{error}");
    write(FORMAT_ROW, &[FORMAT + 1]);
    assert!(matches!(Receipts::open(&path, bounds), Err(ReceiptsError::Format { got: 3, .. })));
    write(FORMAT_ROW, &[FORMAT]);
    drop(Receipts::open(&path, bounds).expect("this format"));

    std::fs::write(path.join("CURRENT"), b"MANIFEST-999999\n").expect("damaged");
    let error = Receipts::open(&path, bounds).expect_err("damaged");
    assert!(error.to_string().contains("move the folder away"), "{error}");
}
