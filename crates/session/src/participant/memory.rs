//! What a node remembers of requests until they end: nonces, and the one list of bytes that it signed.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, keccak256};
use countersign_types::{Bytes, Failure, FailureKind, Identifier, RequestDigest, ValidRequest};

use crate::Millis;

/// The most requests that a node remembers; beyond, it is busy, and nothing live is evicted.
pub const MAX_REQUESTS: usize = 131_072;

/// Requests that have not ended, by digest and by nonce.
pub(super) struct RequestMemory {
    most: usize,
    requests: BTreeMap<RequestDigest, Remembered>,
    nonces: BTreeMap<B256, RequestDigest>,
    by_end: BTreeSet<(Millis, RequestDigest)>,
}

struct Remembered {
    nonce: B256,
    ends: Millis,
    /// The time of the last session that each coordinator opened here for it.
    opened: BTreeMap<Identifier, Millis>,
    /// The hash of the messages that this node gave shares for; none so far where absent.
    signed: Option<B256>,
}

impl Default for RequestMemory {
    fn default() -> Self {
        Self::with_capacity(MAX_REQUESTS)
    }
}

impl RequestMemory {
    fn with_capacity(most: usize) -> Self {
        Self { most, requests: BTreeMap::new(), nonces: BTreeMap::new(), by_end: BTreeSet::new() }
    }

    /// Remembers a request; the same one again is fine.
    pub(super) fn admit(&mut self, request: &ValidRequest) -> Result<(), Failure> {
        let digest = request.digest();
        if self.requests.contains_key(&digest) {
            return Ok(());
        }
        let nonce = nonce_of(request);
        if let Some(other) = self.nonces.get(&nonce) {
            let detail = format!(
                "these callers used the nonce {} for request {other}: a new request needs a new nonce",
                request.request().nonce
            );
            return Err(Failure::new(FailureKind::NonceReused, detail));
        }
        if self.requests.len() >= self.most {
            let detail =
                format!("this node remembers {} requests that have not ended: try again later", self.most);
            return Err(Failure::new(FailureKind::Busy, detail));
        }
        self.nonces.insert(nonce, digest);
        let ends = request.request().expires_at;
        self.by_end.insert((ends, digest));
        self.requests.insert(digest, Remembered { nonce, ends, opened: BTreeMap::new(), signed: None });
        Ok(())
    }

    /// Remembers that a coordinator opens a session for a request. Its sessions for one request have rising times, so
    /// that none is opened twice, whatever becomes of it meanwhile: a node signs one record and one vote in a session.
    pub(super) fn open(
        &mut self,
        digest: RequestDigest,
        coordinator: Identifier,
        time: Millis,
    ) -> Result<(), Failure> {
        let Some(remembered) = self.requests.get_mut(&digest) else { return Err(forgotten()) };
        match remembered.opened.get(&coordinator) {
            Some(last) if *last >= time => {
                let detail = format!(
                    "this coordinator opened a session of time {last} for the request, and now one of {time}: \
                     each needs a later time than the one before"
                );
                Err(Failure::new(FailureKind::Unavailable, detail))
            }
            Some(_) | None => {
                remembered.opened.insert(coordinator, time);
                Ok(())
            }
        }
    }

    /// Binds a request to the messages that are about to be signed for it; others are refused from then on.
    pub(super) fn bind(&mut self, request: &ValidRequest, messages: &[Bytes]) -> Result<(), Failure> {
        let digest = request.digest();
        let hash = messages_hash(messages);
        let Some(remembered) = self.requests.get_mut(&digest) else { return Err(forgotten()) };
        match remembered.signed {
            Some(signed) if signed != hash => {
                let detail = "this node gave shares for another outcome of this request: sign a new request";
                Err(Failure::new(FailureKind::Disagreement, detail))
            }
            Some(_) => Ok(()),
            None => {
                remembered.signed = Some(hash);
                Ok(())
            }
        }
    }

    /// Forgets a request for which no session was opened here, and frees its nonce.
    pub(super) fn release(&mut self, digest: &RequestDigest) {
        let unused = self.requests.get(digest).is_some_and(|remembered| remembered.opened.is_empty());
        if unused && let Some(remembered) = self.requests.remove(digest) {
            self.nonces.remove(&remembered.nonce);
            self.by_end.remove(&(remembered.ends, *digest));
        }
    }

    /// Forgets what has ended.
    pub(super) fn forget(&mut self, now: Millis) {
        while let Some((ends, digest)) = self.by_end.first().copied() {
            if ends > now {
                break;
            }
            self.by_end.remove(&(ends, digest));
            if let Some(remembered) = self.requests.remove(&digest) {
                self.nonces.remove(&remembered.nonce);
            }
        }
    }
}

fn forgotten() -> Failure {
    Failure::new(FailureKind::Expired, "this node no longer remembers the request: sign a new one")
}

/// A nonce belongs to its callers.
fn nonce_of(request: &ValidRequest) -> B256 {
    let mut bytes = Vec::with_capacity(32 + 21 * request.request().callers.len());
    bytes.extend_from_slice(request.request().nonce.as_slice());
    for caller in &request.request().callers {
        bytes.extend_from_slice(caller.kind.name().as_bytes());
        bytes.extend_from_slice(caller.id.as_slice());
    }
    keccak256(bytes)
}

/// Injective: every message goes in with its length.
fn messages_hash(messages: &[Bytes]) -> B256 {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend_from_slice(&(message.len() as u64).to_be_bytes());
        bytes.extend_from_slice(message);
    }
    keccak256(bytes)
}
