//! A participant among coordinators that may say anything.
//!
//! Whatever they say: a share leaves only after this node's own replay allowed exactly its message in that session, no
//! commitment stands behind the shares of two packages, a request is signed for with one list of bytes, and what is
//! remembered is bounded.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_agreement::AgreedRecord;
use countersign_session::{
    Millis,
    message::{Eager, Observation, Package, Proposal, Signed, ToCoordinator, ToParticipant, shares_hash},
    participant::{
        Effect, LiveRun, LocalFailure, MAX_ADVANCE, MAX_SESSIONS_PER_COORDINATOR, MAX_SPARE, Participant, Run,
    },
};
use countersign_threshold::{Commitments, SigningPackage};
use countersign_types::{
    Bytes, FailureKind, Identifier, Outcome, PackageHash, Record, RequestDigest, Scheme, SessionId,
    SessionTerms,
};
use rand_chacha::ChaCha20Rng;

use super::{MAX_STEPS, allowed, identical, no_commitments, record};
use crate::{
    choices::Choices,
    world::{Asked, NOW, seeded, world},
};

/// A sequence of inputs to a participant; whether it made a share.
pub(crate) fn participant(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let mut play = Play::start(*choices.step().pick(&Scheme::ALL));
    for _ in 0..MAX_STEPS {
        if choices.is_empty() {
            break;
        }
        play.step(&mut choices.step());
        play.is_bounded();
    }
    play.shares > 0
}

struct Play {
    scheme: Scheme,
    me: Identifier,
    machine: Participant<()>,
    rng: ChaCha20Rng,
    now: Millis,
    sessions: Vec<Known>,
    runs: Vec<Run>,
    replays: Vec<(Run, u32, Arc<AgreedRecord>)>,
    /// What coordinators said before.
    said: Vec<(Identifier, ToParticipant)>,
    handed_out: BTreeMap<Identifier, Vec<Commitments>>,
    /// The other signers' commitments, and the seeds of their nonces.
    theirs: BTreeMap<Commitments, u64>,
    packages: BTreeMap<PackageHash, Package>,
    answers: BTreeMap<(Identifier, SessionId, u32), Signed>,
    /// Commitments of this node that shares were made with.
    used: BTreeSet<Commitments>,
    bound: BTreeMap<RequestDigest, Vec<Bytes>>,
    shares: u64,
}

/// A session that was proposed, and what this node said in it.
struct Known {
    from: Identifier,
    id: SessionId,
    request: usize,
    observation: Option<Observation>,
    commitments: BTreeMap<u32, Vec<Commitments>>,
}

/// The replay that an effect follows from.
type Replayed<'a> = Option<(&'a Run, u32, &'a Outcome)>;

impl Play {
    fn start(scheme: Scheme) -> Self {
        let me = world().members()[0];
        let identity = countersign_types::NodeKey::from_bytes(*world().identity(me).to_bytes());
        let identity = Arc::new(identity.expect("a scalar"));
        let mut machine = Participant::new(world().membership(me), identity, NOW - 10_000);
        machine.add_root(world().share(scheme, me)).expect("the share fits its root");
        Self {
            scheme,
            me,
            machine,
            rng: seeded(0),
            now: NOW,
            sessions: Vec::new(),
            runs: Vec::new(),
            replays: Vec::new(),
            said: Vec::new(),
            handed_out: BTreeMap::new(),
            theirs: BTreeMap::new(),
            packages: BTreeMap::new(),
            answers: BTreeMap::new(),
            used: BTreeSet::new(),
            bound: BTreeMap::new(),
            shares: 0,
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(10) {
            0 => self.propose(choices),
            1 => self.run(choices),
            2 => self.package(choices),
            3 => self.replay(choices),
            4 => self.commit(choices),
            5 => self.hand_out(choices),
            6 => {
                let member = *choices.pick(world().members());
                self.machine.disconnected(member);
            }
            7 => {
                self.now += *choices.pick(&[1, 500, 2_500, 10_000, 41_000]);
                self.machine.tick(self.now);
                self.machine.prepare(&mut self.rng);
            }
            8 => {
                if let Some(known) = choices.pick_any(&self.sessions) {
                    let (from, session) = (known.from, known.id);
                    self.say(from, ToParticipant::Close { session, signed: None });
                }
            }
            _ => {
                if let Some((from, message)) = choices.pick_any(&self.said).cloned() {
                    let from = if choices.rarely(4) { *choices.pick(world().members()) } else { from };
                    self.say(from, message);
                }
            }
        }
    }

    fn is_bounded(&self) {
        let members = world().members().len();
        assert!(
            self.machine.open_sessions() <= self.sessions.len().min(members * MAX_SESSIONS_PER_COORDINATOR)
        );
        assert!(self.machine.nonces_in_advance() <= members * MAX_ADVANCE);
        assert!(self.machine.spare_nonces() <= Scheme::ALL.len() * MAX_SPARE);
        assert_eq!(self.machine.shares_made(), self.shares, "every share is known");
    }

    fn asked(&self, request: usize) -> &'static Asked {
        &world().requests(self.scheme)[request]
    }

