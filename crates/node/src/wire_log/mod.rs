//! A log of what a node says to other members, and of what it hears: an aid for tests and for those who look into a fault.
//!
//! One JSON document a line, written before the message leaves, so that whatever a peer has heard stands in the log of
//! whoever said it, also after a crash. It holds kinds, sessions, attempts, commitments and hashes: no share, no
//! nonce, no params, nothing that was read. Each line is written at once, by the task that drives the sessions: not for a node
//! that must be fast. What cannot be written is reported once, and signing goes on without a log.

mod entry;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use countersign_session::{
    Millis, keygen,
    message::{Preprocess, ToCoordinator, ToParticipant},
};
use countersign_types::{Identifier, NetworkId};
use serde::{Deserialize, Serialize};

use entry::{Entry, Line, Way};

/// The smallest bound of a log, in MiB.
const MIN_MIB: u64 = 1;

/// Aids for tests and for those who look into a fault; all are off by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DebugConfig {
    /// A file to which a line is appended for each message of signing and key generation, sent or received.
    pub wire_log: Option<PathBuf>,
    /// Past this size, in MiB, the file is renamed to end in `.old`, in place of an earlier one, and begun anew.
    pub wire_log_mib: u64,
}

impl Default for DebugConfig {
    fn default() -> Self {
        Self { wire_log: None, wire_log_mib: 256 }
    }
}

/// The log, while it can be written.
pub(crate) struct WireLog {
    path: PathBuf,
    most: u64,
    network: NetworkId,
    open: Option<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    /// The next line's number, from 0 in each process.
    next: u64,
}

impl WireLog {
    /// Opens the log that a configuration asks for, and begins this process's part of it.
    pub(crate) fn open(
        config: &DebugConfig,
        network: NetworkId,
        me: Identifier,
        generation: u64,
        now: Millis,
    ) -> Option<Self> {
        let path = config.wire_log.clone()?;
        let most = config.wire_log_mib.max(MIN_MIB) << 20;
        let mut log = Self { path, most, network, open: None };
        match append(&log.path).and_then(|mut file| Ok((end_line(&mut file)?, file))) {
            Ok((bytes, file)) => log.open = Some(Open { file, bytes, next: 0 }),
            Err(error) => log.failed(&error),
        }
        log.write(Way::Here, None, now, Entry::Started { member: me.get(), generation });
        Some(log)
    }

    pub(crate) fn for_participant(
        &mut self,
        sent: bool,
        peer: Identifier,
        message: &ToParticipant,
        now: Millis,
    ) {
        if self.open.is_some() {
            let entry = entry::to_participant(message, self.network);
            self.write(way(sent), Some(peer), now, entry);
        }
    }

    pub(crate) fn for_coordinator(
        &mut self,
        sent: bool,
        peer: Identifier,
        message: &ToCoordinator,
        now: Millis,
    ) {
        self.write(way(sent), Some(peer), now, entry::to_coordinator(message));
    }

    pub(crate) fn preprocess(&mut self, sent: bool, peer: Identifier, message: &Preprocess, now: Millis) {
        self.write(way(sent), Some(peer), now, entry::preprocess(message));
    }

    pub(crate) fn key_generation(
        &mut self,
        sent: bool,
        peer: Identifier,
        message: &keygen::Message,
        now: Millis,
    ) {
        self.write(way(sent), Some(peer), now, entry::key_generation(message, self.network));
    }

    /// All nonces were wiped.
    pub(crate) fn purged(&mut self, now: Millis) {
        self.write(Way::Here, None, now, Entry::Purged);
    }

    fn write(&mut self, way: Way, peer: Option<Identifier>, now: Millis, entry: Entry) {
        let Some(open) = &mut self.open else { return };
        let line = Line { n: open.next, ms: now, way, peer: peer.map(Identifier::get), entry };
        if let Err(error) = self.append(&line) {
            self.failed(&error);
        }
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if open.bytes > 0 && open.bytes.saturating_add(length) > self.most {
            std::fs::rename(&self.path, old(&self.path))?;
            (open.file, open.bytes) = (append(&self.path)?, 0);
        }
        open.file.write_all(&bytes)?;
        open.bytes += length;
        open.next += 1;
        Ok(())
    }

    fn failed(&mut self, error: &io::Error) {
        self.open = None;
        tracing::error!(path = %self.path.display(), %error, "the wire log cannot be written: it stays off until the next start");
    }
}

fn way(sent: bool) -> Way {
    if sent { Way::Sent } else { Way::Received }
}

/// Where a log is put aside when it is full.
fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

/// Ends a line that a crash cut short; returns the file's length.
fn end_line(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(length);
    }
    file.write_all(b"\n")?;
    Ok(length + 1)
}

#[cfg(test)]
mod tests {
    use countersign_types::SessionId;

    use super::*;

    fn log(config: &DebugConfig) -> WireLog {
        let me = Identifier::new(2).expect("an identifier");
        WireLog::open(config, NetworkId::from([1; 32]), me, 7, 1_000).expect("it is on")
    }

    fn close(log: &mut WireLog, byte: u8) {
        let message = ToParticipant::Close { session: SessionId::from([byte; 32]) };
        log.for_participant(true, Identifier::new(1).expect("an identifier"), &message, 2_000);
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).expect("written");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
    }

    #[test]
    fn each_process_begins_with_its_start_and_counts_its_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wire.jsonl");
        let config = DebugConfig { wire_log: Some(path.clone()), ..DebugConfig::default() };
        close(&mut log(&config), 1);
        // a crash within a line
        append(&path).and_then(|mut file| file.write_all(b"{\"n\":2,")).expect("written");
        close(&mut log(&config), 2);

        let lines = lines(&path);
        let numbers: Vec<_> = lines.iter().map(|line| line["n"].as_u64()).collect();
        assert_eq!(numbers, [Some(0), Some(1), None, Some(0), Some(1)]);
        assert_eq!(lines[0]["kind"], "started");
        assert_eq!((&lines[0]["member"], &lines[0]["generation"]), (&2.into(), &7.into()));
        assert_eq!(
            (&lines[1]["kind"], &lines[1]["way"], &lines[1]["peer"]),
            (&"close".into(), &"sent".into(), &1.into())
        );
    }

    #[test]
    fn a_full_log_is_put_aside_and_no_line_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("wire.jsonl");
        let config = DebugConfig { wire_log: Some(path.clone()), wire_log_mib: 1 };
        let mut log = log(&config);
        for _ in 0..9_000 {
            close(&mut log, 3);
        }
        let aside = lines(&old(&path));
        let numbers: Vec<_> =
            aside.iter().chain(&lines(&path)).filter_map(|line| line["n"].as_u64()).collect();
        assert_eq!(numbers, (0..=9_000).collect::<Vec<_>>());
        for file in [old(&path), path] {
            assert!(std::fs::metadata(file).expect("it is there").len() <= 1 << 20);
        }
    }

    #[test]
    fn a_log_that_cannot_be_written_is_off() {
        let config =
            DebugConfig { wire_log: Some("/nonexistent/wire.jsonl".into()), ..DebugConfig::default() };
        let mut log = log(&config);
        close(&mut log, 1);
        assert!(log.open.is_none());
    }
}
