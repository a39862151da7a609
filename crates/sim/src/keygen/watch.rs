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

#[cfg(test)]
mod tests {
    use countersign_session::keygen::{Joined, Pending, Refusal};
    use countersign_types::{AttemptTerms, B256, NodeKey, NodeSignature, PublicKey, RootKey, activate};

    use super::*;
    use crate::{keygen::disk::Write, roots::identities};

    fn id(number: u16) -> Identifier {
        Identifier::new(number).expect("not zero")
    }

    fn terms(number: u64) -> AttemptTerms {
        let (schemes, entropy) = (vec![Scheme::Ed25519], B256::ZERO);
        AttemptTerms { epoch: 1, schemes, number, starter: id(1), entropy }
    }

    fn attempt(number: u64) -> AttemptId {
        terms(number).id(NETWORK)
    }

    fn signature() -> NodeSignature {
        NodeKey::from_bytes([1; 32]).expect("a scalar").sign(B256::ZERO)
    }

    /// A disk with whatever a member may have stored before it says something of these attempts.
    fn disk() -> Disk {
        let mut disk = Disk::default();
        for number in [1, 2] {
            let attempt = attempt(number);
            disk.write(Write::Joined(Joined { attempt, number, first: 1, released: None }));
            let pending = Pending { terms: terms(number), roots: Vec::new() };
            disk.write(Write::Pending { pending, shares: Vec::new() });
            disk.activated.push((attempt, Vec::new()));
        }
        disk
    }

    fn broadcast(package: u8) -> Message {
        let packages = vec![vec![package].into()];
        Message::Round1 { attempt: attempt(1), packages, signature: signature() }
    }

    fn confirm() -> Message {
        Message::Confirm { terms: terms(1), roots: B256::ZERO, signature: signature() }
    }

    fn refuse(by: Identifier) -> Message {
        Message::Refuse(Refusal { attempt: attempt(1), by, signature: signature() })
    }

    fn activation(number: u64) -> Message {
        Message::Activate { attempt: attempt(number), confirmations: Vec::new(), signature: signature() }
    }

    /// What the last of these is seen as, which members send one after the other.
    fn seen(messages: &[(u16, Message)]) -> Result<(), Violation> {
        let (mut watch, disk) = (Watch::default(), disk());
        let (last, earlier) = messages.split_last().expect("one at least");
        for (node, message) in earlier {
            assert_eq!(watch.sends(id(*node), message, &disk), Ok(()));
        }
        watch.sends(id(last.0), &last.1, &disk)
    }

    #[test]
    fn a_second_broadcast_of_one_attempt_is_seen() {
        assert_eq!(seen(&[(1, broadcast(1)), (2, broadcast(2)), (1, broadcast(1))]), Ok(()));
        let violation = Violation::Equivocated { node: id(1), attempt: attempt(1) };
        assert_eq!(seen(&[(1, broadcast(1)), (1, broadcast(2))]), Err(violation));
    }

    #[test]
    fn a_word_and_its_opposite_are_seen() {
        let violation = Violation::TwoWords { node: id(1), attempt: attempt(1) };
        assert_eq!(seen(&[(1, confirm()), (1, refuse(id(1)))]), Err(violation.clone()));
        assert_eq!(seen(&[(1, refuse(id(1))), (1, confirm())]), Err(violation));
        // what it hands on is not its own word
        assert_eq!(seen(&[(1, confirm()), (1, refuse(id(2))), (2, confirm())]), Ok(()));
    }

    #[test]
    fn activations_of_two_attempts_are_seen_of_one_member_and_of_two() {
        assert_eq!(seen(&[(1, activation(1)), (2, activation(1)), (1, activation(1))]), Ok(()));
        let twice = Violation::TwoActivations { node: id(1), first: attempt(1), second: attempt(2) };
        assert_eq!(seen(&[(1, activation(1)), (1, activation(2))]), Err(twice));
        let split = Violation::Split { node: id(2), attempt: attempt(2), other: attempt(1) };
        assert_eq!(seen(&[(1, activation(1)), (2, activation(2))]), Err(split));
    }

    #[test]
    fn a_second_root_key_of_a_scheme_is_seen() {
        let (committee, secrets) = identities(3, 2);
        let complete = |number| {
            let public_key = PublicKey(vec![2; Scheme::Ed25519.root_key_len()].into());
            let verifying_shares = vec![Bytes::new(); 3];
            let roots = vec![RootKey { scheme: Scheme::Ed25519, public_key, verifying_shares }];
            let sign = |member: Identifier| {
                let key = NodeKey::from_bytes(secrets[&member]).expect("a scalar");
                activate(&roots, NETWORK, 1, attempt(number), &key)
            };
            let signatures = committee.identifiers().map(sign).collect();
            Activation { roots, attempt: attempt(number), signatures }
        };
        let mut watch = Watch::default();
        assert_eq!(watch.completes(id(1), &complete(1), &committee), Ok(()));
        assert_eq!(watch.completes(id(2), &complete(1), &committee), Ok(()));
        let violation = Violation::TwoRoots { node: id(2) };
        assert_eq!(watch.completes(id(2), &complete(2), &committee), Err(violation));
    }
}
