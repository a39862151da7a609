//! What a node remembers of requests until they end: nonces, and the one list of bytes that it signed.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, keccak256};
use countersign_types::{
    Bytes, Failure, FailureKind, Identifier, RequestDigest, ValidRequest,
    mutant::{Mutant, broken},
};

use crate::Millis;

/// The most requests that a node remembers; beyond, it is busy, and nothing live is evicted.
pub const MAX_REQUESTS: usize = 131_072;

/// Requests that have not ended, by digest and by nonce.
pub(super) struct RequestMemory {
    most: usize,
    requests: BTreeMap<RequestDigest, Remembered>,
    nonces: BTreeMap<B256, RequestDigest>,
    by_end: BTreeSet<(Millis, RequestDigest)>,
    /// How many of them each coordinator brought.
    brought: BTreeMap<Identifier, usize>,
}

struct Remembered {
    nonce: B256,
    /// The coordinator that brought it first.
    by: Identifier,
    ends: Millis,
    /// The time of the last session that each coordinator opened here for it.
    opened: BTreeMap<Identifier, Millis>,
    /// The hash of the messages that this node allowed, and gave shares for if the package was good; none so far where absent.
    allowed: Option<B256>,
}

impl Default for RequestMemory {
    fn default() -> Self {
        Self::with_capacity(MAX_REQUESTS)
    }
}

impl RequestMemory {
    fn with_capacity(most: usize) -> Self {
        Self {
            most,
            requests: BTreeMap::new(),
            nonces: BTreeMap::new(),
            by_end: BTreeSet::new(),
            brought: BTreeMap::new(),
        }
    }

    /// Remembers a request that a coordinator brings; the same one again is fine, whoever brings it.
    ///
    /// No coordinator's requests take more room than they leave: alone it may fill half of the memory, and however many
    /// flood it, one that comes later has as much room as each of them.
    pub(super) fn admit(&mut self, request: &ValidRequest, by: Identifier) -> Result<(), Failure> {
        let digest = request.digest();
        if self.requests.contains_key(&digest) {
            return Ok(());
        }
        let nonce = nonce_of(request);
        if let Some(other) = self.nonces.get(&nonce).filter(|_| !broken(Mutant::TakesNoncesAgain)) {
            let detail = format!(
                "these callers used the nonce {} for request {other}: a new request needs a new nonce",
                request.request().nonce
            );
            return Err(Failure::new(FailureKind::NonceReused, detail));
        }
        let (held, free) = (self.brought.get(&by).copied().unwrap_or(0), self.most - self.requests.len());
        if held >= free {
            let detail = format!(
                "this node remembers {held} requests of this coordinator that have not ended, and has room for {free} \
                 of all: try again later, or ask another node"
            );
            return Err(Failure::new(FailureKind::Busy, detail));
        }
        self.brought.insert(by, held + 1);
        self.nonces.insert(nonce, digest);
        let ends = request.request().expires_at;
        self.by_end.insert((ends, digest));
        self.requests.insert(digest, Remembered { nonce, by, ends, opened: BTreeMap::new(), allowed: None });
        Ok(())
    }

