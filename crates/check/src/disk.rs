//! The disk: whether the data folder takes writes, and whether there is room for what the configuration allows.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use countersign_node::NodeConfig;

use crate::report::Finding;

const MIB: u64 = 1 << 20;
/// What databases take beside what is bounded: logs, tables that are being merged, receipts that are not cleared away yet.
const OVERHEAD: u64 = 512 * MIB;
/// With less room than this a node may stop at any moment: it does where its database cannot be written.
const LEAST: u64 = 128 * MIB;
/// With fewer files than this left, the same.
const LEAST_FILES: u64 = 1_000;
/// Files that are looked at in one folder, and how deep: databases have hundreds, one below the other.
const MAX_FILES: usize = 200_000;
const MAX_DEPTH: usize = 4;

/// Something on disk that the configuration bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    what: &'static str,
    most: u64,
    used: u64,
}

/// What the filesystem says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    bytes: u64,
    /// None where the filesystem does not count them.
    files: Option<u64>,
}

/// Whether the data folder takes writes and has room.
pub(crate) fn look(config: &NodeConfig) -> Finding {
    let data = &config.data;
    if let Err(error) = write(data) {
        return Finding::failed(
            format!("{} takes no writes: {error}", data.display()),
            "check that the folder is there, that this is the node's user, and that the filesystem is writable and not full",
        );
    }
    match room(data) {
        Ok(room) => judge(data, room, &parts(config)),
        Err(error) => Finding::failed(
            format!("{}: the filesystem does not say how full it is: {error}", data.display()),
            "check the disk",
        ),
    }
}

/// Writes a block to a file without a name, which is gone at once.
fn write(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&[0; 4096])?;
    file.sync_data()
}

fn room(folder: &Path) -> io::Result<Room> {
    let stat = rustix::fs::statvfs(folder)?;
    let files = (stat.f_files > 0).then_some(stat.f_favail);
    Ok(Room { bytes: stat.f_bavail.saturating_mul(stat.f_frsize), files })
}

fn parts(config: &NodeConfig) -> Vec<Part> {
    let bounded =
        |what, folder: PathBuf, most| Part { what, most, used: size(&folder, MAX_DEPTH, &mut { MAX_FILES }) };
    let mut parts = vec![
        bounded("actions", config.database(), config.actions.total_bytes),
        bounded("compiled actions", config.compiled_folder(), config.actions.host.artefact_bytes),
        bounded("receipts", config.receipts_folder(), config.receipts.total_bytes),
    ];
    if let Some(log) = config.debug.wire_log.as_ref().filter(|log| is_beside(log, &config.data)) {
        // the one that is written, and the one before it
        let most = config.debug.wire_log_mib.saturating_mul(2 * MIB);
        let old = log.with_added_extension("old");
        let used = [log, &old].iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
        parts.push(Part { what: "wire log", most, used });
    }
    parts
}

/// Whether a file lies, or would lie, on the filesystem of a folder.
fn is_beside(file: &Path, folder: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    file.parent().and_then(device).is_some_and(|parent| Some(parent) == device(folder))
}

/// The bytes that a folder takes on disk. What goes while it is looked at does not count.
fn size(folder: &Path, depth: usize, left: &mut usize) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let mut bytes = 0;
    for entry in entries.flatten() {
        if *left == 0 {
            break;
        }
        *left -= 1;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() && depth > 0 {
            bytes += size(&entry.path(), depth - 1, left);
        }
    }
    bytes
}

