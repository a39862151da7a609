//! What this node knows of requests' signatures before it checks them: those that its own API has found signed, and who brings
//! requests that are not.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use countersign_types::{Failure, FailureKind, Identifier, RequestDigest, SignedRequest, ValidRequest};

use super::{judge::authenticate_as, rate::Rate};
use crate::Millis;

/// The most requests of this node's own callers that are kept until their proposals come; beyond, the oldest are forgotten, and
/// checked again.
pub const MAX_KEPT: usize = 128;
/// The most requests that are not signed which one coordinator may bring within a second. An honest one brings none: its API
/// checks them.
const MAX_UNSIGNED_PER_SECOND: u32 = 8;

#[derive(Default)]
pub(super) struct Authenticated {
    /// The oldest first.
    own: VecDeque<Arc<ValidRequest>>,
    /// How often each coordinator has brought one that was not signed.
    unsigned: BTreeMap<Identifier, Rate>,
}

impl Authenticated {
    /// Keeps a request of this node's own callers.
    pub(super) fn keep(&mut self, request: &Arc<ValidRequest>) {
        if self.own.len() >= MAX_KEPT {
            self.own.pop_front();
        }
        self.own.push_back(Arc::clone(request));
    }

    /// How many requests of this node's own callers are kept.
    pub(super) fn len(&self) -> usize {
        self.own.len()
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
            None => authenticate_as(digest, signed),
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
        let count = self.unsigned.entry(by).or_default().within(now);
        if *count >= MAX_UNSIGNED_PER_SECOND {
            let detail = format!(
                "this coordinator brought {count} requests within a second that their callers did not sign: check who \
                 runs it"
            );
            return Err(Failure::new(FailureKind::Busy, detail));
        }
        let checked = authenticate_as(digest, signed);
        if checked.is_err() {
            *count += 1;
        }
        checked
    }
}
