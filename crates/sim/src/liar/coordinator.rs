//! What a lying coordinator does.

use std::collections::{BTreeMap, BTreeSet};

use countersign_session::message::{Eager, Observation, Package, Proposal, Provisional, ToParticipant};
use countersign_types::{
    ActionId, Address, B256, Bytes, Identifier, KeySpec, Record, RecordEntry, Scheme, SessionId,
    http::FieldValue,
};

use super::Conspiracy;
use crate::{
    faults::Class,
    node::{Act, Wire},
};

/// One way to lie in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CoordinatorLie {
    /// None.
    None,
    /// Different packages to different signers for the same attempt.
    Equivocates,
    /// Two packages to the same signer for the same attempt.
    SecondPackage,
    /// Packages of other attempts and sessions.
    OldPackages,
    /// Every signer is told that all others read what it read.
    MixesRecords,
    /// Signers whose records do not agree, put into one package.
    ForcesPackage,
    /// Another node's numbers are changed a little.
    AltersNumbers,
    /// Two nodes' records are swapped.
    SwapsRecords,
    /// A node's record is one of another session.
    OldRecords,
    /// What is agreed follows from fewer records, or more, than the signers'.
    OtherBase,
    /// A signer's own record is replaced by another's.
    ReplacesRecord,
    /// Somebody who is no member is said to have read what the others did.
    AddsStranger,
    /// Some messages are not sent.
    Drops,
    /// Everything is asked twice, with the verdict and without.
    AsksTwice,
    /// Other terms to some.
    ChangesTerms,
    /// A request that its callers did not sign.
    AltersRequest,
    /// The session is closed and opened again while the signers are at work.
    Reopens,
    /// The request is for another key than its callers signed for: another scheme, action, owner or salt.
    ChangesKey,
    /// A signer's commitments are those of an earlier package.
    RepeatsCommitments,
    /// Messages for other coordinators' sessions.
    Meddles,
    /// Sessions without end, and whatever else takes room.
    Floods,
}

const LIES: [CoordinatorLie; 21] = [
    CoordinatorLie::None,
    CoordinatorLie::Equivocates,
    CoordinatorLie::SecondPackage,
    CoordinatorLie::OldPackages,
    CoordinatorLie::MixesRecords,
    CoordinatorLie::ForcesPackage,
    CoordinatorLie::AltersNumbers,
    CoordinatorLie::SwapsRecords,
    CoordinatorLie::OldRecords,
    CoordinatorLie::OtherBase,
    CoordinatorLie::ReplacesRecord,
    CoordinatorLie::AddsStranger,
    CoordinatorLie::Drops,
    CoordinatorLie::AsksTwice,
    CoordinatorLie::ChangesTerms,
    CoordinatorLie::AltersRequest,
    CoordinatorLie::Reopens,
    CoordinatorLie::ChangesKey,
    CoordinatorLie::RepeatsCommitments,
    CoordinatorLie::Meddles,
    CoordinatorLie::Floods,
];

impl Conspiracy {
    fn coordinator_lie(&mut self, me: Identifier, session: SessionId) -> CoordinatorLie {
        if let Some(lie) = self.coordinator_lies.get(&(me, session)) {
            return *lie;
        }
        let floods = self.chance.permille(self.habits.floods);
        let drawn = self.chance.pick(&LIES).unwrap_or(CoordinatorLie::None);
        let drawn = if floods { CoordinatorLie::Floods } else { drawn };
        let happens = self.faults.happens(Class::Lie, drawn != CoordinatorLie::None);
        let lie = if happens { drawn } else { CoordinatorLie::None };
        if happens {
            self.tell(me, session, "coordinator", lie);
        }
        self.coordinator_lies.insert((me, session), lie);
        lie
    }

    pub(super) fn twist_question(
        &mut self,
        me: Identifier,
        to: Identifier,
        message: ToParticipant,
    ) -> Vec<Act> {
        let session = message.session(crate::roots::NETWORK);
        let lie = self.coordinator_lie(me, session);
        if lie == CoordinatorLie::Drops && self.chance.permille(300) {
            return Vec::new();
        }
        let mut flood = Vec::new();
        let mut messages = match message {
            ToParticipant::Propose(proposal) => {
                if lie == CoordinatorLie::Floods {
                    flood = self.flood(to, &proposal);
                }
                let proposal = self.twist_eager(lie, to, *proposal);
                vec![self.twist_proposal(lie, proposal)]
            }
            ToParticipant::Sign { package, send_verdict } => {
                let package = match lie {
                    CoordinatorLie::RepeatsCommitments => self.with_repeated_commitments(me, to, *package),
                    _ => *package,
                };
                self.twist_package(lie, to, package, send_verdict)
            }
            other @ (ToParticipant::Commit { .. } | ToParticipant::Close { .. }) => vec![other],
        };
        if lie == CoordinatorLie::AsksTwice {
            let again: Vec<ToParticipant> = messages.iter().cloned().map(flipped).collect();
            messages.extend(again);
        }
        if lie == CoordinatorLie::Meddles {
            messages.extend(self.meddling());
        }
        messages.into_iter().map(|message| send(to, message)).chain(flood).collect()
    }

