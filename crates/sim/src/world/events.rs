//! What can happen, and how it reads in a trace.

use std::fmt;

use countersign_session::{
    message::{Decline, Preprocess, Provisional, ToCoordinator, ToParticipant},
    participant::{LiveRun, LocalFailure, Run},
};
use countersign_types::{Identifier, Outcome};

use crate::{cut::Cut, node::Wire, script::Values, trace::short};

/// Something that happens at a moment.
pub(super) enum Event {
    /// A message arrives at a node's life.
    Deliver { from: Identifier, to: Identifier, life: u64, wire: Wire },
    /// A live run ends.
    Observed { node: Identifier, life: u64, run: Run, live: Box<LiveRun<Values>> },
    /// A replay ends.
    Replayed { node: Identifier, life: u64, run: Run, attempt: u32, end: Result<Outcome, LocalFailure> },
    /// A node's timer.
    Wake { node: Identifier, life: u64 },
    /// A liar sends what it held back.
    Later { node: Identifier, life: u64, to: Identifier, wire: Wire },
    /// A client asks.
    Post { client: usize, at: Identifier },
    /// A node dies.
    Crash { node: Identifier },
    /// It is started again.
    Restart { node: Identifier },
    /// Messages between two nodes are lost, in one direction or in both.
    Cut(Cut),
    /// They arrive again.
    Heal(Cut),
    /// A node learns that a connection was made or lost.
    Notice { node: Identifier, life: u64, about: Identifier, up: bool },
    /// No more faults.
    Calm,
    /// A last request, which must be signed.
    Probe,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver { from, to, wire, .. } => write!(f, "{from} -> {to} {wire}"),
            Self::Observed { node, run, live, .. } => {
                write!(f, "{node} ran {}: {}", short(&run.session.0), ended(&live.end))
            }
            Self::Replayed { node, run, attempt, end, .. } => {
                write!(f, "{node} replayed {}/{attempt}: {}", short(&run.session.0), ended(end))
            }
            Self::Wake { node, .. } => write!(f, "{node} wakes"),
            Self::Later { node, to, .. } => write!(f, "{node} sends to {to} what it held back"),
            Self::Post { client, at } => write!(f, "client {client} asks {at}"),
            Self::Crash { node } => write!(f, "{node} crashes"),
            Self::Restart { node } => write!(f, "{node} starts"),
            Self::Cut(cut) => write!(f, "{cut}"),
            Self::Heal(cut) => write!(f, "{}", cut.healed()),
            Self::Notice { node, about, up, .. } => {
                write!(f, "{node} sees {about} {}", if *up { "come" } else { "go" })
            }
            Self::Calm => write!(f, "faults end"),
            Self::Probe => write!(f, "the last request"),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToParticipant(message) => question(f, message),
            Self::ToCoordinator(message) => answer(f, message),
            Self::Preprocess(Preprocess::Ask { count, .. }) => write!(f, "asks for {count} commitments"),
            Self::Preprocess(Preprocess::HandOut { commitments, .. }) => {
                write!(f, "hands out {} commitments", commitments.len())
            }
        }
    }
}

fn question(f: &mut fmt::Formatter<'_>, message: &ToParticipant) -> fmt::Result {
    match message {
        ToParticipant::Propose(proposal) => {
            write!(f, "propose {} at {}", short(&proposal.terms.request.0), proposal.terms.time_ms)?;
            match &proposal.eager {
                Some(eager) => {
                    let package = eager.as_ref().clone().package(proposal.terms.id(crate::roots::NETWORK));
                    write!(f, " with package {}", short(&package.hash(crate::roots::NETWORK).0))
                }
                None => Ok(()),
            }
        }
        ToParticipant::Commit { session, attempt } => write!(f, "commit {}/{attempt}", short(&session.0)),
        ToParticipant::Sign { package, send_verdict } => {
            let signers: Vec<String> = package.signers.keys().map(ToString::to_string).collect();
            let hash = package.hash(crate::roots::NETWORK);
            write!(
                f,
                "sign {}/{} package {} by {}{}",
                short(&package.session.0),
                package.attempt,
                short(&hash.0),
                signers.join(" "),
                if *send_verdict { ", verdict" } else { "" }
            )
        }
        ToParticipant::Close { session, .. } => write!(f, "close {}", short(&session.0)),
    }
}

fn answer(f: &mut fmt::Formatter<'_>, message: &ToCoordinator) -> fmt::Result {
    let session = short(&message.session().0);
    match message {
        ToCoordinator::Observed(observation) => {
            let decision = match &observation.decision {
                Provisional::Allow => "allow",
                Provisional::Refuse { .. } => "refuse",
            };
            write!(f, "observed {session} {decision} {}", short(&observation.record.hash().0))
        }
        ToCoordinator::Declined { decline, .. } => match decline {
            Decline::Refused { reason } => write!(f, "declined {session}: refused: {reason}"),
            Decline::Abstain { kind, reason } => {
                write!(f, "declined {session}: {}: {reason}", kind.name())
            }
        },
        ToCoordinator::Committed { attempt, .. } => write!(f, "committed {session}/{attempt}"),
        ToCoordinator::Signed(signed) => {
            let outcome = signed.vote.vote.outcome;
            write!(f, "signed {session}/{} outcome {}", signed.attempt, short(&outcome.0))
        }
    }
}

fn ended(end: &Result<Outcome, LocalFailure>) -> String {
    match end {
        Ok(Outcome::Allowed { .. }) => "allow".into(),
        Ok(Outcome::Refused { .. }) => "refuse".into(),
        Err(failure) => failure.reason.clone(),
    }
}
