//! Distributed key generation of the network's root keys, from the first message to activation.
//!
//! One ceremony makes the roots of all schemes that the network lacks, all or none. A version that knows a further
//! scheme finds it lacking, and a further ceremony makes its root; what is there stays as it is. In a ceremony, one
//! attempt runs at a time, started by the first member once all are connected, for exactly the schemes that each of
//! them lacks:
//!
//! 1. everybody broadcasts signed round-1 packages, then echoes all that it received, so that nobody can
//!    show different packages to different members;
//! 2. everybody deals signed private packages, computes its shares and stores them, *pending*, before it
//!    confirms the root keys;
//! 3. with the confirmations of all members in hand, a member stores that it activates this attempt, and
//!    only then signs the activation: for at most one attempt of a network, epoch and scheme.
//!
//! Root keys count with the activations of all members, and nobody activates two attempts with a scheme in common:
//! so there is never a split. Whatever is stored survives a restart; an attempt that some member activated is resumed
//! by resending until all have it, and any other is given up and begun anew.
//!
//! What must be durable is an effect of its own, and what may be sent after it follows only when the driver
//! reports that it is stored.

mod activation;
mod attempt;
mod message;
mod pending;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_threshold::RootShare;
use countersign_types::{
    Activation, AttemptId, AttemptTerms, B256, Identifier, NodeKey, NodeSignature, RootKey, Scheme, activate,
    mutant::{Mutant, broken},
};
use rand_core::{CryptoRng, RngCore};

use crate::{Membership, Millis, participant::MAX_SKEW_MS};
use attempt::Running;
use message::confirm_digest;
pub use message::{Complaint, MAX_REASON_BYTES, Message};
use pending::Candidate;
pub use pending::Pending;

/// How long an attempt may take, in milliseconds.
pub const ATTEMPT_MS: Millis = 20_000;
/// How often what may be lost is sent again, in milliseconds.
pub const RESEND_MS: Millis = 1_000;
/// The first pause after an attempt that failed; it doubles up to [`LONGEST_BACKOFF_MS`].
pub const FIRST_BACKOFF_MS: Millis = 500;
/// The longest pause between attempts, in milliseconds.
pub const LONGEST_BACKOFF_MS: Millis = 30_000;
/// The most pending attempts of a ceremony. None may be dropped before its roots are active, because another
/// member may have activated it.
pub const MAX_PENDING: usize = 256;

/// One member's part in generating the root keys of an epoch.
pub struct KeyGen {
    membership: Arc<Membership>,
    identity: Arc<NodeKey>,
    /// Those for which there shall be roots, ascending.
    schemes: Vec<Scheme>,
    connected: BTreeSet<Identifier>,
    running: Option<Running>,
    /// None of whose schemes is done.
    pending: BTreeMap<AttemptId, Candidate>,
    /// The attempt that was confirmed last since this member started.
    latest: Option<AttemptId>,
    /// What that attempt sent, as long as another member may lack it.
    settled: Option<Box<Running>>,
    /// The number of the latest attempt that this member took part in, or could have before it started: it
    /// joins greater ones only, so that it never makes two packages for one attempt.
    floor: u64,
    /// The one attempt that this member activates or has activated, and that is not complete.
    activated: Option<AttemptId>,
    /// The ceremonies that are done.
    complete: Vec<Activation>,
    failures: u32,
    start_at: Millis,
    resend_at: Millis,
}

/// What a member finds in its store when it starts.
#[derive(Debug, Default)]
pub struct Journal {
    /// The shares that it stored, without the secrets.
    pub pending: Vec<Pending>,
    /// What it stored before it signed activations, one for each ceremony: the attempt and all confirmations, by
    /// identifier.
    pub activated: Vec<(AttemptId, Vec<NodeSignature>)>,
    /// The ceremonies that are done.
    pub complete: Vec<Activation>,
}

/// What the driver is to do, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Send to another member.
    Send {
        /// The member.
        to: Identifier,
        /// The message.
        message: Message,
    },
    /// Store pending shares durably, all or none, then call [`KeyGen::stored_pending`].
    StorePending {
        /// Everything but the secrets.
        pending: Pending,
        /// The secrets, in the order of the roots.
        shares: Vec<RootShare>,
    },
    /// Store durably that this member activates this attempt, unless another is stored already for one of its
    /// schemes, then call [`KeyGen::stored_activation`].
    StoreActivation {
        /// The attempt.
        attempt: AttemptId,
        /// All confirmations, in the order of the identifiers.
        confirmations: Vec<NodeSignature>,
    },
    /// The root keys are active: store them, and sign with the pending shares of their attempt.
    Completed(Box<Activation>),
    /// An attempt was given up; the next one starts by itself.
    GivenUp {
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        reason: String,
        /// Who provably broke the protocol.
        culprits: Vec<Identifier>,
    },
}