    fn twist_proposal(&mut self, lie: CoordinatorLie, mut proposal: Proposal) -> ToParticipant {
        match lie {
            CoordinatorLie::ChangesTerms if self.chance.permille(500) => {
                let far = self.chance.pick(&[1, 10, 29_000, 31_000, 1 << 40]).unwrap_or(1);
                proposal.terms.time_ms = proposal.terms.time_ms.saturating_add(far);
            }
            CoordinatorLie::AltersRequest => {
                proposal.request.request.params = Bytes::from_static(b"all of it, to me");
                if self.chance.permille(500) {
                    proposal.terms.request = proposal.request.request.digest();
                }
            }
            CoordinatorLie::ChangesKey => {
                self.change_key(&mut proposal.request.request.key);
                if self.chance.permille(500) {
                    proposal.terms.request = proposal.request.request.digest();
                }
            }
            _ => {}
        }
        ToParticipant::Propose(Box::new(proposal))
    }

    fn change_key(&mut self, key: &mut KeySpec) {
        let other = B256::from(self.chance.bytes());
        match self.chance.between(0, 3) {
            0 => {
                let others: Vec<Scheme> = Scheme::ALL.into_iter().filter(|one| *one != key.scheme).collect();
                key.scheme = self.chance.pick(&others).unwrap_or(key.scheme);
            }
            1 => key.policy.action = ActionId(other),
            2 => key.owner = Address::from_word(other),
            _ => key.salt = other,
        }
    }

    /// What the package of one round may hold that it should not: whatever one of several rounds may.
    fn twist_eager(&mut self, lie: CoordinatorLie, to: Identifier, mut proposal: Proposal) -> Proposal {
        let Some(eager) = proposal.eager.take() else { return proposal };
        let package = eager.package(proposal.terms.id(crate::roots::NETWORK));
        let twisted = match lie {
            CoordinatorLie::Equivocates | CoordinatorLie::SecondPackage => self.altered(to, &package),
            CoordinatorLie::OldPackages => {
                let indices: Vec<usize> = (0..self.packages.len()).collect();
                self.chance.pick(&indices).map_or(package, |index| self.packages[index].1.clone())
            }
            _ => package,
        };
        let record = twisted.records.into_values().next().unwrap_or_default();
        proposal.eager = Some(Box::new(Eager { record, signers: twisted.signers }));
        proposal
    }

    fn twist_package(
        &mut self,
        lie: CoordinatorLie,
        to: Identifier,
        package: Package,
        send_verdict: bool,
    ) -> Vec<ToParticipant> {
        let sign = |package: Package| ToParticipant::Sign { package: Box::new(package), send_verdict };
        match lie {
            CoordinatorLie::Equivocates => {
                let altered = if self.chance.permille(500) { self.altered(to, &package) } else { package };
                vec![sign(altered)]
            }
            CoordinatorLie::SecondPackage => {
                let altered = self.altered(to, &package);
                let mut both = vec![sign(package), sign(altered)];
                self.chance.shuffle(&mut both);
                both
            }
            CoordinatorLie::OldPackages => {
                let indices: Vec<usize> = (0..self.packages.len()).collect();
                let old = self.chance.pick(&indices).map(|index| self.packages[index].1.clone());
                let old = old.map(|old| sign(Package { session: package.session, ..old }));
                old.into_iter().chain([sign(package)]).collect()
            }
            CoordinatorLie::MixesRecords => {
                let mut mixed = package;
                if let Some(own) = mixed.records.get(&to).cloned() {
                    mixed.records.values_mut().for_each(|record| *record = own.clone());
                    let signature = mixed.signatures.get(&to).copied();
                    mixed.signatures =
                        mixed.records.keys().filter_map(|id| Some((*id, signature?))).collect();
                }
                vec![sign(mixed)]
            }
            CoordinatorLie::AltersNumbers => vec![sign(self.with_other_numbers(to, package))],
            CoordinatorLie::SwapsRecords => vec![sign(self.with_swapped_records(to, package))],
            CoordinatorLie::OldRecords => vec![sign(self.with_old_records(to, package))],
            CoordinatorLie::OtherBase => vec![sign(self.with_another_base(package))],
            CoordinatorLie::ReplacesRecord => vec![sign(with_replaced_record(to, package))],
            CoordinatorLie::AddsStranger => vec![sign(with_stranger(package))],
            CoordinatorLie::Reopens => {
                let session = package.session;
                let proposal =
                    self.proposals.iter().find(|(_, p)| p.terms.id(crate::roots::NETWORK) == session);
                let again = proposal.map(|(_, p)| ToParticipant::Propose(Box::new(p.clone())));
                let close = again.is_some().then_some(ToParticipant::Close { session, signed: None });
                [sign(package.clone())].into_iter().chain(close).chain(again).chain([sign(package)]).collect()
            }
            _ => vec![sign(package)],
        }
    }