fn judge(folder: &Path, room: Room, parts: &[Part]) -> Finding {
    let folder = folder.display();
    let may_come: u64 =
        parts.iter().map(|part| part.most.saturating_sub(part.used)).fold(OVERHEAD, u64::saturating_add);
    let free = mib(room.bytes);
    if room.bytes < LEAST {
        return Finding::failed(
            format!(
                "{free} free on the filesystem of {folder}: the node stops where its database cannot be written"
            ),
            "make room now",
        );
    }
    if let Some(files) = room.files.filter(|files| *files < LEAST_FILES) {
        return Finding::failed(
            format!("the filesystem of {folder} takes {files} more files only"),
            "make room for more files (inodes)",
        );
    }
    if room.bytes < may_come {
        let bounds: Vec<String> = parts
            .iter()
            .map(|part| format!("{} {} of {}", part.what, mib(part.used), mib(part.most)))
            .collect();
        return Finding::warning(
            format!(
                "{free} free on the filesystem of {folder}, where {} more may be used: {}",
                mib(may_come),
                bounds.join(", ")
            ),
            "make room, or lower actions.total_bytes, actions.host.artefact_bytes or receipts.total_bytes",
        );
    }
    Finding::ok(format!("{folder} takes writes; {free} free, of which the node may use {}", mib(may_come)))
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn parts_of(most: u64, used: u64) -> Vec<Part> {
        vec![Part { what: "receipts", most, used }]
    }

    fn judged(bytes: u64, files: Option<u64>, parts: &[Part]) -> Finding {
        judge(Path::new("/data"), Room { bytes, files }, parts)
    }

    #[test]
    fn room_counts_against_what_may_still_come() {
        let parts = parts_of(1024 * MIB, 1000 * MIB);
        let needed = OVERHEAD + 24 * MIB;
        assert_eq!(judged(needed, None, &parts).state, State::Ok);
        let finding = judged(needed - 1, None, &parts);
        assert_eq!(finding.state, State::Warning);
        assert!(finding.says.contains("receipts 1000 MiB of 1024 MiB"), "{finding:?}");
        assert_eq!(judged(LEAST - 1, None, &parts).state, State::Failed);
        // more than the bound is in use: nothing more may come
        assert_eq!(judged(OVERHEAD, None, &parts_of(MIB, 7 * MIB)).state, State::Ok);
        assert_eq!(judged(OVERHEAD, None, &parts_of(u64::MAX, 0)).state, State::Warning);
    }

    #[test]
    fn files_count_where_the_filesystem_counts_them() {
        let much = 1 << 50;
        assert_eq!(judged(much, None, &[]).state, State::Ok);
        assert_eq!(judged(much, Some(LEAST_FILES), &[]).state, State::Ok);
        assert_eq!(judged(much, Some(LEAST_FILES - 1), &[]).state, State::Failed);
    }

    #[test]
    fn a_folder_that_is_not_there_or_is_a_file_takes_no_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("written");
        let mut config: NodeConfig = toml::from_str("data = 'd'\ngenesis = 'g'").expect("a configuration");
        for data in [folder.path().join("nowhere"), file] {
            config.data = data;
            let finding = look(&config);
            assert!(finding.state == State::Failed && finding.says.contains("no writes"), "{finding:?}");
        }
        config.data = folder.path().into();
        assert_ne!(look(&config).state, State::Failed);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_wire_log_counts_where_it_lies_on_the_disk_of_the_data() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config: NodeConfig = toml::from_str("data = 'd'\ngenesis = 'g'").expect("a configuration");
        config.data = folder.path().into();
        config.debug.wire_log_mib = 3;
        // /proc is a filesystem of its own
        for (log, most) in
            [(folder.path().join("wire.jsonl"), Some(2 * 3 * MIB)), (PathBuf::from("/proc/wire.jsonl"), None)]
        {
            config.debug.wire_log = Some(log);
            let part = parts(&config).into_iter().find(|part| part.what == "wire log");
            assert_eq!(part.map(|part| part.most), most);
        }
    }

    #[test]
    fn what_is_used_is_what_lies_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).expect("made");
        fs::write(deep.join("file"), vec![1; 3 << 20]).expect("written");
        let used = size(folder.path(), MAX_DEPTH, &mut { MAX_FILES });
        assert!((3 * MIB..4 * MIB).contains(&used), "{used}");
        assert!(size(folder.path(), 0, &mut { MAX_FILES }) < MIB, "no deeper than asked");
    }
}
