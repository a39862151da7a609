//! The invariants, checked as things happen, from what honest nodes send and from what the script says.
//!
//! The watch believes no node: it computes for itself what a replay gives, and which reads are agreed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::B256;
use countersign_agreement::{AgreedEntry, AgreedRecord, agree};
use countersign_session::{
    Millis,
    coordinator::Signed,
    message::{Package, Signed as SignedMessage, SignerPart, shares_hash},
    participant::Run,
};
use countersign_types::{
    Bytes, Decision, Failure, FailureKind, Identifier, KeyId, NodeDecision, Outcome, PackageHash, Record,
    RecordEntry, RecordHash, RequestDigest, SessionId,
};

use crate::{
    blame::Blame,
    bounds::Bounds,
    ledger::Ledger,
    quotes::Seen,
    roots::{NETWORK, Roots},
    script::{Conduct, Plan, Script, Values},
    violation::Violation,
};

pub(crate) struct Watch {
    roots: Arc<Roots>,
    liars: BTreeSet<Identifier>,
    packages: BTreeMap<PackageHash, Package>,
    /// What every node's live runs read, by the record's hash.
    runs: BTreeMap<(Identifier, SessionId, RecordHash), (Run, Values)>,
    /// By node, coordinator and session: the agreed record that is replayed.
    agreed: BTreeMap<(Identifier, Identifier, SessionId), Vec<AgreedEntry>>,
    opened: BTreeSet<(Identifier, Identifier, SessionId)>,
    pub(crate) ledger: Ledger,
    pub(crate) blame: Blame,
    pub(crate) bounds: Bounds,
    votes: BTreeSet<B256>,
    /// By node and nonce: the one request.
    nonces: BTreeMap<(Identifier, B256), RequestDigest>,
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
            blame: Blame::new(Arc::clone(&roots), liars.clone()),
            bounds: Bounds::of(roots.committee.size()),
            roots,
            liars,
            packages: BTreeMap::new(),
            runs: BTreeMap::new(),
            agreed: BTreeMap::new(),
            opened: BTreeSet::new(),
            ledger: Ledger::default(),
            votes: BTreeSet::new(),
            nonces: BTreeMap::new(),
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
    pub(crate) fn ran(
        &mut self,
        node: Identifier,
        run: &Run,
        record: RecordHash,
        values: &Values,
    ) -> Result<(), Violation> {
        let (session, by) = (run.session, run.coordinator);
        self.runs.insert((node, session, record), (run.clone(), values.clone()));
        let first = self.opened.insert((node, by, session)) || self.liars.contains(&node);
        if first { Ok(()) } else { Err(Violation::OpenedTwice { node, session, by }) }
    }

    /// An honest node is about to replay.
    pub(crate) fn replays(
        &mut self,
        node: Identifier,
        run: &Run,
        agreed: &AgreedRecord,
    ) -> Result<(), Violation> {
        let session = run.session;
        let place = (node, run.coordinator, session);
        let first = self.agreed.entry(place).or_insert_with(|| agreed.entries.clone());
        if *first == agreed.entries { Ok(()) } else { Err(Violation::AgreedTwice { node, session }) }
    }

    pub(crate) fn restarted(&mut self, node: Identifier) {
        self.sent.remove(&node);
        self.ledger.restarted(node);
        self.blame.restarted(node);
    }

