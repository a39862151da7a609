//! Key generation among four machines, one of whose members may say anything, over links that lose, double and
//! reorder, with restarts.
//!
//! Whatever happens: a member activates one attempt, all activate the same roots, nothing is confirmed or activated
//! before it is stored, nobody makes two packages for one attempt, and only whoever lies is named.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::keccak256;
use alloy_sol_types::SolStruct;
use countersign_session::{
    Millis,
    keygen::{Effect, Joined, Journal, KeyGen, Message, Pending, SETTLE_MS},
};
use countersign_types::{
    Activation, AttemptId, B256, Bytes, Identifier, NodeKey, NodeSignature, Scheme,
    canonical::{domain, sol_types},
};
use rand_chacha::ChaCha20Rng;

use super::MAX_STEPS;
use crate::{
    choices::Choices,
    world::{NOW, seeded, world},
};

/// The most messages under way; beyond, the oldest are lost.
const MAX_UNDER_WAY: usize = 512;
/// How many rounds there are without a fault at the end of a sequence.
const CALM_ROUNDS: usize = 4;

/// A sequence of inputs to the machines of key generation; whether a root was made.
pub(crate) fn keygen(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let mut first = choices.step();
    let scheme = *first.pick(&Scheme::ALL);
    let liar = first.rarely(2).then(|| *first.pick(world().members()));
    let mut play = Play::start(scheme, liar);
    for _ in 0..MAX_STEPS {
        if choices.is_empty() {
            break;
        }
        play.step(&mut choices.step());
    }
    (0..CALM_ROUNDS).for_each(|_| play.deliver(MAX_UNDER_WAY));
    play.disks.values().any(|disk| !disk.complete.is_empty())
}

/// What four honest members say, and the activation that it comes to: a message of each kind.
pub(crate) fn honest_messages(scheme: Scheme) -> (Vec<Message>, Activation) {
    let mut play = Play::start(scheme, None);
    play.deliver(MAX_UNDER_WAY);
    let done = play.disks.values().flat_map(|disk| &disk.complete).next().expect("all are honest").clone();
    let mut kinds = Vec::new();
    for (_, _, message) in play.sent {
        if kinds.iter().all(|kind| std::mem::discriminant(kind) != std::mem::discriminant(&message)) {
            kinds.push(message);
        }
    }
    kinds.push(Message::Activated(Box::new(done.clone())));
    (kinds, done)
}

struct Play {
    scheme: Scheme,
    liar: Option<Identifier>,
    machines: BTreeMap<Identifier, KeyGen>,
    disks: BTreeMap<Identifier, Disk>,
    under_way: Vec<(Identifier, Identifier, Message)>,
    /// Some of what was sent, to be sent again.
    sent: Vec<(Identifier, Identifier, Message)>,
    /// What each member broadcast in each attempt.
    broadcasts: BTreeMap<(Identifier, AttemptId), Vec<Bytes>>,
    now: Millis,
    rng: ChaCha20Rng,
}

#[derive(Default)]
struct Disk {
    joined: Option<Joined>,
    pending: Vec<Pending>,
    activated: Option<(AttemptId, Vec<NodeSignature>)>,
    complete: Vec<Activation>,
    /// What is being written.
    writing: Vec<Write>,
}

enum Write {
    Joined(Joined),
    Pending(Pending),
    Activation(AttemptId, Vec<NodeSignature>),
}

impl Play {
    fn start(scheme: Scheme, liar: Option<Identifier>) -> Self {
        let mut play = Self {
            scheme,
            liar,
            machines: BTreeMap::new(),
            disks: BTreeMap::new(),
            under_way: Vec::new(),
            sent: Vec::new(),
            broadcasts: BTreeMap::new(),
            now: NOW,
            rng: seeded(3),
        };
        for id in world().members() {
            play.disks.insert(*id, Disk::default());
            play.boot(*id);
        }
        for id in world().members() {
            play.connect(*id, true);
        }
        play.now += SETTLE_MS;
        play.tick();
        play
    }

