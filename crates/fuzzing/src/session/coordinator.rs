//! A coordinator among participants that may say anything.
//!
//! Whatever they say: what it calls a signature is one of the outcome that a threshold voted for, its packages hold what
//! every signer accepts, whoever kept to the protocol is not blamed as long as its own node does, and by the deadline there is an answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_agreement::{agree, check_own};
use countersign_session::{
    Millis,
    coordinator::{self, Coordinator, Effect, Setup},
    message::{
        Decline, Eager, Observation, Package, Provisional, Signed, SignerPart, ToCoordinator, ToParticipant,
        shares_hash,
    },
};
use countersign_threshold::{Commitments, SignatureShare, SigningPackage};
use countersign_types::{
    Bytes, Decision, Failure, FailureKind, Identifier, Scheme, SessionId, Verdict, Vote,
};

use super::{MAX_STEPS, allowed, no_commitments, record};
use crate::{
    choices::Choices,
    world::{Asked, NOW, world},
};

/// How long a session may take here.
const DEADLINE_MS: Millis = 30_000;
/// The most effects of one input: a message to each member, twice, and the end.
const MAX_EFFECTS: usize = 32;

/// A sequence of inputs to a coordinator; whether it ended with signatures.
pub(crate) fn coordinator(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let mut play = Play::start(&mut choices.step());
    for _ in 0..MAX_STEPS {
        if choices.is_empty() || play.machine.is_done() {
            break;
        }
        play.step(&mut choices.step());
    }
    play.end()
}

struct Play {
    asked: &'static Asked,
    me: Identifier,
    machine: Coordinator,
    now: Millis,
    /// What was sent and not answered.
    inbox: Vec<(Identifier, ToParticipant)>,
    /// What members said before.
    said: Vec<(Identifier, ToCoordinator)>,
    /// The seeds of nonces, by their commitments.
    seeds: BTreeMap<Commitments, u64>,
    next_seed: u64,
    /// To how many payloads each member committed.
    counts: BTreeMap<Identifier, BTreeSet<usize>>,
    /// Members that did not keep to the protocol.
    liars: BTreeSet<Identifier>,
    result: Option<Result<coordinator::Signed, Failure>>,
}

impl Play {
    fn start(choices: &mut Choices<'_>) -> Self {
        let asked = &world().requests(*choices.pick(&Scheme::ALL))[0];
        let me = world().members()[0];
        let absent = choices.below(16);
        let present = |place: usize| absent & 1 << place == 0;
        let mut order: Vec<Identifier> =
            world().members().iter().enumerate().filter(|(i, _)| present(*i)).map(|(_, id)| *id).collect();
        let first = choices.below(order.len().max(1));
        order.rotate_left(first);
        let (mut advance, mut seeds) = (BTreeMap::new(), BTreeMap::new());
        if choices.rarely(2) {
            for member in &world().members()[1..3] {
                let payloads = 1 + u64::from(choices.rarely(8));
                let own = (0..payloads).map(|seed| {
                    let commitments = asked.nonces(*member, seed).1;
                    seeds.insert(commitments.clone(), seed);
                    commitments
                });
                advance.insert(*member, own.collect::<Vec<_>>());
            }
        }
        let terms = asked.terms(NOW);
        let setup = Setup {
            membership: world().membership(me),
            request: Arc::clone(&asked.request),
            terms,
            public: asked.public.clone(),
            order,
            advance,
            sent: Arc::default(),
            deadline: NOW + DEADLINE_MS,
        };
        let (machine, effects) = Coordinator::start(setup, NOW);
        let mut play = Self {
            asked,
            me,
            machine,
            now: NOW,
            inbox: Vec::new(),
            said: Vec::new(),
            seeds,
            next_seed: 16,
            counts: BTreeMap::new(),
            liars: BTreeSet::new(),
            result: None,
        };
        play.take(effects);
        play
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(8) {
            0..=2 => self.answer(choices),
            3 => self.decline(choices),
            4 => {
                let step = *choices.pick(&[1, 50, 310, 460, 1_000, 2_100, 5_000]);
                self.tick(self.now + step);
            }
            5 => {
                let (member, up) = (*choices.pick(world().members()), choices.rarely(2));
                let effects = match up {
                    true => self.machine.connected(member, self.now),
                    false => self.machine.disconnected(member, self.now),
                };
                self.take(effects);
            }
            6 => {
                // by its own clock, as a driver would
                let due = self.machine.next_timeout().max(self.now);
                self.tick(due);
            }
            _ => {
                if let Some((from, message)) = choices.pick_any(&self.said).cloned() {
                    let from = if choices.rarely(4) { self.liar(choices) } else { from };
                    self.say(from, message);
                }
            }
        }
    }

    fn tick(&mut self, now: Millis) {
        self.now = now;
        let effects = self.machine.tick(now);
        self.take(effects);
        let next = self.machine.next_timeout();
        assert!(self.machine.is_done() || next > now, "it would be asked again and again");
    }

