//! New files: whole and durable under their names, or not there.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tempfile::Builder;

/// The mode of a file that only its owner may read and write.
pub const PRIVATE: u32 = 0o600;

/// Writes a new file of a mode, less the process's umask, durably: under a name of its own first, so that there is never a
/// part of it under this one. Fails with [`io::ErrorKind::AlreadyExists`] where the name is taken.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    place(path, mode, |file| file.write_all(content))
}

/// Gives a file its name once it is whole and synced.
fn place(path: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    let mut beside = Builder::new()
        .prefix(".countersign-")
        .suffix(".partial")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    write(beside.as_file_mut())?;
    beside.as_file().sync_all()?;
    beside.persist_noclobber(path).map_err(|refused| refused.error)?;
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_new_whole_and_of_its_mode_or_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let names = || fs::read_dir(folder.path()).expect("a folder").count();
        let full = place(&path, PRIVATE, |file| {
            file.write_all(b"a part")?;
            assert!(!path.exists() && names() == 1, "a part has the name");
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(full.expect_err("no room").kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(), 0, "a part is left");

        write_new(&path, b"whole", PRIVATE).expect("there is room again");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
        let taken = write_new(&path, b"another", PRIVATE).expect_err("it is there");
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("readable"), b"whole");
        assert_eq!(names(), 1, "something else is left");

        let nowhere = write_new(&folder.path().join("none/file"), b"whole", PRIVATE);
        assert_eq!(nowhere.expect_err("no folder").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_name_alone_lies_in_the_folder_one_is_in() {
        assert_eq!(folder_of(Path::new("name")), Path::new("."));
        assert_eq!(folder_of(Path::new("folder/name")), Path::new("folder"));
        assert_eq!(folder_of(Path::new("/name")), Path::new("/"));
    }
}
