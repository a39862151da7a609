//! What a node does with a proposal, a package and a replay: the only code that makes shares.
//!
//! A share leaves [`Participant::replayed`] only, and only for the messages of this node's own replay, in
//! a session that it judged itself, under nonces that are consumed there. What a coordinator says decides
//! nothing but which records are agreed and who signs.
//!
//! Messages may be lost, doubled or late: a repeated proposal or package is answered with the same
//! answer, never with new commitments or another share.

mod advance;
mod attempt;
mod authenticated;
mod driver;
mod judge;
mod keys;
mod memory;
mod proposal;
mod rate;
mod seen;
mod session;
mod signing;
mod sizes;
mod spare;

use std::{collections::BTreeMap, sync::Arc};

use countersign_threshold::{DerivedPublic, RootShare};
use countersign_types::{B256, FailureKind, Identifier, NodeKey, Scheme, SessionId, ValidRequest};
use rand_core::{CryptoRng, RngCore};

use crate::{
    Membership, Millis,
    message::{Completion, Decline, ToCoordinator, ToParticipant},
};
use advance::Advance;
pub use advance::{MAX_ADVANCE, MAX_BATCH};
use authenticated::Authenticated;
pub use authenticated::MAX_KEPT;
pub use driver::{Effect, Given, LiveRun, LocalFailure, Run};
pub use judge::authenticate;
use keys::{KeyCache, KeyPair};
pub use keys::{KeyError, MAX_KEYS};
pub use memory::MAX_REQUESTS;
use memory::RequestMemory;
pub use seen::MAX_SEEN;
use seen::Seen;
use session::Session;
pub use sizes::Sizes;
pub use spare::MAX_SPARE;
use spare::Spare;

/// The most sessions that one coordinator may have open here.
pub const MAX_SESSIONS_PER_COORDINATOR: usize = 256;
/// The most bytes that live runs leave here for replays, in all; each coordinator's sessions have an equal part. A session
/// is taken where its coordinator has none that left anything, however much that is.
pub const MAX_RECORDED_BYTES: usize = 48 << 20;
/// How long a session lives here, in milliseconds: the longest deadline and some slack.
pub const SESSION_MS: Millis = 40_000;
/// How far a session's time may lie from this node's clock, in milliseconds.
pub const MAX_SKEW_MS: Millis = 30_000;

/// One node's part in all signing sessions. `R` is what its driver needs to replay a run.
pub struct Participant<R> {
    membership: Arc<Membership>,
    identity: Arc<NodeKey>,
    boot: Millis,
    keys: KeyCache,
    memory: RequestMemory,
    authenticated: Authenticated,
    advance: Advance,
    spare: Spare,
    seen: Seen,
    /// By coordinator too: two that propose the same terms do not get in each other's way, and nobody can open
    /// another's session first.
    sessions: BTreeMap<(Identifier, SessionId), Session<R>>,
    shares_made: u64,
}

impl<R> Participant<R> {
    /// A participant without keys, since `boot`: requests issued before are refused, because what was
    /// known of them is gone.
    pub fn new(membership: Arc<Membership>, identity: Arc<NodeKey>, boot: Millis) -> Self {
        let advance = Advance::default();
        #[cfg(countersign_mutants)]
        let advance = advance.with_survivors(membership.me);
        Self {
            membership,
            identity,
            boot,
            keys: KeyCache::default(),
            memory: RequestMemory::default(),
            authenticated: Authenticated::default(),
            advance,
            spare: Spare::default(),
            seen: Seen::default(),
            sessions: BTreeMap::new(),
            shares_made: 0,
        }
    }

    /// Gives this node its share of a scheme's root key.
    pub fn add_root(&mut self, share: RootShare) -> Result<(), KeyError> {
        self.keys.add_root(share)
    }

    /// The schemes that this node can sign with.
    pub fn schemes(&self) -> impl Iterator<Item = Scheme> + '_ {
        self.keys.schemes()
    }

    /// How many signature shares this node has made since it started.
    pub fn shares_made(&self) -> u64 {
        self.shares_made
    }

    /// How many sessions are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Handles a coordinator's message.
    pub fn receive(
        &mut self,
        from: Identifier,
        message: ToParticipant,
        now: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect<R>> {
        match message {
            ToParticipant::Propose(proposal) => self.proposed(from, *proposal, now),
            ToParticipant::Commit { session, attempt } => self.commit(from, session, attempt, rng),
            ToParticipant::Sign { package, send_verdict } => self.package(from, *package, send_verdict),
            ToParticipant::Close { session, signed } => self.close(from, session, signed),
        }
    }

    fn close(&mut self, from: Identifier, id: SessionId, signed: Option<Box<Completion>>) -> Vec<Effect<R>> {
        let Some(session) = self.sessions.remove(&(from, id)) else { return Vec::new() };
        if !session.gave_shares() {
            return Vec::new();
        }
        let signed = signed.filter(|signed| signed.is_bounded(&self.membership.committee));
        vec![Effect::Closed { session: id, coordinator: from, signed }]
    }

    /// Wipes every nonce that is not spent, and gives up the sessions that it was for: this process may have stood still, and
    /// its memory have been copied meanwhile. Coordinators hear of it, and ask others.
    pub fn purge(&mut self) -> Vec<Effect<R>> {
        self.advance.clear();
        self.spare.clear();
        let open = std::mem::take(&mut self.sessions);
        let gone = || Decline::Abstain {
            kind: FailureKind::Unavailable,
            reason: "this node stood still for a while and has wiped its nonces".into(),
        };
        open.iter()
            .filter(|(_, session)| session.awaits())
            .map(|((coordinator, id), _)| declined(*coordinator, *id, gone()))
            .collect()
    }

    /// The public side of a request's key, for a coordinator.
    pub fn derived_public(
        &mut self,
        request: &ValidRequest,
    ) -> Result<DerivedPublic, countersign_types::Failure> {
        Ok(self.key_pair(request)?.public.clone())
    }

    /// Forgets sessions and requests that are over.
    pub fn tick(&mut self, now: Millis) {
        self.sessions.retain(|_, session| session.ends > now);
        self.memory.forget(now);
        self.spare.forget(now);
    }

    fn sessions_of(&self, coordinator: Identifier) -> impl Iterator<Item = &Session<R>> {
        let (first, last) = (SessionId(B256::ZERO), SessionId(B256::repeat_byte(0xff)));
        self.sessions.range((coordinator, first)..=(coordinator, last)).map(|(_, session)| session)
    }

    fn key_pair(&mut self, request: &ValidRequest) -> Result<Arc<KeyPair>, countersign_types::Failure> {
        keys_of(&mut self.keys, request).map_err(judge::no_key)
    }
}

fn keys_of(keys: &mut KeyCache, request: &ValidRequest) -> Result<Arc<KeyPair>, KeyError> {
    keys.get(request.request().key.scheme, request.key_id())
}

fn declined<R>(to: Identifier, session: SessionId, decline: Decline) -> Effect<R> {
    Effect::Send { to, message: ToCoordinator::Declined { session, attempt: None, decline } }
}