    /// Another package for the same signer, with something changed that it might not look at.
    fn altered(&mut self, to: Identifier, package: &Package) -> Package {
        let mut altered = package.clone();
        let others: Vec<Identifier> = package.signers.keys().filter(|id| **id != to).copied().collect();
        let other = self.chance.pick(&others).unwrap_or(to);
        match self.chance.between(0, 5) {
            0 => {
                altered.signers.remove(&other);
            }
            1 => {
                if let Some(old) = self.old_commitments(package.payloads()) {
                    altered.signers.insert(other, old);
                }
            }
            2 => altered.attempt += 1,
            3 => {
                altered.records.insert(other, countersign_types::Record::default());
                altered.signatures.remove(&other);
            }
            4 => {
                altered.base.remove(&other);
            }
            _ => {
                if let Some(old) = self.old_commitments(package.payloads()) {
                    altered.signers.insert(to, old);
                }
            }
        }
        altered
    }

    /// Another signer's commitments are those of an earlier package of this coordinator, which the receiver saw too.
    fn with_repeated_commitments(&self, me: Identifier, to: Identifier, mut package: Package) -> Package {
        let own = self.packages.iter().rev().filter(|(by, earlier)| {
            *by == me && earlier.signers.contains_key(&to) && earlier.payloads() == package.payloads()
        });
        let session = package.session;
        let mut earlier = own.map(|(_, earlier)| earlier).filter(|earlier| earlier.session != session);
        let all = earlier.next().into_iter().flat_map(|earlier| &earlier.signers);
        let repeated: Vec<_> = all.filter(|(id, _)| **id != to).map(|(id, one)| (*id, one.clone())).collect();
        for (id, commitments) in repeated {
            if let Some(own) = package.signers.get_mut(&id) {
                *own = commitments;
            }
        }
        package
    }

    fn with_other_numbers(&mut self, to: Identifier, mut package: Package) -> Package {
        for (_, record) in package.records.iter_mut().filter(|(id, _)| **id != to) {
            for entry in &mut record.entries {
                let RecordEntry::Fields { fields, .. } = entry else { continue };
                for field in fields {
                    let price = field.value.number().and_then(|n| n.to_string().parse::<u64>().ok());
                    if let Some(price) = price {
                        field.value = FieldValue::Number(price.saturating_add(1).into());
                    }
                }
            }
        }
        package
    }

    fn with_swapped_records(&mut self, to: Identifier, mut package: Package) -> Package {
        let mut others: Vec<Identifier> = package.records.keys().filter(|id| **id != to).copied().collect();
        self.chance.shuffle(&mut others);
        let [one, other, ..] = others[..] else { return package };
        let (first, second) = (package.records.get(&one).cloned(), package.records.get(&other).cloned());
        package.records.extend(first.map(|record| (other, record)));
        package.records.extend(second.map(|record| (one, record)));
        let (first, second) = (package.signatures.remove(&one), package.signatures.remove(&other));
        package.signatures.extend(first.map(|signature| (other, signature)));
        package.signatures.extend(second.map(|signature| (one, signature)));
        package
    }

    /// A record, with its signature, that its node made in another session of the same request.
    fn with_old_records(&mut self, to: Identifier, mut package: Package) -> Package {
        let session = package.session;
        let others: Vec<Identifier> = package.records.keys().filter(|id| **id != to).copied().collect();
        for id in others {
            let same_question = |o: &&Observation| {
                let reads =
                    |record: &Record| record.entries.iter().map(RecordEntry::read).collect::<Vec<_>>();
                package.records.get(&id).is_some_and(|record| reads(record) == reads(&o.record))
            };
            let mut earlier = self.observations.iter().filter(|(of, _)| **of != session);
            if let Some(old) = earlier.find_map(|(_, all)| all.get(&id).filter(same_question)) {
                package.records.insert(id, old.record.clone());
                package.signatures.remove(&id);
                package.signatures.extend(old.signature.map(|signature| (id, signature)));
            }
        }
        package
    }

