//! What a liar collects so that it alone can show that all confirmed an attempt, and what it says meanwhile.

use std::collections::BTreeMap;

use alloy_sol_types::SolStruct;
use countersign_session::keygen::{Message, Refusal};
use countersign_types::{
    AttemptId, Committee, Identifier, NodeKey, NodeSignature, RootKey, activate,
    canonical::{domain, sol_types},
};

use crate::roots::NETWORK;

/// How often it is asked for an attempt before it shows what it has.
const PATIENCE: u32 = 6;

/// Confirmations by attempt, in the order in which the liar came to know the attempts.
#[derive(Default)]
pub(super) struct Withheld {
    order: Vec<AttemptId>,
    sets: BTreeMap<AttemptId, BTreeMap<Identifier, NodeSignature>>,
    roots: BTreeMap<AttemptId, Vec<RootKey>>,
    /// How often it could have shown all confirmations.
    chances: u32,
    /// The attempts that it refused before itself.
    told: Vec<AttemptId>,
}

impl Withheld {
    pub(super) fn takes(&mut self, from: Identifier, attempt: AttemptId, signature: NodeSignature) {
        if !self.order.contains(&attempt) {
            self.order.push(attempt);
        }
        self.sets.entry(attempt).or_default().insert(from, signature);
    }

    /// The roots that the liar's own machine computed.
    pub(super) fn computed(&mut self, attempt: AttemptId, roots: Vec<RootKey>) {
        self.roots.insert(attempt, roots);
    }

    /// The attempt that it knows last, the first time that it is asked.
    pub(super) fn tells_itself(&mut self, me: Identifier, identity: &NodeKey) -> Option<Message> {
        let last = *self.order.last().filter(|last| self.roots.contains_key(*last))?;
        if self.told.contains(&last) {
            return None;
        }
        self.told.push(last);
        Some(refusal(last, me, identity))
    }

    /// Its refusals of what it confirmed, the latest first.
    pub(super) fn refusals(&self, me: Identifier, identity: &NodeKey) -> Vec<Message> {
        self.told.iter().rev().take(2).map(|attempt| refusal(*attempt, me, identity)).collect()
    }

    /// Whether it has waited long enough.
    pub(super) fn is_time(&mut self) -> bool {
        self.chances = self.chances.saturating_add(1);
        self.chances > PATIENCE
    }

    /// The attempts that all confirmed, oldest first.
    pub(super) fn full(&self, committee: &Committee) -> Vec<AttemptId> {
        let size = usize::from(committee.size());
        let is_full = |attempt: &&AttemptId| self.sets.get(*attempt).is_some_and(|set| set.len() == size);
        self.order.iter().filter(is_full).copied().collect()
    }

    /// The liar's activation of an attempt that all confirmed.
    pub(super) fn shown(&self, attempt: AttemptId, identity: &NodeKey) -> Option<Message> {
        let confirmations = self.sets.get(&attempt)?.values().copied().collect();
        let signature = activate(self.roots.get(&attempt)?, NETWORK, 1, attempt, identity);
        Some(Message::Activate { attempt, confirmations, signature })
    }
}

/// A member's word that it never confirms an attempt, or a forged one, if the key is another's.
pub(super) fn refusal(attempt: AttemptId, by: Identifier, identity: &NodeKey) -> Message {
    let digest = sol_types::Refuse { attempt: attempt.0 }.eip712_signing_hash(&domain(NETWORK));
    Message::Refuse(Refusal { attempt, by, signature: identity.sign(digest) })
}
