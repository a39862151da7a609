//! Requests in numbers, so many in flight.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use countersign_client::{Trust, Url, verify_answer};
use countersign_types::{
    SignedRequest,
    api::{Problem, SignResponse},
};
use reqwest::{header, redirect::Policy};
use tokio::task::JoinSet;

use crate::{BenchError, Ceiling, Latencies, Row};

/// The longest that one answer may take.
const TIMEOUT: Duration = Duration::from_secs(40);
/// The most bytes of an answer.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// The most bytes of all answers of a row, which are held until it has ended.
const MAX_HELD_BYTES: usize = 1 << 30;
/// The most characters of what a node says that are told.
const MAX_SAID: usize = 400;

/// Whoever asks.
#[derive(Debug, Clone)]
pub struct Load {
    http: reqwest::Client,
    nodes: Vec<Url>,
    trust: Trust,
}

/// What was measured of some requests.
#[derive(Debug, Clone)]
pub struct Run {
    /// How long each answer took.
    pub latencies: Latencies,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// How many were in flight.
    pub in_flight: usize,
}

impl Run {
    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// As a row of a table, beside a ceiling in signatures per second.
    fn row(&self, ceiling: f64) -> Row {
        let [p50_ms, p90_ms, p99_ms] = [0.5, 0.9, 0.99].map(|share| self.latencies.quantile(share));
        let per_second = self.per_second();
        Row {
            in_flight: self.in_flight,
            signatures: self.latencies.len(),
            p50_ms,
            p90_ms,
            p99_ms,
            per_second,
            ceiling_per_second: ceiling,
            of_ceiling: per_second / ceiling,
        }
    }
}

struct Sent {
    taken: Duration,
    node: usize,
    request: usize,
    body: Bytes,
}

impl Load {
    /// Asks these nodes, by their base addresses; what they answer is verified against `trust`.
    pub fn new(nodes: Vec<Url>, trust: Trust) -> Result<Self, BenchError> {
        if nodes.is_empty() {
            return Err(BenchError::Nothing);
        }
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self { http, nodes, trust })
    }

    /// Sends all requests with so many in flight, and verifies the answers once all are there. Whoever has one in flight asks
    /// one node: with one, that is the first.
    pub async fn run(&self, requests: &[SignedRequest], in_flight: NonZeroUsize) -> Result<Run, BenchError> {
        let bodies: Arc<[Bytes]> = requests
            .iter()
            .map(|request| serde_json::to_vec(request).map(Bytes::from).map_err(BenchError::Request))
            .collect::<Result<_, _>>()?;
        let (next, held) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for worker in 0..in_flight.get() {
            let node = worker % self.nodes.len();
            workers.spawn(ask_all(
                self.http.clone(),
                self.nodes[node].clone(),
                node,
                Arc::clone(&bodies),
                Arc::clone(&next),
                Arc::clone(&held),
            ));
        }
        let mut sent = Vec::with_capacity(requests.len());
        while let Some(worker) = workers.join_next().await {
            sent.extend(worker.map_err(|_| BenchError::Worker)??);
        }
        let elapsed = started.elapsed();
        for answer in &sent {
            self.verify(&requests[answer.request], answer)?;
        }
        let latencies = Latencies::new(sent.iter().map(|sent| sent.taken)).ok_or(BenchError::Nothing)?;
        Ok(Run { latencies, elapsed, in_flight: in_flight.get() })
    }

    /// The same between two measurements of the ceiling, each of about half of `length`: machines are not always as fast.
    pub async fn beside(
        &self,
        ceiling: &Ceiling,
        length: Duration,
        requests: &[SignedRequest],
        in_flight: NonZeroUsize,
    ) -> Result<(Run, Row), BenchError> {
        let before = ceiling.per_second(length / 2)?;
        let run = self.run(requests, in_flight).await?;
        let after = ceiling.per_second(length / 2)?;
        let row = run.row((before + after) / 2.0);
        Ok((run, row))
    }

    fn verify(&self, request: &SignedRequest, sent: &Sent) -> Result<(), BenchError> {
        let node = || self.nodes[sent.node].clone();
        let answer: SignResponse = serde_json::from_slice(&sent.body)
            .map_err(|source| BenchError::Unreadable { node: node(), source })?;
        verify_answer(&self.trust, &request.request, &answer)
            .map_err(|source| BenchError::NotVerified { node: node(), source: Box::new(source) })
    }
}

/// Takes one request after the other, until none is left.
async fn ask_all(
    http: reqwest::Client,
    base: Url,
    node: usize,
    bodies: Arc<[Bytes]>,
    next: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
) -> Result<Vec<Sent>, BenchError> {
    let mut sent = Vec::new();
    loop {
        let request = next.fetch_add(1, Ordering::Relaxed);
        let Some(body) = bodies.get(request) else { return Ok(sent) };
        let started = Instant::now();
        let body = ask(&http, &base, body.clone()).await?;
        if held.fetch_add(body.len(), Ordering::Relaxed) + body.len() > MAX_HELD_BYTES {
            return Err(BenchError::TooMuch { most: MAX_HELD_BYTES });
        }
        sent.push(Sent { taken: started.elapsed(), node, request, body });
    }
}

async fn ask(http: &reqwest::Client, node: &Url, body: Bytes) -> Result<Bytes, BenchError> {
    let url = format!("{}/v1/requests", node.as_str().trim_end_matches('/'));
    let call = http.post(url).header(header::CONTENT_TYPE, "application/json").body(body);
    let mut answer = call.send().await?;
    let status = answer.status();
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(BenchError::TooLong { node: node.clone(), most: MAX_ANSWER_BYTES });
        }
        body.extend_from_slice(&chunk);
    }
    let body = body.freeze();
    if status.is_success() {
        return Ok(body);
    }
    Err(refused(node.clone(), status.as_u16(), &body))
}

fn refused(node: Url, status: u16, body: &[u8]) -> BenchError {
    match serde_json::from_slice::<Problem>(body).ok().and_then(Problem::into_failure) {
        Some(failure) => BenchError::NotSigned { node, failure: Box::new(failure) },
        None => {
            let said = String::from_utf8_lossy(body);
            let body = said.chars().take(MAX_SAID).map(|c| if c.is_control() { ' ' } else { c }).collect();
            BenchError::NoNode { node, status, body }
        }
    }
}
