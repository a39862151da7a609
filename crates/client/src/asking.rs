//! Asking: carries out what [`Course`] says, with real time and real nodes. No decision is made here.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use countersign_types::{Committee, NodePublicKey};
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::Url;
use tokio::time::Instant;

use crate::{
    ClientError, NodeError, NodeFailure,
    course::{Course, Moment, Step},
    meaning::Meaning,
    node::{Said, how_it_is},
    standings::{NodeHealth, Standings, Work},
    verify::check_refusal,
};

/// The longest that a call takes, whatever the timeout: a day.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 60 * 60);

/// The nodes, and what is known of them.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) http: reqwest::Client,
    pub(crate) urls: Vec<Url>,
    committee: Committee,
    begun: Instant,
    standings: Mutex<Standings>,
}

/// What one node gave, and what others did before.
pub(crate) struct Answer<T> {
    pub(crate) value: T,
    pub(crate) node: Url,
    pub(crate) passed_over: Vec<NodeFailure>,
}

/// Bounds of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) work: Work,
    pub(crate) timeout: Duration,
    pub(crate) opinions: usize,
}

impl Nodes {
    pub(crate) fn new(http: reqwest::Client, urls: Vec<Url>, committee: Committee) -> Self {
        let standings = Mutex::new(Standings::new(urls.len()));
        Self { http, urls, committee, begun: Instant::now(), standings }
    }

    pub(crate) fn has_member(&self, member: &NodePublicKey) -> bool {
        self.committee.identifier(member).is_some()
    }

    /// Asks until one gives what `accept` takes, or the course ends. `asked` asks a node, by its place; its error ends it all.
    pub(crate) async fn ask<T, F: Future<Output = Result<Said, ClientError>>>(
        self: &Arc<Self>,
        asked: impl Fn(usize) -> F,
        bounds: Bounds,
        accept: impl Fn(usize, &[u8]) -> Result<T, NodeError>,
    ) -> Result<Answer<T>, ClientError> {
        let asked_at = self.now();
        let deadline = asked_at + bounds.timeout.min(LONGEST_CALL);
        let mut course = Course::new(self.urls.len(), bounds.work, deadline, bounds.opinions);
        let mut heard: Heard = self.urls.iter().map(|_| None).collect();
        let mut under_way = FuturesUnordered::new();
        loop {
            let now = self.now();
            for node in course.turned_silent(now) {
                self.standings().failed(node, now, None);
            }
            let step = course.next(now, &self.standings());
            let until = match step {
                Step::Ask(node) => {
                    under_way.push(self.reply(node, asked(node)));
                    // after the choice, which is not to depend on who answers that first
                    self.ask_how_they_are();
                    continue;
                }
                Step::Wait(until) => until,
                Step::End => return Err(self.no_answer(&course, heard, asked_at)),
            };
            let reply = tokio::select! {
                Some(reply) = under_way.next() => reply,
                () = tokio::time::sleep_until(self.begun + until) => continue,
            };
            let Reply { node, began, said } = reply;
            let said = said?;
            let (now, answer) = (self.now(), said.body.and_then(|body| accept(node, &body)));
            let error = match answer {
                Ok(value) => {
                    self.standings().answered(node, now, bounds.work, now.saturating_sub(began));
                    heard[node] = None;
                    course.has(node);
                    let passed_over = self.failures(&course, heard, asked_at);
                    return Ok(Answer { value, node: self.urls[node].clone(), passed_over });
                }
                Err(error) => check_refusal(&self.committee, error),
            };
            let meaning = Meaning::of(&error, said.retry_after);
            tracing::debug!(node = %self.urls[node], %error, ?meaning, "asking another node");
            self.learn(node, now, meaning);
            course.heard(node, now, meaning);
            heard[node] = Some(error);
        }
    }

    /// What is known of every node.
    pub(crate) fn health(&self) -> Vec<(Url, NodeHealth)> {
        let health = self.standings().health(self.now());
        self.urls.iter().cloned().zip(health).collect()
    }

    async fn reply(&self, node: usize, said: impl Future<Output = Result<Said, ClientError>>) -> Reply {
        let began = self.now();
        Reply { node, began, said: said.await }
    }

    /// Asks those that were not heard of lately how they are, beside the call and without waiting for them.
    fn ask_how_they_are(self: &Arc<Self>) {
        for node in self.standings().due(self.now()) {
            let nodes = Arc::clone(self);
            tokio::spawn(async move {
                let began = nodes.now();
                let ready = how_it_is(&nodes.http, &nodes.urls[node]).await;
                let now = nodes.now();
                let mut standings = nodes.standings();
                match ready {
                    Ok(ready) => standings.said_how_it_is(node, now, ready, now.saturating_sub(began)),
                    Err(error) => {
                        tracing::debug!(node = %nodes.urls[node], %error, "does not say how it is");
                        standings.failed(node, now, None);
                    }
                }
            });
        }
    }

    fn learn(&self, node: usize, now: Moment, meaning: Meaning) {
        let mut standings = self.standings();
        match meaning {
            Meaning::Verdict | Meaning::NotHere | Meaning::OneView => standings.spoke(node, now),
            Meaning::Later(after) => standings.failed(node, now, after),
            Meaning::Silence => standings.failed(node, now, None),
            Meaning::Nonsense => standings.is_distrusted(node, now),
        }
    }

    /// The word that the call ends with, if there is one; else what each node did.
    fn no_answer(&self, course: &Course, mut heard: Heard, asked_at: Moment) -> ClientError {
        let spoken = course.word().and_then(|node| Some((node, heard[node].take()?)));
        let spoken = match spoken {
            Some((node, NodeError::Failure(failure))) => Some((node, failure)),
            Some((node, other)) => {
                heard[node] = Some(other);
                None
            }
            None => None,
        };
        let nodes = self.failures(course, heard, asked_at);
        match spoken {
            Some((node, failure)) => ClientError::Failed {
                node: self.urls[node].clone(),
                failure: Box::new(failure),
                passed_over: nodes,
            },
            None => ClientError::NoAnswer { waited: self.now().saturating_sub(asked_at), nodes },
        }
    }

    /// The last that was heard of each node; those that are awaited in vain are silent.
    fn failures(&self, course: &Course, heard: Heard, asked_at: Moment) -> Vec<NodeFailure> {
        let waited = self.now().saturating_sub(asked_at);
        let silent = |node| course.awaits(node).then_some(NodeError::Timeout { waited });
        let failure = |(node, error): (usize, Option<NodeError>)| {
            let error = error.or_else(|| silent(node))?;
            Some(NodeFailure { node: self.urls[node].clone(), error })
        };
        heard.into_iter().enumerate().filter_map(failure).collect()
    }

    fn now(&self) -> Moment {
        self.begun.elapsed()
    }

    fn standings(&self) -> MutexGuard<'_, Standings> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reply {
    node: usize,
    began: Moment,
    said: Result<Said, ClientError>,
}

/// The last error of each node.
type Heard = Vec<Option<NodeError>>;
