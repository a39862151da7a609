//! A node's driver: it wires a participant and its coordinators to the world, and decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_agreement::AgreedRecord;
use countersign_session::{
    Membership, Millis, Order, Sent, Stock,
    coordinator::{self, Awaited, Coordinator, Setup, Signed},
    message::{Preprocess, ToCoordinator, ToParticipant},
    participant::{self, LiveRun, LocalFailure, Participant, Run, authenticate},
};
use countersign_types::{
    Failure, Identifier, Outcome, RequestDigest, SessionId, SessionTerms, SignedRequest, ValidRequest,
};

use crate::{
    bounds::Holds,
    chance::Chance,
    roots::{ENGINE, Roots},
    script::Values,
};

/// How long a session may take.
pub(crate) const DEADLINE_MS: Millis = 30_000;
/// How often a participant forgets what is over.
const HOUSEKEEPING_MS: Millis = 1_000;

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    ToParticipant(ToParticipant),
    ToCoordinator(ToCoordinator),
    Preprocess(Preprocess),
}

/// What a node wants done.
pub(crate) enum Act {
    Send {
        to: Identifier,
        wire: Wire,
    },
    /// The same after so long: only liars hold something back.
    SendLater {
        to: Identifier,
        wire: Wire,
        after: Millis,
    },
    Observe(Run),
    Replay {
        run: Run,
        attempt: u32,
        recorded: Arc<Values>,
        agreed: Arc<AgreedRecord>,
    },
    Finished {
        session: SessionId,
        request: RequestDigest,
        result: Box<Result<Signed, Failure>>,
    },
}

/// What a node says to a request at once.
pub(crate) enum Posted {
    Started { session: SessionId, acts: Vec<Act> },
    Known,
    Rejected(Failure),
}

/// A session that a node coordinates.
pub(crate) struct Coordinating {
    pub(crate) machine: Coordinator,
    pub(crate) deadline: Millis,
    request: RequestDigest,
}

pub(crate) struct Node {
    pub(crate) me: Identifier,
    pub(crate) participant: Participant<Values>,
    pub(crate) coordinating: BTreeMap<SessionId, Coordinating>,
    stock: Stock,
    /// What stood in its packages.
    sent: Arc<Sent>,
    roots: Arc<Roots>,
    membership: Arc<Membership>,
    /// By request: the session that is running, or was.
    requests: BTreeMap<RequestDigest, SessionId>,
    connected: BTreeSet<Identifier>,
    housekeeping_at: Millis,
    /// Whether members that let a session wait are asked last for a while, as the real driver does.
    pub(crate) remembers_slow: bool,
    asked_first: Order,
    /// Where nonces come from.
    pub(crate) nonces: Chance,
    order: Chance,
}

impl Node {
    pub(crate) fn start(
        me: Identifier,
        roots: &Arc<Roots>,
        boot: Millis,
        connected: BTreeSet<Identifier>,
        nonces: Chance,
        order: Chance,
    ) -> Self {
        let membership = Arc::new(roots.membership(me));
        let mut participant = Participant::new(Arc::clone(&membership), Arc::new(roots.identity(me)), boot);
        participant.add_root(roots.share(me)).expect("the share fits its root");
        Self {
            me,
            participant,
            coordinating: BTreeMap::new(),
            stock: Stock::default(),
            sent: Arc::default(),
            roots: Arc::clone(roots),
            membership,
            requests: BTreeMap::new(),
            connected,
            housekeeping_at: boot,
            remembers_slow: false,
            asked_first: Order::default(),
            nonces,
            order,
        }
    }

    /// A client asks.
    pub(crate) fn post(&mut self, request: SignedRequest, now: Millis) -> Posted {
        let admitted = authenticate(request)
            .map(Arc::new)
            .and_then(|valid| self.participant.admit_request(&valid, now).map(|()| valid));
        let valid = match admitted {
            Ok(valid) => valid,
            Err(failure) => return Posted::Rejected(failure),
        };
        self.begin(valid, now)
    }

