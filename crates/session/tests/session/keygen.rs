//! Key generation step by step. Faults, crashes and liars are played in `countersign-sim`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolStruct;
use countersign_session::{
    Millis,
    keygen::{
        ATTEMPT_MS, Effect, JOIN_MS, Joined, Journal, KeyGen, LONGEST_BACKOFF_MS, Message, Pending, Refusal,
        SETTLE_MS,
    },
};
use countersign_types::{
    Activation, AttemptId, AttemptTerms, Identifier, NetworkId, Scheme,
    canonical::{domain, sol_types},
};
use rand_chacha::ChaCha20Rng;

use crate::committee::{NETWORK, NOW, SIZE, id, identity, membership, rng};

/// All members, connected; messages that a test holds back wait.
struct Ring {
    members: BTreeMap<Identifier, KeyGen>,
    queue: VecDeque<(Identifier, Identifier, Message)>,
    holds: fn(&Message) -> bool,
    held: Vec<(Identifier, Identifier, Message)>,
    sent: Vec<(Identifier, Identifier, Message)>,
    /// What is on the disks.
    joined: BTreeMap<Identifier, Joined>,
    stored: BTreeMap<Identifier, Vec<Pending>>,
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

fn is_confirmation(message: &Message) -> bool {
    matches!(message, Message::Confirm { .. })
}

fn is_private(message: &Message) -> bool {
    matches!(message, Message::Round2 { .. })
}

/// All members, with nothing but what is on their disks, and connected.
fn restarted(ring: &Ring, holds: fn(&Message) -> bool) -> Ring {
    let mut next = Ring::of(holds, |me| {
        let pending = ring.stored.get(&me).cloned().unwrap_or_default();
        let journal = Journal { joined: ring.joined.get(&me).copied(), pending, ..Journal::default() };
        KeyGen::resume(membership(me), Arc::new(identity(me)), Scheme::ALL, journal, ring.now)
    });
    (next.joined, next.stored, next.now) = (ring.joined.clone(), ring.stored.clone(), ring.now);
    next
}

/// A member's word that it never confirms an attempt.
fn refusal(by: Identifier, signer: Identifier, attempt: AttemptId) -> Message {
    let digest = sol_types::Refuse { attempt: attempt.0 }.eip712_signing_hash(&domain(NETWORK));
    Message::Refuse(Refusal { attempt, by, signature: identity(signer).sign(digest) })
}

fn refusals(ring: &Ring, by: Identifier) -> usize {
    let is_one = |message: &Message| matches!(message, Message::Refuse(refusal) if refusal.by == by);
    ring.sent.iter().filter(|(from, _, message)| *from == by && is_one(message)).count()
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
fn nothing_begins_while_an_attempt_may_still_be_activated() {
    let mut ring = Ring::new(is_confirmation);
    ring.tick();
    ring.now += ATTEMPT_MS + LONGEST_BACKOFF_MS;
    ring.tick();
    assert_eq!(ring.starts().len(), 1, "who knows whether one member has all confirmations?");
    let described = ring.members[&id(1)].describe();
    assert!(described.contains("waits for members 2, 3, 4, 5 to confirm or refuse"), "{described}");
    assert_eq!(ring.members[&id(2)].waits_for(), [1, 3, 4, 5].map(id));
    // one member has them, and hands them on
    ring.release(id(3), is_confirmation);
    assert_eq!(ring.activations.len(), usize::from(SIZE));
    assert!(ring.members.values().all(KeyGen::is_done));
}

#[test]
fn a_restart_goes_on_with_what_was_confirmed() {
    let mut ring = Ring::new(is_confirmation);
    ring.tick();
    ring.now += ATTEMPT_MS + LONGEST_BACKOFF_MS;
    let mut ring = restarted(&ring, |_| false);
    ring.tick();
    assert!(ring.members.values().all(KeyGen::is_done));
    assert!(ring.starts().is_empty());
}

#[test]
fn whoever_lost_an_attempt_refuses_it_and_a_further_one_begins() {
    // member 2 gets no private packages, so it never has shares
    let mut ring = Ring::new(|message| matches!(message, Message::Round2 { .. }));
    ring.tick();
    for me in [1, 3, 4, 5] {
        ring.release(id(me), |_| true);
    }
    ring.held.clear();
    ring.now += 1;
    let mut ring = restarted(&ring, |_| false);
    ring.tick();
    assert!(refusals(&ring, id(2)) >= 4, "everybody else confirmed, and asks");
    ring.now += LONGEST_BACKOFF_MS;
    ring.tick();
    assert!(ring.members.values().all(KeyGen::is_done));
    assert_eq!(ring.starts().len(), 1);
    assert!(ring.culprits.is_empty());
}

#[test]
fn whoever_confirmed_never_refuses() {
    let mut ring = Ring::new(is_confirmation);
    ring.tick();
    let (_, _, confirmation) = ring.held.iter().find(|(from, _, _)| *from == id(2)).cloned().expect("sent");
    let mut ring = restarted(&ring, |_| true);
    ring.with(id(1), |machine, now, rng| machine.receive(id(2), confirmation.clone(), now, rng));
    ring.with(id(1), |machine, now, _| machine.disconnected(id(2), now));
    assert_eq!(refusals(&ring, id(1)), 0);
    // nor does it say anything of an attempt of the future, which it may join
    let Message::Confirm { mut terms, roots, signature } = confirmation else { panic!("it is one") };
    terms.number = ring.now + 1;
    let future = Message::Confirm { terms, roots, signature };
    ring.with(id(1), |machine, now, rng| machine.receive(id(2), future.clone(), now, rng));
    assert_eq!(refusals(&ring, id(1)), 0);
    ring.with(id(1), |machine, now, rng| machine.receive(id(2), future, now + 2 + JOIN_MS, rng));
    assert_eq!(refusals(&ring, id(1)), 1, "and of one that is over it does");
}

#[test]
fn a_refusal_counts_with_its_members_signature() {
    let mut ring = Ring::new(is_confirmation);
    ring.tick();
    let Message::Start { terms } = ring.starts().pop().expect("started") else { panic!("a start") };
    let attempt = terms.id(NETWORK);
    let other = AttemptTerms { number: 1, ..terms }.id(NETWORK);
    let outsider = Identifier::new(99).expect("not zero");
    for forged in
        [refusal(id(3), id(2), attempt), refusal(outsider, id(2), attempt), refusal(id(3), id(3), other)]
    {
        ring.with(id(1), |machine, now, rng| machine.receive(id(2), forged, now, rng));
    }
    ring.now += LONGEST_BACKOFF_MS;
    ring.tick();
    assert_eq!(ring.starts().len(), 1);
    // any member may hand it on
    let genuine = refusal(id(3), id(3), attempt);
    ring.with(id(1), |machine, now, rng| machine.receive(id(2), genuine, now, rng));
    assert!(ring.members[&id(1)].held_up_by().contains(&id(3)));
    ring.now += LONGEST_BACKOFF_MS;
    ring.tick();
    assert_eq!(ring.starts().len(), 2);
    // the others ask the first member, and it tells them
    ring.now += 1_000;
    ring.release(id(1), is_confirmation);
    ring.tick();
    assert!(ring.stored.values().all(|stored| stored.len() == 2), "all take part in the second");
}

#[test]
fn a_refusal_that_released_a_member_survives_its_restart() {
    let mut ring = Ring::new(is_confirmation);
    ring.tick();
    let Message::Start { terms } = ring.starts().pop().expect("started") else { panic!("a start") };
    let word = refusal(id(3), id(3), terms.id(NETWORK));
    for me in 1..=SIZE {
        let from = id(if me == 2 { 4 } else { 2 });
        ring.with(id(me), |machine, now, rng| machine.receive(from, word.clone(), now, rng));
    }
    ring.holds = |message| matches!(message, Message::Round1 { .. });
    ring.now += LONGEST_BACKOFF_MS;
    ring.tick();
    assert_eq!(ring.starts().len(), 2);
    ring.now += LONGEST_BACKOFF_MS;
    let mut ring = restarted(&ring, |_| false);
    ring.tick();
    assert_eq!(ring.starts().len(), 1, "nobody waits again");
    let described: Vec<String> = ring.members.values().map(KeyGen::describe).collect();
    assert!(ring.members.values().all(KeyGen::is_done), "{described:?}");
}

#[test]
fn whoever_refuses_and_confirms_is_named_and_only_others_make_a_member_turn_back() {
    let mut ring =
        Ring::new(|message| is_confirmation(message) || matches!(message, Message::Activate { .. }));
    ring.tick();
    let Message::Start { terms } = ring.starts().pop().expect("started") else { panic!("a start") };
    let word = refusal(id(3), id(3), terms.id(NETWORK));
    ring.with(id(1), |machine, now, rng| machine.receive(id(3), word, now, rng));
    // member 3 has all confirmations, and so has member 4
    for me in [3, 4] {
        ring.release(id(me), is_confirmation);
    }
    let mut activations: Vec<_> = ring
        .held
        .iter()
        .filter(|(_, to, message)| *to == id(1) && matches!(message, Message::Activate { .. }))
        .cloned()
        .collect();
    activations.sort_by_key(|(from, _, _)| *from);
    let [(three, _, liars), (four, _, honest)] = &activations[..] else { panic!("two activations") };
    assert_eq!((*three, *four), (id(3), id(4)));
    ring.with(id(1), |machine, now, rng| machine.receive(id(3), liars.clone(), now, rng));
    assert!(ring.activations.iter().all(|(member, _)| *member != id(1)));
    assert_eq!(ring.culprits, [id(3)]);
    ring.with(id(1), |machine, now, rng| machine.receive(id(4), honest.clone(), now, rng));
    assert!(ring.activations.iter().any(|(member, _)| *member == id(1)));
    assert_eq!(ring.culprits, [id(3)], "told once");
}

/// A member's confirmation of other roots than the attempt's.
fn other_confirmation(by: Identifier, confirmation: &Message) -> Message {
    let Message::Confirm { terms, .. } = confirmation else { panic!("it is one") };
    let (attempt, roots) = (terms.id(NETWORK).0, B256::repeat_byte(6));
    let digest = sol_types::Confirm { attempt, roots }.eip712_signing_hash(&domain(NETWORK));
    Message::Confirm { terms: terms.clone(), roots, signature: identity(by).sign(digest) }
}

#[test]
fn whoever_confirms_other_roots_is_named_also_where_that_comes_before_the_receivers_own_shares() {
    for is_first in [true, false] {
        let mut ring = Ring::new(|message| is_private(message) || is_confirmation(message));
        ring.tick();
        // all but member 2 have their shares, and confirm
        for me in [1, 3, 4, 5] {
            ring.release(id(me), is_private);
        }
        let is_wanted = |(from, to, message): &&(Identifier, Identifier, Message)| {
            (*from, *to) == (id(3), id(2)) && is_confirmation(message)
        };
        let right = ring.held.iter().find(is_wanted).expect("sent").2.clone();
        let mut said = [other_confirmation(id(3), &right), right];
        if !is_first {
            said.reverse();
        }
        // the one that is made for another's name says nothing about it
        let forged = other_confirmation(id(3), &said[0]);
        ring.with(id(2), |machine, now, rng| machine.receive(id(4), forged, now, rng));
        for message in said {
            ring.with(id(2), |machine, now, rng| machine.receive(id(3), message, now, rng));
        }
        assert!(ring.culprits.is_empty(), "it has no roots to hold them against");
        ring.release(id(2), is_private);
        assert_eq!(ring.culprits, [id(3)]);
        // and the right one counts, whichever came first
        assert_eq!(ring.members[&id(2)].waits_for(), [1, 4, 5].map(id));
        for me in 1..=SIZE {
            ring.release(id(me), is_confirmation);
        }
        assert!(ring.members.values().all(KeyGen::is_done));
        assert_eq!(ring.culprits, [id(3)], "told once");
    }
}

#[test]
fn what_an_older_version_left_is_followed_until_this_one_has_shares() {
    // 256 attempts that an older version stored, of which the others activated the first
    let mut ring = Ring::new(|message| matches!(message, Message::Activate { .. }));
    ring.tick();
    let attempt = ring.activations.first().expect("activated").1;
    let (_, _, activation) = ring.held.iter().find(|(from, _, _)| *from == id(2)).cloned().expect("sent");
    let mut pending = ring.stored[&id(1)].clone();
    for number in 1..256 {
        let mut later = pending[0].clone();
        later.terms.number += number;
        pending.push(later);
    }
    let journal = Journal { pending, ..Journal::default() };
    let now = NOW + ATTEMPT_MS;
    let mut old = KeyGen::resume(membership(id(1)), Arc::new(identity(id(1))), Scheme::ALL, journal, now);
    assert!(old.waits_for().len() == 4 && old.describe().contains("to connect"), "{}", old.describe());
    for other in 2..=SIZE {
        assert!(old.connected(id(other), now - SETTLE_MS).is_empty());
    }
    // it begins another attempt, which nobody joins who has activated
    let effects = old.tick(now, &mut ring.rng);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::StoreJoined(_))), "{effects:?}");
    let effects = old.receive(id(2), activation, now, &mut ring.rng);
    let follows =
        |effect: &Effect| matches!(effect, Effect::StoreActivation { attempt: own, .. } if *own == attempt);
    assert!(effects.iter().any(follows), "{effects:?}");
}

