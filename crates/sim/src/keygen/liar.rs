//! What a dishonest member does: it runs an honest member's machine, and falsifies what it says.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolStruct;
use countersign_session::keygen::{Complaint, Message};
use countersign_threshold::dkg::{self, PrivatePackage};
use countersign_types::{
    AttemptId, Bytes, Committee, Identifier, NodeKey, NodeSignature,
    canonical::{domain, sol_types},
};

use super::Lie;
use crate::{
    chance::Chance,
    roots::{NETWORK, SCHEME},
};

pub(super) struct Liar {
    pub(super) me: Identifier,
    pub(super) lie: Lie,
    committee: Committee,
    identity: NodeKey,
    chance: Chance,
    /// By attempt: the broadcast that the machine did not make.
    others: BTreeMap<AttemptId, Bytes>,
    /// What others dealt to this member.
    dealt: BTreeMap<(AttemptId, Identifier), (PrivatePackage, NodeSignature)>,
    starts: Vec<Message>,
}

impl Liar {
    pub(super) fn new(
        me: Identifier,
        lie: Lie,
        committee: Committee,
        identity: NodeKey,
        chance: Chance,
    ) -> Self {
        Self {
            me,
            lie,
            committee,
            identity,
            chance,
            others: BTreeMap::new(),
            dealt: BTreeMap::new(),
            starts: Vec::new(),
        }
    }

    pub(super) fn hears(&mut self, from: Identifier, message: &Message) {
        if let Message::Round2 { attempt, package, signature } = message {
            self.dealt.insert((*attempt, from), (package.clone(), *signature));
        }
    }

    /// What it sends in place of what its machine would.
    pub(super) fn twist(&mut self, to: Identifier, message: Message) -> Vec<Message> {
        let victim = self.victim();
        match (self.lie, message) {
            (Lie::BadPrivate, Message::Round2 { attempt, package, .. }) if to == victim => {
                let mut bytes = package.as_bytes().to_vec();
                bytes[31] ^= 1;
                let package = PrivatePackage::try_from(bytes).unwrap_or(package);
                let signature = self.sign(attempt, Some(to), keccak256(package.as_bytes()));
                vec![Message::Round2 { attempt, package, signature }]
            }
            (Lie::Equivocates, Message::Round1 { attempt, .. }) if to == victim => {
                let package = self.other_broadcast(attempt);
                vec![self.broadcast(attempt, package)]
            }
            (Lie::BadProof, Message::Round1 { attempt, package, .. }) => {
                let mut bytes = package.to_vec();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                vec![self.broadcast(attempt, bytes.into())]
            }
            (Lie::RaisesThreshold, Message::Round1 { attempt, package, .. }) => {
                // one coefficient more: a point that is well-formed
                let longer = [&package[..33], &package[..]].concat();
                vec![self.broadcast(attempt, longer.into())]
            }
            (Lie::FalseEcho, Message::Echo { attempt, mut packages }) => {
                for (index, (digest, _)) in packages.iter_mut().enumerate() {
                    if index + 1 == usize::from(victim.get()) {
                        *digest = B256::repeat_byte(5);
                    }
                }
                vec![Message::Echo { attempt, packages }]
            }
            (Lie::FalseComplaint | Lie::ForgedComplaint, Message::Confirm { attempt, .. }) => {
                self.complaint(attempt, victim).into_iter().collect()
            }
            // the accusation comes before everybody is done
            (Lie::FalseComplaint | Lie::ForgedComplaint, message @ Message::Round2 { attempt, .. }) => {
                let complaint = self.complaint(attempt, victim);
                let mut messages = vec![message];
                messages.extend(complaint);
                messages
            }
            (Lie::FalseConfirmation, Message::Confirm { attempt, .. }) => {
                let root = B256::repeat_byte(6);
                let digest =
                    sol_types::Confirm { attempt: attempt.0, root }.eip712_signing_hash(&domain(NETWORK));
                vec![Message::Confirm { attempt, root, signature: self.identity.sign(digest) }]
            }
            (Lie::ActivatesForSome, Message::Activate { .. }) if to == victim => Vec::new(),
            (Lie::StaleStarts, message @ Message::Start { .. }) => {
                let old = self.starts.first().cloned();
                self.starts.push(message.clone());
                if self.starts.len() > 64 {
                    self.starts.remove(0);
                }
                [message].into_iter().chain(old).collect()
            }
            (_, message) => vec![message],
        }
    }

    /// The lowest of the others.
    fn victim(&self) -> Identifier {
        self.committee.identifiers().find(|id| *id != self.me).unwrap_or(self.me)
    }

    fn other_broadcast(&mut self, attempt: AttemptId) -> Bytes {
        if let Some(package) = self.others.get(&attempt) {
            return package.clone();
        }
        let (size, threshold) = (self.committee.size(), self.committee.threshold());
        let (_, package) =
            dkg::start(SCHEME, self.me, size, threshold, &mut self.chance.0).expect("a legal committee");
        self.others.insert(attempt, package.clone());
        package
    }

    fn broadcast(&self, attempt: AttemptId, package: Bytes) -> Message {
        let signature = self.sign(attempt, None, keccak256(&package));
        Message::Round1 { attempt, package, signature }
    }

    fn complaint(&self, attempt: AttemptId, dealer: Identifier) -> Option<Message> {
        let (package, signature) = self.dealt.get(&(attempt, dealer))?.clone();
        let package = if self.lie == Lie::ForgedComplaint {
            PrivatePackage::try_from(vec![1; 32]).unwrap_or(package)
        } else {
            package
        };
        let complaint = Some(Box::new(Complaint { dealer, package, signature }));
        Some(Message::Abort { attempt, reason: "it is all wrong".into(), complaint })
    }

    fn sign(&self, attempt: AttemptId, to: Option<Identifier>, content: B256) -> NodeSignature {
        let package = sol_types::KeyGenerationPackage {
            attempt: attempt.0,
            round: if to.is_none() { 1 } else { 2 },
            from: self.me.get(),
            to: to.map_or(0, Identifier::get),
            content,
        };
        self.identity.sign(package.eip712_signing_hash(&domain(NETWORK)))
    }
}
