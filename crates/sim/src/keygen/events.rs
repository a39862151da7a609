//! What can happen in key generation, and how it reads in a trace.

use std::fmt;

use countersign_session::keygen::Message;
use countersign_types::{AttemptId, Identifier};

use super::disk::Write;
use crate::{cut::Cut, roots};

/// Something that happens at a moment.
pub(super) enum Event {
    /// A message arrives, if the connection that it was sent on still stands.
    Deliver { from: Identifier, to: Identifier, lives: (u64, u64), message: Box<Message> },
    /// A liar's machine is told its own word.
    Tell { node: Identifier, life: u64, from: Identifier, message: Box<Message> },
    /// Something is on the disk.
    Write { node: Identifier, life: u64, write: Box<Write> },
    /// A member's timer.
    Wake { node: Identifier, life: u64 },
    /// A member dies.
    Crash { node: Identifier },
    /// It is started again.
    Restart { node: Identifier },
    /// A member's operator installs the version that knows all schemes.
    Upgrade { node: Identifier },
    /// Messages between two members are lost, in one direction or in both.
    Cut(Cut),
    /// They arrive again.
    Heal(Cut),
    /// A member learns that a connection was made or lost.
    Notice { node: Identifier, life: u64, about: Identifier, up: bool },
    /// No more faults.
    Calm,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver { from, to, message, .. } => {
                write!(f, "{from} -> {to} ")?;
                describe(f, message)
            }
            Self::Tell { node, message, .. } => {
                write!(f, "{node} tells itself ")?;
                describe(f, message)
            }
            Self::Write { node, write, .. } => match write.as_ref() {
                Write::Joined(joined) => write!(f, "{node} stores its part in {}", short(joined.attempt)),
                Write::Pending { pending, .. } => {
                    write!(f, "{node} stores its shares of {}", short(pending.terms.id(roots::NETWORK)))
                }
                Write::Activation { attempt, .. } => {
                    write!(f, "{node} stores its activation of {}", short(*attempt))
                }
                Write::Complete(_) => write!(f, "{node} stores the root keys"),
            },
            Self::Wake { node, .. } => write!(f, "{node} wakes"),
            Self::Crash { node } => write!(f, "{node} crashes"),
            Self::Restart { node } => write!(f, "{node} starts"),
            Self::Upgrade { node } => write!(f, "{node} is upgraded"),
            Self::Cut(cut) => write!(f, "{cut}"),
            Self::Heal(cut) => write!(f, "{}", cut.healed()),
            Self::Notice { node, about, up, .. } => {
                write!(f, "{node} sees {about} {}", if *up { "come" } else { "go" })
            }
            Self::Calm => write!(f, "faults end"),
        }
    }
}

fn describe(f: &mut fmt::Formatter<'_>, message: &Message) -> fmt::Result {
    match message {
        Message::Start { terms } => write!(f, "start {}", short(terms.id(roots::NETWORK))),
        Message::Round1 { attempt, .. } => write!(f, "round 1 of {}", short(*attempt)),
        Message::Echo { attempt, .. } => write!(f, "echo of {}", short(*attempt)),
        Message::Round2 { attempt, .. } => write!(f, "round 2 of {}", short(*attempt)),
        Message::Abort { attempt, reason, complaint } => {
            let about = complaint
                .as_ref()
                .map_or(String::new(), |c| format!(" (about {} of {})", c.scheme, c.dealer));
            write!(f, "abort of {}: {reason}{about}", short(*attempt))
        }
        Message::Confirm { terms, .. } => write!(f, "confirm {}", short(terms.id(roots::NETWORK))),
        Message::Refuse(refusal) => write!(f, "refuse {} by {}", short(refusal.attempt), refusal.by),
        Message::Activate { attempt, .. } => write!(f, "activate {}", short(*attempt)),
        Message::Activated(activation) => write!(f, "activated {}", short(activation.attempt)),
    }
}

/// The first bytes of an id: enough to tell things apart.
pub(super) fn short(attempt: AttemptId) -> String {
    attempt.as_bytes()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
