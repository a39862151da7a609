//! Key generation step by step. Faults, crashes and liars are played in `countersign-sim`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use countersign_session::{
    Millis,
    keygen::{ATTEMPT_MS, Effect, Journal, KeyGen, LONGEST_BACKOFF_MS, Message},
};
use countersign_types::{Activation, AttemptId, Identifier, Scheme};
use rand_chacha::ChaCha20Rng;

use crate::committee::{NETWORK, NOW, SIZE, id, identity, membership, rng};

/// All members, connected; messages that a test holds back wait.
struct Ring {
    members: BTreeMap<Identifier, KeyGen>,
    queue: VecDeque<(Identifier, Identifier, Message)>,
    holds: fn(&Message) -> bool,
    held: Vec<(Identifier, Identifier, Message)>,
    sent: Vec<(Identifier, Identifier, Message)>,
    activations: Vec<(Identifier, AttemptId)>,
    culprits: Vec<Identifier>,
    now: Millis,
    rng: ChaCha20Rng,
}

/// A member whose version knows these schemes, and that has these ceremonies behind it.
fn member(me: Identifier, schemes: &[Scheme], complete: &[Activation]) -> KeyGen {
    let journal = Journal { complete: complete.to_vec(), ..Journal::default() };
    KeyGen::resume(membership(me), Arc::new(identity(me)), schemes.iter().copied(), journal, NOW - 1)
}

impl Ring {
    fn new(holds: fn(&Message) -> bool) -> Self {
        Self::of(holds, |me| member(me, &Scheme::ALL, &[]))
    }

    fn of(holds: fn(&Message) -> bool, make: impl Fn(Identifier) -> KeyGen) -> Self {
        let member = |number| (id(number), make(id(number)));
        let mut ring = Self {
            members: (1..=SIZE).map(member).collect(),
            queue: VecDeque::new(),
            holds,
            held: Vec::new(),
            sent: Vec::new(),
            activations: Vec::new(),
            culprits: Vec::new(),
            now: NOW,
            rng: rng(3),
        };
        for me in 1..=SIZE {
            for other in (1..=SIZE).filter(|other| *other != me) {
                ring.with(id(me), |machine, _, _| machine.connected(id(other)));
            }
        }
        ring
    }

    fn with(
        &mut self,
        me: Identifier,
        act: impl FnOnce(&mut KeyGen, Millis, &mut ChaCha20Rng) -> Vec<Effect>,
    ) {
        let machine = self.members.get_mut(&me).expect("a member");
        let effects = act(machine, self.now, &mut self.rng);
        self.carry_out(me, effects);
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
                Effect::StorePending { pending, .. } => {
                    let attempt = pending.terms.id(NETWORK);
                    self.with(me, |machine, _, _| machine.stored_pending(attempt));
                }
                Effect::StoreActivation { attempt, .. } => {
                    self.activations.push((me, attempt));
                    self.with(me, |machine, _, _| machine.stored_activation(attempt));
                }
                Effect::Completed(_) => {}
                Effect::GivenUp { culprits, .. } => self.culprits.extend(culprits),
            }
        }
    }

    fn settle(&mut self) {
        while let Some((from, to, message)) = self.queue.pop_front() {
            self.with(to, |machine, now, rng| machine.receive(from, message, now, rng));
        }
    }

    fn tick(&mut self) {
        for me in 1..=SIZE {
            self.with(id(me), |machine, now, rng| machine.tick(now, rng));
        }
        self.settle();
    }

    /// Hands a held message over.
    fn release(&mut self, to: Identifier, which: impl Fn(&Message) -> bool) {
        let (released, held) =
            self.held.drain(..).partition(|(_, addressee, message)| *addressee == to && which(message));
        self.held = held;
        self.queue.extend::<Vec<_>>(released);
        self.settle();
    }

    fn starts(&self) -> Vec<Message> {
        let mut starts: Vec<Message> = Vec::new();
        for (_, _, message) in &self.sent {
            if matches!(message, Message::Start { .. }) && !starts.contains(message) {
                starts.push(message.clone());
            }
        }
        starts
    }
}

fn confirms(attempt: AttemptId) -> impl Fn(&Message) -> bool {
    move |message| matches!(message, Message::Confirm { attempt: of, .. } if *of == attempt)
}

#[test]
fn all_members_end_with_all_roots_in_one_attempt() {
    let mut ring = Ring::new(|_| false);
    ring.tick();
    let roots: Vec<_> = ring.members.values().map(|machine| machine.complete().to_vec()).collect();
    assert!(roots.iter().all(|done| *done == roots[0]));
    let [done] = &roots[0][..] else { panic!("{} ceremonies", roots[0].len()) };
    assert!(done.schemes().eq(Scheme::ALL));
    assert_eq!(ring.starts().len(), 1);
}

#[test]
fn a_start_that_comes_again_after_its_attempt_begins_nothing() {
    let mut ring = Ring::new(|message| matches!(message, Message::Round1 { .. }));
    ring.tick();
    let start = ring.starts().pop().expect("started");
    ring.with(id(2), |machine, now, _| machine.disconnected(id(3), now));
    ring.sent.clear();
    ring.with(id(2), |machine, now, rng| machine.receive(id(1), start, now, rng));
    let broadcasts = ring.sent.iter().filter(|(_, _, message)| matches!(message, Message::Round1 { .. }));
    assert_eq!(broadcasts.count(), 0, "a second package for one attempt is what liars send");
    assert!(ring.culprits.is_empty());
}

