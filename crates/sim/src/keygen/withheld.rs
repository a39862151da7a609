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
/// How often its machine confirms, counted for each receiver, before it refuses what it has all confirmations of: some
/// seconds, in which others must not go on by themselves.
const SILENCE: u32 = 24;

/// Confirmations by attempt, in the order in which the liar came to know the attempts.
#[derive(Default)]
pub(super) struct Withheld {
    order: Vec<AttemptId>,
    sets: BTreeMap<AttemptId, BTreeMap<Identifier, NodeSignature>>,
    roots: BTreeMap<AttemptId, Vec<RootKey>>,
    /// How often it could have shown all confirmations.
    chances: u32,
    /// How often its machine confirmed.
    own: u32,
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

    /// Its own machine's confirmation.
    pub(super) fn takes_own(&mut self, me: Identifier, attempt: AttemptId, signature: NodeSignature) {
        self.own = self.own.saturating_add(1);
        self.takes(me, attempt, signature);
    }

    /// The attempt that it knows last, if its machine has shares of it.
    pub(super) fn last(&self) -> Option<AttemptId> {
        self.order.last().copied().filter(|last| self.roots.contains_key(last))
    }

    /// Its refusal of an attempt, the first time that it is asked.
    pub(super) fn tells_itself(
        &mut self,
        attempt: AttemptId,
        me: Identifier,
        identity: &NodeKey,
    ) -> Option<Message> {
        if self.told.contains(&attempt) {
            return None;
        }
        self.told.push(attempt);
        Some(refusal(attempt, me, identity))
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

    /// Whether it was silent long enough.
    pub(super) fn has_waited(&self) -> bool {
        self.own > SILENCE
    }

    /// Whether any but these members confirmed an attempt that the liar came to know after this one.
    pub(super) fn is_left(&self, attempt: AttemptId, but: [Identifier; 2]) -> bool {
        let mut later = self.order.iter().skip_while(|known| **known != attempt).skip(1);
        later.any(|later| self.sets.get(later).is_some_and(|set| set.keys().any(|id| !but.contains(id))))
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
