//! Checks side by side, each within its time.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::task::spawn_blocking;

use crate::{Check, Name, report::Finding};

/// A check that has not run yet.
pub(crate) struct Task {
    name: Name,
    subject: Option<String>,
    work: BoxFuture<'static, Finding>,
}

impl Task {
    /// A check of one of several things.
    pub(crate) fn of(
        name: Name,
        subject: impl Into<String>,
        work: impl Future<Output = Finding> + Send + 'static,
    ) -> Self {
        Self { name, subject: Some(subject.into()), work: work.boxed() }
    }

    /// A check that waits for the disk or computes for long: it gets a thread of its own.
    pub(crate) fn blocking(
        name: Name,
        subject: Option<String>,
        work: impl FnOnce() -> Finding + Send + 'static,
    ) -> Self {
        Self { name, subject, work: blocking(work).boxed() }
    }

    /// Runs it, for at most `within`.
    pub(crate) async fn run(self, within: Duration) -> Check {
        let begun = Instant::now();
        // a task of its own: a check that panics is a finding too
        let mut work = tokio::spawn(self.work);
        let finding = match tokio::time::timeout(within, &mut work).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(error)) => broken(&error),
            Err(_) => {
                work.abort();
                Finding::failed(
                    format!("no result within {} s", within.as_secs_f64()),
                    "look at what it depends on, a disk or a network that hangs; --timeout gives it more time",
                )
            }
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        finding.into_check(self.name, self.subject, took_ms)
    }
}

/// Runs all at once; the results come in the order of the tasks.
pub(crate) async fn side_by_side(tasks: Vec<Task>, within: Duration) -> Vec<Check> {
    futures::future::join_all(tasks.into_iter().map(|task| task.run(within))).await
}

async fn blocking(work: impl FnOnce() -> Finding + Send + 'static) -> Finding {
    spawn_blocking(work).await.unwrap_or_else(|error| broken(&error))
}

fn broken(error: &tokio::task::JoinError) -> Finding {
    Finding::failed(format!("the check itself broke: {error}"), "this is a defect of the program: report it")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::State;

    const SHORT: Duration = Duration::from_secs(1);

    /// Breaks as a defect would, without a word on the terminal.
    fn broken() -> Finding {
        std::panic::resume_unwind(Box::new("a defect"))
    }

    #[tokio::test]
    async fn one_that_hangs_or_breaks_is_named_and_stops_no_other() {
        let (release, hung) = mpsc::channel::<()>();
        let tasks = vec![
            Task::of(Name::Clock, "all", futures::future::pending()),
            Task::blocking(Name::Disk, None, move || {
                let _ = hung.recv();
                Finding::ok("too late")
            }),
            Task::of(Name::Chain, "one", async { broken() }),
            Task::blocking(Name::Passphrase, None, broken),
            Task::of(Name::Peer, "one", async { Finding::ok("there") }),
        ];
        let checks = side_by_side(tasks, SHORT).await;
        drop(release);
        let states: Vec<_> = checks.iter().map(|check| (check.name, check.state)).collect();
        let expected =
            [Name::Clock, Name::Disk, Name::Chain, Name::Passphrase].map(|name| (name, State::Failed));
        assert_eq!(states[..4], expected);
        assert_eq!(states[4], (Name::Peer, State::Ok));
        for (check, says) in checks.iter().zip(["no result", "no result", "broke", "broke"]) {
            assert!(check.says.contains(says) && check.advice.is_some(), "{check:?}");
        }
    }
}