#[test]
fn a_part_in_an_attempt_is_stored_before_anything_is_sent() {
    let mut machine = member(id(1), &Scheme::ALL, &[]);
    for other in 2..=SIZE {
        machine.connected(id(other), NOW - SETTLE_MS);
    }
    let effects = machine.tick(NOW, &mut rng(4));
    let [Effect::StoreJoined(first)] = &effects[..] else { panic!("{effects:?}") };
    assert!(machine.tick(NOW + 1_000, &mut rng(4)).is_empty(), "nothing is sent again either");
    // it crashes, and its clock is behind what it stored
    let journal = Journal { joined: Some(*first), ..Journal::default() };
    let identity = Arc::new(identity(id(1)));
    let early = first.number - 10_000;
    let mut machine = KeyGen::resume(membership(id(1)), identity, Scheme::ALL, journal, early);
    for other in 2..=SIZE {
        machine.connected(id(other), early - SETTLE_MS);
    }
    let effects = machine.tick(early, &mut rng(5));
    let [Effect::StoreJoined(second)] = &effects[..] else { panic!("{effects:?}") };
    assert!(second.number > first.number);
}

#[test]
fn an_attempt_starts_once_all_have_been_connected_for_a_moment() {
    let mut machine = member(id(1), &Scheme::ALL, &[]);
    for other in 2..=SIZE {
        machine.connected(id(other), NOW);
    }
    // one connection of two that crossed goes again
    let crossed = NOW + 100;
    assert!(machine.disconnected(id(4), crossed).is_empty());
    machine.connected(id(4), crossed);
    assert!(machine.tick(crossed + SETTLE_MS - 1, &mut rng(4)).is_empty(), "it is not yet settled");
    let effects = machine.tick(crossed + SETTLE_MS, &mut rng(4));
    assert!(matches!(effects[..], [Effect::StoreJoined(_)]), "{effects:?}");
}

