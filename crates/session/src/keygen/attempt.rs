//! A running attempt: from the broadcast to shares that are about to be stored.
//!
//! The schemes go in step: a message holds one package for each, under one signature, and what is wrong in one of
//! them ends the attempt for all.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;
use countersign_threshold::{
    RootShare,
    dkg::{self, DkgError, PrivatePackage},
};
use countersign_types::{
    AttemptId, AttemptTerms, B256, Bytes, Identifier, NodeKey, NodeSignature, RootKey, Scheme,
    mutant::{Mutant, broken},
};
use rand_core::{CryptoRng, RngCore};

use super::{
    Complaint, Effect, Message, Pending,
    message::{content, hashes, package_digest},
    others,
};
use crate::{Membership, Millis};

/// How many confirmations of one member are kept until this one has the roots: the first and the last. Who confirms
/// other roots and then the right ones has lied, and its confirmation counts.
const MAX_EARLY: usize = 2;

pub(super) struct Running {
    pub(super) id: AttemptId,
    pub(super) terms: AttemptTerms,
    pub(super) ends: Millis,
    pub(super) step: Step,
    /// Whether this member's part is stored: before that it sends nothing.
    is_open: bool,
    /// Confirmations of members that are faster than this one: of each, at most [`MAX_EARLY`] that differ.
    pub(super) early_confirmations: BTreeMap<Identifier, Vec<(B256, NodeSignature)>>,
    me: Identifier,
    /// Here and below: one package for each scheme, in their order.
    broadcasts: BTreeMap<Identifier, (Vec<Bytes>, NodeSignature)>,
    echoes: BTreeMap<Identifier, Vec<(B256, NodeSignature)>>,
    private: BTreeMap<Identifier, (Vec<PrivatePackage>, NodeSignature)>,
    dealt: BTreeMap<Identifier, Vec<PrivatePackage>>,
}

/// Secrets move from step to step by value, those of all schemes together.
pub(super) enum Step {
    /// Collects broadcasts and echoes.
    First(Vec<dkg::Round1>),
    /// Collects private packages.
    Second(Vec<dkg::Round2>),
    /// The shares are being stored.
    Storing { roots: Vec<RootKey> },
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

    fn dkg(scheme: Scheme, error: &DkgError) -> Self {
        let culprits = error.culprit().into_iter().collect();
        Self { reason: format!("{scheme}: {error}"), culprits, complaint: None }
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
        let id = terms.id(membership.network);
        let (mut states, mut packages) = (Vec::new(), Vec::new());
        for scheme in &terms.schemes {
            let (state, package) =
                dkg::start(*scheme, membership.me, committee.size(), committee.threshold(), rng)?;
            states.push(state);
            packages.push(package);
        }
        let content = content(&hashes(&packages));
        let digest = package_digest(membership.network, id, membership.me, None, content);
        let broadcasts = BTreeMap::from([(membership.me, (packages, identity.sign(digest)))]);
        Ok(Self {
            id,
            terms,
            ends,
            step: Step::First(states),
            is_open: false,
            early_confirmations: BTreeMap::new(),
            me: membership.me,
            broadcasts,
            echoes: BTreeMap::new(),
            private: BTreeMap::new(),
            dealt: BTreeMap::new(),
        })
    }

    /// This member's part is stored (K2).
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// From whom something is missing for the next step.
    pub(super) fn missing(&self, membership: &Membership) -> Vec<Identifier> {
        let lacks = |id: &Identifier| match self.step {
            Step::First(_) if self.broadcasts.len() < usize::from(membership.committee.size()) => {
                !self.broadcasts.contains_key(id)
            }
            Step::First(_) => !self.echoes.contains_key(id),
            Step::Second(_) => !self.private.contains_key(id),
            Step::Storing { .. } | Step::Over => false,
        };
        others(membership).filter(lacks).collect()
    }

    /// This member's own broadcast.
    pub(super) fn broadcast(&self) -> Message {
        let (packages, signature) = self.broadcasts[&self.me].clone();
        Message::Round1 { attempt: self.id, packages, signature }
    }

