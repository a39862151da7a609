//! The one task that owns the state machines: everything that happens goes through its queues.
//!
//! It never waits for a run, a chain or a peer: those report on the same queue. It waits for the disk only
//! where key generation must be durable before it goes on.

mod advance;
mod keygen;
mod members;
mod requests;
mod sessions;
mod turns;

use std::{collections::BTreeMap, future::ready, sync::Arc, time::Duration};

use countersign_api::{Rates, SignAnswer};
use countersign_network::{Event, EventReceiver, Lane, Transport};
use countersign_receipt::Receipt;
use countersign_session::{
    Membership, Millis, Order, Sent, Stock,
    coordinator::Coordinator,
    keygen::KeyGen,
    message::{ToCoordinator, ToParticipant},
    participant::{LiveRun, LocalFailure, Participant, Run},
};
use countersign_store::{Store, StoreError};
use countersign_types::{
    Address, EngineId, Failure, Identifier, NodePublicKey, Outcome, Pin, ReadId, RequestDigest, SessionId,
    ValidRequest,
};
use countersign_wire::{Announcement, Ask, BackgroundFrame, FrameError, Question, SigningFrame, decode};
use rand_core::OsRng;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{self, Clock, LEASE_MS},
    heads::Heads,
    library::Library,
    pace::Pace,
    questions::Questions,
    receipts::Keeper,
    replication::Replication,
    runs::{Recorded, Runs},
    status::Status,
    wire,
    wire_log::WireLog,
};
pub(crate) use keygen::write_root_keys;
use members::{Ready, Waiting};
use requests::Requests;
use turns::{Next, Turns};

/// The most inputs that wait for the driver; whoever reports waits, whoever asks is told busy.
pub(crate) const MAX_INPUTS: usize = 1024;
/// How often the machines forget what is over and the time is stored, in milliseconds.
const HOUSEKEEPING_MS: Millis = 500;

/// Whoever waits for a request's result.
pub(crate) type Reply = oneshot::Sender<Result<SignAnswer, Failure>>;

/// What happens inside the node.
pub(crate) enum Input {
    /// A caller asks for signatures.
    Submit { request: Arc<ValidRequest>, reply: Reply },
    /// A caller asks what became of a request.
    Look { request: RequestDigest, reply: Reply },
    /// The action of a request is ready, and its chains are pinned.
    Prepared { request: RequestDigest, pins: Result<Vec<Pin>, Failure> },
    /// A live run ended.
    Observed { run: Run, live: LiveRun<Recorded> },
    /// A replay ended.
    Replayed { run: Run, attempt: u32, end: Result<Outcome, LocalFailure> },
}

/// Why the driver stopped by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriverError {
    /// The disk failed: the node stops rather than forget what it must not.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// Something that must be stored was refused.
    #[error("key generation cannot be stored: {0}")]
    KeyGeneration(String),
}

/// What the driver is made of.
pub(crate) struct Parts {
    pub(crate) membership: Arc<Membership>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) participant: Participant<Recorded>,
    pub(crate) keygen: KeyGen,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) library: Arc<Library>,
    pub(crate) questions: Arc<Questions>,
    pub(crate) replication: Arc<Replication>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) runs: Runs,
    pub(crate) store: Arc<Store>,
    pub(crate) status: Arc<Status>,
    /// How long a session may take, in milliseconds.
    pub(crate) deadline_ms: Millis,
    /// Where the root keys are written for operators and clients.
    pub(crate) root_keys_file: std::path::PathBuf,
    pub(crate) wire_log: WireLog,
    pub(crate) keeper: Keeper,
    /// How often each caller may ask; as often as there is room where none is set.
    pub(crate) caller_rates: Option<Rates<Address>>,
}

/// A session that this node coordinates.
struct Coordinating {
    coordinator: Coordinator,
    request: RequestDigest,
    /// What this node's own run read, in words, to explain a disagreement.
    words: BTreeMap<ReadId, String>,
}

