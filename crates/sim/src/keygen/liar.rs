//! What a dishonest member does: it runs an honest member's machine, and falsifies what it says.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolStruct;
use countersign_session::keygen::{Complaint, Message};
use countersign_threshold::dkg::{self, PrivatePackage};
use countersign_types::{
    AttemptId, Bytes, Committee, Identifier, NodeKey, NodeSignature, RootKey, Scheme,
    canonical::{domain, sol_types},
};

use super::{
    Lie,
    withheld::{Withheld, refusal},
};
use crate::{chance::Chance, roots::NETWORK};

/// What stands for packages in a signature.
fn content(packages: &[impl AsRef<[u8]>]) -> B256 {
    let hashes: Vec<u8> = packages.iter().flat_map(|package| keccak256(package).0).collect();
    keccak256(hashes)
}

pub(super) struct Liar {
    pub(super) me: Identifier,
    pub(super) lie: Lie,
    committee: Committee,
    identity: NodeKey,
    chance: Chance,
    /// It lies about one of the schemes only: the one at this place, counted around.
    place: usize,
    /// By attempt: the broadcast for that scheme that the machine did not make.
    others: BTreeMap<AttemptId, Bytes>,
    /// What others dealt to this member.
    dealt: BTreeMap<(AttemptId, Identifier), (Vec<PrivatePackage>, NodeSignature)>,
    /// By attempt: its schemes.
    schemes: BTreeMap<AttemptId, Vec<Scheme>>,
    starts: Vec<Message>,
    /// Others' broadcasts for the scheme that it lies about.
    broadcasts: BTreeMap<(AttemptId, Identifier), Bytes>,
    /// A polynomial of a degree too high, until its shares are dealt.
    raised: BTreeMap<AttemptId, dkg::Round1>,
    raised_shares: BTreeMap<(AttemptId, Identifier), PrivatePackage>,
    /// What stands for its broadcast with that polynomial in an echo.
    raised_broadcasts: BTreeMap<AttemptId, (B256, NodeSignature)>,
    withheld: Withheld,
    /// Its first broadcast.
    earlier: Option<(AttemptId, Vec<Bytes>, NodeSignature)>,
    /// What it said before.
    said: VecDeque<Message>,
}

impl Liar {
    pub(super) fn new(
        me: Identifier,
        lie: Lie,
        committee: Committee,
        identity: NodeKey,
        mut chance: Chance,
    ) -> Self {
        let place = usize::try_from(chance.between(0, 2)).unwrap_or(0);
        Self {
            me,
            lie,
            committee,
            identity,
            chance,
            place,
            schemes: BTreeMap::new(),
            others: BTreeMap::new(),
            dealt: BTreeMap::new(),
            starts: Vec::new(),
            broadcasts: BTreeMap::new(),
            raised: BTreeMap::new(),
            raised_shares: BTreeMap::new(),
            raised_broadcasts: BTreeMap::new(),
            withheld: Withheld::default(),
            earlier: None,
            said: VecDeque::new(),
        }
    }

    /// Whether its machine shall hear this too.
    pub(super) fn hears(&mut self, from: Identifier, message: &Message) -> bool {
        if let Message::Round2 { attempt, packages, signature } = message {
            self.dealt.insert((*attempt, from), (packages.clone(), *signature));
        }
        if let Message::Round1 { attempt, packages, .. } = message
            && let Some((place, _)) = self.scheme(*attempt)
        {
            self.broadcasts.extend(packages.get(place).map(|package| ((*attempt, from), package.clone())));
        }
        self.knows(message);
        if let Message::Confirm { terms, signature, .. } = message
            && self.lie.withholds()
        {
            // its machine would activate
            self.withheld.takes(from, terms.id(NETWORK), *signature);
            return false;
        }
        true
    }

    /// What it tells its own machine, so that this goes on.
    pub(super) fn tells_itself(&mut self) -> Option<Message> {
        let refused = if matches!(self.lie, Lie::RefusesForSome | Lie::RefusesForAll) {
            self.withheld.last()
        } else if self.lie == Lie::ShowsTwo || (self.lie == Lie::TurnsOneBack && self.withheld.has_waited()) {
            self.first_full()
        } else {
            None
        };
        self.withheld.tells_itself(refused?, self.me, &self.identity)
    }

