//! The watermark: how many writes were acknowledged, kept apart from RocksDB.
//!
//! RocksDB takes a damaged length in its log or manifest for the end of it and goes on with what came before. Such a
//! database looks whole, but an activation may be gone from it. Less writes than the watermark tell.
//!
//! Two slots of 40 bytes, 4 KiB apart, are written in turn, so that a write that is cut short leaves the other. The
//! file has its full length from the start: a full disk does not keep it from being written.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

const SLOT_DISTANCE: u64 = 4096;
/// The bytes of a slot: a count, and its checksum.
pub const SLOT_BYTES: usize = 8 + 32;
/// How long a lock is waited for, and how often it is tried: whoever looks whether a database is in use holds it for an instant.
const PATIENCE: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(10);

/// The watermark's file, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watermark {
    file: File,
}

/// Why there is no watermark to be had.
#[derive(Debug)]
pub(crate) enum WatermarkError {
    Locked,
    Io(io::Error),
}

impl Watermark {
    /// A new watermark at zero. Fails if there is one.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        file.lock()?;
        file.write_all_at(&[0; 2 * SLOT_DISTANCE as usize], 0)?;
        let watermark = Self { file };
        watermark.raise(0)?;
        watermark.file.sync_all()?;
        Ok(watermark)
    }

    /// Opens and locks a watermark.
    pub(crate) fn open(path: &Path) -> Result<Self, WatermarkError> {
        let file = File::options().read(true).write(true).open(path).map_err(WatermarkError::Io)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(WatermarkError::Locked),
                Err(TryLockError::Error(error)) => return Err(WatermarkError::Io(error)),
            }
        }
    }

    /// Whether a process has the watermark. Writes nothing; the lock is held for an instant, together with others who look.
    pub(crate) fn is_locked(path: &Path) -> io::Result<bool> {
        match File::open(path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(file: File) -> Self {
        Self { file }
    }

    /// The highest count that was written whole; none if no slot is whole.
    pub(crate) fn level(&self) -> io::Result<Option<u64>> {
        let mut level = None;
        for index in 0..2 {
            let mut slot = [0; SLOT_BYTES];
            match self.file.read_exact_at(&mut slot, index * SLOT_DISTANCE) {
                Ok(()) => level = level.max(decode(&slot)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(error),
            }
        }
        Ok(level)
    }

    /// Notes durably that `count` writes were made.
    pub(crate) fn raise(&self, count: u64) -> io::Result<()> {
        self.file.write_all_at(&encode(count), (count % 2) * SLOT_DISTANCE)?;
        self.file.sync_data()
    }
}

pub(crate) fn encode(count: u64) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&count.to_be_bytes());
    slot[8..].copy_from_slice(&checksum(count));
    slot
}

pub(crate) fn decode(slot: &[u8; SLOT_BYTES]) -> Option<u64> {
    let (count, sum) = slot.split_first_chunk::<8>()?;
    let count = u64::from_be_bytes(*count);
    (sum == checksum(count)).then_some(count)
}

fn checksum(count: u64) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"countersign-store/watermark")
        .chain_update(count.to_be_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_whether_it_is_locked_keeps_nobody_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("watermark");
        assert!(Watermark::is_locked(&path).is_err(), "there is none");
        let watermark = Watermark::create(&path).expect("a file");
        assert!(Watermark::is_locked(&path).expect("readable"));
        assert!(matches!(Watermark::open(&path), Err(WatermarkError::Locked)));
        drop(watermark);
        assert!(!Watermark::is_locked(&path).expect("readable"));

        let look = File::open(&path).expect("readable");
        look.try_lock_shared().expect("nobody has it");
        assert!(!Watermark::is_locked(&path).expect("readable"), "two may look");
        let looked = thread::spawn(move || {
            thread::sleep(PATIENCE / 4);
            drop(look);
        });
        Watermark::open(&path).expect("it waits until nobody looks");
        looked.join().expect("it ended");
    }

    #[test]
    fn a_slot_that_was_cut_short_leaves_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let watermark = Watermark::create(&folder.path().join("watermark")).expect("a file");
        assert_eq!(watermark.level().expect("readable"), Some(0));
        for count in 1..=5 {
            watermark.raise(count).expect("writable");
            assert_eq!(watermark.level().expect("readable"), Some(count));
        }
        watermark.file.write_all_at(&[0xff; 3], SLOT_DISTANCE + 6).expect("writable");
        assert_eq!(watermark.level().expect("readable"), Some(4));
        watermark.file.write_all_at(&[0xff; 3], 20).expect("writable");
        assert_eq!(watermark.level().expect("readable"), None);
    }
}