    /// An honest node sends shares to a coordinator.
    pub(crate) fn share(
        &mut self,
        script: &Script,
        node: Identifier,
        by: Identifier,
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
        if !self.is_of_members(package) {
            return Err(Violation::NotOfMembers { node, session });
        }
        self.ledger.signs(node, by, package, vote.package)?;
        let (run, values) = self
            .runs
            .get(&(node, session, vote.record))
            .ok_or_else(|| not_allowed("it votes for a record that it did not make"))?;
        if let Some(of) = self.falsified(package, session) {
            return Err(Violation::FalseRecord { node, session, of });
        }
        let outcome = replayed(script, node, package, run, values)?;
        if outcome.hash() != vote.outcome {
            return Err(not_allowed("its replay gives another outcome"));
        }
        let coordinator = self.roots.committee.address(by);
        if !coordinator.is_some_and(|by| run.request.request().may_coordinate(by)) {
            return Err(Violation::NotNamed { node, session, by });
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
        let other = *self.nonces.entry((node, run.request.request().nonce)).or_insert(request);
        if other != request {
            return Err(Violation::NonceOfTwo { node, request, other });
        }
        if run.request.request().issued_at > now {
            return Err(Violation::NotIssued { node, request, at: now });
        }
        let messages = outcome.messages();
        let key = run.request.key_id();
        self.allowed.extend(messages.iter().map(|message| (key, message.clone())));
        let bound = self.bound.entry((node, request)).or_insert_with(|| messages.clone());
        if *bound == messages { Ok(()) } else { Err(Violation::TwoOutcomes { node, request }) }
    }

    /// Whether signers and base are a threshold of members each, and nobody else has a record.
    fn is_of_members(&self, package: &Package) -> bool {
        let committee = &self.roots.committee;
        let threshold = usize::from(committee.threshold());
        let mut named = package.signers.keys().chain(&package.base).chain(package.records.keys());
        package.signers.len() >= threshold
            && package.base.len() >= threshold
            && named.all(|id| committee.member(*id).is_some())
    }

    /// An honest node whose record in a package is none that it made in this session. A record with identical reads
    /// only needs no such care: a signer compares it with its own.
    fn falsified(&self, package: &Package, session: SessionId) -> Option<Identifier> {
        let made = |id: &Identifier, record: &Record| {
            record.is_identical()
                || self.liars.contains(id)
                || self.runs.contains_key(&(*id, session, record.hash()))
        };
        package.records.iter().find(|(id, record)| !made(id, record)).map(|(id, _)| *id)
    }

    /// What the node itself counts.
    pub(crate) fn counted(&self, node: Identifier, counted: u64) -> Result<(), Violation> {
        let sent = self.sent.get(&node).copied().unwrap_or(0);
        if counted == sent { Ok(()) } else { Err(Violation::Uncounted { node, counted, sent }) }
    }

    /// A coordinator, honest or not, has a signature.
    pub(crate) fn signed(
        &mut self,
        by: Identifier,
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
        if signed.signers.len() < threshold {
            return Err(wrong(format!("{} votes", signed.signers.len())));
        }
        for (node, SignerPart { vote, .. }) in &signed.signers {
            let voter = self.roots.committee.member(*node).ok_or_else(|| wrong("a vote of nobody".into()))?;
            // a node takes its own word, and a liar deceives itself
            if *node != by || !self.liars.contains(&by) {
                vote.verify(NETWORK, voter).map_err(|error| wrong(error.to_string()))?;
            }
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
        for signer in signed.signers.keys() {
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
///
/// The rules and the tolerances are those of the script: what stands in a record is the node's own word.
fn replayed(
    script: &Script,
    node: Identifier,
    package: &Package,
    run: &Run,
    values: &Values,
) -> Result<Outcome, Violation> {
    let session = run.session;
    let not_allowed = |why: String| Violation::NotAllowed { node, session, why };
    let plan = script.plan(run.request.digest());
    if plan.conduct(node) == Conduct::ReplayFails {
        return Err(not_allowed("it fails".into()));
    }
    let agreed = agree(&package.base_records());
    let own = plan.agreed_alone(values);
    let beyond = own.entries.iter().skip(agreed.entries.len());
    let whole = AgreedRecord { entries: agreed.entries.iter().chain(beyond).cloned().collect(), ended: None };
    match script.replay(&run.context, values, &whole) {
        (Ok(outcome @ Outcome::Allowed { .. }), consumed) => {
            let stands = |position: usize| position < agreed.entries.len() && is_same_at(package, position);
            if let Some(position) = (0..consumed).find(|position| !stands(*position)) {
                return Err(Violation::NotAgreed { node, session, position });
            }
            for (position, entry) in agreed.entries.iter().take(consumed).enumerate() {
                if let AgreedEntry::Fields { fields, .. } = entry {
                    check_quotes(&plan, node, package, position, Seen::of(fields))?;
                }
            }
            Ok(outcome)
        }
        (Ok(Outcome::Refused { reason }), _) => Err(not_allowed(format!("it refuses: {reason}"))),
        (Err(failure), _) => Err(not_allowed(failure.reason)),
    }
}

/// Whether the agreed quotes are what the rules make of the base's, and every signer tolerates them.
fn check_quotes(
    plan: &Plan,
    node: Identifier,
    package: &Package,
    position: usize,
    agreed: Option<Seen>,
) -> Result<(), Violation> {
    let session = package.session;
    let wrong = Violation::NotTheRule { node, session };
    let (Some(agreed), Some(quotes)) = (agreed, &plan.quotes) else { return Err(wrong) };
    let seen = |id: &Identifier| quotes_of(package.records.get(id)?, position);
    let base: Option<Vec<Seen>> = package.base.iter().map(seen).collect();
    if base.and_then(|base| quotes.agreed(&base)).as_ref() != Some(&agreed) {
        return Err(wrong);
    }
    let tolerates = |id: &&Identifier| seen(id).is_some_and(|own| quotes.accepts(&own, &agreed));
    match package.signers.keys().find(|id| !tolerates(id)) {
        Some(of) => Err(Violation::BeyondTolerance { node, session, of: *of }),
        None => Ok(()),
    }
}

fn quotes_of(record: &Record, position: usize) -> Option<Seen> {
    match record.entries.get(position)? {
        RecordEntry::Fields { fields, .. } => Seen::of(fields),
        RecordEntry::Identical { .. } => None,
    }
}

/// Whether all records of a package hold the same there, or the same question.
fn is_same_at(package: &Package, position: usize) -> bool {
    let mut entries = package.records.values().map(|record| record.entries.get(position));
    let first = entries.next().flatten();
    entries.all(|entry| match (entry, first) {
        (Some(RecordEntry::Fields { read, .. }), Some(RecordEntry::Fields { read: first, .. })) => {
            read == first
        }
        (entry, first) => entry == first,
    })
}
