//! Distributed key generation of the network's root keys, from the first message to activation.
//!
//! One ceremony makes the roots of all schemes that the network lacks, all or none. A version that knows a further
//! scheme finds it lacking, and a further ceremony makes its root; what is there stays as it is. In a ceremony, one
//! attempt runs at a time, started by the first member once all are connected for a moment, for exactly the schemes that each of
//! them lacks. The steps, with the names that ARCHITECTURE.md gives them:
//!
//! - K1, K2: the first member starts an attempt, the others join it; each stores its number first, so that it takes
//!   part in no attempt twice, whatever crashes;
//! - K3, K4: everybody broadcasts signed round-1 packages, then echoes all that it received, so that nobody can
//!   show different packages to different members;
//! - K5, K6: everybody deals signed private packages, computes its shares and stores them, *pending*;
//! - K7, K8: whoever has stored them confirms the root keys; whoever never will refuses the attempt. A member that
//!   confirmed takes part in no further attempt until somebody has refused this one;
//! - K9: with the confirmations of all members in hand, a member stores that it activates this attempt, and only
//!   then signs the activation;
//! - K10: root keys count with the activations of all members.
//!
//! Numbers rise, and whoever has stored the shares of an attempt never activates an earlier one. An attempt can be
//! activated only if all honest members confirmed it, so of two such attempts the earlier is activated by none of
//! them that confirmed the later, and the later by none that activated the earlier: never do two honest members
//! activate different attempts, however many others lie. Whatever is stored survives a restart.
//!
//! What must be durable is an effect of its own, and what may be sent after it follows only when the driver
//! reports that it is stored.

mod activation;
mod attempt;
mod course;
mod entry;
mod journal;
mod message;
mod pending;
mod refusal;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_threshold::RootShare;
use countersign_types::{
    Activation, AttemptId, Identifier, NodeKey, NodeSignature, RootKey, Scheme, activate,
};
use rand_core::{CryptoRng, RngCore};

use crate::{Membership, Millis};
use attempt::Running;
pub use entry::JOIN_MS;
pub use journal::{Joined, Journal};
use message::confirm_digest;
pub use message::{Complaint, MAX_REASON_BYTES, Message, Refusal};
use pending::Candidate;
pub use pending::{Contradiction, Pending};

/// How long an attempt may take, in milliseconds.
pub const ATTEMPT_MS: Millis = 20_000;
/// How often what may be lost is sent again, in milliseconds.
pub const RESEND_MS: Millis = 1_000;
/// The first pause after an attempt that failed; it doubles up to [`LONGEST_BACKOFF_MS`].
pub const FIRST_BACKOFF_MS: Millis = 500;
/// The longest pause between attempts, in milliseconds.
pub const LONGEST_BACKOFF_MS: Millis = 30_000;
/// How long all must have been connected before an attempt starts, in milliseconds: where two nodes that start together
/// dial each other, one of their connections goes again at once, and an attempt with it.
pub const SETTLE_MS: Millis = 500;

/// One member's part in generating the root keys of an epoch.
pub struct KeyGen {
    membership: Arc<Membership>,
    identity: Arc<NodeKey>,
    /// Those for which there shall be roots, ascending.
    schemes: Vec<Scheme>,
    connected: BTreeSet<Identifier>,
    running: Option<Running>,
    /// What this member may still activate: the attempt that it confirmed last; before it has confirmed any by the
    /// rules of this version, all that an older version left. None of their schemes is done.
    pending: BTreeMap<AttemptId, Candidate>,
    /// The attempt that was confirmed last.
    latest: Option<AttemptId>,
    /// The number of the latest attempt whose shares were ever stored by the rules of this version; zero before.
    latest_number: u64,
    /// What that attempt sent, as long as another member may lack it.
    settled: Option<Box<Running>>,
    /// The number of the latest attempt that this member took part in, or could have before it started: it
    /// joins greater ones only, so that it never makes two packages for one attempt.
    floor: u64,
    /// The same, as far as it is stored.
    durable: u64,
    /// The number of the first attempt that it took part in by the rules of this version.
    first: Option<u64>,
    /// What allowed this member to go on from an attempt that it had confirmed, the last time that it did.
    released: Option<Refusal>,
    /// The one attempt that this member activates or has activated, and that is not complete.
    activated: Option<AttemptId>,
    /// The ceremonies that are done.
    complete: Vec<Activation>,
    /// Who is known to have broken the protocol.
    named: BTreeSet<Identifier>,
    last_failure: Option<status::Failure>,
    failures: u32,
    start_at: Millis,
    resend_at: Millis,
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
    /// Store durably that this member takes part in an attempt, then call [`KeyGen::stored_joined`]. One of a lower
    /// number than is stored changes nothing.
    StoreJoined(Joined),
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
    /// A member signed that it never confirms an attempt, and a confirmation of it. Told once for each attempt.
    Contradiction(Contradiction),
    /// Members broke the protocol in an attempt that does not end with it.
    Blamed {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        reason: String,
        /// Who.
        culprits: Vec<Identifier>,
    },
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

    /// A member is connected.
    pub fn connected(&mut self, member: Identifier, now: Millis) -> Vec<Effect> {
        self.connected.insert(member);
        self.start_at = self.start_at.max(now.saturating_add(SETTLE_MS));
        self.resume_with(member)
    }

    /// A member is gone: an attempt that still needs it is given up.
    pub fn disconnected(&mut self, member: Identifier, now: Millis) -> Vec<Effect> {
        self.connected.remove(&member);
        self.give_up(format!("member {member} is gone"), Vec::new(), None, now)
    }

    /// When [`KeyGen::tick`] is next due.
    pub fn next_timeout(&self) -> Millis {
        if self.is_done() {
            return Millis::MAX;
        }
        let running = self.running.as_ref().filter(|running| !running.step.is_storing());
        let ends = running.map_or(Millis::MAX, |running| running.ends);
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
            let waits_for = status::names(&self.waits_for());
            effects.extend(self.give_up(
                format!("it took too long, waiting for {waits_for}"),
                Vec::new(),
                None,
                now,
            ));
        }
        // by then whoever lacked something of it has given up
        self.settled.take_if(|settled| now >= settled.ends);
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
            Message::Confirm { terms, roots, signature } => {
                self.confirmed(from, &terms, roots, signature, now)
            }
            Message::Refuse(refusal) => self.refused(refusal, now),
            Message::Activate { attempt, confirmations, signature } => {
                self.activation(from, attempt, &confirmations, signature)
            }
            Message::Activated(activation) => self.activated_by_all(*activation),
        }
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
