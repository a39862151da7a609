//! RocksDB: its settings, and reads and writes with errors of our own.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode, LogLevel,
    Options, ReadOptions, WriteBatch, WriteOptions,
};

use crate::{StoreError, layout::Place};

const MIB: usize = 1 << 20;
/// Uncompressed blocks that are kept in memory: 8 MiB. The records that are read often fit.
const BLOCK_CACHE_BYTES: usize = 8 * MIB;
/// When the table in memory goes to disk: 4 MiB. A component makes it larger for a moment.
const WRITE_BUFFER_BYTES: usize = 4 * MIB;
/// When logs are dropped by writing tables: 32 MiB.
const LOG_BYTES: u64 = 32 * MIB as u64;
/// When the manifest is begun anew: 1 MiB.
const MANIFEST_BYTES: usize = MIB;
/// Files that stay open.
const OPEN_FILES: i32 = 64;
/// Threads that write and merge tables.
const BACKGROUND_JOBS: i32 = 2;
/// RocksDB's own log for people: at most three files of 1 MiB.
const INFO_LOG_BYTES: usize = MIB;
const INFO_LOGS: usize = 3;
/// From which length a value lies in a file of its own kind: 16 KiB. Tables keep only where it is, so that reading and
/// merging small records touches no component.
const BLOB_BYTES: u64 = 16 << 10;

pub(crate) struct Database(DB);

impl Database {
    /// A new database in a folder that does not exist.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let mut options = options();
        options.create_if_missing(true);
        options.set_error_if_exists(true);
        DB::open(&options, path)
            .map(Self)
            .map_err(|error| StoreError::rocksdb("creating the database", error))
    }

    /// Opens one that exists; never starts an empty one in its place.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        const OPERATION: &str = "opening it";
        DB::open(&options(), path).map(Self).map_err(|error| {
            if is_damage(error.as_ref()) {
                StoreError::corrupt(OPERATION, error.into_string())
            } else {
                StoreError::rocksdb(OPERATION, error)
            }
        })
    }

    /// Opens one that exists as it is, and writes nothing.
    pub(crate) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let opened = DB::open_for_read_only(&options(), path, false);
        opened.map(Self).map_err(|error| StoreError::rocksdb("looking into it", error))
    }

    pub(crate) fn get(&self, operation: &'static str, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get_opt(place.key(), &read_options()).map_err(|error| StoreError::rocksdb(operation, error))
    }

    /// Calls `visit` with each record whose key starts with `prefix` and is after `after`, until it says no.
    pub(crate) fn visit(
        &self,
        operation: &'static str,
        prefix: &[u8],
        after: Option<Place>,
        mut visit: impl FnMut(Place, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let first = after.map(|place| place.key()).unwrap_or_else(|| prefix.to_vec());
        let records = self.0.iterator_opt(IteratorMode::From(&first, Direction::Forward), read_options());
        for record in records {
            let (key, value) = record.map_err(|error| StoreError::rocksdb(operation, error))?;
            if !key.starts_with(prefix) {
                break;
            }
            let place = Place::parse(&key)
                .ok_or_else(|| StoreError::corrupt(operation, "a key that is none of ours"))?;
            if Some(place) != after && !visit(place, &value)? {
                break;
            }
        }
        Ok(())
    }

    /// Writes all of a batch or nothing, synced.
    pub(crate) fn write(&self, operation: &'static str, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.0.write_opt(batch, &options).map_err(|error| StoreError::rocksdb(operation, error))
    }
}

/// A file that is named and not there, or a setting or format that nobody wrote.
fn is_damage(text: &str) -> bool {
    text.starts_with("Invalid argument")
        || text.starts_with("Not implemented")
        || text.contains("No such file")
}

fn read_options() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options
}

fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_BYTES));
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_format_version(5);

    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_paranoid_checks(true);
    // A record that is cut short at the end of a log was never acknowledged, which the watermark confirms;
    // anything else that is wrong in a log is an error.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(BLOB_BYTES);
    options.set_blob_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(LOG_BYTES);
    options.set_max_manifest_file_size(MANIFEST_BYTES);
    options.set_manifest_preallocation_size(64 << 10);
    options.set_max_open_files(OPEN_FILES);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_skip_stats_update_on_db_open(true);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_keep_log_file_num(INFO_LOGS);
    options
}