    /// Remembers that a coordinator opens a session for a request. Its sessions for one request have rising times, so
    /// that none is opened twice, whatever becomes of it meanwhile: a node signs one record and one vote in a session (P7).
    pub(super) fn open(
        &mut self,
        digest: RequestDigest,
        coordinator: Identifier,
        time: Millis,
    ) -> Result<(), Failure> {
        let Some(remembered) = self.requests.get_mut(&digest) else { return Err(forgotten()) };
        match remembered.opened.get(&coordinator) {
            Some(last) if *last >= time && !broken(Mutant::ReopensSessions) => {
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
        match remembered.allowed {
            Some(allowed) if allowed != hash && !broken(Mutant::SignsTwoOutcomes) => {
                let detail = "this node allowed another outcome of this request before: sign a new request";
                Err(Failure::new(FailureKind::Disagreement, detail))
            }
            Some(_) => Ok(()),
            None => {
                remembered.allowed = Some(hash);
                Ok(())
            }
        }
    }

    /// How many requests are remembered, in whichever of the tables there are most.
    pub(super) fn len(&self) -> usize {
        self.requests.len().max(self.nonces.len()).max(self.by_end.len())
    }

    /// Forgets a request for which no session was opened here, and frees its nonce.
    pub(super) fn release(&mut self, digest: &RequestDigest) {
        let unused = self.requests.get(digest).is_some_and(|remembered| remembered.opened.is_empty());
        if unused && let Some(remembered) = self.drop_request(digest) {
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
            self.drop_request(&digest);
        }
    }

    fn drop_request(&mut self, digest: &RequestDigest) -> Option<Remembered> {
        let remembered = self.requests.remove(digest)?;
        self.nonces.remove(&remembered.nonce);
        if let Some(brought) = self.brought.get_mut(&remembered.by) {
            *brought -= 1;
        }
        Some(remembered)
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

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use countersign_types::{
        ActionId, Caller, CallerKind, CallerSignature, KeyOptions, KeySpec, NetworkId, NodeKey, PayloadKind,
        Policy, Request, Scheme, SignedRequest,
    };

    use super::*;

    const NOW: Millis = 1_800_000_000_000;

    fn id(number: u16) -> Identifier {
        Identifier::new(number).expect("not zero")
    }

    fn request(number: u64) -> ValidRequest {
        request_of(7, number)
    }

    /// A request of another caller for each key, with another nonce for each number.
    fn request_of(key: u8, number: u64) -> ValidRequest {
        let caller = NodeKey::from_bytes([key; 32]).expect("a key");
        let request = Request {
            network: NetworkId::from([1; 32]),
            key: KeySpec {
                scheme: Scheme::SchnorrSecp256k1,
                policy: Policy { action: ActionId::from([2; 32]), config: Bytes::new() },
                payloads: vec![PayloadKind::Bytes],
                options: KeyOptions::default(),
                owner: Address::ZERO,
                salt: B256::ZERO,
            },
            params: Bytes::new(),
            callers: vec![Caller { kind: CallerKind::Eip191, id: caller.public_key().address() }],
            coordinators: Vec::new(),
            nonce: B256::from(alloy_primitives::U256::from(number)),
            issued_at: NOW,
            expires_at: NOW + 60_000 + number,
        };
        let signature = caller.sign(request.digest().0);
        let signatures = vec![CallerSignature(Bytes::copy_from_slice(signature.as_bytes()))];
        SignedRequest { request, signatures }.validate().expect("in order")
    }

    /// How many of a hundred requests from `first` on are taken.
    fn taken(memory: &mut RequestMemory, by: Identifier, first: u64) -> usize {
        (first..first + 100).filter(|number| memory.admit(&request(*number), by).is_ok()).count()
    }

    #[test]
    fn coordinators_that_flood_leave_room_for_others() {
        let mut memory = RequestMemory::with_capacity(60);
        assert_eq!(taken(&mut memory, id(1), 0), 30, "half, alone");
        assert_eq!(taken(&mut memory, id(2), 100), 15, "half of what is left");
        assert_eq!(taken(&mut memory, id(1), 200), 0);
        assert_eq!(taken(&mut memory, id(3), 300), 8);
        // what has ended makes room again, for whoever asks
        memory.forget(NOW + 60_000 + 99);
        assert_eq!(taken(&mut memory, id(1), 400), 19);
        memory.release(&request(400).digest());
        assert!(memory.admit(&request(500), id(1)).is_ok());
    }

    #[test]
    fn the_same_request_counts_once() {
        let mut memory = RequestMemory::with_capacity(2);
        for by in [1, 2, 1] {
            assert!(memory.admit(&request(1), id(by)).is_ok());
        }
        assert!(memory.admit(&request(2), id(2)).is_ok(), "it is not counted to whoever came later");
    }

    #[test]
    fn callers_do_not_use_up_each_others_nonces() {
        let mut memory = RequestMemory::default();
        for key in [7, 8] {
            assert!(memory.admit(&request_of(key, 1), id(1)).is_ok(), "{key}");
        }
    }

    #[test]
    fn the_same_bytes_in_other_messages_are_another_outcome() {
        let (mut memory, request) = (RequestMemory::default(), request(1));
        memory.admit(&request, id(1)).expect("there is room");
        let mut bind =
            |messages: [&'static str; 2]| memory.bind(&request, &messages.map(Bytes::from)).is_ok();
        assert!(bind(["ab", "c"]));
        assert!(!bind(["a", "bc"]));
        assert!(bind(["ab", "c"]));
    }
}