impl KeyGen {
    /// A member that resumes from its journal; an empty one for a new network. The schemes are those for which
    /// there shall be roots.
    pub fn resume(
        membership: Arc<Membership>,
        identity: Arc<NodeKey>,
        schemes: impl IntoIterator<Item = Scheme>,
        journal: Journal,
        now: Millis,
    ) -> Self {
        let schemes: BTreeSet<Scheme> = schemes.into_iter().collect();
        let id = |stored: &Pending| stored.terms.id(membership.network);
        let pending = journal.pending.into_iter().map(|stored| (id(&stored), Candidate::new(stored.roots)));
        let mut machine = Self {
            pending: pending.collect(),
            membership,
            identity,
            schemes: schemes.into_iter().collect(),
            connected: BTreeSet::new(),
            running: None,
            latest: None,
            settled: None,
            activated: None,
            complete: journal.complete,
            floor: now,
            failures: 0,
            start_at: now,
            resend_at: now,
        };
        machine.forget_done();
        for (attempt, confirmations) in journal.activated {
            machine.resume_activation(attempt, &confirmations);
        }
        machine
    }

    fn resume_activation(&mut self, attempt: AttemptId, confirmations: &[NodeSignature]) {
        let is_done = self.complete.iter().any(|done| done.attempt == attempt);
        if is_done {
            return;
        }
        self.activated = Some(attempt);
        if let Some(candidate) = self.pending.get_mut(&attempt) {
            candidate.resume(&self.membership, &self.identity, attempt, confirmations);
        }
    }

    /// The ceremonies that are done.
    pub fn complete(&self) -> &[Activation] {
        &self.complete
    }

    /// Whether there is a root key for every scheme.
    pub fn is_done(&self) -> bool {
        self.schemes.iter().all(|scheme| self.has_any([*scheme]))
    }

    /// The schemes that still have no root key, ascending.
    fn lacking(&self) -> Vec<Scheme> {
        self.schemes.iter().copied().filter(|scheme| !self.has_any([*scheme])).collect()
    }

    /// Whether one of these schemes is done.
    fn has_any(&self, schemes: impl IntoIterator<Item = Scheme>) -> bool {
        let done = |scheme| self.complete.iter().any(|done| done.schemes().any(|own| own == scheme));
        schemes.into_iter().any(done)
    }

