//! A running attempt: from the broadcast to a share that is about to be stored.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use countersign_threshold::dkg::{self, DkgError, PrivatePackage};
use countersign_types::{AttemptId, AttemptTerms, B256, Bytes, Identifier, NodeKey, NodeSignature, RootKey};
use rand_core::{CryptoRng, RngCore};

use super::{
    Complaint, Effect, Message, Pending,
    message::{package_digest, private_content},
    others,
};
use crate::{Membership, Millis};

pub(super) struct Running {
    pub(super) id: AttemptId,
    pub(super) terms: AttemptTerms,
    pub(super) ends: Millis,
    pub(super) step: Step,
    /// Confirmations of members that are faster than this one.
    pub(super) early_confirmations: BTreeMap<Identifier, (B256, NodeSignature)>,
    me: Identifier,
    broadcasts: BTreeMap<Identifier, (Bytes, NodeSignature)>,
    echoes: BTreeMap<Identifier, Vec<(B256, NodeSignature)>>,
    private: BTreeMap<Identifier, (PrivatePackage, NodeSignature)>,
    dealt: BTreeMap<Identifier, PrivatePackage>,
}

/// Secrets move from step to step by value.
pub(super) enum Step {
    /// Collects broadcasts and echoes.
    First(Box<dkg::Round1>),
    /// Collects private packages.
    Second(Box<dkg::Round2>),
    /// The share is being stored.
    Storing { root: RootKey },
    /// Failed in the middle of a step.
    Over,
}

impl Step {
    pub(super) fn is_storing(&self) -> bool {
        matches!(self, Self::Storing { .. })
    }
}

/// Why an attempt ends without a share.
pub(super) struct Failed {
    pub(super) reason: String,
    pub(super) culprits: Vec<Identifier>,
    pub(super) complaint: Option<Box<Complaint>>,
}

impl Failed {
    fn by(culprit: Identifier, what: &str) -> Self {
        let reason = format!("member {culprit} {what}");
        Self { reason, culprits: vec![culprit], complaint: None }
    }

    fn dkg(error: &DkgError) -> Self {
        let culprits = error.culprit().into_iter().collect();
        Self { reason: error.to_string(), culprits, complaint: None }
    }
}

