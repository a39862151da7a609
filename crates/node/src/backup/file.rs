//! The files of backups, and others that are new: written whole or not at all.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use countersign_backup::MAX_SEALED_BYTES;
use countersign_store::file::{self, PRIVATE};

/// Why a new file was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is there already.
    #[error("{} exists and is not overwritten: name another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The disk.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a backup's file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes a new file of mode 0600, durably: under a name of its own first, so that there is never a part of it under
/// this one, and never in the place of another.
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    write_new_with_mode(path, content, PRIVATE)
}

/// The same of another mode, less the process's umask.
pub fn write_new_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<(), WriteError> {
    file::write_new(path, content, mode).map_err(|source| {
        let exists = source.kind() == io::ErrorKind::AlreadyExists;
        if exists {
            WriteError::Exists { path: path.into() }
        } else {
            WriteError::Io { path: path.into(), source }
        }
    })
}

/// Reads a file, as far as a backup may go.
pub fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let mut sealed = Vec::new();
    let bound = u64::try_from(MAX_SEALED_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(bound).read_to_end(&mut sealed))
        .map_err(|source| ReadError::Io { path: path.into(), source })?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_file_is_new_whole_and_private_or_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backup");
        write_new(&path, b"sealed").expect("new");
        assert_eq!(read(&path).expect("readable"), b"sealed");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(write_new(&path, b"another"), Err(WriteError::Exists { .. })));
        assert_eq!(read(&path).expect("readable"), b"sealed");

        let nowhere = folder.path().join("none/backup");
        assert!(matches!(write_new(&nowhere, b"sealed"), Err(WriteError::Io { .. })));
        assert!(matches!(read(&nowhere), Err(ReadError::Io { .. })));
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