    /// Opens a session for a request, whether this node may coordinate it or not.
    pub(crate) fn begin(&mut self, valid: Arc<ValidRequest>, now: Millis) -> Posted {
        let digest = valid.digest();
        if self.requests.contains_key(&digest) {
            return Posted::Known;
        }
        let mut order: Vec<Identifier> = self.connected.iter().copied().chain([self.me]).collect();
        self.order.shuffle(&mut order);
        if self.remembers_slow {
            order.retain(|id| *id != self.me);
            order = self.asked_first.of(self.me, order, 0, now);
        }
        let terms =
            SessionTerms { request: digest, epoch: 1, engine: ENGINE, time_ms: now, pins: Vec::new() };
        let deadline = now.saturating_add(DEADLINE_MS).min(valid.request().expires_at);
        let others = order
            .iter()
            .filter(|id| **id != self.me)
            .take(usize::from(self.membership.committee.threshold()) - 1);
        let others: Vec<Identifier> = others.copied().collect();
        let key = &valid.request().key;
        let advance = self.stock.draw(key.policy.action, key.scheme, &others);
        let setup = Setup {
            membership: Arc::clone(&self.membership),
            advance,
            sent: Arc::clone(&self.sent),
            public: self.roots.derive(&valid.key_id()),
            request: valid,
            terms,
            order,
            deadline,
        };
        let (machine, effects) = Coordinator::start(setup, now);
        let session = machine.session();
        self.requests.insert(digest, session);
        let acts = effects.into_iter().map(|effect| coordinate(session, digest, effect)).collect();
        self.coordinating.insert(session, Coordinating { machine, deadline, request: digest });
        Posted::Started { session, acts }
    }

    /// A message arrives; its sender is the connection's.
    pub(crate) fn deliver(&mut self, from: Identifier, wire: Wire, now: Millis) -> Vec<Act> {
        match wire {
            Wire::ToParticipant(message) => {
                acts(self.participant.receive(from, message, now, &mut self.nonces.0))
            }
            Wire::ToCoordinator(message) => {
                let session = message.session();
                self.coordinate(session, now, |machine| machine.receive(from, message, now))
            }
            Wire::Preprocess(Preprocess::Ask { scheme, count }) => {
                let commitments = self.participant.hand_out(from, scheme, count, now, &mut self.nonces.0);
                let wire = Wire::Preprocess(Preprocess::HandOut { scheme, commitments });
                vec![Act::Send { to: from, wire }]
            }
            Wire::Preprocess(Preprocess::HandOut { scheme, commitments }) => {
                self.stock.put(from, scheme, commitments);
                Vec::new()
            }
        }
    }

    pub(crate) fn observed(&mut self, run: &Run, live: LiveRun<Values>, now: Millis) -> Vec<Act> {
        let mut all = self.learn(run, &live, now);
        all.extend(acts(self.participant.observed(run, live, &mut self.nonces.0)));
        all
    }

    /// What a run of this node's own session says of sessions to come.
    fn learn(&mut self, run: &Run, live: &LiveRun<Values>, now: Millis) -> Vec<Act> {
        if run.coordinator != self.me {
            return Vec::new();
        }
        let others = self.connected.iter().copied().filter(|id| *id != self.me);
        let asks = self.stock.learn_from(run, live, others, now);
        asks.into_iter().map(|(to, ask)| Act::Send { to, wire: Wire::Preprocess(ask) }).collect()
    }

    pub(crate) fn replayed(
        &mut self,
        run: &Run,
        attempt: u32,
        end: Result<Outcome, LocalFailure>,
        now: Millis,
    ) -> Vec<Act> {
        acts(self.participant.replayed(run, attempt, end, now))
    }

    /// A member's connection is made or lost.
    pub(crate) fn notice(&mut self, member: Identifier, up: bool, now: Millis) -> Vec<Act> {
        let changed = if up { self.connected.insert(member) } else { self.connected.remove(&member) };
        if !changed {
            return Vec::new();
        }
        if !up {
            self.stock.forget(member);
            self.participant.disconnected(member);
        }
        let sessions: Vec<SessionId> = self.coordinating.keys().copied().collect();
        let change = |machine: &mut Coordinator| match up {
            true => machine.connected(member, now),
            false => machine.disconnected(member, now),
        };
        sessions.into_iter().flat_map(|session| self.coordinate(session, now, change)).collect()
    }