/// The task's state.
pub(crate) struct Driver {
    parts: Parts,
    coordinators: BTreeMap<SessionId, Coordinating>,
    requests: Requests,
    /// Requests that wait for members.
    waiting: Waiting,
    /// Commitments that other members handed out.
    stock: Stock,
    /// What stood in this node's packages.
    sent: Arc<Sent>,
    /// Connected members, by what they run actions with.
    connected: BTreeMap<Identifier, EngineId>,
    /// Which members to ask first.
    order: Order,
    /// Receipts of sessions of its own that are about to be answered.
    receipts: BTreeMap<SessionId, Arc<Receipt>>,
    housekeeping_at: Millis,
    pace: Pace,
    failed: Option<DriverError>,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            coordinators: BTreeMap::new(),
            requests: Requests::default(),
            waiting: Waiting::default(),
            stock: Stock::default(),
            sent: Arc::default(),
            connected: BTreeMap::new(),
            order: Order::default(),
            receipts: BTreeMap::new(),
            housekeeping_at: 0,
            pace: Pace::new(std::time::Instant::now(), clock::system()),
            failed: None,
        }
    }

    /// Runs until told to stop, then until what is under way has ended or `drain` has passed.
    pub(crate) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut events: EventReceiver,
        stop: CancellationToken,
        drain: Duration,
    ) -> Result<(), DriverError> {
        self.publish_status();
        let mut drain_ends: Option<Instant> = None;
        let mut turns = Turns::default();
        loop {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let idle = !self.requests.run() && self.parts.participant.open_sessions() == 0;
            if drain_ends.is_some_and(|ends| idle || Instant::now() >= ends) {
                return self.stop();
            }
            let wake = self.wake();
            tokio::select! {
                biased;
                () = stop.cancelled(), if drain_ends.is_none() => drain_ends = Some(Instant::now() + drain),
                next = turns.next(events.recv(), &mut inputs) => {
                    match next {
                        Next::Event(event) => self.event(event),
                        Next::Input(input) => self.input(input),
                        Next::Gone => return self.stop(),
                    }
                    if Instant::now() >= wake {
                        self.tick();
                    }
                }
                () = sleep_until(wake) => self.tick(),
                // last: only where nothing else is to be done
                () = ready(()), if idle && self.parts.participant.wants_spare_nonces() => self.prepare(),
            }
        }
    }

    /// Makes nonces for sessions to come.
    fn prepare(&mut self) {
        self.keep_pace();
        self.parts.participant.prepare(&mut OsRng);
    }

    fn wake(&self) -> Instant {
        let now = self.parts.clock.now();
        let coordinators = self.coordinators.values().map(|c| c.coordinator.next_timeout());
        let others = [self.parts.keygen.next_timeout(), self.housekeeping_at];
        let next = coordinators.chain(others).chain(self.waiting.next_timeout()).min().unwrap_or(now);
        Instant::now() + Duration::from_millis(next.saturating_sub(now).min(HOUSEKEEPING_MS))
    }

    /// To be called before anything is done with what a wait gave: a process that stood still must not use what another
    /// may hold by now.
    fn keep_pace(&mut self) {
        let Some(gap) = self.pace.step(std::time::Instant::now(), clock::system()) else { return };
        let (advance, sessions) =
            (self.parts.participant.nonces_in_advance(), self.parts.participant.open_sessions());
        tracing::warn!(%gap, advance, sessions, "wiping all nonces: this process may have been copied meanwhile");
        metrics::counter!("countersign_nonces_purged_total").increment(1);
        let now = self.parts.clock.now();
        self.parts.wire_log.purged(now);
        let effects = self.parts.participant.purge();
        self.participant_effects(effects);
    }

    fn tick(&mut self) {
        self.keep_pace();
        let now = self.parts.clock.now();
        self.tick_coordinators(now);
        self.tick_waiting(now);
        self.tick_keygen(now);
        if now >= self.housekeeping_at {
            self.housekeeping_at = now.saturating_add(HOUSEKEEPING_MS);
            self.parts.participant.tick(now);
            self.requests.forget(now);
            self.parts.keeper.expire(now);
            if let Err(error) = self.put_time(LEASE_MS) {
                self.failed = Some(error);
            }
            self.publish_status();
        }
    }

    /// What is under way ends here: what this node gave in it is kept all the same.
    fn stop(&mut self) -> Result<(), DriverError> {
        self.parts.keeper.expire(Millis::MAX);
        self.put_time(0)
    }

    fn put_time(&self, lease: Millis) -> Result<(), DriverError> {
        let now = self.parts.clock.now();
        Ok(self.parts.store.put_time(now.saturating_add(lease))?)
    }

    fn publish_status(&self) {
        self.parts.status.set_key_generation(self.parts.keygen.describe());
        metrics::gauge!("countersign_sessions_open").set(self.parts.participant.open_sessions() as f64);
        metrics::gauge!("countersign_members_connected").set(self.connected.len() as f64);
        self.count_shares();
    }

    fn count_shares(&self) {
        metrics::counter!("countersign_signature_shares_made_total")
            .absolute(self.parts.participant.shares_made());
    }

    fn input(&mut self, input: Input) {
        self.keep_pace();
        let now = self.parts.clock.now();
        match input {
            Input::Submit { request, reply } => self.submit(request, reply, now),
            Input::Look { request, reply } => self.requests.look(request, reply),
            Input::Prepared { request, pins } => self.prepared(request, pins, now),
            Input::Observed { run, live } => {
                if let Some(coordinating) = self.coordinators.get_mut(&run.session) {
                    coordinating.words = live.recorded.words();
                    self.learn(&run, &live, now);
                }
                let effects = self.parts.participant.observed(&run, live, &mut OsRng);
                self.participant_effects(effects);
            }
            Input::Replayed { run, attempt, end } => self.replayed(&run, attempt, end, now),
        }
    }

    fn event(&mut self, event: Event) {
        self.keep_pace();
        let now = self.parts.clock.now();
        match event {
            Event::Connected { peer, hello } => {
                let Some(member) = self.identifier(&peer) else { return };
                tracing::info!(peer = %peer.peer_id(), version = hello.version, "member connected");
                if hello.engine != self.parts.membership.engine {
                    tracing::warn!(
                        peer = %peer.peer_id(),
                        theirs = %hello.engine,
                        ours = %self.parts.membership.engine,
                        "the member runs actions with another engine: no sessions with it"
                    );
                }
                self.connected.insert(member, hello.engine);
                if hello.engine == self.parts.membership.engine {
                    self.each_coordinator(|coordinator| coordinator.connected(member, now));
                    self.retry_waiting(now);
                }
                self.keygen_connected(member, now);
                self.parts.replication.greet(peer);
            }
            Event::Disconnected { peer, reason } => {
                let Some(member) = self.identifier(&peer) else { return };
                tracing::info!(peer = %peer.peer_id(), reason, "member disconnected");
                self.connected.remove(&member);
                self.stock.forget(member);
                self.parts.participant.disconnected(member);
                self.each_coordinator(|coordinator| coordinator.disconnected(member, now));
                self.keygen_disconnected(member, now);
            }
            Event::Frame { from, lane, bytes } => {
                let Some(member) = self.identifier(&from) else { return };
                if let Err(error) = self.frame(member, from, lane, &bytes, now) {
                    tracing::warn!(peer = %from.peer_id(), lane = lane.name(), %error, "a frame was not read");
                }
            }
        }
    }

    fn frame(
        &mut self,
        member: Identifier,
        from: NodePublicKey,
        lane: Lane,
        bytes: &[u8],
        now: Millis,
    ) -> Result<(), FrameError> {
        match lane {
            Lane::Signing => match decode(bytes)? {
                SigningFrame::ToParticipant(message) => self.participant_received(member, message, now),
                SigningFrame::ToCoordinator(message) => self.coordinator_received(member, message, now),
                SigningFrame::Preprocess(message) => self.preprocess(member, message, now),
            },
            Lane::Background => match decode(bytes)? {
                BackgroundFrame::KeyGeneration(message) => {
                    self.key_generation(member, message, now);
                }
                BackgroundFrame::Announcement(Announcement { action }) => {
                    self.parts.library.announced(from, action);
                }
                BackgroundFrame::Question(Question::Ask { id, ask }) => self.asked(from, id, ask),
                BackgroundFrame::Question(Question::Answer { id, answer }) => {
                    self.parts.questions.answered(from, id, answer);
                }
            },
        }
        Ok(())
    }

    /// Answers a peer, from elsewhere than this task.
    fn asked(&self, from: NodePublicKey, id: u64, ask: Ask) {
        match ask {
            Ask::Stored(wanted) => self.parts.replication.answer(from, id, wanted),
            Ask::FinalBlock { chain_id } => self.parts.heads.answer(from, id, chain_id),
        }
    }

    fn identifier(&self, peer: &NodePublicKey) -> Option<Identifier> {
        self.parts.membership.committee.identifier(peer)
    }

    /// Sends on the signing lane; to this node itself directly.
    fn send_to_participant(&mut self, to: Identifier, message: ToParticipant, now: Millis) {
        self.parts.wire_log.sent(to, &message, now);
        if to == self.parts.membership.me {
            return self.participant_received(to, message, now);
        }
        self.send(to, Lane::Signing, &SigningFrame::ToParticipant(message));
    }

    fn send_to_coordinator(&mut self, to: Identifier, message: ToCoordinator, now: Millis) {
        self.parts.wire_log.sent(to, &message, now);
        if to == self.parts.membership.me {
            return self.coordinator_received(to, message, now);
        }
        self.send(to, Lane::Signing, &SigningFrame::ToCoordinator(message));
    }

    fn send<T: serde::Serialize>(&self, to: Identifier, lane: Lane, frame: &T) {
        let Some(member) = self.parts.membership.committee.member(to) else { return };
        wire::send(self.parts.transport.as_ref(), member, lane, frame);
    }
}