    /// A member starts from its disk; what it was writing is lost.
    fn boot(&mut self, me: Identifier) {
        let disk = self.disks.entry(me).or_default();
        disk.writing.clear();
        let journal = Journal {
            joined: disk.joined,
            pending: disk.pending.clone(),
            activated: disk.activated.iter().cloned().collect(),
            complete: disk.complete.clone(),
        };
        let identity = NodeKey::from_bytes(*world().identity(me).to_bytes()).expect("a scalar");
        let membership = world().membership(me);
        let machine = KeyGen::resume(membership, Arc::new(identity), [self.scheme], journal, self.now);
        self.machines.insert(me, machine);
    }

    /// A member is connected to all others, or cut off.
    fn connect(&mut self, member: Identifier, up: bool) {
        for other in world().members().iter().filter(|other| **other != member) {
            for (me, peer) in [(member, *other), (*other, member)] {
                let now = self.now;
                let machine = self.machine(me);
                let effects = match up {
                    true => machine.connected(peer, now),
                    false => machine.disconnected(peer, now),
                };
                self.take(me, effects);
            }
        }
    }

    fn machine(&mut self, me: Identifier) -> &mut KeyGen {
        self.machines.get_mut(&me).expect("every member has one")
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(10) {
            0..=2 => self.deliver(1 << choices.below(7)),
            3 => self.lose_or_double(choices),
            4 => {
                self.now += *choices.pick(&[1, 600, 1_100, 5_000, 21_000, 35_000]);
                self.tick();
            }
            5 => self.connect(*choices.pick(world().members()), choices.rarely(2)),
            6 => {
                let member = *choices.pick(world().members());
                self.now += 1;
                self.connect(member, false);
                self.boot(member);
                self.connect(member, true);
            }
            7 => {
                if let Some(again) = choices.pick_any(&self.sent).cloned() {
                    self.under_way.push(again);
                }
            }
            _ => self.lie(choices),
        }
    }

    fn tick(&mut self) {
        for me in world().members() {
            let (now, mut rng) = (self.now, self.rng.clone());
            let machine = self.machine(*me);
            let effects = machine.tick(now, &mut rng);
            assert!(machine.next_timeout() > now, "it would be asked again and again");
            self.rng = rng;
            self.take(*me, effects);
        }
    }

    /// Delivers messages in the order in which they were sent, and lets what is written be written.
    fn deliver(&mut self, count: usize) {
        for _ in 0..count.min(MAX_UNDER_WAY) {
            self.write();
            if self.under_way.is_empty() {
                return;
            }
            let (from, to, message) = self.under_way.remove(0);
            let (now, mut rng) = (self.now, self.rng.clone());
            let effects = self.machine(to).receive(from, message, now, &mut rng);
            self.rng = rng;
            self.take(to, effects);
        }
        self.write();
    }

    fn write(&mut self) {
        for me in world().members() {
            let writing = std::mem::take(&mut self.disks.entry(*me).or_default().writing);
            for write in writing {
                let now = self.now;
                let disk = self.disks.entry(*me).or_default();
                let effects = match write {
                    Write::Joined(joined) => {
                        if disk.joined.is_none_or(|before| before.number < joined.number) {
                            disk.joined = Some(joined);
                        }
                        self.machine(*me).stored_joined(joined.attempt, now)
                    }
                    Write::Pending(pending) => {
                        let attempt = pending.terms.id(world().network());
                        disk.pending.push(pending);
                        self.machine(*me).stored_pending(attempt)
                    }
                    Write::Activation(attempt, confirmations) => {
                        let before = disk.activated.replace((attempt, confirmations));
                        assert!(before.is_none(), "two attempts activated for one scheme");
                        self.machine(*me).stored_activation(attempt)
                    }
                };
                self.take(*me, effects);
            }
        }
    }

    fn lose_or_double(&mut self, choices: &mut Choices<'_>) {
        if self.under_way.is_empty() {
            return;
        }
        let place = choices.below(self.under_way.len().min(256));
        match choices.below(3) {
            0 => drop(self.under_way.remove(place)),
            1 => {
                let late = self.under_way.remove(place);
                self.under_way.push(late);
            }
            _ => self.under_way.push(self.under_way[place].clone()),
        }
    }

