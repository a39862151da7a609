//! What a participant and its driver tell each other: effects come out, with what runs and what is to be kept; what a live run gave
//! goes in, or why one gave nothing.

use std::sync::Arc;

use countersign_agreement::AgreedRecord;
use countersign_types::{Context, FailureKind, Identifier, Outcome, Record, SessionId, ValidRequest};

use crate::message::{Completion, Package, SignerPart, ToCoordinator};

/// What the driver is to do, in this order.
#[derive(Debug)]
pub enum Effect<R> {
    /// Send to a coordinator; to oneself too.
    Send {
        /// The coordinator.
        to: Identifier,
        /// The message.
        message: ToCoordinator,
    },
    /// Check the pins, run the action live in record mode, and report with
    /// [`Participant::observed`](super::Participant::observed).
    Observe(Run),
    /// Replay the run over the agreed reads, and report with [`Participant::replayed`](super::Participant::replayed):
    /// identical ones over the own bytes, the others over the agreed values.
    Replay {
        /// What runs.
        run: Run,
        /// The attempt to report.
        attempt: u32,
        /// What the live run left.
        recorded: Arc<R>,
        /// What was agreed, read by read; consuming another one, or one beyond the end, ends the replay.
        agreed: Arc<AgreedRecord>,
    },
    /// This node gives shares: keep why.
    Keep(Box<Given<R>>),
    /// The coordinator has closed a session in which this node gave shares.
    Closed {
        /// The session.
        session: SessionId,
        /// Its coordinator.
        coordinator: Identifier,
        /// What makes a receipt of what was kept, if the coordinator says that the session gave signatures.
        signed: Option<Box<Completion>>,
    },
}

/// What stands behind a node's shares: all of a receipt but the other signers' parts.
#[derive(Debug)]
pub struct Given<R> {
    /// What was run.
    pub run: Run,
    /// What this node was asked to sign.
    pub package: Package,
    /// What its replay gave.
    pub outcome: Outcome,
    /// Its vote and shares.
    pub part: SignerPart,
    /// What its live run left.
    pub recorded: Arc<R>,
}

/// One run of an action in a session, with which its results are reported.
#[derive(Debug, Clone)]
pub struct Run {
    /// The session.
    pub session: SessionId,
    /// Who coordinates it.
    pub coordinator: Identifier,
    /// The request.
    pub request: Arc<ValidRequest>,
    /// What the action sees.
    pub context: Arc<Context>,
}

/// What the driver reports of a live run.
#[derive(Debug)]
pub struct LiveRun<R> {
    /// The outcome, or why there is none on this node.
    pub end: Result<Outcome, LocalFailure>,
    /// What it read.
    pub record: Record,
    /// What a replay needs.
    pub recorded: R,
    /// How many bytes that takes.
    pub recorded_bytes: usize,
}

/// Why a run gave no outcome here. It says nothing about the condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFailure {
    /// What kind of obstacle.
    pub kind: FailureKind,
    /// Why, for the caller.
    pub reason: String,
}
