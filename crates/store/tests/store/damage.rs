//! Damaged files: an error or the right value, never another value, never a panic.

use std::{
    fs,
    path::{Path, PathBuf},
};

use countersign_store::{Store, StoreError};
use countersign_types::action::Content;

use crate::fixture::{
    BOUNDS, SCHEMES, Seeded, active, attempt, copy, create, key, open, pending, publication, root_keys,
};

/// Flips in each file: over 200 in all.
const FLIPS: u64 = 16;
const GENERATIONS: u64 = 3;

fn component(seed: u64) -> Vec<u8> {
    Seeded(seed).bytes(20_000)
}

fn content(seed: u64) -> Content {
    Content::component(component(seed))
}

/// A database with records in tables and in the log.
fn build(path: &Path) {
    let store = create(path);
    store.put_pending_shares(&pending(1)).expect("new");
    store.put_action(&publication(5, "one", &component(1)), &content(1), &BOUNDS).expect("in bounds");
    drop(store);
    let store = open(path).expect("whole");
    store.put_pending_shares(&pending(2)).expect("new");
    store.record_activation(1, attempt(2), vec![7; 300].into()).expect("the first");
    drop(store);
    let store = open(path).expect("whole");
    assert_eq!(store.generation().expect("known"), GENERATIONS);
    store.put_root_keys(&root_keys(2)).expect("of that attempt");
    store.put_pending_shares(&pending(3)).expect("new");
    store.put_action(&publication(5, "two", &component(2)), &content(2), &BOUNDS).expect("in bounds");
    store.put_time(1234).expect("writable");
}

/// Reads everything; every answer is an error or what was written.
fn check(store: &Store) -> Result<(), StoreError> {
    assert!(store.generation()? > GENERATIONS);
    assert_eq!(store.last_time()?, 1234);
    assert_eq!(store.identity()?.to_bytes(), key(1).to_bytes());
    for number in 1..=3 {
        assert_eq!(store.pending_shares_of(1, attempt(number))?, Some(pending(number)));
    }
    let activation = store.activation(1, SCHEMES[0])?.expect("an activation is never forgotten");
    assert_eq!((activation.attempt, activation.confirmations.as_ref()), (attempt(2), [7; 300].as_slice()));
    assert_eq!(store.root_keys()?, Some(root_keys(2)));
    assert_eq!(store.active_share(1, SCHEMES[0])?, Some(active(2)));
    for (name, seed) in [("one", 1), ("two", 2)] {
        let signed = publication(5, name, &component(seed));
        let stored = store.action(&signed.action_id())?.expect("an action is never forgotten");
        assert_eq!(stored.signed, signed);
        let bytes = store.component(&signed.publish.manifest.component)?;
        assert_eq!(bytes, Some(component(seed)));
    }
    assert_eq!(store.actions(None, 10)?.len(), 2);
    Ok(())
}

fn files(path: &Path) -> Vec<PathBuf> {
    let names = |folder: &Path| {
        let mut files: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|file| file.is_file())
            .collect();
        files.sort();
        files
    };
    [names(path), names(&path.join("rocksdb"))].concat()
}

/// Opens a damaged copy. Whether the damage was noticed.
fn is_noticed(path: &Path) -> bool {
    match open(path) {
        Ok(store) => check(&store).is_err(),
        Err(_) => true,
    }
}

#[test]
fn a_flipped_byte_in_any_file_is_an_error_or_harmless() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, damaged) = (folder.path().join("store"), folder.path().join("damaged"));
    build(&path);
    let (mut seeded, mut runs, mut noticed) = (Seeded(7), 0, 0);
    for file in files(&path) {
        let length = fs::metadata(&file).expect("a file").len();
        let (mut file_runs, mut file_noticed) = (0, 0);
        for _ in 0..if length == 0 { 0 } else { FLIPS } {
            let (position, change) = (seeded.below(length), 1 + seeded.below(255) as u8);
            copy(&path, &damaged);
            let target = damaged.join(file.strip_prefix(&path).expect("inside"));
            let mut bytes = fs::read(&target).expect("readable");
            bytes[position as usize] ^= change;
            fs::write(&target, bytes).expect("writable");
            println!("{target:?} byte {position} of {length} changed by {change:#04x}");
            file_runs += 1;
            file_noticed += u32::from(is_noticed(&damaged));
            fs::remove_dir_all(&damaged).expect("it is there");
        }
        println!("{file:?}: {file_noticed} of {file_runs} noticed");
        // a table also holds statistics, which nobody reads; a log holds records only
        let least = match file.extension().and_then(|extension| extension.to_str()) {
            Some("log") => file_runs,
            Some("sst") => file_runs / 2,
            _ => 0,
        };
        assert!(file_noticed >= least, "{file:?}: {file_noticed} of {file_runs} noticed");
        (runs, noticed) = (runs + file_runs, noticed + file_noticed);
    }
    assert!(runs >= 200 && noticed >= 4 * FLIPS as u32, "{noticed} of {runs} noticed");
}

#[test]
fn a_file_that_is_cut_short_is_an_error_or_harmless() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, damaged) = (folder.path().join("store"), folder.path().join("damaged"));
    build(&path);
    let mut seeded = Seeded(8);
    for file in files(&path) {
        let length = fs::metadata(&file).expect("a file").len();
        let cuts = [0, 1, length / 2, seeded.below(length + 1), length.saturating_sub(1)];
        for cut in cuts.into_iter().filter(|cut| *cut < length) {
            copy(&path, &damaged);
            let target = damaged.join(file.strip_prefix(&path).expect("inside"));
            fs::File::options()
                .write(true)
                .open(&target)
                .and_then(|file| file.set_len(cut))
                .expect("shorter");
            println!("{target:?} cut to {cut} of {length}");
            is_noticed(&damaged);
            fs::remove_dir_all(&damaged).expect("it is there");
        }
    }
}

#[test]
fn a_file_that_is_gone_is_an_error_or_harmless() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, damaged) = (folder.path().join("store"), folder.path().join("damaged"));
    build(&path);
    for file in files(&path) {
        copy(&path, &damaged);
        fs::remove_file(damaged.join(file.strip_prefix(&path).expect("inside"))).expect("it is there");
        println!("{file:?} gone: noticed {}", is_noticed(&damaged));
        fs::remove_dir_all(&damaged).expect("it is there");
    }
}