    /// Attempts for a scheme that is done can never be activated.
    fn forget_done(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|_, candidate| !self.has_any(candidate.roots().iter().map(|root| root.scheme)));
        self.pending = pending;
    }

    /// Where key generation stands, for people.
    pub fn describe(&self) -> String {
        let missing = usize::from(self.membership.committee.size()) - 1 - self.connected.len();
        match (self.is_done(), self.activated, &self.running) {
            (true, _, _) => "done".into(),
            (false, Some(attempt), _) => format!("waiting for all activations of attempt {attempt}"),
            (false, None, Some(running)) => format!("attempt {} is running", running.id),
            (false, None, None) if missing > 0 => format!("waiting for {missing} members to connect"),
            (false, None, None) => "waiting for the next attempt".into(),
        }
    }

    /// A member is connected.
    pub fn connected(&mut self, member: Identifier) -> Vec<Effect> {
        self.connected.insert(member);
        self.resume_with(member)
    }

    /// A member is gone: an attempt that still needs it is given up.
    pub fn disconnected(&mut self, member: Identifier, now: Millis) -> Vec<Effect> {
        self.connected.remove(&member);
        if self.running.is_none() {
            self.settled = None;
            if self.latest.take().is_some() {
                self.schedule_next(now);
            }
            return Vec::new();
        }
        self.give_up(format!("member {member} is gone"), Vec::new(), None, now)
    }

    /// When [`KeyGen::tick`] is next due.
    pub fn next_timeout(&self) -> Millis {
        if self.is_done() {
            return Millis::MAX;
        }
        let ends = self.running.as_ref().map_or(Millis::MAX, |running| running.ends);
        let starts = if self.may_start() { self.start_at } else { Millis::MAX };
        self.resend_at.min(ends).min(starts)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis, rng: &mut (impl RngCore + CryptoRng)) -> Vec<Effect> {
        if self.is_done() {
            return Vec::new();
        }
        let mut effects = Vec::new();
        if self.running.as_ref().is_some_and(|running| now >= running.ends) {
            effects.extend(self.give_up("it took too long".into(), Vec::new(), None, now));
        }
        if now >= self.resend_at {
            self.resend_at = now.saturating_add(RESEND_MS);
            effects.extend(self.resend());
        }
        if self.may_start() && now >= self.start_at {
            effects.extend(self.start(now, rng));
        }
        effects
    }

    /// Handles another member's message.
    pub fn receive(
        &mut self,
        from: Identifier,
        message: Message,
        now: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect> {
        if self.membership.committee.member(from).is_none() || from == self.membership.me {
            return Vec::new();
        }
        if self.is_of_a_latecomer(&message) {
            return self.tell_done(from);
        }
        match message {
            Message::Start { terms } => self.join(from, terms, now, rng),
            Message::Round1 { attempt, packages, signature } => {
                self.in_attempt(attempt, now, |running, membership| {
                    running.take_broadcast(membership, from, packages, signature)
                })
            }
            Message::Echo { attempt, packages } => self.in_attempt(attempt, now, |running, membership| {
                running.take_echo(membership, from, packages)
            }),
            Message::Round2 { attempt, packages, signature } => {
                self.in_attempt(attempt, now, |running, membership| {
                    running.take_private(membership, from, packages, signature)
                })
            }
            Message::Abort { attempt, reason, complaint } => {
                self.aborted(from, attempt, &reason, complaint.map(|complaint| *complaint), now)
            }
            Message::Confirm { attempt, roots, signature } => {
                self.confirmed(from, attempt, roots, signature, now)
            }
            Message::Activate { attempt, confirmations, signature } => {
                self.activation(from, attempt, &confirmations, signature)
            }
            Message::Activated(activation) => self.activated_by_all(*activation),
        }
    }

    /// The first member starts, once all are connected and nothing is activated.
    fn may_start(&self) -> bool {
        self.membership.me.get() == 1
            && !self.is_done()
            && self.activated.is_none()
            && self.running.is_none()
            && self.pending.len() < MAX_PENDING
            && self.connected.len() + 1 == usize::from(self.membership.committee.size())
    }

    fn start(&mut self, now: Millis, rng: &mut (impl RngCore + CryptoRng)) -> Vec<Effect> {
        let mut entropy = B256::ZERO;
        rng.fill_bytes(entropy.as_mut_slice());
        let terms = AttemptTerms {
            epoch: self.membership.epoch,
            schemes: self.lacking(),
            number: now.max(self.floor.saturating_add(1)),
            starter: self.membership.me,
            entropy,
        };
        let mut effects = self.to_all(&Message::Start { terms: terms.clone() });
        effects.extend(self.begin(terms, now, rng));
        effects
    }

    fn join(
        &mut self,
        from: Identifier,
        terms: AttemptTerms,
        now: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect> {
        // before anything is hashed: a list of a frame's length is no attempt, and neither is one for nothing
        if terms.schemes.is_empty() || terms.schemes.len() > Scheme::ALL.len() {
            return Vec::new();
        }
        let id = terms.id(self.membership.network);
        let fits = from.get() == 1 && terms.starter == from && terms.epoch == self.membership.epoch;
        if !fits
            || self.running.as_ref().is_some_and(|running| running.id == id)
            || self.pending.contains_key(&id)
        {
            return Vec::new();
        }
        if self.activated.is_some() {
            return self.resume_with(from);
        }
        let lacking = self.lacking();
        let refused = if terms.schemes != lacking {
            let names: Vec<&str> = lacking.iter().map(|scheme| scheme.name()).collect();
            Some(format!(
                "the attempt is not for the schemes that this member lacks ({}): do all members run one version?",
                names.join(", ")
            ))
        } else if self.pending.len() >= MAX_PENDING {
            Some(format!("{MAX_PENDING} attempts are pending here: an operator must look"))
        } else if terms.number <= self.floor {
            Some("this member has given the attempt up, or has started since".into())
        } else if terms.number > now.saturating_add(MAX_SKEW_MS) {
            Some(format!("the attempt begins at {}, this member's clock says {now}", terms.number))
        } else {
            None
        };
        if let Some(reason) = refused {
            return vec![Effect::Send { to: from, message: Message::abort(id, reason) }];
        }
        let mut effects = Vec::new();
        if let Some(old) = self.running.take() {
            let reason = "the first member started another attempt".into();
            effects.push(Effect::GivenUp { attempt: old.id, reason, culprits: Vec::new() });
        }
        effects.extend(self.begin(terms, now, rng));
        effects
    }

    fn begin(
        &mut self,
        terms: AttemptTerms,
        now: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Vec<Effect> {
        self.floor = terms.number;
        let (attempt, ends) = (terms.id(self.membership.network), now.saturating_add(ATTEMPT_MS));
        match Running::begin(&self.membership, &self.identity, terms, ends, rng) {
            Ok(running) => {
                let broadcast = running.broadcast();
                self.running = Some(running);
                self.to_all(&broadcast)
            }
            Err(error) => {
                self.schedule_next(now);
                let reason = error.to_string();
                vec![Effect::GivenUp { attempt, reason, culprits: Vec::new() }]
            }
        }
    }

    /// Feeds the running attempt and moves it on as far as it goes.
    fn in_attempt(
        &mut self,
        attempt: AttemptId,
        now: Millis,
        feed: impl FnOnce(&mut Running, &Membership) -> Result<(), attempt::Failed>,
    ) -> Vec<Effect> {
        let membership = Arc::clone(&self.membership);
        let Some(running) = self.running.as_mut().filter(|running| running.id == attempt) else {
            return Vec::new();
        };
        let result = feed(running, &membership).and_then(|()| running.advance(&membership, &self.identity));
        match result {
            Ok(mut effects) => {
                let storing = self.running.as_ref().is_some_and(|running| running.step.is_storing());
                if storing && broken(Mutant::ConfirmsBeforeStoring) {
                    effects.extend(self.stored_pending(attempt));
                }
                effects
            }
            Err(failed) => self.give_up(failed.reason, failed.culprits, failed.complaint, now),
        }
    }

    fn aborted(
        &mut self,
        from: Identifier,
        attempt: AttemptId,
        reason: &str,
        complaint: Option<Complaint>,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(running) = self.running.as_ref().filter(|running| running.id == attempt) else {
            return Vec::new();
        };
        let culprits =
            complaint.map(|complaint| running.judge(&self.membership, from, &complaint)).unwrap_or_default();
        let reason: String = reason.chars().take(MAX_REASON_BYTES / 4).collect();
        self.stop(format!("member {from} gave up: {reason}"), culprits, now)
    }

    /// Gives the running attempt up and tells the others.
    fn give_up(
        &mut self,
        reason: String,
        culprits: Vec<Identifier>,
        complaint: Option<Box<Complaint>>,
        now: Millis,
    ) -> Vec<Effect> {
        let Some(attempt) = self.running.as_ref().map(|running| running.id) else { return Vec::new() };
        let mut effects = self.to_all(&Message::Abort { attempt, reason: reason.clone(), complaint });
        effects.extend(self.stop(reason, culprits, now));
        effects
    }

    fn stop(&mut self, reason: String, culprits: Vec<Identifier>, now: Millis) -> Vec<Effect> {
        let Some(running) = self.running.take() else { return Vec::new() };
        self.schedule_next(now);
        vec![Effect::GivenUp { attempt: running.id, reason, culprits }]
    }

    fn schedule_next(&mut self, now: Millis) {
        let pause = FIRST_BACKOFF_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_BACKOFF_MS);
        self.failures = self.failures.saturating_add(1);
        self.start_at = now.saturating_add(pause);
    }

    /// What may have been lost: the running attempt's messages, or the activation.
    fn resend(&self) -> Vec<Effect> {
        if let Some(attempt) = self.activated {
            let message = self.pending.get(&attempt).and_then(|c| c.activation(&self.membership, attempt));
            return message.map(|message| self.to_all(&message)).unwrap_or_default();
        }
        let mut effects = Vec::new();
        if let Some(running) = &self.running {
            if running.terms.starter == self.membership.me {
                effects.extend(self.to_all(&Message::Start { terms: running.terms.clone() }));
            }
            effects.extend(running.resend(&self.membership, &self.identity));
        }
        let latest = self.latest.and_then(|attempt| Some((attempt, self.pending.get(&attempt)?)));
        if let Some((attempt, candidate)) = latest {
            let settled = self.settled.as_ref().filter(|settled| settled.id == attempt);
            effects.extend(settled.into_iter().flat_map(|s| s.resend(&self.membership, &self.identity)));
            let confirmation = candidate.confirmation(&self.membership, attempt);
            effects.extend(confirmation.map(|message| self.to_all(&message)).unwrap_or_default());
        }
        effects
    }

    /// What a member may lack to go on with: what is done, and what this member activated.
    fn resume_with(&self, member: Identifier) -> Vec<Effect> {
        let mut effects = self.tell_done(member);
        let activation = self.activated.and_then(|attempt| {
            self.pending.get(&attempt).and_then(|c| c.activation(&self.membership, attempt))
        });
        effects.extend(activation.map(|message| Effect::Send { to: member, message }));
        effects
    }

    fn to_all(&self, message: &Message) -> Vec<Effect> {
        others(&self.membership).map(|to| Effect::Send { to, message: message.clone() }).collect()
    }
}

fn others(membership: &Membership) -> impl Iterator<Item = Identifier> + use<> {
    let me = membership.me;
    membership.committee.identifiers().filter(move |id| *id != me)
}

fn sign_activation(
    membership: &Membership,
    identity: &NodeKey,
    attempt: AttemptId,
    roots: &[RootKey],
) -> NodeSignature {
    activate(roots, membership.network, membership.epoch, attempt, identity)
}
