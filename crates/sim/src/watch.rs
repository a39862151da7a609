//! The invariants, checked as things happen, from what honest nodes send and from what the script says.
//!
//! The watch believes no node: it computes for itself what a replay gives, and which reads are agreed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::B256;
use countersign_agreement::agree;
use countersign_session::{
    Millis,
    coordinator::Signed,
    message::{Package, Signed as SignedMessage, shares_hash},
    participant::Run,
};
use countersign_types::{
    Bytes, Decision, Failure, FailureKind, Identifier, KeyId, NodeDecision, Outcome, PackageHash, RecordHash,
    RequestDigest, SessionId,
};

use crate::{
    roots::{NETWORK, Roots},
    script::{Conduct, Script, Values},
    violation::Violation,
};

pub(crate) struct Watch {
    roots: Arc<Roots>,
    liars: BTreeSet<Identifier>,
    packages: BTreeMap<PackageHash, Package>,
    /// What every node's live runs read, by the record's hash.
    runs: BTreeMap<(Identifier, SessionId, RecordHash), (Run, Values)>,
    /// Commitments with the package that they were used in.
    used: BTreeMap<Bytes, PackageHash>,
    votes: BTreeSet<B256>,
    /// By node and request: the one list of messages.
    bound: BTreeMap<(Identifier, RequestDigest), Vec<Bytes>>,
    /// Messages that an honest replay allowed.
    allowed: BTreeSet<(KeyId, Bytes)>,
    outcomes: BTreeMap<RequestDigest, BTreeSet<Vec<Bytes>>>,
    /// Shares sent since the node started.
    sent: BTreeMap<Identifier, u64>,
}

impl Watch {
    pub(crate) fn new(roots: Arc<Roots>, liars: BTreeSet<Identifier>) -> Self {
        Self {
            roots,
            liars,
            packages: BTreeMap::new(),
            runs: BTreeMap::new(),
            used: BTreeMap::new(),
            votes: BTreeSet::new(),
            bound: BTreeMap::new(),
            allowed: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            sent: BTreeMap::new(),
        }
    }

    /// A package reaches a node.
    pub(crate) fn package(&mut self, package: &Package) {
        self.packages.insert(package.hash(NETWORK), package.clone());
    }

    /// A node's live run gave a record.
    pub(crate) fn ran(&mut self, node: Identifier, run: &Run, record: RecordHash, values: &Values) {
        self.runs.insert((node, run.session, record), (run.clone(), values.clone()));
    }

    pub(crate) fn restarted(&mut self, node: Identifier) {
        self.sent.remove(&node);
    }

    /// An honest node sends shares.
    pub(crate) fn share(
        &mut self,
        script: &Script,
        node: Identifier,
        signed: &SignedMessage,
        now: Millis,
    ) -> Result<(), Violation> {
        let vote = &signed.vote.vote;
        let session = vote.session;
        if !self.votes.insert(vote.digest(NETWORK)) {
            return Ok(());
        }
        *self.sent.entry(node).or_default() += signed.shares.len() as u64;
        let not_allowed = |why: &str| Violation::NotAllowed { node, session, why: why.into() };
        let package = self.packages.get(&vote.package).ok_or_else(|| not_allowed("no such package came"))?;
        for commitments in package.signers.get(&node).into_iter().flatten() {
            let used =
                self.used.entry(Bytes::copy_from_slice(commitments.as_bytes())).or_insert(vote.package);
            if *used != vote.package {
                return Err(Violation::NonceReused { node, session });
            }
        }
        let (run, values) = self
            .runs
            .get(&(node, session, vote.record))
            .ok_or_else(|| not_allowed("it votes for a record that it did not make"))?;
        let outcome = replayed(script, node, package, run, values)?;
        if outcome.hash() != vote.outcome {
            return Err(not_allowed("its replay gives another outcome"));
        }
        let ended = run.request.request().expires_at;
        if now >= ended {
            return Err(Violation::Expired { node, at: now, ended });
        }
        let member = self.roots.committee.member(node).ok_or_else(|| not_allowed("it is no member"))?;
        if signed.vote.verify(NETWORK, member).is_err() || vote.shares != shares_hash(&signed.shares) {
            return Err(not_allowed("its vote is not for its shares"));
        }
        let request = run.request.digest();
        let messages = outcome.messages();
        let key = run.request.key_id();
        self.allowed.extend(messages.iter().map(|message| (key, message.clone())));
        let bound = self.bound.entry((node, request)).or_insert_with(|| messages.clone());
        if *bound == messages { Ok(()) } else { Err(Violation::TwoOutcomes { node, request }) }
    }

    /// What the node itself counts.
    pub(crate) fn counted(&self, node: Identifier, counted: u64) -> Result<(), Violation> {
        let sent = self.sent.get(&node).copied().unwrap_or(0);
        if counted == sent { Ok(()) } else { Err(Violation::Uncounted { node, counted, sent }) }
    }

