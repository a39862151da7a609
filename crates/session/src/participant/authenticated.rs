//! What this node knows of requests' signatures before it checks them: those that its own API has found signed, and who brings
//! requests that are not.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use countersign_types::{Failure, FailureKind, Identifier, RequestDigest, SignedRequest, ValidRequest};

use super::judge::{authenticate, other_request};
use crate::Millis;

/// The most requests of this node's own callers that are kept until their proposals come; beyond, the oldest are forgotten, and
/// checked again.
const MAX_KEPT: usize = 128;
/// The most requests that are not signed which one coordinator may bring in a [`SPELL_MS`]. An honest one brings none: its API checks
/// them.
pub(super) const MAX_UNSIGNED: u32 = 8;
/// Milliseconds.
pub(super) const SPELL_MS: Millis = 1_000;

#[derive(Default)]
pub(super) struct Authenticated {
    /// The oldest first.
    own: VecDeque<Arc<ValidRequest>>,
    /// Since when each coordinator has brought how many requests that were not signed.
    unsigned: BTreeMap<Identifier, (Millis, u32)>,
}

impl Authenticated {
    /// Keeps a request of this node's own callers.
    pub(super) fn keep(&mut self, request: &Arc<ValidRequest>) {
        if self.own.len() >= MAX_KEPT {
            self.own.pop_front();
        }
        self.own.push_back(Arc::clone(request));
    }

    /// Forgets a request of this node's own callers.
    pub(super) fn forget(&mut self, digest: &RequestDigest) {
        self.own.retain(|kept| kept.digest() != *digest);
    }

    /// The request that this node's own coordinator brings: no signature is checked twice.
    pub(super) fn own(
        &mut self,
        digest: &RequestDigest,
        signed: SignedRequest,
    ) -> Result<Arc<ValidRequest>, Failure> {
        let same = |kept: &Arc<ValidRequest>| kept.digest() == *digest && *kept.signed() == signed;
        let place = self.own.iter().position(same);
        match place.and_then(|place| self.own.remove(place)) {
            Some(request) => Ok(request),
            None => check(digest, signed),
        }
    }

    /// A request that another coordinator brings.
    pub(super) fn brought(
        &mut self,
        by: Identifier,
        digest: &RequestDigest,
        signed: SignedRequest,
        now: Millis,
    ) -> Result<Arc<ValidRequest>, Failure> {
        let (since, count) = self.unsigned.entry(by).or_insert((now, 0));
        if now.saturating_sub(*since) >= SPELL_MS {
            (*since, *count) = (now, 0);
        }
        if *count >= MAX_UNSIGNED {
            let detail = format!(
                "this coordinator brought {count} requests within a second that their callers did not sign: check who \
                 runs it"
            );
            return Err(Failure::new(FailureKind::Busy, detail));
        }
        let checked = check(digest, signed);
        if checked.is_err() {
            *count += 1;
        }
        checked
    }
}

/// P3, P4: the form of a request is bounded by its frame, so its digest comes before the signatures, which cost curve operations.
fn check(digest: &RequestDigest, signed: SignedRequest) -> Result<Arc<ValidRequest>, Failure> {
    let got = signed.request.digest();
    if got != *digest {
        return Err(other_request(*digest, got));
    }
    authenticate(signed).map(Arc::new)
}