    /// What this node's own session waits for from a member.
    pub(crate) fn awaits(&self, session: SessionId, member: Identifier) -> Awaited {
        self.coordinating.get(&session).map(|session| session.machine.awaits(member)).unwrap_or_default()
    }

    /// How much this node holds.
    pub(crate) fn holds(&self) -> Holds {
        let (participant, stock) = (self.participant.sizes(), self.stock.sizes());
        let mut holds = Holds { participant, stock, sent: self.sent.remembered(), ..Holds::default() };
        self.coordinating.values().for_each(|session| holds.count(session.machine.sizes()));
        holds
    }

    pub(crate) fn is_connected(&self, member: Identifier) -> bool {
        self.connected.contains(&member)
    }

    /// Time has passed.
    pub(crate) fn wake(&mut self, now: Millis) -> Vec<Act> {
        if now >= self.housekeeping_at {
            self.housekeeping_at = now + HOUSEKEEPING_MS;
            self.participant.tick(now);
            // between sessions, as the real driver
            while self.participant.open_sessions() == 0 && self.participant.wants_spare_nonces() {
                self.participant.prepare(&mut self.nonces.0);
            }
        }
        let due: Vec<SessionId> = self
            .coordinating
            .iter()
            .filter(|(_, session)| session.machine.next_timeout() <= now)
            .map(|(id, _)| *id)
            .collect();
        let tick = |machine: &mut Coordinator| machine.tick(now);
        due.into_iter().flat_map(|session| self.coordinate(session, now, tick)).collect()
    }

    /// When [`Node::wake`] is next due, by this node's clock.
    pub(crate) fn next_wake(&self) -> Millis {
        let timeouts = self.coordinating.values().map(|session| session.machine.next_timeout());
        timeouts.min().unwrap_or(Millis::MAX).min(self.housekeeping_at)
    }

    fn coordinate(
        &mut self,
        session: SessionId,
        now: Millis,
        step: impl FnOnce(&mut Coordinator) -> Vec<coordinator::Effect>,
    ) -> Vec<Act> {
        let Some(coordinating) = self.coordinating.get_mut(&session) else { return Vec::new() };
        let request = coordinating.request;
        let effects = step(&mut coordinating.machine);
        if coordinating.machine.is_done() {
            let late = coordinating.machine.late();
            self.coordinating.remove(&session);
            // only signatures are kept: a failure may be another tomorrow
            let failed = |effect: &coordinator::Effect| match effect {
                coordinator::Effect::Finished(result) => result.is_err(),
                coordinator::Effect::Send { .. } => false,
            };
            if effects.iter().any(failed) {
                self.requests.remove(&request);
            }
            self.remember(&effects, late, now);
        }
        effects.into_iter().map(|effect| coordinate(session, request, effect)).collect()
    }

    /// Remembers who let a session wait.
    fn remember(&mut self, effects: &[coordinator::Effect], late: BTreeSet<Identifier>, now: Millis) {
        for effect in effects {
            if let coordinator::Effect::Finished(result) = effect {
                self.asked_first.learn(&self.membership, result, late.clone(), now);
            }
        }
    }
}

fn coordinate(session: SessionId, request: RequestDigest, effect: coordinator::Effect) -> Act {
    match effect {
        coordinator::Effect::Send { to, message } => Act::Send { to, wire: Wire::ToParticipant(message) },
        coordinator::Effect::Finished(result) => Act::Finished { session, request, result },
    }
}

fn acts(effects: Vec<participant::Effect<Values>>) -> Vec<Act> {
    let act = |effect| match effect {
        participant::Effect::Send { to, message } => {
            Some(Act::Send { to, wire: Wire::ToCoordinator(message) })
        }
        participant::Effect::Observe(run) => Some(Act::Observe(run)),
        participant::Effect::Replay { run, attempt, recorded, agreed } => {
            Some(Act::Replay { run, attempt, recorded, agreed })
        }
        // what is kept for receipts changes nothing here
        participant::Effect::Keep(_) | participant::Effect::Closed { .. } => None,
    };
    effects.into_iter().filter_map(act).collect()
}