    /// A coordinator, honest or not, has a signature.
    pub(crate) fn signed(
        &mut self,
        key: KeyId,
        request: RequestDigest,
        signed: &Signed,
    ) -> Result<(), Violation> {
        let session = signed.session;
        let wrong = |why: String| Violation::Signature { session, why };
        let messages = signed.outcome.messages();
        if messages.is_empty() || messages.len() != signed.signatures.len() {
            return Err(wrong(format!("{} for {} messages", signed.signatures.len(), messages.len())));
        }
        let public_key = self.roots.derive(&key).public_key();
        for (message, signature) in messages.iter().zip(&signed.signatures) {
            countersign_threshold::verify(self.roots.scheme(), &public_key, message, signature)
                .map_err(|error| wrong(error.to_string()))?;
            if !self.allowed.contains(&(key, message.clone())) {
                return Err(wrong("no honest node's replay allowed it".into()));
            }
        }
        let threshold = usize::from(self.roots.committee.threshold());
        if signed.votes.len() < threshold {
            return Err(wrong(format!("{} votes", signed.votes.len())));
        }
        for (node, vote) in &signed.votes {
            let by = self.roots.committee.member(*node).ok_or_else(|| wrong("a vote of nobody".into()))?;
            vote.verify(NETWORK, by).map_err(|error| wrong(error.to_string()))?;
            if vote.vote.outcome != signed.outcome.hash() || vote.vote.session != session {
                return Err(wrong(format!("node {node} voted for something else")));
            }
        }
        let outcomes = self.outcomes.entry(request).or_default();
        outcomes.insert(messages);
        let (got, lying) = (outcomes.len(), self.liars.len());
        let most = (usize::from(self.roots.committee.size()) - lying) / (threshold - lying);
        if got <= most { Ok(()) } else { Err(Violation::Outcomes { request, got, most }) }
    }

    /// What an honest coordinator says of the nodes beside a signature.
    pub(crate) fn credited(&self, by: Identifier, signed: &Signed) -> Result<(), Violation> {
        self.blamed(by, &signed.nodes)?;
        for signer in signed.votes.keys() {
            let peer_id = self.roots.committee.member(*signer).map(|member| member.peer_id());
            let said = signed.nodes.iter().find(|said| Some(&said.peer_id) == peer_id.as_ref());
            if said.map(|said| said.decision) != Some(Decision::Allow) {
                let why = format!("signer {signer} is said not to have allowed");
                return Err(Violation::Signature { session: signed.session, why });
            }
        }
        Ok(())
    }

    /// What an honest coordinator says of the nodes.
    fn blamed(&self, by: Identifier, nodes: &[NodeDecision]) -> Result<(), Violation> {
        for said in nodes.iter().filter(|said| said.decision == Decision::Misbehaved) {
            let members = self.roots.members();
            let of = |id: &Identifier| {
                self.roots.committee.member(*id).is_some_and(|member| member.peer_id() == said.peer_id)
            };
            let node = members.into_iter().find(of).unwrap_or(by);
            if !self.liars.contains(&node) {
                let reason = said.reason.clone().unwrap_or_default();
                return Err(Violation::Framed { by, node, reason });
            }
        }
        Ok(())
    }

    /// A failure of an honest coordinator.
    pub(crate) fn failed(
        &self,
        script: &Script,
        by: Identifier,
        request: RequestDigest,
        failure: &Failure,
    ) -> Result<(), Violation> {
        self.blamed(by, &failure.nodes)?;
        let plan = script.plan(request);
        let refuses = |id: &Identifier| self.liars.contains(id) || plan.conduct(*id) == Conduct::Refuse;
        let refusals = self.roots.members().iter().filter(|id| refuses(id)).count();
        let committee = &self.roots.committee;
        let can_allow = usize::from(committee.size()) - refusals >= usize::from(committee.threshold());
        if failure.kind == FailureKind::Refused && can_allow {
            return Err(Violation::RefusedTooSoon { by, request, refusals });
        }
        Ok(())
    }
}

/// What this node's replay gives over what the package's records agree on.
fn replayed(
    script: &Script,
    node: Identifier,
    package: &Package,
    run: &Run,
    values: &Values,
) -> Result<Outcome, Violation> {
    let session = run.session;
    let not_allowed = |why: String| Violation::NotAllowed { node, session, why };
    if script.plan(run.request.digest()).conduct(node) == Conduct::ReplayFails {
        return Err(not_allowed("it fails".into()));
    }
    let agreed = agree(&package.base_records()).entries.len();
    match script.replay(&run.context, values, values.len()) {
        (Ok(outcome @ Outcome::Allowed { .. }), consumed) => {
            let stands = |position: usize| position < agreed && is_same_at(package, position);
            match (0..consumed).find(|position| !stands(*position)) {
                Some(position) => Err(Violation::NotAgreed { node, session, position }),
                None => Ok(outcome),
            }
        }
        (Ok(Outcome::Refused { reason }), _) => Err(not_allowed(format!("it refuses: {reason}"))),
        (Err(failure), _) => Err(not_allowed(failure.reason)),
    }
}

/// Whether all records of a package hold the same there.
fn is_same_at(package: &Package, position: usize) -> bool {
    let mut entries = package.records.values().map(|record| record.entries.get(position));
    let first = entries.next();
    entries.all(|entry| Some(entry) == first)
}
