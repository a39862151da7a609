//! Processes that are started, recorded, and ended by their id.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// How often the end of a process is looked for.
const POLL: Duration = Duration::from_millis(20);
/// How long a process may take to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process by id and start time: an id alone may be another's by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it is, for people.
    pub name: String,
    /// The process id.
    pub pid: i32,
    /// When it started, in ticks since boot, from the proc file system.
    pub started: u64,
}

impl Record {
    /// Whether this very process is alive.
    pub fn is_alive(&self) -> bool {
        alive_since(self.pid) == Some(self.started)
    }

    /// Sends a signal, if it is still this process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid).context("no process id")?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot signal {} ({})", self.name, self.pid)),
        }
    }

    /// Asks it to end, waits, and kills it if it does not.
    pub fn end(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let until = Instant::now() + PATIENCE;
        while self.is_alive() {
            if Instant::now() >= until {
                self.signal(Signal::KILL)?;
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

/// A process that this one started. Dropping it kills it, unless it was detached.
#[derive(Debug)]
pub struct Process {
    record: Record,
    child: Child,
    log: PathBuf,
    detached: bool,
}

impl Process {
    /// Starts a program in a group of its own (a terminal's Ctrl-C does not reach it), its output appended to
    /// `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}: {}", command.get_program().display()))?;
        let pid = i32::try_from(child.id())?;
        let started = alive_since(pid).unwrap_or_default();
        let record = Record { name: name.into(), pid, started };
        Ok(Self { record, child, log: log.into(), detached: false })
    }

    /// How the process is known.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Leaves it running when this value is dropped.
    pub fn detach(&mut self) {
        self.detached = true;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.record.signal(signal)
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        // already ended is as good
        let _ = self.child.kill();
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM), and waits; kills it where that takes too long.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(PATIENCE)
    }

    /// Waits for its end; kills it after `patience`.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                self.kill()?;
                bail!("{} did not end within {} s", self.record.name, patience.as_secs());
            }
            thread::sleep(POLL);
        }
    }

    /// Fails with the end of its log if it is no longer running.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}): {}", self.record.name, self.last_lines(8)),
        }
    }

    /// Everything that it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn last_lines(&self, count: usize) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.record.pid))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .context("no VmRSS")?;
        Ok(kib * 1024)
    }

    /// What it has used of the processors so far.
    pub fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.record.pid))?;
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
        // in user mode, and in the kernel
        let ticks = fields.into_iter().flatten().skip(11).take(2).map(str::parse::<u64>);
        let ticks = ticks.sum::<Result<u64, _>>().context("no times in stat")?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.detached {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// In which Linux counts the times of processes for programs, whatever it counts in itself.
const TICKS_PER_SECOND: u64 = 100;

/// When a process started; none where there is none, or only its remains.
fn alive_since(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name, in parentheses, may contain anything
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_process_is_signalled() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut process =
            Process::start("sleep", Command::new("sleep").arg("600"), &log).expect("sleep starts");
        assert!(process.record().is_alive());
        let mut other = process.record().clone();
        other.started += 1;
        other.signal(Signal::KILL).expect("nothing to do");
        process.check().expect("still alive");
        process.record().end().expect("ended");
        assert!(!process.record().is_alive());
        process.wait(Duration::from_secs(5)).expect("reaped");
    }
}
