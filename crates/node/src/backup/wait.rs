//! Until when a restored node waits before it signs: a note in its database's folder.
//!
//! It is for people only, so that a wait is told from a clock that is wrong. The clock itself goes by the time in the database.

use std::{fs, io, path::Path};

use countersign_session::Millis;
use countersign_store::file::{self, PRIVATE};

/// The note's name in the database's folder.
const FILE: &str = "restored";

/// Notes in the folder of a new database that it was restored, and from when on its node signs, in milliseconds since 1970.
pub(super) fn note(database: &Path, signs_from_ms: Millis) -> io::Result<()> {
    file::write_new(&database.join(FILE), format!("{signs_from_ms}\n").as_bytes(), PRIVATE)
}

/// From when on the node of a database signs, in milliseconds since 1970, where it was restored and says so.
pub(crate) fn signs_from(database: &Path) -> Option<Millis> {
    fs::read_to_string(database.join(FILE)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(signs_from(folder.path()), None);
        note(folder.path(), 1_700_000_000_123).expect("written");
        assert_eq!(signs_from(folder.path()), Some(1_700_000_000_123));
        fs::write(folder.path().join(FILE), "soon").expect("written");
        assert_eq!(signs_from(folder.path()), None);
    }
}
