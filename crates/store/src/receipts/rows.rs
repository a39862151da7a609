//! The receipts' RocksDB, without a sense of what it holds.

use std::path::Path;

use rocksdb::{
    DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode, LogLevel, Options, WriteBatch,
    WriteOptions,
};

use super::ReceiptsError;

/// When the table in memory goes to disk: 4 MiB.
const WRITE_BUFFER_BYTES: usize = 4 << 20;
/// From which length a value lies in a file of its own kind: 4 KiB.
const BLOB_BYTES: u64 = 4 << 10;
/// Files that stay open.
const OPEN_FILES: i32 = 32;
/// Above the keys of all rows with the same beginning.
const ABOVE: [u8; 64] = [0xff; 64];

/// Rows, ordered by their keys.
pub(super) struct Rows(DB);

impl Rows {
    pub(super) fn open(path: &Path) -> Result<Self, ReceiptsError> {
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
        let opened = DB::open(&options, path);
        opened.map(Self).map_err(|source| ReceiptsError::Open { path: path.to_owned(), source })
    }

    pub(super) fn get(&self, operation: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, ReceiptsError> {
        self.0.get(key).map_err(|source| ReceiptsError::Io { operation, source })
    }

    /// Writes all of a batch or nothing, without waiting for the disk.
    pub(super) fn write(&self, operation: &'static str, batch: WriteBatch) -> Result<(), ReceiptsError> {
        self.0
            .write_opt(batch, &WriteOptions::default())
            .map_err(|source| ReceiptsError::Io { operation, source })
    }

    /// Calls `visit` with each row whose key starts with `prefix`, until it says no.
    pub(super) fn visit(
        &self,
        operation: &'static str,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), ReceiptsError> {
        for row in self.0.iterator(IteratorMode::From(prefix, Direction::Forward)) {
            let (key, value) = row.map_err(|source| ReceiptsError::Io { operation, source })?;
            if !key.starts_with(prefix) || !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    /// The first key that starts with `prefix`.
    pub(super) fn first(
        &self,
        operation: &'static str,
        prefix: &[u8],
    ) -> Result<Option<Vec<u8>>, ReceiptsError> {
        let mut first = None;
        self.visit(operation, prefix, |key, _| {
            first = Some(key.to_vec());
            false
        })?;
        Ok(first)
    }

    /// The last key that starts with `prefix`.
    pub(super) fn last(
        &self,
        operation: &'static str,
        prefix: &[u8],
    ) -> Result<Option<Vec<u8>>, ReceiptsError> {
        let above = [prefix, &ABOVE].concat();
        let last = self.0.iterator(IteratorMode::From(&above, Direction::Reverse)).next().transpose();
        let last = last.map_err(|source| ReceiptsError::Io { operation, source })?;
        Ok(last.map(|(key, _)| key.into_vec()).filter(|key| key.starts_with(prefix)))
    }
}
