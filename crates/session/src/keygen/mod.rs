//! Distributed key generation of one scheme's root key, from the first message to activation.
//!
//! One attempt runs at a time, started by the first member once all are connected:
//!
//! 1. everybody broadcasts a signed round-1 package, then echoes all that it received, so that nobody can
//!    show different packages to different members;
//! 2. everybody deals signed private packages, computes its share and stores it, *pending*, before it
//!    confirms the root key;
//! 3. with the confirmations of all members in hand, a member stores that it activates this attempt, and
//!    only then signs the activation: for at most one attempt of a network, scheme and epoch.
//!
//! A root key counts with the activations of all members, and nobody activates two attempts: so there is
//! never a split. Whatever is stored survives a restart; an attempt that some member activated is resumed
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
/// The most pending shares that a member keeps. None may be dropped before a root is active, because another
/// member may have activated it.
pub const MAX_PENDING: usize = 256;

/// One member's part in generating one root key.
pub struct KeyGen {
    membership: Arc<Membership>,
    identity: Arc<NodeKey>,
    scheme: Scheme,
    connected: BTreeSet<Identifier>,
    running: Option<Running>,
    pending: BTreeMap<AttemptId, Candidate>,
    /// The attempt that was confirmed last since this member started.
    latest: Option<AttemptId>,
    /// What that attempt sent, as long as another member may lack it.
    settled: Option<Box<Running>>,
    /// The number of the latest attempt that this member took part in, or could have before it started: it
    /// joins greater ones only, so that it never makes two packages for one attempt.
    floor: u64,
    /// The one attempt that this member activates or has activated.
    activated: Option<AttemptId>,
    complete: Option<Activation>,
    failures: u32,
    start_at: Millis,
    resend_at: Millis,
}

/// What a member finds in its store when it starts.
#[derive(Debug, Default)]
pub struct Journal {
    /// The shares that it stored, without the secrets.
    pub pending: Vec<Pending>,
    /// What it stored before it signed an activation: the attempt and all confirmations, by identifier.
    pub activated: Option<(AttemptId, Vec<NodeSignature>)>,
    /// The finished root key.
    pub complete: Option<Activation>,
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
    /// Store a pending share durably, then call [`KeyGen::stored_pending`].
    StorePending {
        /// Everything but the secret.
        pending: Pending,
        /// The secret.
        share: Box<RootShare>,
    },
    /// Store durably that this member activates this attempt, unless another is stored already, then call
    /// [`KeyGen::stored_activation`].
    StoreActivation {
        /// The attempt.
        attempt: AttemptId,
        /// All confirmations, in the order of the identifiers.
        confirmations: Vec<NodeSignature>,
    },
    /// The root key is active: store it, and sign with the pending share of its attempt.
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
    /// A member that resumes from its journal; an empty one for a new network.
    pub fn resume(
        membership: Arc<Membership>,
        identity: Arc<NodeKey>,
        scheme: Scheme,
        journal: Journal,
        now: Millis,
    ) -> Self {
        let mut pending: BTreeMap<AttemptId, Candidate> = journal
            .pending
            .into_iter()
            .map(|stored| (stored.terms.id(membership.network), Candidate::new(stored.root)))
            .collect();
        let mut activated = None;
        if let Some((attempt, confirmations)) = journal.activated {
            activated = Some(attempt);
            if let Some(candidate) = pending.get_mut(&attempt) {
                candidate.resume(&membership, &identity, attempt, &confirmations);
            }
        }
        Self {
            membership,
            identity,
            scheme,
            connected: BTreeSet::new(),
            running: None,
            pending,
            latest: None,
            settled: None,
            activated,
            complete: journal.complete,
            floor: now,
            failures: 0,
            start_at: now,
            resend_at: now,
        }
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The active root key, once there is one.
    pub fn complete(&self) -> Option<&Activation> {
        self.complete.as_ref()
    }

    /// Where key generation stands, for people.
    pub fn describe(&self) -> String {
        let missing = usize::from(self.membership.committee.size()) - 1 - self.connected.len();
        match (&self.complete, self.activated, &self.running) {
            (Some(_), _, _) => "done".into(),
            (None, Some(attempt), _) => format!("waiting for all activations of attempt {attempt}"),
            (None, None, Some(running)) => format!("attempt {} is running", running.id),
            (None, None, None) if missing > 0 => format!("waiting for {missing} members to connect"),
            (None, None, None) => "waiting for the next attempt".into(),
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
        if self.complete.is_some() {
            return Millis::MAX;
        }
        let ends = self.running.as_ref().map_or(Millis::MAX, |running| running.ends);
        let starts = if self.may_start() { self.start_at } else { Millis::MAX };
        self.resend_at.min(ends).min(starts)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Millis, rng: &mut (impl RngCore + CryptoRng)) -> Vec<Effect> {
        if self.complete.is_some() {
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
        if self.complete.is_some() {
            return self.answer_latecomer(from, &message);
        }
        match message {
            Message::Start { terms } => self.join(from, terms, now, rng),
            Message::Round1 { attempt, package, signature } => {
                self.in_attempt(attempt, now, |running, membership| {
                    running.take_broadcast(membership, from, package, signature)
                })
            }
            Message::Echo { attempt, packages } => self.in_attempt(attempt, now, |running, membership| {
                running.take_echo(membership, from, packages)
            }),
            Message::Round2 { attempt, package, signature } => {
                self.in_attempt(attempt, now, |running, membership| {
                    running.take_private(membership, from, package, signature)
                })
            }
            Message::Abort { attempt, reason, complaint } => {
                self.aborted(from, attempt, &reason, complaint.map(|complaint| *complaint), now)
            }
            Message::Confirm { attempt, root, signature } => {
                self.confirmed(from, attempt, root, signature, now)
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
            && self.complete.is_none()
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
            scheme: self.scheme,
            number: now.max(self.floor.saturating_add(1)),
            starter: self.membership.me,
            entropy,
        };
        let mut effects = self.to_all(&Message::Start { terms });
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
        let id = terms.id(self.membership.network);
        let fits = from.get() == 1
            && terms.starter == from
            && terms.epoch == self.membership.epoch
            && terms.scheme == self.scheme;
        if !fits
            || self.running.as_ref().is_some_and(|running| running.id == id)
            || self.pending.contains_key(&id)
        {
            return Vec::new();
        }
        if self.activated.is_some() {
            return self.resume_with(from);
        }
        let refused = if self.pending.len() >= MAX_PENDING {
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
        match Running::begin(&self.membership, &self.identity, terms, now.saturating_add(ATTEMPT_MS), rng) {
            Ok(running) => {
                let broadcast = running.broadcast();
                self.running = Some(running);
                self.to_all(&broadcast)
            }
            Err(error) => {
                self.schedule_next(now);
                let reason = error.to_string();
                let attempt = terms.id(self.membership.network);
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
            Ok(effects) => effects,
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
                effects.extend(self.to_all(&Message::Start { terms: running.terms }));
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

    fn resume_with(&self, member: Identifier) -> Vec<Effect> {
        let message = match (&self.complete, self.activated) {
            (Some(complete), _) => Some(Message::Activated(Box::new(complete.clone()))),
            (None, Some(attempt)) => {
                self.pending.get(&attempt).and_then(|c| c.activation(&self.membership, attempt))
            }
            (None, None) => None,
        };
        message.map(|message| vec![Effect::Send { to: member, message }]).unwrap_or_default()
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
    root: &RootKey,
) -> NodeSignature {
    activate(root, membership.network, membership.epoch, attempt, identity)
}