#[test]
fn a_member_that_started_after_an_attempt_does_not_join_it() {
    let mut ring = Ring::new(|message| matches!(message, Message::Round1 { .. }));
    ring.tick();
    let start = ring.starts().pop().expect("started");
    let (membership, identity) = (membership(id(2)), Arc::new(identity(id(2))));
    let restarted = KeyGen::resume(membership, identity, Scheme::ALL, Journal::default(), NOW + 1);
    ring.members.insert(id(2), restarted);
    ring.sent.clear();
    ring.with(id(2), |machine, now, rng| machine.receive(id(1), start, now + 1, rng));
    let answers: Vec<_> = ring.sent.iter().map(|(_, to, message)| (*to, message)).collect();
    assert!(matches!(answers[..], [(to, Message::Abort { .. })] if to == id(1)), "{answers:?}");
}

#[test]
fn whoever_confirmed_a_later_attempt_does_not_activate_an_earlier_one_by_itself() {
    let mut ring = Ring::new(|message| matches!(message, Message::Confirm { .. }));
    ring.tick();
    ring.now += ATTEMPT_MS + LONGEST_BACKOFF_MS;
    ring.tick();
    let starts = ring.starts();
    let ids: Vec<AttemptId> = starts
        .iter()
        .filter_map(|start| match start {
            Message::Start { terms } => Some(terms.id(NETWORK)),
            Message::Round1 { .. }
            | Message::Echo { .. }
            | Message::Round2 { .. }
            | Message::Abort { .. }
            | Message::Confirm { .. }
            | Message::Activate { .. }
            | Message::Activated(_) => None,
        })
        .collect();
    let [earlier, later] = ids[..] else { panic!("{} attempts", ids.len()) };
    ring.release(id(2), confirms(earlier));
    assert!(ring.activations.is_empty(), "another may activate the later: neither would ever be complete");
    ring.release(id(3), confirms(later));
    // it follows as soon as one member has activated
    assert!(ring.activations.iter().all(|(_, attempt)| *attempt == later));
    assert_eq!(ring.activations.len(), usize::from(SIZE));
    assert!(ring.members.values().all(|machine| machine.is_done()));
}

#[test]
fn what_others_may_lack_is_sent_until_they_confirm() {
    let mut ring = Ring::new(|message| matches!(message, Message::Round2 { .. }));
    ring.tick();
    // member 2 gets none, all others get all: they have their shares, and it has not
    for me in [1, 3, 4, 5] {
        ring.release(id(me), |_| true);
    }
    ring.held.clear();
    ring.holds = |_| false;
    ring.now += 1_000;
    ring.tick();
    assert!(ring.members.values().all(|machine| machine.is_done()));
    assert_eq!(ring.starts().len(), 1);
}

const OLD: [Scheme; 2] = [Scheme::SchnorrSecp256k1, Scheme::Ed25519];

/// What members that know the old schemes have when they are done.
fn old_ceremony() -> Vec<Activation> {
    let mut ring = Ring::of(|_| false, |me| member(me, &OLD, &[]));
    ring.tick();
    let done = ring.members[&id(1)].complete().to_vec();
    assert!(done.len() == 1 && done[0].schemes().eq(OLD));
    done
}

#[test]
fn a_new_scheme_gets_its_root_in_a_further_ceremony_and_the_old_ones_stay() {
    let old = old_ceremony();
    let mut ring = Ring::of(|_| false, |me| member(me, &Scheme::ALL, &old));
    assert!(ring.members.values().all(|machine| !machine.is_done()));
    ring.tick();
    for machine in ring.members.values() {
        assert!(machine.is_done());
        let [first, further] = machine.complete() else { panic!("{} ceremonies", machine.complete().len()) };
        assert_eq!(*first, old[0]);
        assert!(further.schemes().eq([Scheme::Bip340]));
    }
}

#[test]
fn members_join_only_an_attempt_for_what_they_lack_themselves() {
    let old = old_ceremony();
    // the second member has not been upgraded
    let schemes = |me| if me == id(2) { &OLD[..] } else { &Scheme::ALL[..] };
    let mut ring = Ring::of(|_| false, |me| member(me, schemes(me), &old));
    ring.tick();
    assert!(ring.members.values().all(|machine| machine.complete().len() == 1), "nobody goes on without it");
    let reasons: Vec<_> =
        ring.sent
            .iter()
            .filter(|(from, _, _)| *from == id(2))
            .filter_map(|(_, _, message)| {
                if let Message::Abort { reason, .. } = message { Some(reason.as_str()) } else { None }
            })
            .collect();
    assert!(reasons.iter().any(|reason| reason.contains("one version")), "{reasons:?}");
    assert!(ring.culprits.is_empty());
}

#[test]
fn whoever_starts_anew_what_is_done_is_told() {
    let old = old_ceremony();
    let mut ring = Ring::of(|_| false, |me| member(me, &Scheme::ALL, if me == id(1) { &[] } else { &old }));
    ring.tick();
    let told = ring.sent.iter().filter(|(_, to, message)| {
        *to == id(1) && matches!(message, Message::Activated(done) if **done == old[0])
    });
    assert!(told.count() >= usize::from(SIZE) - 1);
    // its shares are gone: it cannot take part, and nobody makes other ones with it
    assert!(ring.members.values().all(|machine| !machine.is_done()));
}