    fn liar(&mut self, choices: &mut Choices<'_>) -> Identifier {
        let liar = *choices.pick(world().members());
        self.liars.insert(liar);
        liar
    }

    fn say(&mut self, from: Identifier, message: ToCoordinator) {
        self.said.push((from, message.clone()));
        let effects = self.machine.receive(from, message, self.now);
        self.take(effects);
    }

    fn decline(&mut self, choices: &mut Choices<'_>) {
        let from = *choices.pick(world().members());
        let attempt = choices.rarely(2).then(|| u32::from(choices.byte()) % 18);
        let decline = match choices.below(3) {
            0 => Decline::Refused { reason: "no".into() },
            1 => Decline::Abstain { kind: FailureKind::Unavailable, reason: "it is down".into() },
            _ => Decline::Abstain { kind: FailureKind::Disagreement, reason: "ü".repeat(2_000) },
        };
        self.say(from, ToCoordinator::Declined { session: self.machine.session(), attempt, decline });
    }

    fn answer(&mut self, choices: &mut Choices<'_>) {
        if self.inbox.is_empty() {
            return;
        }
        let (me, message) = self.inbox.remove(choices.below(self.inbox.len().min(256)));
        let answer = match message {
            ToParticipant::Propose(proposal) => match proposal.eager {
                Some(eager) if eager.signers.contains_key(&me) && !choices.rarely(4) => {
                    let package = eager.package(self.machine.session());
                    self.signed(choices, me, &package, false)
                }
                Some(_) | None => self.observed(choices, me),
            },
            ToParticipant::Commit { session, attempt } => {
                let before = self.counts.get(&me).and_then(|counts| counts.first()).copied().unwrap_or(1);
                let count = if choices.rarely(8) { choices.below(10) } else { before };
                self.counted(me, count);
                let commitments = self.commitments(choices, me, count);
                ToCoordinator::Committed { session, attempt, commitments }
            }
            ToParticipant::Sign { package, send_verdict } => self.signed(choices, me, &package, send_verdict),
            ToParticipant::Close { .. } => return,
        };
        self.say(me, answer);
    }

    /// A member that commits to one number of payloads and then to another may be blamed.
    fn counted(&mut self, me: Identifier, count: usize) {
        let counts = self.counts.entry(me).or_default();
        counts.insert(count);
        if counts.len() > 1 {
            self.liars.insert(me);
        }
    }

    fn commitments(&mut self, choices: &mut Choices<'_>, me: Identifier, count: usize) -> Vec<Commitments> {
        (0..count)
            .map(|_| {
                if choices.rarely(16) {
                    self.liars.insert(me);
                    return no_commitments(choices);
                }
                self.next_seed += 1;
                let commitments = self.asked.nonces(me, self.next_seed).1;
                self.seeds.insert(commitments.clone(), self.next_seed);
                commitments
            })
            .collect()
    }

    fn observed(&mut self, choices: &mut Choices<'_>, me: Identifier) -> ToCoordinator {
        let session = self.machine.session();
        let record = record(choices);
        let mut signature = Observation::sign(&record, world().network(), session, world().identity(me));
        let (mut decision, mut count) = (Provisional::Allow, 1);
        match choices.below(16) {
            11 => count = 2,
            12 => (decision, count) = (Provisional::Refuse { reason: "no".into() }, 0),
            13 => count = usize::from(choices.byte()) % 12,
            14 => decision = Provisional::Refuse { reason: "no".into() },
            15 => signature = Some(record.sign(world().network(), session, world().identity(self.me))),
            _ => {}
        }
        let allows = decision == Provisional::Allow;
        let counts = if allows { (1..=8).contains(&count) } else { count == 0 };
        let node = world().identity(me).public_key();
        if allows {
            self.counted(me, count);
        }
        let commitments = self.commitments(choices, me, count);
        let observation = Observation { session, record, signature, decision, commitments };
        if !counts || !observation.record.is_bounded() || !observation.is_signed(world().network(), &node) {
            self.liars.insert(me);
        }
        ToCoordinator::Observed(Box::new(observation))
    }

    /// What a signer says to a package, if it signs.
    fn signed(
        &mut self,
        choices: &mut Choices<'_>,
        me: Identifier,
        package: &Package,
        send_verdict: bool,
    ) -> ToCoordinator {
        let lie = choices.below(16);
        self.counted(me, package.payloads());
        let variant = if lie == 8 { choices.byte() } else { 0 };
        let outcome = allowed(self.asked, package.payloads().clamp(1, 8), variant);
        let (mut shares, mut honest) = (Vec::new(), variant == 0);
        for (place, message) in outcome.messages().into_iter().enumerate() {
            let share = self.share(me, package, place, message);
            honest &= share.is_some();
            shares.push(share.unwrap_or_else(|| no_share(choices)));
        }
        if lie == 9 {
            shares = shares.iter().map(|_| no_share(choices)).collect();
        }
        let record = package.records.get(&me).map_or_else(|| [0; 32].into(), |record| record.hash());
        let mut vote = Vote {
            session: package.session,
            record,
            package: package.hash(world().network()),
            outcome: outcome.hash(),
            shares: shares_hash(&shares),
        };
        let mut attempt = package.attempt;
        match lie {
            10 => vote.outcome = allowed(self.asked, 1, 77).hash(),
            11 => vote.package = [0; 32].into(),
            12 => attempt = choices.byte().into(),
            13 => vote.shares = countersign_types::B256::ZERO,
            _ => {}
        }
        let signer = if lie == 14 { self.me } else { me };
        let verdict = match (lie, send_verdict) {
            (15, true) => Some(Verdict::Refuse { reason: "no".into() }),
            (15, false) | (_, true) => Some(outcome.verdict()),
            (_, false) => None,
        };
        if lie >= 8 || !honest {
            self.liars.insert(me);
        }
        let vote = vote.sign(world().network(), world().identity(signer));
        ToCoordinator::Signed(Box::new(Signed { attempt, shares, verdict, vote }))
    }

