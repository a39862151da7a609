//! All members around one ring, with what is on their disks: no time passes but what a test lets pass.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use alloy_sol_types::SolStruct;
use countersign_session::{
    Millis,
    keygen::{Effect, Joined, Journal, KeyGen, Message, Pending, SETTLE_MS},
};
use countersign_types::{
    Activation, AttemptId, AttemptTerms, Identifier, NetworkId, NodeSignature, Scheme, canonical::domain,
};
use rand_chacha::ChaCha20Rng;

use crate::committee::{NETWORK, NOW, SIZE, id, identity, membership, rng};

/// All members, connected; messages that a test holds back wait.
pub(super) struct Ring {
    pub(super) members: BTreeMap<Identifier, KeyGen>,
    queue: VecDeque<(Identifier, Identifier, Message)>,
    pub(super) holds: fn(&Message) -> bool,
    pub(super) held: Vec<(Identifier, Identifier, Message)>,
    pub(super) sent: Vec<(Identifier, Identifier, Message)>,
    /// What is on the disks.
    joined: BTreeMap<Identifier, Joined>,
    pub(super) stored: BTreeMap<Identifier, Vec<Pending>>,
    pub(super) activations: Vec<(Identifier, AttemptId)>,
    pub(super) culprits: Vec<Identifier>,
    pub(super) now: Millis,
    pub(super) rng: ChaCha20Rng,
}

/// A member whose version knows these schemes, and that has these ceremonies behind it.
pub(super) fn member(me: Identifier, schemes: &[Scheme], complete: &[Activation]) -> KeyGen {
    let journal = Journal { complete: complete.to_vec(), ..Journal::default() };
    KeyGen::resume(membership(me), Arc::new(identity(me)), schemes.iter().copied(), journal, NOW - 1)
}

/// A member that starts now, with what is on its disk.
pub(super) fn resumed(me: Identifier, journal: Journal, now: Millis) -> KeyGen {
    KeyGen::resume(membership(me), Arc::new(identity(me)), Scheme::ALL, journal, now)
}

/// Connects the first member with all others.
pub(super) fn connect(first: &mut KeyGen, now: Millis) {
    for other in 2..=SIZE {
        first.connected(id(other), now);
    }
}

/// A member's signature in this network's domain.
pub(super) fn sign(by: Identifier, content: &impl SolStruct, network: NetworkId) -> NodeSignature {
    identity(by).sign(content.eip712_signing_hash(&domain(network)))
}

impl Ring {
    /// Members that know all schemes, and have come as far as they do while these messages are held back.
    pub(super) fn begun(holds: fn(&Message) -> bool) -> Self {
        let mut ring = Self::of(holds, |me| member(me, &Scheme::ALL, &[]));
        ring.tick();
        ring
    }

    pub(super) fn of(holds: fn(&Message) -> bool, make: impl Fn(Identifier) -> KeyGen) -> Self {
        let member = |number| (id(number), make(id(number)));
        let mut ring = Self {
            members: (1..=SIZE).map(member).collect(),
            queue: VecDeque::new(),
            holds,
            held: Vec::new(),
            sent: Vec::new(),
            joined: BTreeMap::new(),
            stored: BTreeMap::new(),
            activations: Vec::new(),
            culprits: Vec::new(),
            now: NOW - SETTLE_MS,
            rng: rng(3),
        };
        for me in 1..=SIZE {
            for other in (1..=SIZE).filter(|other| *other != me) {
                ring.with(id(me), |machine, now, _| machine.connected(id(other), now));
            }
        }
        ring.now = NOW;
        ring
    }

    /// All members, with nothing but what is on their disks, and connected.
    pub(super) fn restarted(&self, holds: fn(&Message) -> bool) -> Self {
        let mut next = Self::of(holds, |me| {
            let pending = self.stored.get(&me).cloned().unwrap_or_default();
            let journal = Journal { joined: self.joined.get(&me).copied(), pending, ..Journal::default() };
            resumed(me, journal, self.now)
        });
        (next.joined, next.stored, next.now) = (self.joined.clone(), self.stored.clone(), self.now);
        next
    }