    /// The first attempt that all confirmed.
    fn first_full(&self) -> Option<AttemptId> {
        self.withheld.full(&self.committee).first().copied()
    }

    /// Its machine has shares.
    pub(super) fn computed(&mut self, attempt: AttemptId, roots: Vec<RootKey>) {
        self.withheld.computed(attempt, roots);
    }

    fn knows(&mut self, message: &Message) {
        if let Message::Start { terms } = message {
            self.schemes.insert(terms.id(NETWORK), terms.schemes.clone());
        }
    }

    /// The scheme that it lies about, and its place in an attempt.
    fn scheme(&self, attempt: AttemptId) -> Option<(usize, Scheme)> {
        let schemes = self.schemes.get(&attempt)?;
        let place = self.place % schemes.len();
        Some((place, schemes[place]))
    }

    /// What it sends in place of what its machine would.
    pub(super) fn twist(&mut self, to: Identifier, message: Message) -> Vec<Message> {
        let mut messages = self.falsify(to, message);
        messages.extend(self.adds(to));
        messages
    }

    fn falsify(&mut self, to: Identifier, message: Message) -> Vec<Message> {
        let victim = self.victim();
        self.knows(&message);
        match (self.lie, message) {
            (Lie::BadPrivate, Message::Round2 { attempt, mut packages, .. }) if to == victim => {
                let place = self.place % packages.len();
                let mut bytes = packages[place].as_bytes().to_vec();
                bytes[15] ^= 1;
                packages[place] = PrivatePackage::try_from(bytes).expect("as long as before");
                let signature = self.sign(attempt, Some(to), content(&packages));
                vec![Message::Round2 { attempt, packages, signature }]
            }
            (Lie::Equivocates, Message::Round1 { attempt, packages, .. }) if to == victim => {
                let packages = self.other_broadcast(attempt, packages);
                vec![self.broadcast(attempt, packages)]
            }
            (Lie::BadProof, Message::Round1 { attempt, mut packages, .. }) => {
                let place = self.place % packages.len();
                let mut bytes = packages[place].to_vec();
                // the middle of the proof's scalar, so that it stays one
                let middle = bytes.len() - 16;
                bytes[middle] ^= 1;
                packages[place] = bytes.into();
                vec![self.broadcast(attempt, packages)]
            }
            (Lie::RaisesThreshold, Message::Round1 { attempt, mut packages, .. }) => {
                if let Some((place, package)) = self.raise(attempt) {
                    packages[place] = package;
                }
                let signature = self.sign(attempt, None, content(&packages));
                self.raised_broadcasts.insert(attempt, (content(&packages), signature));
                vec![self.broadcast(attempt, packages)]
            }
            (Lie::RaisesThreshold, Message::Echo { attempt, mut packages }) => {
                // it has seen of itself what the others have
                let own = usize::from(self.me.get()) - 1;
                if let Some((entry, sent)) = packages.get_mut(own).zip(self.raised_broadcasts.get(&attempt)) {
                    *entry = *sent;
                }
                vec![Message::Echo { attempt, packages }]
            }
            // its own machine sees that its broadcast was another one
            (Lie::RaisesThreshold, Message::Abort { .. } | Message::Refuse(_)) => Vec::new(),
            (Lie::RaisesThreshold, Message::Round2 { attempt, mut packages, .. }) => {
                self.deal_raised(attempt);
                let share = self.raised_shares.get(&(attempt, to)).cloned();
                if let Some(((place, _), share)) = self.scheme(attempt).zip(share) {
                    packages[place] = share;
                }
                let signature = self.sign(attempt, Some(to), content(&packages));
                vec![Message::Round2 { attempt, packages, signature }]
            }
            (Lie::LowersThreshold, Message::Round1 { attempt, mut packages, .. }) => {
                if let Some((place, scheme)) = self.scheme(attempt) {
                    packages[place] = packages[place].slice(scheme.root_key_len()..);
                }
                vec![self.broadcast(attempt, packages)]
            }
            (Lie::IdentityPoint, Message::Round1 { attempt, mut packages, .. }) => {
                if let Some((place, scheme)) = self.scheme(attempt) {
                    let (length, mut bytes) = (scheme.root_key_len(), packages[place].to_vec());
                    // the last coefficient, which the proof of possession does not cover
                    let from = length * usize::from(self.committee.threshold() - 1);
                    bytes[from..from + length].fill(0);
                    if scheme == Scheme::Ed25519 {
                        bytes[from] = 1;
                    }
                    packages[place] = bytes.into();
                }
                vec![self.broadcast(attempt, packages)]
            }
            (Lie::Oversize, Message::Round1 { attempt, mut packages, .. }) => {
                let place = self.place % packages.len();
                packages[place] = vec![2; 64 << 10].into();
                vec![self.broadcast(attempt, packages)]
            }
            (Lie::LeavesOut, Message::Round1 { attempt, mut packages, .. }) => {
                packages.pop();
                vec![self.broadcast(attempt, packages)]
            }
            (Lie::EchoesTooMany, Message::Echo { attempt, mut packages }) => {
                packages.extend(packages.clone());
                vec![Message::Echo { attempt, packages }]
            }
            (Lie::Relabels, Message::Round1 { attempt, packages, signature }) => {
                // what it signed for an earlier attempt, as if it were for this one
                let (first, packages, signature) =
                    self.earlier.get_or_insert((attempt, packages, signature)).clone();
                if first == attempt && to == victim {
                    return Vec::new();
                }
                vec![Message::Round1 { attempt, packages, signature }]
            }
            (Lie::Replays, message) => {
                self.said.push_back(message.clone());
                let old = if self.said.len() > 200 { self.said.pop_front() } else { None };
                [message].into_iter().chain(old).collect()
            }
            (Lie::TurnsOneBack, Message::Round2 { attempt, .. })
                if to == victim && self.first_full().is_some_and(|first| first != attempt) =>
            {
                Vec::new()
            }
            (Lie::DealsTooFew, Message::Round2 { attempt, mut packages, .. }) if to == victim => {
                packages.pop();
                let signature = self.sign(attempt, Some(to), content(&packages));
                vec![Message::Round2 { attempt, packages, signature }]
            }
            (Lie::FalseEcho, Message::Echo { attempt, mut packages }) => {
                for (index, (digest, _)) in packages.iter_mut().enumerate() {
                    if index + 1 == usize::from(victim.get()) {
                        *digest = B256::repeat_byte(5);
                    }
                }
                vec![Message::Echo { attempt, packages }]
            }
            (
                Lie::FalseComplaint | Lie::ForgedComplaint | Lie::UnshownComplaint,
                Message::Confirm { terms, .. },
            ) => self.complaint(terms.id(NETWORK), victim).into_iter().collect(),
            // the accusation comes before everybody is done
            (
                Lie::FalseComplaint | Lie::ForgedComplaint | Lie::UnshownComplaint,
                message @ Message::Round2 { attempt, .. },
            ) => {
                let complaint = self.complaint(attempt, victim);
                let mut messages = vec![message];
                messages.extend(complaint);
                messages
            }
            (Lie::FalseConfirmation, Message::Confirm { terms, .. }) => {
                let (attempt, roots) = (terms.id(NETWORK).0, B256::repeat_byte(6));
                let digest = sol_types::Confirm { attempt, roots }.eip712_signing_hash(&domain(NETWORK));
                vec![Message::Confirm { terms, roots, signature: self.identity.sign(digest) }]
            }
            (Lie::ForgesRefusal, Message::Confirm { terms, roots, signature }) => {
                // in the name of another, who may have confirmed
                let forged = refusal(terms.id(NETWORK), victim, &self.identity);
                vec![forged, Message::Confirm { terms, roots, signature }]
            }
            (lie, Message::Confirm { terms, signature, .. }) if lie.withholds() => {
                self.withheld.takes_own(self.me, terms.id(NETWORK), signature);
                Vec::new()
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

    /// What it says to whom in answer to what its machine does not hear.
    pub(super) fn answers(&mut self, from: Identifier) -> Vec<(Identifier, Vec<Message>)> {
        let tells_all = self.lie == Lie::ShowsTwo;
        let others: Vec<Identifier> = self.committee.identifiers().filter(|id| *id != self.me).collect();
        let told = others.into_iter().filter(|id| tells_all || *id == from);
        told.map(|to| (to, self.adds(to))).collect()
    }

    /// What it says besides, whatever its machine sends, and in answer to what that does not hear.
    pub(super) fn adds(&mut self, to: Identifier) -> Vec<Message> {
        if !self.lie.withholds() {
            return Vec::new();
        }
        let (full, is_victim) = (self.withheld.full(&self.committee), to == self.victim());
        let last = self.committee.identifiers().filter(|id| *id != self.me).last();
        let refusals = self.withheld.refusals(self.me, &self.identity);
        let shown = match (self.lie, &full[..]) {
            // to one that its shares of a later attempt are kept from
            (Lie::TurnsOneBack, [first, ..]) => {
                let is_left = is_victim && self.withheld.is_left(*first, [self.me, to]);
                is_left.then_some(*first)
            }
            // to all but one
            (Lie::ShowsTwo, [first, _, ..]) if Some(to) != last => Some(*first),
            // to one that all confirmed an attempt, to another that all confirmed a later one
            (_, [first, _, ..]) if is_victim => Some(*first),
            (_, [_, second, ..]) if Some(to) == last => Some(*second),
            // to one member only
            (Lie::Withholds, [only]) if is_victim && self.withheld.is_time() => Some(*only),
            (Lie::RefusesForSome, [only]) if is_victim => Some(*only),
            _ => None,
        };
        let shown = shown.and_then(|attempt| self.withheld.shown(attempt, &self.identity));
        let refuses = matches!(self.lie, Lie::RefusesForAll | Lie::ShowsTwo | Lie::TurnsOneBack)
            || (self.lie == Lie::RefusesForSome && !is_victim);
        let refusals = if refuses { refusals } else { Vec::new() };
        refusals.into_iter().chain(shown).collect()
    }

    /// The lowest of the others.
    fn victim(&self) -> Identifier {
        self.committee.identifiers().find(|id| *id != self.me).unwrap_or(self.me)
    }

    /// A well-formed broadcast of one coefficient more, and its place among the schemes.
    fn raise(&mut self, attempt: AttemptId) -> Option<(usize, Bytes)> {
        let (place, scheme) = self.scheme(attempt)?;
        if let Some(package) = self.others.get(&attempt) {
            return Some((place, package.clone()));
        }
        let (size, threshold) = (self.committee.size(), self.committee.threshold());
        let (state, package) = dkg::start(scheme, self.me, size, threshold + 1, &mut self.chance.0).ok()?;
        self.raised.insert(attempt, state);
        self.others.insert(attempt, package.clone());
        Some((place, package))
    }

    /// Shares that match such a broadcast: whoever does not count coefficients finds nothing wrong with them.
    fn deal_raised(&mut self, attempt: AttemptId) {
        let Some(state) = self.raised.remove(&attempt) else { return };
        let heard = self.broadcasts.iter().filter(|((of, _), _)| *of == attempt);
        let heard = heard.map(|((_, from), package)| (*from, package.clone())).collect();
        if let Ok((_, shares)) = state.receive(heard) {
            self.raised_shares.extend(shares.into_iter().map(|(to, share)| ((attempt, to), share)));
        }
    }

    /// The same packages, but for one of another polynomial.
    fn other_broadcast(&mut self, attempt: AttemptId, mut packages: Vec<Bytes>) -> Vec<Bytes> {
        let Some((place, scheme)) = self.scheme(attempt) else { return packages };
        let (size, threshold) = (self.committee.size(), self.committee.threshold());
        let (me, chance) = (self.me, &mut self.chance.0);
        let other = self
            .others
            .entry(attempt)
            .or_insert_with(|| dkg::start(scheme, me, size, threshold, chance).expect("a legal committee").1);
        packages[place] = other.clone();
        packages
    }

    fn broadcast(&self, attempt: AttemptId, packages: Vec<Bytes>) -> Message {
        let signature = self.sign(attempt, None, content(&packages));
        Message::Round1 { attempt, packages, signature }
    }

    fn complaint(&self, attempt: AttemptId, dealer: Identifier) -> Option<Message> {
        let (packages, signature) = self.dealt.get(&(attempt, dealer))?.clone();
        let (place, scheme) = self.scheme(attempt)?;
        let mut hashes: Vec<B256> = packages.iter().map(keccak256).collect();
        let mut package = packages[place].clone();
        if matches!(self.lie, Lie::ForgedComplaint | Lie::UnshownComplaint) {
            package = PrivatePackage::try_from(vec![1; 32]).unwrap_or(package);
        }
        if self.lie == Lie::ForgedComplaint {
            hashes[place] = keccak256(&package);
        }
        let complaint = Some(Box::new(Complaint { dealer, scheme, package, hashes, signature }));
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