    fn take(&mut self, me: Identifier, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => self.send(me, to, message),
                Effect::StoreJoined(joined) => {
                    self.disks.entry(me).or_default().writing.push(Write::Joined(joined));
                }
                Effect::StorePending { pending, shares } => {
                    let roots = shares.iter().map(|share| share.root_key());
                    assert!(roots.eq(pending.roots.iter().cloned()));
                    assert!(shares.iter().all(|share| share.identifier() == me));
                    let disk = self.disks.entry(me).or_default();
                    disk.writing.push(Write::Pending(pending));
                }
                Effect::StoreActivation { attempt, confirmations } => {
                    let disk = self.disks.entry(me).or_default();
                    assert!(disk.activated.is_none() && disk.complete.is_empty(), "one attempt is activated");
                    disk.writing.push(Write::Activation(attempt, confirmations));
                }
                Effect::Completed(activation) => self.completed(me, *activation),
                Effect::Contradiction(contradiction) => {
                    let by = contradiction.refusal.by;
                    assert_eq!(Some(by), self.liar, "{me} has two words of {by}");
                }
                Effect::GivenUp { culprits, reason, .. } | Effect::Blamed { culprits, reason, .. } => {
                    let named_right = culprits.iter().all(|culprit| Some(*culprit) == self.liar);
                    assert!(named_right, "{culprits:?} named by {me}: {reason}");
                }
            }
        }
    }

    fn send(&mut self, me: Identifier, to: Identifier, message: Message) {
        assert_ne!(to, me);
        let disk = &self.disks[&me];
        match &message {
            Message::Round1 { attempt, packages, .. } => {
                let first = self.broadcasts.entry((me, *attempt)).or_insert_with(|| packages.clone());
                assert_eq!(first, packages, "two sets of packages for one attempt");
                let joined = disk.joined.map(|joined| joined.attempt);
                assert_eq!(joined, Some(*attempt), "took part before it was stored");
            }
            Message::Confirm { terms, .. } => {
                let attempt = terms.id(world().network());
                let is_it = |pending: &Pending| pending.terms.id(world().network()) == attempt;
                assert!(disk.pending.iter().any(is_it), "confirmed before it was stored");
            }
            Message::Activate { attempt, .. } => {
                let stored = disk.activated.as_ref().map(|(attempt, _)| *attempt);
                assert_eq!(stored, Some(*attempt), "activated before it was stored");
            }
            Message::Start { .. }
            | Message::Echo { .. }
            | Message::Round2 { .. }
            | Message::Abort { .. }
            | Message::Refuse(_)
            | Message::Activated(_) => {}
        }
        if self.sent.len() < 256 {
            self.sent.push((me, to, message.clone()));
        }
        if self.under_way.len() >= MAX_UNDER_WAY {
            self.under_way.remove(0);
        }
        self.under_way.push((me, to, message));
    }

    fn completed(&mut self, me: Identifier, activation: Activation) {
        let (network, committee) = (world().network(), world().committee());
        assert_eq!(activation.verify(network, 1, committee), Ok(()));
        for disk in self.disks.values() {
            let others = disk.complete.iter().map(|done| (&done.roots, done.attempt));
            others.for_each(|other| assert_eq!(other, (&activation.roots, activation.attempt), "a split"));
        }
        let disk = self.disks.entry(me).or_default();
        assert!(disk.complete.is_empty());
        disk.complete.push(activation);
    }

    /// The liar says something like what it, or another, said before.
    fn lie(&mut self, choices: &mut Choices<'_>) {
        let Some(liar) = self.liar else { return };
        let Some((_, to, mut message)) = choices.pick_any(&self.sent).cloned() else { return };
        let to = if choices.rarely(2) { *choices.pick(world().members()) } else { to };
        let attempts: Vec<AttemptId> = self.broadcasts.keys().map(|(_, attempt)| *attempt).collect();
        let attempt = choices.pick_any(&attempts).copied().unwrap_or(AttemptId::from([0; 32]));
        let resigned = choices.rarely(2);
        match &mut message {
            Message::Start { terms } => match choices.below(4) {
                0 => terms.number = terms.number.wrapping_add(choices.byte().into()),
                1 => terms.schemes = Scheme::ALL[..choices.below(4)].to_vec(),
                2 => terms.starter = liar,
                _ => terms.entropy = choices.word(),
            },
            Message::Round1 { attempt: of, packages, signature } => {
                *of = attempt;
                packages.iter_mut().for_each(|package| *package = changed(choices, package).into());
                if resigned {
                    *signature = sign(liar, attempt, None, packages);
                }
            }
            Message::Echo { attempt: of, packages } => {
                *of = attempt;
                if let Some((digest, signature)) = packages.get_mut(choices.below(5)) {
                    *digest = choices.word();
                    if resigned {
                        *signature = world().identity(liar).sign(*digest);
                    }
                } else {
                    packages.pop();
                }
            }
            Message::Round2 { attempt: of, packages, signature } => {
                *of = attempt;
                for package in packages.iter_mut() {
                    if let Ok(other) = changed(choices, package.as_bytes()).try_into() {
                        *package = other;
                    }
                }
                if resigned {
                    *signature = sign(liar, attempt, Some(to), packages);
                }
            }
            Message::Abort { attempt: of, reason, complaint } => {
                *of = attempt;
                *reason = "ü".repeat(usize::from(choices.byte()) * 8);
                if let Some(complaint) = complaint {
                    match choices.below(4) {
                        0 => complaint.dealer = *choices.pick(world().members()),
                        1 => complaint.scheme = *choices.pick(&Scheme::ALL),
                        2 => complaint.hashes.clear(),
                        _ => complaint.hashes.iter_mut().for_each(|hash| *hash = choices.word()),
                    }
                }
            }
            Message::Confirm { terms, roots, signature } => {
                if choices.rarely(4) {
                    terms.number = terms.number.wrapping_add(choices.byte().into());
                }
                if choices.rarely(2) {
                    *roots = choices.word();
                }
                if resigned {
                    let attempt = terms.id(world().network());
                    let digest = sol_types::Confirm { attempt: attempt.0, roots: *roots };
                    let digest = digest.eip712_signing_hash(&domain(world().network()));
                    *signature = world().identity(liar).sign(digest);
                }
            }
            Message::Refuse(refusal) => {
                refusal.attempt = attempt;
                refusal.by = liar;
                if resigned {
                    let digest = sol_types::Refuse { attempt: attempt.0 };
                    let digest = digest.eip712_signing_hash(&domain(world().network()));
                    refusal.signature = world().identity(liar).sign(digest);
                }
            }
            Message::Activate { attempt: of, confirmations, .. } => {
                *of = attempt;
                confirmations.truncate(choices.below(6));
            }
            Message::Activated(activation) => match choices.below(3) {
                0 => activation.attempt = attempt,
                1 => activation.roots.clear(),
                _ => activation.signatures.truncate(choices.below(5)),
            },
        }
        if to != liar {
            self.under_way.push((liar, to, message));
        }
    }
}

/// The bytes, or with one changed, or cut off.
fn changed(choices: &mut Choices<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match choices.below(4) {
        0 => {}
        1 | 2 => {
            let place = choices.below(256);
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= choices.byte();
            }
        }
        _ => bytes.truncate(choices.below(256)),
    }
    bytes
}

/// The liar's signature over packages, as key generation has it.
fn sign(
    liar: Identifier,
    attempt: AttemptId,
    to: Option<Identifier>,
    packages: &[impl AsRef<[u8]>],
) -> NodeSignature {
    let hashes: Vec<u8> = packages.iter().flat_map(|package| keccak256(package).0).collect();
    let content: B256 = keccak256(hashes);
    let package = sol_types::KeyGenerationPackage {
        attempt: attempt.0,
        round: if to.is_none() { 1 } else { 2 },
        from: liar.get(),
        to: to.map_or(0, Identifier::get),
        content,
    };
    world().identity(liar).sign(package.eip712_signing_hash(&domain(world().network())))
}
