//! Requests that callers posted here: running, or done with their result.

mod counted;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use countersign_api::SignAnswer;
use countersign_session::Millis;
use countersign_types::{Address, Failure, FailureKind, RequestDigest, ValidRequest};

use self::counted::Counted;
use super::Reply;

/// The most requests that run at once; one more is told that the node is busy.
const MAX_RUNNING: usize = 256;
/// The most callers that wait for the same request.
const MAX_WAITING: usize = 16;
/// The most bytes of results that are kept for callers who ask again; the oldest make room.
const MAX_RESULT_BYTES: usize = 64 << 20;

/// What is known of requests, until they end.
#[derive(Default)]
pub(super) struct Requests {
    running: BTreeMap<RequestDigest, Running>,
    done: BTreeMap<RequestDigest, Done>,
    by_age: VecDeque<RequestDigest>,
    bytes: usize,
    counted: Counted,
}

struct Running {
    request: Arc<ValidRequest>,
    waiting: Vec<Reply>,
}

struct Done {
    expires_at: Millis,
    answer: SignAnswer,
    bytes: usize,
}

/// What to do with a request that was posted.
pub(super) enum Posted {
    /// It is new: begin.
    Begin,
    /// It runs or is done: whoever asked is answered, now or later.
    Joined,
    /// It is new, and too many run: nothing comes of it here.
    TooMany,
}

impl Requests {
    /// Takes a request up, or joins what is known of it.
    pub(super) fn post(&mut self, request: Arc<ValidRequest>, reply: Reply) -> Posted {
        let digest = request.digest();
        if let Some(done) = self.done.get(&digest) {
            answer(reply, Ok(done.answer.clone()));
            return Posted::Joined;
        }
        if let Some(running) = self.running.get_mut(&digest) {
            wait(running, reply);
            return Posted::Joined;
        }
        if self.running.len() >= MAX_RUNNING {
            let detail = format!("{MAX_RUNNING} requests run here: ask another node, or later");
            answer(reply, Err(Failure::new(FailureKind::Busy, detail)));
            return Posted::TooMany;
        }
        self.running.insert(digest, Running { request, waiting: vec![reply] });
        Posted::Begin
    }

    /// Whether any request runs, or is about to.
    pub(super) fn run(&self) -> bool {
        !self.running.is_empty()
    }

    /// Answers with the stored result, or when the running request is done.
    pub(super) fn look(&mut self, digest: RequestDigest, reply: Reply) {
        if let Some(done) = self.done.get(&digest) {
            return answer(reply, Ok(done.answer.clone()));
        }
        match self.running.get_mut(&digest) {
            Some(running) => wait(running, reply),
            None => {
                let detail = format!(
                    "this node has no signature of request {digest}, and runs it no more: another node coordinated it, or it was \
                     refused, failed or is over"
                );
                answer(reply, Err(Failure::new(FailureKind::NotFound, detail)));
            }
        }
    }

    /// Counts a request against its callers' rates, once for each until it ends, whatever becomes of it here.
    pub(super) fn count<E>(
        &mut self,
        request: &ValidRequest,
        count: impl FnMut(&Address) -> Result<(), E>,
    ) -> Result<(), E> {
        let asked = request.request();
        self.counted.count(
            request.digest(),
            asked.expires_at,
            asked.callers.iter().map(|caller| &caller.id),
            count,
        )
    }

    pub(super) fn request(&self, digest: &RequestDigest) -> Option<Arc<ValidRequest>> {
        self.running.get(digest).map(|running| Arc::clone(&running.request))
    }

    /// Answers everybody who waits. Only signatures are kept: a failure may be another tomorrow.
    pub(super) fn finish(&mut self, digest: RequestDigest, result: Result<SignAnswer, Failure>) {
        let Some(running) = self.running.remove(&digest) else { return };
        for reply in running.waiting {
            answer(reply, result.clone());
        }
        if let Ok(answer) = result {
            self.keep(digest, running.request.request().expires_at, answer);
        }
    }

