//! Waiting for nodes: a command that hears nothing for a while says whom it waits for, so that nobody takes it for hung.

use std::{
    cell::Cell,
    pin::pin,
    time::{Duration, Instant},
};

use countersign_client::Url;
use tokio::{runtime::Runtime, time::timeout};

use crate::{exit::Exit, output::Output, sign::runtime};

/// How long a command waits without a word: longer than the 3 s after which `sign` names its coordinators without a silent node, so
/// that one such node among several is not worth a line.
const SILENCE: Duration = Duration::from_millis(3_500);

/// What runs a command's calls to nodes, one after the other.
pub(crate) struct Waiting {
    runtime: Runtime,
    begun: Instant,
    silence: Duration,
    /// Taken when it is said: a command says it once.
    notice: Cell<Option<String>>,
}

impl Waiting {
    /// For a command that asks these nodes from now on. `limit` tells people after what time it gives up, and what sets that.
    pub(crate) fn new(nodes: &[Url], limit: &str) -> Result<Self, Exit> {
        let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str().trim_end_matches('/')).collect();
        let notice = format!("waiting for an answer of {}; giving up after {limit}", nodes.join(", "));
        Ok(Self {
            runtime: runtime()?,
            begun: Instant::now(),
            silence: SILENCE,
            notice: Cell::new(Some(notice)),
        })
    }

    /// Runs a call to its end. What there is to say goes to standard error.
    pub(crate) fn block_on<T>(&self, output: &Output, call: impl Future<Output = T>) -> T {
        let left = self.silence.saturating_sub(self.begun.elapsed());
        let say = || {
            if let Some(notice) = self.notice.take() {
                output.say(notice);
            }
        };
        self.runtime.block_on(noticed(call, left, say))
    }

    /// The runtime alone, for what takes long without waiting for an answer.
    pub(crate) fn into_runtime(self) -> Runtime {
        self.runtime
    }
}

/// Runs a call to its end, and says something once if it has not ended after a time.
async fn noticed<T>(call: impl Future<Output = T>, silence: Duration, say: impl FnOnce()) -> T {
    let mut call = pin!(call);
    let early = timeout(silence, call.as_mut()).await;
    if let Ok(result) = early {
        return result;
    }
    say();
    call.await
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::time::sleep;

    use super::*;

    /// The nodes of a command, and what it says of them.
    fn waiting(silence: Duration) -> Waiting {
        let nodes = ["http://127.0.0.1:8470", "https://node.example/countersign/"];
        let nodes = nodes.map(|node| node.parse::<Url>().expect("an address"));
        Waiting { silence, ..Waiting::new(&nodes, "30 s (--timeout)").expect("a runtime") }
    }

    #[test]
    fn who_answers_soon_is_not_waited_for() {
        let (waiting, output) = (waiting(Duration::ZERO), Output::new(false));
        assert_eq!(waiting.block_on(&output, ready(1)), 1);
        let expected = "waiting for an answer of http://127.0.0.1:8470, https://node.example/countersign; giving up after 30 s \
                        (--timeout)";
        assert_eq!(waiting.notice.take().as_deref(), Some(expected));
    }

    #[test]
    fn a_command_says_once_that_it_waits() {
        let (waiting, output) = (waiting(Duration::from_millis(1)), Output::new(true));
        for result in [1, 2] {
            let slow = async move {
                sleep(Duration::from_millis(30)).await;
                result
            };
            assert_eq!(waiting.block_on(&output, slow), result);
            assert!(waiting.notice.take().is_none(), "it is still to be said");
        }
    }

    #[test]
    fn a_call_that_outlasts_the_silence_goes_on_to_its_end() {
        let said = Cell::new(0);
        let say = || said.set(said.get() + 1);
        let slow = async {
            sleep(Duration::from_millis(30)).await;
            "done"
        };
        let done = runtime().expect("a runtime").block_on(noticed(slow, Duration::from_millis(1), say));
        assert_eq!((done, said.get()), ("done", 1));
    }
}
