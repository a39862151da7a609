//! Following a wire log while it is written, to act when a node is at some point of the protocol.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::log::{Event, Line, Way};

/// How often to look for more: a node does not wait for who watches it, so this is how late one is.
const POLL: Duration = Duration::from_millis(1);

/// What is written to a log from now on.
#[derive(Debug)]
pub struct Tail {
    file: File,
    /// The begin of a line whose end is not there yet.
    rest: String,
    last: Option<Line>,
}

impl Tail {
    /// Starts behind what is there.
    pub fn new(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, rest: String::new(), last: None })
    }

    /// The lines that have been written since the last call.
    pub fn lines(&mut self) -> io::Result<Vec<Line>> {
        self.file.read_to_string(&mut self.rest)?;
        let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let lines: Vec<Line> =
            self.rest[..whole].lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        self.rest.drain(..whole);
        self.last = lines.last().cloned().or_else(|| self.last.take());
        Ok(lines)
    }

    /// The last line that there is now, of those behind the start.
    pub fn last(&mut self) -> io::Result<Option<&Line>> {
        self.lines()?;
        Ok(self.last.as_ref())
    }

    /// Waits until a line is written that is wanted; says whether it came in time.
    pub async fn wait(
        &mut self,
        patience: Duration,
        wanted: impl Fn(Way, &Event) -> bool,
    ) -> io::Result<bool> {
        let until = Instant::now() + patience;
        loop {
            if self.lines()?.iter().any(|line| wanted(line.way, &line.event)) {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            sleep(POLL).await;
        }
    }
}