    pub(super) fn with(
        &mut self,
        me: Identifier,
        act: impl FnOnce(&mut KeyGen, Millis, &mut ChaCha20Rng) -> Vec<Effect>,
    ) {
        let machine = self.members.get_mut(&me).expect("a member");
        let effects = act(machine, self.now, &mut self.rng);
        self.carry_out(me, effects);
    }

    /// A member hears this, now.
    pub(super) fn hear(&mut self, me: Identifier, from: Identifier, message: Message) {
        self.with(me, |machine, now, rng| machine.receive(from, message, now, rng));
    }

    fn carry_out(&mut self, me: Identifier, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    self.sent.push((me, to, message.clone()));
                    if (self.holds)(&message) {
                        self.held.push((me, to, message));
                    } else {
                        self.queue.push_back((me, to, message));
                    }
                }
                Effect::StoreJoined(joined) => {
                    self.joined.insert(me, joined);
                    self.with(me, |machine, now, _| machine.stored_joined(joined.attempt, now));
                }
                Effect::StorePending { pending, .. } => {
                    let attempt = pending.terms.id(NETWORK);
                    self.stored.entry(me).or_default().push(pending);
                    self.with(me, |machine, _, _| machine.stored_pending(attempt));
                }
                Effect::StoreActivation { attempt, .. } => {
                    self.activations.push((me, attempt));
                    self.with(me, |machine, _, _| machine.stored_activation(attempt));
                }
                Effect::Completed(_) => {}
                Effect::Contradiction(contradiction) => self.culprits.push(contradiction.refusal.by),
                Effect::Blamed { culprits, .. } | Effect::GivenUp { culprits, .. } => {
                    self.culprits.extend(culprits)
                }
            }
        }
    }

    fn settle(&mut self) {
        while let Some((from, to, message)) = self.queue.pop_front() {
            self.hear(to, from, message);
        }
    }

    pub(super) fn tick(&mut self) {
        for me in 1..=SIZE {
            self.with(id(me), |machine, now, rng| machine.tick(now, rng));
        }
        self.settle();
    }

    /// Hands a held message over.
    pub(super) fn release(&mut self, to: Identifier, which: impl Fn(&Message) -> bool) {
        let (released, held) =
            self.held.drain(..).partition(|(_, addressee, message)| *addressee == to && which(message));
        self.held = held;
        self.queue.extend::<Vec<_>>(released);
        self.settle();
    }

    /// Hands the private packages that are held over to all but this member, which so are the only ones that have shares.
    pub(super) fn deal_to_all_but(&mut self, without: u16) {
        for me in (1..=SIZE).filter(|me| *me != without) {
            self.release(id(me), is_private);
        }
    }

    /// The first such message of a member that is held.
    pub(super) fn held_of(&self, from: Identifier, which: impl Fn(&Message) -> bool) -> Message {
        let mut held = self.held.iter().filter(|(sender, _, message)| *sender == from && which(message));
        held.next().expect("sent").2.clone()
    }

    pub(super) fn starts(&self) -> Vec<Message> {
        let mut starts: Vec<Message> = Vec::new();
        for (_, _, message) in &self.sent {
            if matches!(message, Message::Start { .. }) && !starts.contains(message) {
                starts.push(message.clone());
            }
        }
        starts
    }

    /// The message that started the last attempt.
    pub(super) fn start(&self) -> Message {
        self.starts().pop().expect("started")
    }

    /// The last attempt.
    pub(super) fn started(&self) -> AttemptTerms {
        let Message::Start { terms } = self.start() else { panic!("a start") };
        terms
    }

    pub(super) fn is_done(&self) -> bool {
        self.members.values().all(KeyGen::is_done)
    }
}

pub(super) fn is_broadcast(message: &Message) -> bool {
    matches!(message, Message::Round1 { .. })
}

pub(super) fn is_private(message: &Message) -> bool {
    matches!(message, Message::Round2 { .. })
}

pub(super) fn is_confirmation(message: &Message) -> bool {
    matches!(message, Message::Confirm { .. })
}

pub(super) fn is_activation(message: &Message) -> bool {
    matches!(message, Message::Activate { .. })
}