impl Running {
    pub(super) fn begin(
        membership: &Membership,
        identity: &NodeKey,
        terms: AttemptTerms,
        ends: Millis,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, DkgError> {
        let committee = &membership.committee;
        let (state, package) =
            dkg::start(terms.scheme, membership.me, committee.size(), committee.threshold(), rng)?;
        let id = terms.id(membership.network);
        let digest = package_digest(membership.network, id, membership.me, None, keccak256(&package));
        let broadcasts = BTreeMap::from([(membership.me, (package, identity.sign(digest)))]);
        Ok(Self {
            id,
            terms,
            ends,
            step: Step::First(Box::new(state)),
            early_confirmations: BTreeMap::new(),
            me: membership.me,
            broadcasts,
            echoes: BTreeMap::new(),
            private: BTreeMap::new(),
            dealt: BTreeMap::new(),
        })
    }

    /// This member's own broadcast.
    pub(super) fn broadcast(&self) -> Message {
        let (package, signature) = self.broadcasts[&self.me].clone();
        Message::Round1 { attempt: self.id, package, signature }
    }

    pub(super) fn take_broadcast(
        &mut self,
        membership: &Membership,
        from: Identifier,
        package: Bytes,
        signature: NodeSignature,
    ) -> Result<(), Failed> {
        let expected = dkg::broadcast_package_len(self.terms.scheme, membership.committee.threshold());
        if package.len() != expected {
            return Err(Failed::by(from, "sent a round-1 package of a wrong length"));
        }
        let digest = package_digest(membership.network, self.id, from, None, keccak256(&package));
        verify(membership, from, digest, &signature)?;
        match self.broadcasts.get(&from) {
            Some((first, _)) if *first != package => Err(Failed::by(from, "sent two round-1 packages")),
            Some(_) => Ok(()),
            None => {
                self.broadcasts.insert(from, (package, signature));
                Ok(())
            }
        }
    }

    pub(super) fn take_echo(
        &mut self,
        membership: &Membership,
        from: Identifier,
        packages: Vec<(B256, NodeSignature)>,
    ) -> Result<(), Failed> {
        if packages.len() != usize::from(membership.committee.size()) {
            return Err(Failed::by(from, "echoed another number of packages than there are members"));
        }
        self.echoes.entry(from).or_insert(packages);
        Ok(())
    }

    pub(super) fn take_private(
        &mut self,
        membership: &Membership,
        from: Identifier,
        package: PrivatePackage,
        signature: NodeSignature,
    ) -> Result<(), Failed> {
        let content = private_content(&package);
        let digest = package_digest(membership.network, self.id, from, Some(self.me), content);
        verify(membership, from, digest, &signature)?;
        self.private.entry(from).or_insert((package, signature));
        Ok(())
    }

    /// Moves on as far as what has arrived allows.
    pub(super) fn advance(
        &mut self,
        membership: &Membership,
        identity: &NodeKey,
    ) -> Result<Vec<Effect>, Failed> {
        let size = usize::from(membership.committee.size());
        let mut effects = Vec::new();
        if self.broadcasts.len() == size && !self.echoes.contains_key(&self.me) {
            let echo = self.own_echo();
            self.echoes.insert(self.me, echo);
            effects.extend(self.echo_message().into_iter().flat_map(|m| to_others(membership, &m)));
        }
        if self.echoes.len() == size && matches!(self.step, Step::First(_)) {
            self.check_echoes(membership)?;
            self.deal()?;
            effects.extend(self.deal_messages(membership, identity));
        }
        if self.private.len() == size - 1 && matches!(self.step, Step::Second(_)) {
            effects.push(self.finish()?);
        }
        Ok(effects)
    }

    fn own_echo(&self) -> Vec<(B256, NodeSignature)> {
        self.broadcasts.values().map(|(package, signature)| (keccak256(package), *signature)).collect()
    }

    fn echo_message(&self) -> Option<Message> {
        let packages = self.echoes.get(&self.me)?.clone();
        Some(Message::Echo { attempt: self.id, packages })
    }

    /// Everybody must have seen the same packages. Two signed ones of one sender prove who lied.
    fn check_echoes(&self, membership: &Membership) -> Result<(), Failed> {
        let own = self.own_echo();
        for (from, echo) in &self.echoes {
            for ((sender, mine), theirs) in membership.committee.identifiers().zip(&own).zip(echo) {
                if mine.0 == theirs.0 {
                    continue;
                }
                let digest = package_digest(membership.network, self.id, sender, None, theirs.0);
                return Err(match verify(membership, sender, digest, &theirs.1) {
                    Ok(()) => Failed::by(sender, "showed different round-1 packages to different members"),
                    Err(_) => Failed::by(*from, "echoed a package that its sender did not sign"),
                });
            }
        }
        Ok(())
    }

    fn deal(&mut self) -> Result<(), Failed> {
        let Step::First(state) = std::mem::replace(&mut self.step, Step::Over) else { return Ok(()) };
        let received = self
            .broadcasts
            .iter()
            .filter(|(id, _)| **id != self.me)
            .map(|(id, (package, _))| (*id, package.clone()))
            .collect();
        let (state, dealt) = state.receive(received).map_err(|error| Failed::dkg(&error))?;
        self.step = Step::Second(Box::new(state));
        self.dealt = dealt;
        Ok(())
    }

    fn deal_messages(&self, membership: &Membership, identity: &NodeKey) -> Vec<Effect> {
        self.dealt
            .iter()
            .map(|(to, package)| {
                let content = private_content(package);
                let digest = package_digest(membership.network, self.id, self.me, Some(*to), content);
                let signature = identity.sign(digest);
                let message = Message::Round2 { attempt: self.id, package: package.clone(), signature };
                Effect::Send { to: *to, message }
            })
            .collect()
    }

    fn finish(&mut self) -> Result<Effect, Failed> {
        let Step::Second(state) = std::mem::replace(&mut self.step, Step::Over) else {
            return Err(Failed { reason: "out of order".into(), culprits: Vec::new(), complaint: None });
        };
        let packages: BTreeMap<Identifier, &PrivatePackage> =
            self.private.iter().map(|(id, (package, _))| (*id, package)).collect();
        let share = state.finish(packages).map_err(|error| self.complain(&error))?;
        let root = share.root_key();
        self.step = Step::Storing { root: root.clone() };
        Ok(Effect::StorePending { pending: Pending { terms: self.terms, root }, share: Box::new(share) })
    }

    fn complain(&self, error: &DkgError) -> Failed {
        let mut failed = Failed::dkg(error);
        failed.complaint = error.culprit().and_then(|dealer| {
            let (package, signature) = self.private.get(&dealer)?.clone();
            Some(Box::new(Complaint { dealer, package, signature }))
        });
        failed
    }

    /// Who is wrong: the dealer, if the package is its own and does not match its broadcast; else whoever
    /// complains.
    pub(super) fn judge(
        &self,
        membership: &Membership,
        accuser: Identifier,
        complaint: &Complaint,
    ) -> Vec<Identifier> {
        let dealer = complaint.dealer;
        let content = private_content(&complaint.package);
        let digest = package_digest(membership.network, self.id, dealer, Some(accuser), content);
        if verify(membership, dealer, digest, &complaint.signature).is_err() {
            return vec![accuser];
        }
        let Some((broadcast, _)) = self.broadcasts.get(&dealer) else { return Vec::new() };
        let (scheme, threshold) = (self.terms.scheme, membership.committee.threshold());
        let package = complaint.package.as_bytes();
        match dkg::check_private(scheme, threshold, dealer, broadcast, accuser, package) {
            Ok(()) => vec![accuser],
            Err(error) => error.culprit().into_iter().collect(),
        }
    }

    /// Everything that this member has sent in this attempt.
    pub(super) fn resend(&self, membership: &Membership, identity: &NodeKey) -> Vec<Effect> {
        let mut effects = to_others(membership, &self.broadcast());
        effects.extend(self.echo_message().into_iter().flat_map(|m| to_others(membership, &m)));
        effects.extend(self.deal_messages(membership, identity));
        effects
    }
}

fn to_others(membership: &Membership, message: &Message) -> Vec<Effect> {
    others(membership).map(|to| Effect::Send { to, message: message.clone() }).collect()
}

fn verify(
    membership: &Membership,
    from: Identifier,
    digest: B256,
    signature: &NodeSignature,
) -> Result<(), Failed> {
    let member = membership.committee.member(from);
    match member.map(|member| member.verify(digest, signature)) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => Err(Failed::by(from, "did not sign its package")),
    }
}