    fn say(&mut self, from: Identifier, message: ToParticipant) {
        if let ToParticipant::Propose(proposal) = &message {
            self.know(from, &proposal.terms);
        }
        self.said.push((from, message.clone()));
        let effects = self.machine.receive(from, message, self.now, &mut self.rng);
        self.take(effects, None);
    }

    /// Another member may bring the terms of a coordinator's session: that is a session of its own.
    fn know(&mut self, from: Identifier, terms: &SessionTerms) {
        let id = terms.id(world().network());
        if self.sessions.iter().any(|known| known.from == from && known.id == id) {
            return;
        }
        let asked = world().requests(self.scheme);
        let request = asked.iter().position(|asked| asked.request.digest() == terms.request).unwrap_or(0);
        self.sessions.push(Known { from, id, request, observation: None, commitments: BTreeMap::new() });
    }

    fn propose(&mut self, choices: &mut Choices<'_>) {
        let from = world().members()[(choices.below(4) + 1) % 4];
        let request = choices.below(4);
        let asked = self.asked(request);
        let mut terms = asked.terms(self.now);
        match choices.below(16) {
            10 => terms.request = self.asked((request + 1) % 4).request.digest(),
            11 => terms.epoch = 2,
            12 => terms.engine = [0; 32].into(),
            13 => terms.time_ms = choices.byte().into(),
            14 => terms.time_ms = self.now - 20_000,
            15 => terms.time_ms = self.now + 20_000,
            _ => {}
        }
        let mut signed = asked.request.signed().clone();
        if choices.rarely(16) {
            signed.request.params = choices.bytes(4).to_vec().into();
        }
        let id = terms.id(world().network());
        let eager = choices.rarely(2).then(|| Box::new(self.eager(choices, from, asked)));
        if let Some(eager) = &eager {
            let package = eager.as_ref().clone().package(id);
            self.packages.insert(package.hash(world().network()), package);
        }
        let (observation, commitments) = (None, BTreeMap::new());
        self.sessions.push(Known { from, id, request, observation, commitments });
        self.say(from, ToParticipant::Propose(Box::new(Proposal { request: signed, terms, eager })));
    }

    /// A package of what this node handed out, to this coordinator or another.
    fn eager(&mut self, choices: &mut Choices<'_>, from: Identifier, asked: &Asked) -> Eager {
        let of = if choices.rarely(8) { *choices.pick(world().members()) } else { from };
        let handed_out = self.handed_out.get(&of).cloned().unwrap_or_default();
        let payloads = choices.below(3) + 1;
        let own: Vec<Commitments> =
            (0..payloads).filter_map(|_| choices.pick_any(&handed_out).cloned()).collect();
        let record = if choices.rarely(8) { record(choices) } else { identical() };
        let signers = self.signers(choices, asked, own, payloads);
        Eager { record, signers }
    }

    /// This node with these commitments, and others with theirs.
    fn signers(
        &mut self,
        choices: &mut Choices<'_>,
        asked: &Asked,
        own: Vec<Commitments>,
        payloads: usize,
    ) -> BTreeMap<Identifier, Vec<Commitments>> {
        let others = *choices.pick(&[[1, 2, 2], [1, 3, 3], [2, 3, 3], [1, 2, 3], [1, 1, 1]]);
        let mut signers = BTreeMap::from([(self.me, own)]);
        for other in others {
            let (member, first) = (world().members()[other], u64::from(choices.byte()));
            let commitments = (0..payloads as u64).map(|place| {
                let seed = first + place;
                let commitments = asked.nonces(member, seed).1;
                self.theirs.insert(commitments.clone(), seed);
                commitments
            });
            signers.insert(member, commitments.collect());
        }
        if choices.rarely(16) {
            let member = *choices.pick(world().members());
            signers.insert(member, vec![no_commitments(choices)]);
        }
        signers
    }

