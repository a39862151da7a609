//! Receipts: why this node signed. In a database of their own, which nothing else depends on.
//!
//! They are written without waiting for the disk: a crash loses those of the last moments, as if their coordinator had never
//! completed them. They are bounded in bytes and in age; the oldest make room.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use countersign_types::{PackageHash, RequestDigest};
use rocksdb::{
    DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode, LogLevel, Options, WriteBatch,
    WriteOptions,
};

/// The keys of receipts begin with it; then request and package.
const RECEIPT: u8 = b'r';
/// The keys of the order of time begin with it; then time, request and package.
const TIME: u8 = b't';
const ID_BYTES: usize = 32;
const TIME_BYTES: usize = 8;
/// When the table in memory goes to disk: 4 MiB.
const WRITE_BUFFER_BYTES: usize = 4 << 20;
/// From which length a value lies in a file of its own kind: 4 KiB.
const BLOB_BYTES: u64 = 4 << 10;
/// Files that stay open.
const OPEN_FILES: i32 = 32;
/// The most receipts that are dropped in one go.
const MAX_DROPPED: usize = 1024;
/// The most receipts of one request: whoever coordinates may open many sessions for it.
const MAX_OF_REQUEST: usize = 16;

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptBounds {
    /// Bytes of all receipts.
    pub total_bytes: u64,
    /// Milliseconds from when a receipt was stored.
    pub keep_ms: u64,
}

/// The receipts of a node.
pub struct Receipts {
    database: DB,
    bounds: ReceiptBounds,
    /// Bytes of all receipts. Whoever writes holds it.
    bytes: Mutex<u64>,
}

/// What fails about receipts. The node signs without them.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptsError {
    /// The database does not open.
    #[error(
        "the database of receipts in {} does not open: move the folder away and start again, without the receipts in it",
        path.display()
    )]
    Open {
        /// Its folder.
        path: PathBuf,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// A read or a write failed.
    #[error("the database of receipts failed, while {operation}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
}