    fn keep(&mut self, digest: RequestDigest, expires_at: Millis, answer: SignAnswer) {
        let bytes = size(&answer);
        while self.bytes + bytes > MAX_RESULT_BYTES {
            let Some(oldest) = self.by_age.pop_front() else { break };
            self.drop_result(&oldest);
        }
        self.bytes += bytes;
        self.by_age.push_back(digest);
        self.done.insert(digest, Done { expires_at, answer, bytes });
    }

    fn drop_result(&mut self, digest: &RequestDigest) {
        if let Some(done) = self.done.remove(digest) {
            self.bytes -= done.bytes;
        }
    }

    /// Forgets requests that have ended, and their results.
    pub(super) fn forget(&mut self, now: Millis) {
        self.counted.forget(now);
        let ended: Vec<RequestDigest> =
            self.done.iter().filter(|(_, done)| done.expires_at <= now).map(|(digest, _)| *digest).collect();
        for digest in &ended {
            self.drop_result(digest);
        }
        if !ended.is_empty() {
            self.by_age.retain(|digest| self.done.contains_key(digest));
        }
    }
}

fn wait(running: &mut Running, reply: Reply) {
    running.waiting.retain(|waiting| !waiting.is_closed());
    if running.waiting.len() < MAX_WAITING {
        running.waiting.push(reply);
    } else {
        let detail = format!("{MAX_WAITING} callers wait for this request already");
        answer(reply, Err(Failure::new(FailureKind::Busy, detail)));
    }
}

fn answer(reply: Reply, result: Result<SignAnswer, Failure>) {
    // a caller that left does not hear it
    let _ = reply.send(result);
}

/// About what a result takes in memory.
fn size(SignAnswer { response, receipt }: &SignAnswer) -> usize {
    let receipt = receipt.as_ref().map_or(0, |receipt| receipt.held_bytes());
    let signatures: usize =
        response.signatures.iter().map(|signed| signed.content.len() + signed.message.len() + 256).sum();
    let nodes: usize =
        response.nodes.iter().map(|node| node.reason.as_ref().map_or(0, String::len) + 128).sum();
    signatures + nodes + receipt + response.response.len() + response.votes.len() * 512 + 1024
}

#[cfg(test)]
mod tests {
    use countersign_types::{
        ActionId, Address, B256, Bytes, Caller, CallerKind, CallerSignature, KeyOptions, KeySpec, NetworkId,
        NodeKey, PayloadKind, Policy, Request, Scheme, SignedRequest,
    };
    use tokio::sync::oneshot;

    use super::*;

    fn request(number: u64) -> Arc<ValidRequest> {
        let caller = NodeKey::from_bytes([7; 32]).expect("a key");
        let mut nonce = B256::ZERO;
        nonce.0[..8].copy_from_slice(&number.to_be_bytes());
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
            nonce,
            issued_at: 1,
            expires_at: 2,
        };
        let signature = caller.sign(request.digest().0);
        let signatures = vec![CallerSignature(Bytes::copy_from_slice(signature.as_bytes()))];
        Arc::new(SignedRequest { request, signatures }.validate().expect("in order"))
    }

    #[test]
    fn one_beyond_those_that_may_run_is_told_apart_from_one_that_joins() {
        let mut requests = Requests::default();
        let mut post = |number: u64| {
            let (reply, answer) = oneshot::channel();
            (requests.post(request(number), reply), answer)
        };
        let running: Vec<_> = (0..MAX_RUNNING as u64).map(&mut post).collect();
        assert!(running.iter().all(|(posted, _)| matches!(posted, Posted::Begin)));
        let (posted, mut answer) = post(MAX_RUNNING as u64);
        assert!(matches!(posted, Posted::TooMany));
        let failure = answer.try_recv().expect("at once").expect_err("too many run");
        assert_eq!(failure.kind, FailureKind::Busy);
        assert!(matches!(post(0).0, Posted::Joined));
    }
}