    fn run(&mut self, choices: &mut Choices<'_>) {
        if self.runs.is_empty() {
            return;
        }
        let place = choices.below(self.runs.len().min(256));
        let run = if choices.rarely(8) { self.runs[place].clone() } else { self.runs.remove(place) };
        let asked = self.asked_in(&run);
        let live = LiveRun {
            end: end(choices, asked),
            record: record(choices),
            recorded: (),
            recorded_bytes: *choices.pick(&[0, 0, 1_000, 11 << 20]),
        };
        let effects = self.machine.observed(&run, live, &mut self.rng);
        self.take(effects, None);
    }

    fn asked_in(&self, run: &Run) -> &'static Asked {
        let all = world().requests(self.scheme);
        all.iter().find(|asked| asked.request.digest() == run.request.digest()).expect("a known request")
    }

    fn package(&mut self, choices: &mut Choices<'_>) {
        let Some(known) = choices.pick_any(&self.sessions) else { return };
        let (from, session, request) = (known.from, known.id, known.request);
        let own_record = known.observation.as_ref().map_or_else(identical, |own| own.record.clone());
        let attempts: Vec<(u32, Vec<Commitments>)> = known.commitments.clone().into_iter().collect();
        let (mut attempt, own) = choices.pick_any(&attempts).cloned().unwrap_or((1, Vec::new()));
        if choices.rarely(8) {
            attempt = u32::from(choices.byte()) % 18;
        }
        let asked = self.asked(request);
        let signers = self.signers(choices, asked, own.clone(), own.len().max(1));
        let base: BTreeSet<Identifier> = if choices.rarely(8) {
            world().members().iter().copied().filter(|_| !choices.rarely(3)).collect()
        } else {
            signers.keys().copied().collect()
        };
        let mut records: BTreeMap<Identifier, Record> = BTreeMap::new();
        for member in base.iter().chain(signers.keys()) {
            let other = choices.rarely(8).then(|| choices.record_like(&own_record));
            let is_own = *member == self.me && !choices.rarely(16);
            let record = other.filter(|_| !is_own).unwrap_or_else(|| own_record.clone());
            records.insert(*member, record);
        }
        let signatures = records
            .iter()
            .filter_map(|(member, record)| {
                let signer = if choices.rarely(32) { self.me } else { *member };
                let identity = world().identity(signer);
                Some((*member, Observation::sign(record, world().network(), session, identity)?))
            })
            .collect();
        let package = Package { session, attempt, base, records, signatures, signers };
        self.packages.insert(package.hash(world().network()), package.clone());
        let from = if choices.rarely(16) { *choices.pick(world().members()) } else { from };
        let send_verdict = choices.rarely(2);
        self.say(from, ToParticipant::Sign { package: Box::new(package), send_verdict });
    }

    fn replay(&mut self, choices: &mut Choices<'_>) {
        if self.replays.is_empty() {
            return;
        }
        let place = choices.below(self.replays.len().min(256));
        let (run, mut attempt, _) =
            if choices.rarely(8) { self.replays[place].clone() } else { self.replays.remove(place) };
        if choices.rarely(16) {
            attempt = u32::from(choices.byte()) % 18;
        }
        let end = end(choices, self.asked_in(&run));
        let outcome = end.clone().ok().filter(|outcome| matches!(outcome, Outcome::Allowed { .. }));
        let effects = self.machine.replayed(&run, attempt, end, self.now);
        self.take(effects, outcome.as_ref().map(|outcome| (&run, attempt, outcome)));
    }

    fn commit(&mut self, choices: &mut Choices<'_>) {
        let Some(known) = choices.pick_any(&self.sessions) else { return };
        let (from, session) = (known.from, known.id);
        let attempt = 2 + u32::from(choices.byte()) % 17;
        self.say(from, ToParticipant::Commit { session, attempt });
    }

    fn hand_out(&mut self, choices: &mut Choices<'_>) {
        let to = world().members()[(choices.below(4) + 1) % 4];
        let count = *choices.pick(&[1, 2, 16, u16::MAX]);
        let scheme = if choices.rarely(8) { *choices.pick(&Scheme::ALL) } else { self.scheme };
        let commitments = self.machine.hand_out(to, scheme, count, self.now, &mut self.rng);
        assert!(scheme == self.scheme || commitments.is_empty());
        self.handed_out.entry(to).or_default().extend(commitments);
    }

    fn take(&mut self, effects: Vec<Effect<()>>, replayed: Replayed<'_>) {
        let answers = effects.iter().filter(|effect| !matches!(effect, Effect::Keep(_)));
        assert!(answers.count() <= 1, "one input, one answer");
        for effect in effects {
            match effect {
                Effect::Observe(run) => self.runs.push(run),
                Effect::Replay { run, attempt, agreed, .. } => self.replays.push((run, attempt, agreed)),
                Effect::Send { to, message } => self.answered(to, message, replayed),
                Effect::Keep(given) => assert_eq!(given.part.vote.vote.outcome, given.outcome.hash()),
                Effect::Closed { signed, .. } => {
                    assert!(signed.is_none_or(|signed| signed.is_bounded(world().committee())));
                }
            }
        }
    }

    fn answered(&mut self, to: Identifier, message: ToCoordinator, replayed: Replayed<'_>) {
        let id = message.session();
        let known = self.sessions.iter_mut().find(|known| known.from == to && known.id == id);
        match message {
            ToCoordinator::Signed(signed) => self.signed(to, *signed, replayed),
            ToCoordinator::Observed(observation) => {
                let known = known.expect("a session that was proposed");
                let node = world().identity(self.me).public_key();
                assert!(observation.is_signed(world().network(), &node));
                known.commitments.insert(1, observation.commitments.clone());
                known.observation = Some(*observation);
            }
            ToCoordinator::Committed { attempt, commitments, .. } => {
                let known = known.expect("a session that was proposed");
                let before = known.commitments.insert(attempt, commitments.clone());
                assert!(before.is_none_or(|before| before == commitments), "an attempt has one commitment");
            }
            ToCoordinator::Declined { .. } => {}
        }
    }

    /// The only way out for a share.
    fn signed(&mut self, to: Identifier, signed: Signed, replayed: Replayed<'_>) {
        let vote = signed.vote.vote;
        let place = (to, vote.session, signed.attempt);
        if let Some(before) = self.answers.get(&place) {
            assert_eq!(*before, signed, "the same package gets the same answer");
            return;
        }
        let (run, attempt, outcome) = replayed.expect("a share without a replay that allows it");
        assert_eq!((run.coordinator, run.session, attempt), place, "a share in another session");
        assert_eq!(vote.outcome, outcome.hash());
        assert_eq!(vote.shares, shares_hash(&signed.shares));
        let node = world().identity(self.me).public_key();
        assert_eq!(signed.vote.verify(world().network(), &node), Ok(()));
        let messages = outcome.messages();
        assert_eq!(signed.shares.len(), messages.len());
        let bound = self.bound.entry(run.request.digest()).or_insert_with(|| messages.clone());
        assert_eq!(*bound, messages, "a request has one list of bytes");
        let package = self.packages.get(&vote.package).expect("a package that was sent");
        assert_eq!((package.session, package.attempt), (vote.session, attempt));
        assert_eq!(package.validate(world().committee()), Ok(()));
        for commitments in &package.signers[&self.me] {
            assert!(self.used.insert(commitments.clone()), "nonces used twice");
        }
        self.shares += signed.shares.len() as u64;
        self.is_over_its_message(package, &signed, run, &messages);
        self.answers.insert(place, signed);
    }

    /// With the other signers' shares of exactly these messages, the share makes signatures of them.
    fn is_over_its_message(&self, package: &Package, signed: &Signed, run: &Run, messages: &[Bytes]) {
        let asked = self.asked_in(run);
        for (place, message) in messages.iter().enumerate() {
            let commitments =
                package.signers.iter().map(|(id, all)| (*id, all[place].clone())).collect::<BTreeMap<_, _>>();
            let signing = SigningPackage::new(commitments, message.clone());
            let mut shares = BTreeMap::from([(self.me, signed.shares[place].clone())]);
            for (id, own) in signing.commitments.iter().filter(|(id, _)| **id != self.me) {
                let Some(seed) = self.theirs.get(own) else { return };
                let (nonces, made) = asked.nonces(*id, *seed);
                // of another request's key: they are hedged with it
                if made != *own {
                    return;
                }
                shares.insert(*id, nonces.sign(&signing, &asked.shares[id]).expect("all are honest"));
            }
            let signature = asked.public.aggregate(&signing, &shares).expect("a share of this message");
            assert_eq!(asked.public.verify(message, &signature), Ok(()));
        }
    }
}

/// How a run ends: mostly it allows one payload.
fn end(choices: &mut Choices<'_>, asked: &Asked) -> Result<Outcome, LocalFailure> {
    match choices.below(8) {
        0..=3 => Ok(allowed(asked, 1, 0)),
        4 => Ok(allowed(asked, 1 + choices.below(8), 0)),
        5 => Ok(allowed(asked, 1, choices.byte())),
        6 => Ok(Outcome::Refused { reason: "no".into() }),
        _ => Err(LocalFailure { kind: FailureKind::Unavailable, reason: "a provider is down".into() }),
    }
}
