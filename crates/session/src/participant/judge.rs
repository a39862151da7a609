//! Whether a request may be judged here and now: network, times, nonce, key.

use std::{fmt::Display, sync::Arc};

use countersign_types::{
    Address, Failure, FailureKind, Identifier, RequestDigest, RequestError, SessionTerms, SignedRequest,
    ValidRequest,
    action::MAX_CHAINS,
    mutant::{Mutant, broken},
};

use super::{KeyError, MAX_SESSIONS_PER_COORDINATOR, MAX_SKEW_MS, Participant};
use crate::Millis;

/// Authenticates a request: form, signatures, owner. It costs a signature check for each caller and needs nothing of a
/// node (P4), so that it can be done beside the participant, which then [admits](Participant::admit_request) the request.
pub fn authenticate(signed: SignedRequest) -> Result<ValidRequest, Failure> {
    signed.validate().map_err(unfit)
}

/// Authenticates the request of a session's terms (P3, P4).
pub(super) fn authenticate_as(
    digest: &RequestDigest,
    signed: SignedRequest,
) -> Result<Arc<ValidRequest>, Failure> {
    signed.validate_as(digest).map(Arc::new).map_err(unfit)
}

fn unfit(error: RequestError) -> Failure {
    let kind = if error.is_unauthorised() { FailureKind::Unauthorised } else { FailureKind::Invalid };
    Failure::new(kind, error.to_string())
}

impl<R> Participant<R> {
    /// Checks whether an authenticated request may be judged here and now, and remembers it: network, times, nonce,
    /// key.
    ///
    /// A coordinator asks this of its own node before it opens a session, so that a caller's mistake is
    /// answered at once.
    pub fn admit_request(&mut self, valid: &Arc<ValidRequest>, now: Millis) -> Result<(), Failure> {
        self.admit_brought(valid, self.membership.me, now)?;
        self.authenticated.keep(valid);
        Ok(())
    }

    /// As [`Participant::admit_request`], for a request that a coordinator brings.
    ///
    /// Steps P5 and P6.
    pub(super) fn admit_brought(
        &mut self,
        valid: &ValidRequest,
        by: Identifier,
        now: Millis,
    ) -> Result<(), Failure> {
        let network = self.membership.network;
        if valid.request().network != network {
            let detail = format!(
                "the request is for network {}, this is {network}: check which network the client is set to",
                valid.request().network
            );
            return Err(Failure::new(FailureKind::WrongNetwork, detail));
        }
        let request = valid.request();
        let coordinator = self.membership.committee.address(by);
        let named = coordinator.is_some_and(|node| request.may_coordinate(node));
        if !named && !broken(Mutant::IgnoresCoordinators) {
            let names: Vec<String> = request.coordinators.iter().map(Address::to_string).collect();
            let detail = format!(
                "the request names the nodes that may coordinate it, and node {by} is not among them: post it to one of {}",
                names.join(", ")
            );
            return Err(Failure::new(FailureKind::NotCoordinator, detail));
        }
        let (issued_at, boot) = (request.issued_at, self.boot);
        if issued_at > now && !broken(Mutant::SkipsIssueTime) {
            let detail = format!(
                "the request was issued at {issued_at}, this node's clock says {now}: check the caller's clock"
            );
            return Err(Failure::new(FailureKind::NotYetIssued, detail));
        }
        // in the very millisecond too: the life before may have seen it
        if issued_at <= boot && !broken(Mutant::SkipsBoot) {
            let detail = format!(
                "the request was issued at {issued_at}, this node started at {boot} and does not know what \
                 was asked before: sign a new request"
            );
            return Err(Failure::new(FailureKind::BeforeBoot, detail));
        }
        still_valid(valid, now)?;
        self.key_pair(valid)?;
        self.memory.admit(valid, by)
    }

    /// Forgets a request that came to nothing here before any session: it could not even be prepared. Otherwise
    /// requests that cost their caller nothing would fill the memory of those that run.
    pub fn release(&mut self, request: &RequestDigest) {
        self.authenticated.forget(request);
        self.memory.release(request);
    }

    /// Checks what the coordinator fixed, and that it does not ask for too much at once (P2).
    pub(super) fn check_terms(
        &self,
        from: Identifier,
        terms: &SessionTerms,
        now: Millis,
    ) -> Result<(), Failure> {
        let membership = &self.membership;
        let refuse = |kind, detail| Err(Failure::new(kind, detail));
        if terms.epoch != membership.epoch {
            let detail =
                format!("the session is of epoch {}, this node is in {}", terms.epoch, membership.epoch);
            return refuse(FailureKind::Unavailable, detail);
        }
        if terms.engine != membership.engine {
            let detail = format!(
                "the coordinator runs actions with engine {}, this node with {}: run the same version",
                terms.engine, membership.engine
            );
            return refuse(FailureKind::Unavailable, detail);
        }
        if terms.time_ms.abs_diff(now) > MAX_SKEW_MS {
            let detail = format!(
                "the session's time is {}, this node's clock says {now}: more than {MAX_SKEW_MS} ms apart",
                terms.time_ms
            );
            return refuse(FailureKind::Unavailable, detail);
        }
        if terms.pins.len() > MAX_CHAINS {
            let detail =
                format!("{} chains are pinned, an action reads at most {MAX_CHAINS}", terms.pins.len());
            return refuse(FailureKind::Invalid, detail);
        }
        if !terms.pins.windows(2).all(|pair| pair[0].chain_id < pair[1].chain_id) {
            return refuse(
                FailureKind::Invalid,
                "pins must be one for each chain, in ascending order".into(),
            );
        }
        let open = self.sessions_of(from).count();
        if open >= MAX_SESSIONS_PER_COORDINATOR {
            let detail = format!("{open} sessions of this coordinator are open here: try again later");
            return refuse(FailureKind::Busy, detail);
        }
        Ok(())
    }
}

/// Whether a request has not ended yet.
pub(super) fn still_valid(request: &ValidRequest, now: Millis) -> Result<(), Failure> {
    let expires_at = request.request().expires_at;
    if expires_at > now || broken(Mutant::SkipsExpiry) {
        return Ok(());
    }
    let detail =
        format!("the request ended at {expires_at}, this node's clock says {now}: sign a new request");
    Err(Failure::new(FailureKind::Expired, detail))
}

pub(super) fn no_key(error: KeyError) -> Failure {
    let kind = match error {
        KeyError::NoRoot { .. } => FailureKind::NotReady,
        KeyError::Root { .. } | KeyError::Derive { .. } => FailureKind::Internal,
    };
    Failure::new(kind, error.to_string())
}

pub(super) fn internal(error: impl Display) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}
