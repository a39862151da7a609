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

use countersign_session::Millis;
use countersign_types::{Identifier, NetworkId};
use serde::{Deserialize, Serialize};

use entry::{Entry, Line, Logged, Way};

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

/// The log: nothing, unless it is asked for and can be written.
pub(crate) struct WireLog {
    network: NetworkId,
    open: Option<Open>,
}

struct Open {
    path: PathBuf,
    /// In bytes.
    most: u64,
    file: File,
    bytes: u64,
    /// The next line's number, from 0 in each process.
    next: u64,
}

impl WireLog {
    /// Opens the log, if a configuration asks for one, and begins this process's part of it.
    pub(crate) fn open(
        config: &DebugConfig,
        network: NetworkId,
        me: Identifier,
        generation: u64,
        now: Millis,
    ) -> Self {
        let most = config.wire_log_mib.max(MIN_MIB) << 20;
        let open = config
            .wire_log
            .as_ref()
            .and_then(|path| Open::go_on(path, most).inspect_err(|error| failed(path, error)).ok());
        let mut log = Self { network, open };
        log.write(Way::Here, None, now, |_| Entry::Started { member: me.get(), generation });
        log
    }

    /// This node sends a message.
    pub(crate) fn sent(&mut self, to: Identifier, message: &impl Logged, now: Millis) {
        self.write(Way::Sent, Some(to), now, |network| message.entry(network));
    }

    /// This node has received a message.
    pub(crate) fn received(&mut self, from: Identifier, message: &impl Logged, now: Millis) {
        self.write(Way::Received, Some(from), now, |network| message.entry(network));
    }

    /// All nonces were wiped.
    pub(crate) fn purged(&mut self, now: Millis) {
        self.write(Way::Here, None, now, |_| Entry::Purged);
    }

    fn write(
        &mut self,
        way: Way,
        peer: Option<Identifier>,
        ms: Millis,
        entry: impl FnOnce(NetworkId) -> Entry,
    ) {
        let Some(open) = &mut self.open else { return };
        let line =
            Line { n: open.next, ms, way, peer: peer.map(Identifier::get), entry: entry(self.network) };
        if let Err(error) = open.append(&line) {
            failed(&open.path, &error);
            self.open = None;
        }
    }
}

impl Open {
    fn go_on(path: &Path, most: u64) -> io::Result<Self> {
        let mut file = append(path)?;
        let bytes = end_line(&mut file)?;
        Ok(Self { path: path.into(), most, file, bytes, next: 0 })
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.most {
            std::fs::rename(&self.path, old(&self.path))?;
            (self.file, self.bytes) = (append(&self.path)?, 0);
        }
        self.file.write_all(&bytes)?;
        self.bytes += length;
        self.next += 1;
        Ok(())
    }
}

fn failed(path: &Path, error: &io::Error) {
    tracing::error!(path = %path.display(), %error, "the wire log cannot be written: it stays off until the next start");
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
    use countersign_session::message::ToParticipant;
    use countersign_types::SessionId;

    use super::*;

    fn log(config: &DebugConfig) -> WireLog {
        let me = Identifier::new(2).expect("an identifier");
        WireLog::open(config, NetworkId::from([1; 32]), me, 7, 1_000)
    }

    fn close(log: &mut WireLog, byte: u8) {
        let message = ToParticipant::Close { session: SessionId::from([byte; 32]), signed: None };
        log.sent(Identifier::new(1).expect("an identifier"), &message, 2_000);
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