    /// An honest share, where the commitments are known and real.
    fn share(
        &self,
        me: Identifier,
        package: &Package,
        place: usize,
        message: Bytes,
    ) -> Option<SignatureShare> {
        let signers = package.signers.iter();
        let commitments = signers.filter_map(|(id, all)| Some((*id, all.get(place)?.clone()))).collect();
        let signing = SigningPackage::new(commitments, message);
        let seed = self.seeds.get(signing.commitments.get(&me)?)?;
        let (nonces, _) = self.asked.nonces(me, *seed);
        nonces.sign(&signing, &self.asked.shares[&me]).ok()
    }

    fn take(&mut self, effects: Vec<Effect>) {
        assert!(self.result.is_none() || effects.is_empty(), "it is over");
        assert!(effects.len() <= MAX_EFFECTS, "{} effects", effects.len());
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    assert_eq!(message.session(world().network()), self.machine.session());
                    match &message {
                        ToParticipant::Sign { package, .. } => {
                            is_acceptable(package, to);
                        }
                        ToParticipant::Propose(proposal) => {
                            if let Some(eager) = &proposal.eager {
                                is_eager(eager, self.machine.session(), to);
                            }
                        }
                        ToParticipant::Commit { .. } | ToParticipant::Close { .. } => {}
                    }
                    self.inbox.push((to, message));
                }
                Effect::Finished(result) => {
                    assert!(self.machine.is_done());
                    self.result = Some(*result);
                }
            }
        }
    }

    fn end(mut self) -> bool {
        if !self.machine.is_done() {
            self.tick(NOW + DEADLINE_MS.max(self.now - NOW));
        }
        let result = self.result.take().expect("by the deadline there is an answer");
        let nodes = match &result {
            Ok(signed) => &signed.nodes,
            Err(failure) => &failure.nodes,
        };
        let blamed = nodes.iter().filter(|node| node.decision == Decision::Misbehaved);
        // what others should have voted for, a coordinator knows from its own node: if that lies, it blames whom it should not
        let blamed = blamed.filter(|_| !self.liars.contains(&self.me));
        for node in blamed {
            let is_liar =
                self.liars.iter().any(|id| world().identity(*id).public_key().peer_id() == node.peer_id);
            assert!(is_liar, "an honest member is blamed: {node:?}");
        }
        result.is_ok_and(|signed| {
            self.is_signed(&signed);
            true
        })
    }

    fn is_signed(&self, signed: &coordinator::Signed) {
        assert!(signed.signers.len() >= usize::from(world().committee().threshold()));
        for (id, SignerPart { vote, .. }) in &signed.signers {
            let node = world().identity(*id).public_key();
            assert_eq!(vote.verify(world().network(), &node), Ok(()));
            assert_eq!((vote.vote.outcome, vote.vote.session), (signed.outcome.hash(), signed.session));
        }
        let messages = signed.outcome.messages();
        assert_eq!(messages.len(), signed.signatures.len());
        for (message, signature) in messages.iter().zip(&signed.signatures) {
            assert_eq!(self.asked.public.verify(message, signature), Ok(()));
        }
    }
}

/// Every signer accepts what a package says was agreed, and every record in it is its member's.
fn is_acceptable(package: &Package, to: Identifier) {
    assert_eq!(package.validate(world().committee()), Ok(()));
    assert!(package.signers.contains_key(&to));
    let agreed = agree(&package.base_records());
    for (id, record) in &package.records {
        assert_eq!(check_own(&agreed, record), Ok(()));
        if let Some(signature) = package.signatures.get(id) {
            let node = world().identity(*id).public_key();
            let own = *id == world().members()[0];
            let verified = record.verify(world().network(), package.session, &node, signature);
            assert!(own || verified.is_ok(), "a record that member {id} did not sign");
        }
    }
}

fn is_eager(eager: &Eager, session: SessionId, to: Identifier) {
    assert!(eager.record.is_identical());
    is_acceptable(&eager.clone().package(session), to);
}

fn no_share(choices: &mut Choices<'_>) -> SignatureShare {
    SignatureShare::try_from(Bytes::copy_from_slice(choices.bytes(32))).expect("at most 32 bytes")
}