impl Receipts {
    /// Opens the database, or makes it.
    pub fn open(path: &Path, bounds: ReceiptBounds) -> Result<Self, ReceiptsError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES);
        options.set_blob_compression_type(DBCompressionType::Lz4);
        options.set_enable_blob_gc(true);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_open_files(OPEN_FILES);
        options.set_stats_dump_period_sec(0);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(2);
        let database = DB::open(&options, path)
            .map_err(|source| ReceiptsError::Open { path: path.to_owned(), source })?;
        let this = Self { database, bounds, bytes: Mutex::new(0) };
        let mut bytes = 0_u64;
        this.visit("counting the receipts", &[TIME], |_, value| {
            bytes = bytes.saturating_add(length(value));
            true
        })?;
        *this.bytes() = bytes;
        Ok(this)
    }

    /// Stores the receipt of a request and of the package that was signed, in place of an earlier one: two coordinators, or two attempts of
    /// one, have different packages.
    pub fn put(
        &self,
        request: RequestDigest,
        package: PackageHash,
        now_ms: u64,
        receipt: &[u8],
    ) -> Result<(), ReceiptsError> {
        let mut bytes = self.bytes();
        let key = receipt_key(request, package);
        let (mut batch, mut left) = (WriteBatch::default(), *bytes);
        if let Some(earlier) = self.get_value("looking for an earlier receipt", &key)? {
            let (stored_ms, content) = split(&earlier);
            batch.delete(time_key(stored_ms, request, package));
            left = left.saturating_sub(content.len() as u64);
        } else {
            self.make_room(request, &mut batch, &mut left)?;
        }
        let mut value = now_ms.to_be_bytes().to_vec();
        value.extend_from_slice(receipt);
        batch.put(&key, value);
        batch.put(time_key(now_ms, request, package), (receipt.len() as u64).to_be_bytes());
        self.write("storing a receipt", batch)?;
        *bytes = left.saturating_add(receipt.len() as u64);
        self.drop_old(&mut bytes, now_ms)
    }

    /// The receipts of a request, one for each package that this node signed; beyond 16 the newest.
    pub fn of(&self, request: RequestDigest) -> Result<Vec<Vec<u8>>, ReceiptsError> {
        let mut found = Vec::new();
        self.visit_of("reading receipts", request, |_, value| found.push(split(value).1.to_vec()))?;
        Ok(found)
    }

    fn visit_of(
        &self,
        operation: &'static str,
        request: RequestDigest,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), ReceiptsError> {
        let prefix = [&[RECEIPT][..], request.as_bytes()].concat();
        self.visit(operation, &prefix, |key, value| {
            visit(key, value);
            true
        })
    }

    /// Has the oldest receipt of a request make room for one more, where there are as many as may be.
    fn make_room(
        &self,
        request: RequestDigest,
        batch: &mut WriteBatch,
        bytes: &mut u64,
    ) -> Result<(), ReceiptsError> {
        let mut all: Vec<(u64, Vec<u8>, u64)> = Vec::new();
        self.visit_of("counting a request's receipts", request, |key, value| {
            let (stored_ms, content) = split(value);
            all.push((stored_ms, key.to_vec(), content.len() as u64));
        })?;
        if all.len() < MAX_OF_REQUEST {
            return Ok(());
        }
        let Some((stored_ms, key, length)) = all.into_iter().min() else { return Ok(()) };
        batch.delete([&[TIME][..], &stored_ms.to_be_bytes(), key.get(1..).unwrap_or_default()].concat());
        batch.delete(key);
        *bytes = bytes.saturating_sub(length);
        Ok(())
    }

    /// Drops what is too old, and the oldest where there is too much.
    pub fn prune(&self, now_ms: u64) -> Result<(), ReceiptsError> {
        let mut bytes = self.bytes();
        self.drop_old(&mut bytes, now_ms)
    }

    /// How many bytes are stored.
    pub fn stored_bytes(&self) -> u64 {
        *self.bytes()
    }

    fn drop_old(&self, bytes: &mut u64, now_ms: u64) -> Result<(), ReceiptsError> {
        let oldest_kept = now_ms.saturating_sub(self.bounds.keep_ms);
        let mut batch = WriteBatch::default();
        let (mut left, mut dropped) = (*bytes, 0);
        self.visit("dropping old receipts", &[TIME], |key, value| {
            let Some((stored_ms, id)) = parse_time_key(key) else { return true };
            if dropped == MAX_DROPPED || (stored_ms >= oldest_kept && left <= self.bounds.total_bytes) {
                return false;
            }
            batch.delete(key);
            batch.delete([&[RECEIPT], id].concat());
            left = left.saturating_sub(length(value));
            dropped += 1;
            true
        })?;
        if dropped > 0 {
            self.write("dropping old receipts", batch)?;
            *bytes = left;
        }
        Ok(())
    }

    fn bytes(&self) -> MutexGuard<'_, u64> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get_value(&self, operation: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, ReceiptsError> {
        self.database.get(key).map_err(|source| ReceiptsError::Io { operation, source })
    }

    fn write(&self, operation: &'static str, batch: WriteBatch) -> Result<(), ReceiptsError> {
        self.database
            .write_opt(batch, &WriteOptions::default())
            .map_err(|source| ReceiptsError::Io { operation, source })
    }

    /// Calls `visit` with each entry whose key starts with `prefix`, until it says no.
    fn visit(
        &self,
        operation: &'static str,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), ReceiptsError> {
        for entry in self.database.iterator(IteratorMode::From(prefix, Direction::Forward)) {
            let (key, value) = entry.map_err(|source| ReceiptsError::Io { operation, source })?;
            if !key.starts_with(prefix) || !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Receipts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipts").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

fn receipt_key(request: RequestDigest, package: PackageHash) -> Vec<u8> {
    [&[RECEIPT][..], request.as_bytes(), package.as_bytes()].concat()
}

fn time_key(stored_ms: u64, request: RequestDigest, package: PackageHash) -> Vec<u8> {
    [&[TIME][..], &stored_ms.to_be_bytes(), request.as_bytes(), package.as_bytes()].concat()
}

/// Time, and request and package.
fn parse_time_key(key: &[u8]) -> Option<(u64, &[u8])> {
    let (time, id) = key.get(1..)?.split_first_chunk::<TIME_BYTES>()?;
    (id.len() == 2 * ID_BYTES).then_some((u64::from_be_bytes(*time), id))
}

/// When a receipt was stored, and the receipt.
fn split(value: &[u8]) -> (u64, &[u8]) {
    value
        .split_first_chunk::<TIME_BYTES>()
        .map_or((0, value), |(time, rest)| (u64::from_be_bytes(*time), rest))
}

fn length(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: ReceiptBounds = ReceiptBounds { total_bytes: 100, keep_ms: 1_000 };

    fn request(byte: u8) -> RequestDigest {
        RequestDigest::from([byte; 32])
    }

    fn package(byte: u8) -> PackageHash {
        PackageHash::from([byte; 32])
    }

    #[test]
    fn receipts_of_a_request_are_kept_one_for_each_package() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("receipts");
        {
            let receipts = Receipts::open(&path, BOUNDS).expect("made");
            receipts.put(request(1), package(2), 5, b"two").expect("stored");
            receipts.put(request(1), package(1), 6, b"one, incomplete").expect("stored");
            receipts.put(request(1), package(1), 7, b"one").expect("stored");
            receipts.put(request(2), package(1), 7, b"another").expect("stored");
            assert_eq!(receipts.of(request(1)).expect("read"), [b"one".to_vec(), b"two".to_vec()]);
            assert_eq!(receipts.stored_bytes(), 3 + 3 + 7);
        }
        let receipts = Receipts::open(&path, BOUNDS).expect("opened again");
        assert_eq!(receipts.of(request(2)).expect("read"), [b"another".to_vec()]);
        assert_eq!(receipts.of(request(3)).expect("read"), Vec::<Vec<u8>>::new());
        assert_eq!(receipts.stored_bytes(), 13, "counted anew");
    }

    #[test]
    fn no_request_has_more_than_its_part() {
        let folder = tempfile::tempdir().expect("a folder");
        let receipts = Receipts::open(&folder.path().join("receipts"), BOUNDS).expect("made");
        for number in 0..=MAX_OF_REQUEST {
            let byte = u8::try_from(number).expect("small");
            receipts.put(request(1), package(byte), number as u64, &[byte]).expect("stored");
        }
        let kept = receipts.of(request(1)).expect("read");
        assert_eq!(kept.len(), MAX_OF_REQUEST);
        assert!(!kept.contains(&vec![0]), "the oldest made room");
        assert_eq!(receipts.stored_bytes(), MAX_OF_REQUEST as u64);
    }

    #[test]
    fn the_oldest_make_room_and_the_old_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let receipts = Receipts::open(&folder.path().join("receipts"), BOUNDS).expect("made");
        for byte in 1..=4 {
            receipts.put(request(byte), package(byte), u64::from(byte), &[byte; 30]).expect("stored");
        }
        assert!(receipts.of(request(1)).expect("read").is_empty(), "120 bytes are more than 100");
        assert_eq!(receipts.stored_bytes(), 90);
        receipts.prune(1_002).expect("pruned");
        assert!(!receipts.of(request(2)).expect("read").is_empty(), "it is kept a second");
        receipts.prune(1_003).expect("pruned");
        assert!(receipts.of(request(2)).expect("read").is_empty());
        assert!(!receipts.of(request(3)).expect("read").is_empty());
        assert_eq!(receipts.stored_bytes(), 60);
    }

    #[test]
    fn a_damaged_database_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("receipts");
        drop(Receipts::open(&path, BOUNDS).expect("made"));
        std::fs::write(path.join("CURRENT"), b"MANIFEST-999999\n").expect("damaged");
        let error = Receipts::open(&path, BOUNDS).expect_err("damaged");
        assert!(error.to_string().contains("move the folder away"), "{error}");
    }
}
