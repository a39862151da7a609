//! The invariants of key generation, from what honest members send and store.

use std::collections::BTreeMap;

use countersign_session::keygen::Message;
use countersign_threshold::{RootShare, SigningPackage, verify};
use countersign_types::{Activation, AttemptId, Bytes, Committee, Identifier, KeyId, Scheme};

use super::disk::Disk;
use crate::{Violation, chance::Chance, roots::NETWORK};

#[derive(Default)]
pub(super) struct Watch {
    activated: BTreeMap<(Identifier, Scheme), AttemptId>,
    broadcasts: BTreeMap<(Identifier, AttemptId), Vec<Bytes>>,
    complete: BTreeMap<Scheme, Activation>,
    /// Whether a member confirms an attempt; else it refuses it.
    words: BTreeMap<(Identifier, AttemptId), bool>,
}

impl Watch {
    /// An honest member sends a message.
    pub(super) fn sends(
        &mut self,
        node: Identifier,
        message: &Message,
        disk: &Disk,
    ) -> Result<(), Violation> {
        let not_stored = |attempt: AttemptId, what| Violation::NotStored { node, attempt, what };
        match message {
            Message::Round1 { attempt, packages, .. } => {
                let first = self.broadcasts.entry((node, *attempt)).or_insert_with(|| packages.clone());
                if first != packages {
                    return Err(Violation::Equivocated { node, attempt: *attempt });
                }
                if disk.has_joined(*attempt) { Ok(()) } else { Err(not_stored(*attempt, "its part")) }
            }
            Message::Confirm { terms, .. } => {
                let attempt = terms.id(NETWORK);
                self.says(node, attempt, true)?;
                if disk.has_pending(attempt) { Ok(()) } else { Err(not_stored(attempt, "its shares")) }
            }
            // others' words are handed on
            Message::Refuse(refusal) if refusal.by == node => self.says(node, refusal.attempt, false),
            Message::Activate { attempt, .. } => {
                for scheme in disk.schemes(*attempt) {
                    self.activates(node, *scheme, *attempt)?;
                }
                if disk.activated.iter().any(|(stored, _)| stored == attempt) {
                    Ok(())
                } else {
                    Err(not_stored(*attempt, "its activation"))
                }
            }
            Message::Start { .. }
            | Message::Echo { .. }
            | Message::Round2 { .. }
            | Message::Abort { .. }
            | Message::Refuse(_)
            | Message::Activated(_) => Ok(()),
        }
    }

    fn says(&mut self, node: Identifier, attempt: AttemptId, confirms: bool) -> Result<(), Violation> {
        if *self.words.entry((node, attempt)).or_insert(confirms) == confirms {
            Ok(())
        } else {
            Err(Violation::TwoWords { node, attempt })
        }
    }

    fn activates(&mut self, node: Identifier, scheme: Scheme, attempt: AttemptId) -> Result<(), Violation> {
        let first = *self.activated.entry((node, scheme)).or_insert(attempt);
        if first != attempt {
            return Err(Violation::TwoActivations { node, first, second: attempt });
        }
        let others = self.activated.iter().filter(|((_, of), other)| *of == scheme && **other != attempt);
        let other = others.map(|(_, other)| *other).next();
        match other {
            Some(other) => Err(Violation::Split { node, attempt, other }),
            None => Ok(()),
        }
    }

    /// An honest member has finished root keys.
    pub(super) fn completes(
        &mut self,
        node: Identifier,
        activation: &Activation,
        committee: &Committee,
    ) -> Result<(), Violation> {
        if let Err(error) = activation.verify(NETWORK, 1, committee) {
            return Err(Violation::Incomplete { why: format!("member {node}: {error}") });
        }
        for scheme in activation.schemes() {
            let first = self.complete.entry(scheme).or_insert_with(|| activation.clone());
            if first.roots != activation.roots || first.attempt != activation.attempt {
                return Err(Violation::TwoRoots { node });
            }
        }
        Ok(())
    }
}

/// The shares on the disks sign together.
pub(super) fn shares_sign(
    shares: &BTreeMap<Identifier, RootShare>,
    threshold: u16,
    chance: &mut Chance,
) -> Result<(), Violation> {
    let wrong = |why: String| Violation::Incomplete { why };
    let mut members: Vec<Identifier> = shares.keys().copied().collect();
    chance.shuffle(&mut members);
    members.truncate(threshold.into());
    let key = KeyId::from([4; 32]);
    let mut signers = BTreeMap::new();
    let mut commitments = BTreeMap::new();
    for id in &members {
        let share = shares[id].derive(&key).map_err(|error| wrong(error.to_string()))?;
        let (nonces, public) = share.commit(&mut chance.0);
        signers.insert(*id, (share, nonces));
        commitments.insert(*id, public);
    }
    let package = SigningPackage::new(commitments, b"all together".to_vec());
    let mut signed = BTreeMap::new();
    for (id, (share, nonces)) in signers {
        signed.insert(id, nonces.sign(&package, &share).map_err(|error| wrong(error.to_string()))?);
    }
    let root = shares.values().next().map(RootShare::public).ok_or_else(|| wrong("no shares".into()))?;
    let public = root.derive(&key).map_err(|error| wrong(error.to_string()))?;
    let signature = public.aggregate(&package, &signed).map_err(|error| wrong(error.to_string()))?;
    verify(public.scheme(), &public.public_key(), b"all together", &signature)
        .map_err(|error| wrong(error.to_string()))
}