    /// As small a base as can be, or one with everybody whose record is known.
    fn with_another_base(&mut self, mut package: Package) -> Package {
        let threshold = usize::from(self.roots.committee.threshold());
        if self.chance.permille(500) {
            let known = self.observations.get(&package.session).cloned().unwrap_or_default();
            for (id, observation) in known {
                package.records.entry(id).or_insert(observation.record);
                if let Some(signature) = observation.signature {
                    package.signatures.entry(id).or_insert(signature);
                }
            }
        }
        let mut base: Vec<Identifier> = package.records.keys().copied().collect();
        self.chance.shuffle(&mut base);
        package.base = base.into_iter().take(threshold).collect();
        let left_out = |id: &Identifier| !package.base.contains(id) && !package.signers.contains_key(id);
        package.records.retain(|id, _| !left_out(id));
        package.signatures.retain(|id, _| !left_out(id));
        package
    }

    /// As soon as enough have observed, a package of all of them, whether they agree or not.
    pub(super) fn force_package(&mut self, me: Identifier, session: SessionId) -> Vec<Act> {
        if self.coordinator_lies.get(&(me, session)) != Some(&CoordinatorLie::ForcesPackage) {
            return Vec::new();
        }
        let threshold = usize::from(self.roots.committee.threshold());
        let observations = self.observations.get(&session).cloned().unwrap_or_default();
        let allowing: BTreeMap<_, _> =
            observations.iter().filter(|(_, o)| o.decision == Provisional::Allow).collect();
        let count = allowing.values().next().map_or(0, |o| o.commitments.len());
        let signers: BTreeMap<Identifier, _> = allowing
            .iter()
            .filter(|(_, o)| o.commitments.len() == count)
            .map(|(id, o)| (**id, o.commitments.clone()))
            .collect();
        if signers.len() < threshold {
            return Vec::new();
        }
        let base: BTreeSet<Identifier> = signers.keys().copied().collect();
        let records = base.iter().map(|id| (*id, observations[id].record.clone())).collect();
        let signatures = base.iter().filter_map(|id| Some((*id, observations[id].signature?))).collect();
        let package = Package { session, attempt: 1, base: base.clone(), records, signatures, signers };
        let sign = ToParticipant::Sign { package: Box::new(package), send_verdict: true };
        base.into_iter().map(|to| send(to, sign.clone())).collect()
    }

    /// Something for a session that another opened.
    fn meddling(&mut self) -> Vec<ToParticipant> {
        let indices: Vec<usize> = (0..self.proposals.len()).collect();
        let Some(index) = self.chance.pick(&indices) else { return Vec::new() };
        let proposal = self.proposals[index].1.clone();
        let session = proposal.terms.id(crate::roots::NETWORK);
        let package = self.packages.iter().rev().find(|(_, package)| package.session == session);
        let sign =
            package.map(|(_, p)| ToParticipant::Sign { package: Box::new(p.clone()), send_verdict: true });
        let mut messages = vec![
            ToParticipant::Close { session, signed: None },
            ToParticipant::Commit { session, attempt: 2 },
            ToParticipant::Propose(Box::new(proposal)),
        ];
        messages.extend(sign);
        self.chance.shuffle(&mut messages);
        messages
    }
}

/// The receiver's record is another signer's, with that signer's signature.
fn with_replaced_record(to: Identifier, mut package: Package) -> Package {
    let Some(other) = package.records.keys().copied().find(|id| *id != to) else { return package };
    package.records.extend(package.records.get(&other).cloned().map(|record| (to, record)));
    package.signatures.remove(&to);
    package.signatures.extend(package.signatures.get(&other).copied().map(|signature| (to, signature)));
    package
}

/// A record of nobody stands behind the agreed one.
fn with_stranger(mut package: Package) -> Package {
    let Some(stranger) = Identifier::new(u16::MAX) else { return package };
    let record = package.base.first().and_then(|id| package.records.get(id)).cloned();
    let signature = package.base.first().and_then(|id| package.signatures.get(id)).copied();
    package.records.extend(record.map(|record| (stranger, record)));
    package.signatures.extend(signature.map(|signature| (stranger, signature)));
    package.base.insert(stranger);
    package
}

fn flipped(message: ToParticipant) -> ToParticipant {
    match message {
        ToParticipant::Sign { package, send_verdict } => {
            ToParticipant::Sign { package, send_verdict: !send_verdict }
        }
        other @ (ToParticipant::Propose(_) | ToParticipant::Commit { .. } | ToParticipant::Close { .. }) => {
            other
        }
    }
}

fn send(to: Identifier, message: ToParticipant) -> Act {
    Act::Send { to, wire: Wire::ToParticipant(message) }
}