    /// K3: a broadcast has the number of packages and the lengths that it must have, and its sender's signature;
    /// there is one of each member.
    pub(super) fn take_broadcast(
        &mut self,
        membership: &Membership,
        from: Identifier,
        packages: Vec<Bytes>,
        signature: NodeSignature,
    ) -> Result<(), Failed> {
        if packages.len() != self.terms.schemes.len() {
            return Err(Failed::by(from, "sent another number of round-1 packages than there are schemes"));
        }
        for (scheme, package) in self.terms.schemes.iter().zip(&packages) {
            let expected = dkg::broadcast_package_len(*scheme, membership.committee.threshold());
            if package.len() != expected && !broken(Mutant::AcceptsAnyLength) {
                return Err(Failed::by(
                    from,
                    &format!("sent a round-1 package for {scheme} of a wrong length"),
                ));
            }
        }
        let digest = package_digest(membership.network, self.id, from, None, content(&hashes(&packages)));
        verify(membership, from, digest, &signature)?;
        match self.broadcasts.get(&from) {
            Some((first, _)) if *first != packages => {
                Err(Failed::by(from, "sent two sets of round-1 packages"))
            }
            Some(_) => Ok(()),
            None => {
                self.broadcasts.insert(from, (packages, signature));
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
        packages: Vec<PrivatePackage>,
        signature: NodeSignature,
    ) -> Result<(), Failed> {
        if packages.len() != self.terms.schemes.len() {
            return Err(Failed::by(from, "dealt another number of shares than there are schemes"));
        }
        let content = content(&hashes(&packages));
        let digest = package_digest(membership.network, self.id, from, Some(self.me), content);
        verify(membership, from, digest, &signature)?;
        self.private.entry(from).or_insert((packages, signature));
        Ok(())
    }

    /// K7, of a member that is faster than this one: it is judged when this one's shares are stored.
    pub(super) fn take_early(&mut self, from: Identifier, roots: B256, signature: NodeSignature) {
        let said = self.early_confirmations.entry(from).or_default();
        if !said.contains(&(roots, signature)) {
            said.truncate(MAX_EARLY - 1);
            said.push((roots, signature));
        }
    }

    /// Moves on as far as what has arrived allows: K4, K5, K6.
    pub(super) fn advance(
        &mut self,
        membership: &Membership,
        identity: &NodeKey,
    ) -> Result<Vec<Effect>, Failed> {
        let size = usize::from(membership.committee.size());
        let mut effects = Vec::new();
        if !self.is_open {
            return Ok(effects);
        }
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
        let entry = |(packages, signature): &(Vec<Bytes>, _)| (content(&hashes(packages)), *signature);
        self.broadcasts.values().map(entry).collect()
    }

    fn echo_message(&self) -> Option<Message> {
        let packages = self.echoes.get(&self.me)?.clone();
        Some(Message::Echo { attempt: self.id, packages })
    }

    /// K4: everybody must have seen the same packages. Two signed ones of one sender prove who lied.
    fn check_echoes(&self, membership: &Membership) -> Result<(), Failed> {
        let own = self.own_echo();
        if broken(Mutant::SkipsEcho) {
            return Ok(());
        }
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

    /// K5: checks the proofs of possession, and makes the shares for the others.
    fn deal(&mut self) -> Result<(), Failed> {
        let Step::First(states) = std::mem::replace(&mut self.step, Step::Over) else { return Ok(()) };
        let (mut next, mut all) = (Vec::new(), BTreeMap::<Identifier, Vec<PrivatePackage>>::new());
        for (index, (state, scheme)) in states.into_iter().zip(&self.terms.schemes).enumerate() {
            let received = self
                .broadcasts
                .iter()
                .filter(|(id, _)| **id != self.me)
                .filter_map(|(id, (packages, _))| Some((*id, packages.get(index)?.clone())))
                .collect();
            let (state, dealt) = state.receive(received).map_err(|error| Failed::dkg(*scheme, &error))?;
            next.push(state);
            dealt.into_iter().for_each(|(to, package)| all.entry(to).or_default().push(package));
        }
        self.step = Step::Second(next);
        self.dealt = all;
        Ok(())
    }

    fn deal_messages(&self, membership: &Membership, identity: &NodeKey) -> Vec<Effect> {
        self.dealt
            .iter()
            .map(|(to, packages)| {
                let content = content(&hashes(packages));
                let digest = package_digest(membership.network, self.id, self.me, Some(*to), content);
                let signature = identity.sign(digest);
                let message = Message::Round2 { attempt: self.id, packages: packages.clone(), signature };
                Effect::Send { to: *to, message }
            })
            .collect()
    }

    /// K6: checks what others dealt, and adds it up.
    fn finish(&mut self) -> Result<Effect, Failed> {
        let Step::Second(states) = std::mem::replace(&mut self.step, Step::Over) else {
            return Err(Failed { reason: "out of order".into(), culprits: Vec::new(), complaint: None });
        };
        let mut shares = Vec::new();
        for (index, (state, scheme)) in states.into_iter().zip(&self.terms.schemes).enumerate() {
            let received: BTreeMap<Identifier, &PrivatePackage> = self
                .private
                .iter()
                .filter_map(|(id, (packages, _))| Some((*id, packages.get(index)?)))
                .collect();
            shares.push(state.finish(received).map_err(|error| self.complain(*scheme, index, &error))?);
        }
        let roots: Vec<RootKey> = shares.iter().map(RootShare::root_key).collect();
        self.step = Step::Storing { roots: roots.clone() };
        Ok(Effect::StorePending { pending: Pending { terms: self.terms.clone(), roots }, shares })
    }

    fn complain(&self, scheme: Scheme, index: usize, error: &DkgError) -> Failed {
        let mut failed = Failed::dkg(scheme, error);
        failed.complaint = error.culprit().and_then(|dealer| {
            let (packages, signature) = self.private.get(&dealer)?;
            let (package, hashes) = (packages.get(index)?.clone(), hashes(packages));
            Some(Box::new(Complaint { dealer, scheme, package, hashes, signature: *signature }))
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
        let Complaint { dealer, scheme, package, hashes, signature } = complaint;
        let Some(index) = self.terms.schemes.iter().position(|own| own == scheme) else {
            return vec![accuser];
        };
        let is_shown = hashes.len() == self.terms.schemes.len() && hashes[index] == keccak256(package);
        let digest = package_digest(membership.network, self.id, *dealer, Some(accuser), content(hashes));
        if !is_shown || verify(membership, *dealer, digest, signature).is_err() {
            return vec![accuser];
        }
        let broadcast = self.broadcasts.get(dealer).and_then(|(packages, _)| packages.get(index));
        let Some(broadcast) = broadcast else { return Vec::new() };
        let threshold = membership.committee.threshold();
        match dkg::check_private(*scheme, threshold, *dealer, broadcast, accuser, package.as_bytes()) {
            Ok(()) => vec![accuser],
            Err(error) => error.culprit().into_iter().collect(),
        }
    }

    /// Everything that this member has sent in this attempt.
    pub(super) fn resend(&self, membership: &Membership, identity: &NodeKey) -> Vec<Effect> {
        if !self.is_open {
            return Vec::new();
        }
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