#[test]
fn attempts_and_packages_of_another_network_or_epoch_are_none() {
    let mut ring = Ring::new(|message| matches!(message, Message::Round1 { .. }));
    ring.tick();
    let Message::Start { terms } = ring.starts().pop().expect("started") else { panic!("a start") };
    let elsewhere =
        Message::Start { terms: AttemptTerms { epoch: 2, number: terms.number + 1, ..terms.clone() } };
    ring.sent.clear();
    ring.with(id(2), |machine, now, rng| machine.receive(id(1), elsewhere, now, rng));
    assert!(ring.sent.is_empty());
    // the same attempt's packages, signed in another network
    let (attempt, packages) = ring
        .held
        .iter()
        .filter(|(from, _, _)| *from == id(3))
        .find_map(|(_, _, message)| {
            let Message::Round1 { attempt, packages, .. } = message else { return None };
            Some((*attempt, packages.clone()))
        })
        .expect("broadcast");
    let hashes: Vec<u8> = packages.iter().flat_map(|package| keccak256(package).0).collect();
    let content = keccak256(hashes);
    let package = sol_types::KeyGenerationPackage { attempt: attempt.0, round: 1, from: 3, to: 0, content };
    let signature = identity(id(3)).sign(package.eip712_signing_hash(&domain(NetworkId::from([9; 32]))));
    let foreign = Message::Round1 { attempt, packages, signature };
    ring.with(id(2), |machine, now, rng| machine.receive(id(3), foreign, now, rng));
    assert_eq!(ring.culprits, [id(3)]);
}

#[test]
fn only_members_are_heard() {
    assert_eq!(Identifier::new(0), None);
    let mut ring = Ring::new(|_| true);
    ring.tick();
    let start = ring.starts().pop().expect("started");
    ring.sent.clear();
    for stranger in [99, 2] {
        let stranger = Identifier::new(stranger).expect("not zero");
        ring.with(id(2), |machine, now, rng| machine.receive(stranger, start.clone(), now, rng));
    }
    assert!(ring.sent.is_empty());
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
