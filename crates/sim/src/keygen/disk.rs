//! A member's disk: what was written before a crash is there after it, and nothing else.

use countersign_session::keygen::{Journal, Pending};
use countersign_threshold::RootShare;
use countersign_types::{Activation, AttemptId, NodeSignature};

use crate::roots::{NETWORK, SCHEME};

/// Something to be stored.
pub(super) enum Write {
    Pending { pending: Pending, share: Vec<u8> },
    Activation { attempt: AttemptId, confirmations: Vec<NodeSignature> },
    Complete(Box<Activation>),
}

#[derive(Default)]
pub(super) struct Disk {
    pub(super) pending: Vec<(Pending, Vec<u8>)>,
    pub(super) activated: Option<(AttemptId, Vec<NodeSignature>)>,
    pub(super) complete: Option<Activation>,
}

impl Disk {
    /// Whether it was stored: an activation is not where another one stands.
    pub(super) fn write(&mut self, write: Write) -> bool {
        match write {
            Write::Pending { pending, share } => self.pending.push((pending, share)),
            Write::Activation { attempt, confirmations } => match &self.activated {
                Some((stored, _)) if *stored != attempt => return false,
                Some(_) | None => self.activated = Some((attempt, confirmations)),
            },
            Write::Complete(activation) => self.complete = Some(*activation),
        }
        true
    }

    pub(super) fn journal(&self) -> Journal {
        Journal {
            pending: self.pending.iter().map(|(pending, _)| pending.clone()).collect(),
            activated: self.activated.clone(),
            complete: self.complete.clone(),
        }
    }

    pub(super) fn has_pending(&self, attempt: AttemptId) -> bool {
        self.pending.iter().any(|(pending, _)| pending.terms.id(NETWORK) == attempt)
    }

    /// The share that belongs to the finished root key.
    pub(super) fn share(&self) -> Option<RootShare> {
        let attempt = self.complete.as_ref()?.attempt;
        let (_, share) = self.pending.iter().find(|(pending, _)| pending.terms.id(NETWORK) == attempt)?;
        RootShare::from_bytes(SCHEME, share).ok()
    }
}
