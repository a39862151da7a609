//! How an attempt starts, who joins it, and what counts in it.

use alloy_primitives::keccak256;
use countersign_session::keygen::{Effect, Journal, Message, SETTLE_MS};
use countersign_types::{AttemptTerms, Identifier, NetworkId, Scheme, canonical::sol_types};

use super::ring::{Ring, connect, is_broadcast, member, resumed, sign};
use crate::committee::{NOW, id, rng};

#[test]
fn a_start_that_comes_again_after_its_attempt_begins_nothing() {
    let mut ring = Ring::begun(is_broadcast);
    let start = ring.start();
    ring.with(id(2), |machine, now, _| machine.disconnected(id(3), now));
    ring.sent.clear();
    ring.hear(id(2), id(1), start);
    let broadcasts = ring.sent.iter().filter(|(_, _, message)| is_broadcast(message));
    assert_eq!(broadcasts.count(), 0, "a second package for one attempt is what liars send");
    assert!(ring.culprits.is_empty());
}

#[test]
fn a_member_that_started_after_an_attempt_does_not_join_it() {
    let mut ring = Ring::begun(is_broadcast);
    let start = ring.start();
    ring.members.insert(id(2), resumed(id(2), Journal::default(), NOW + 1));
    ring.sent.clear();
    ring.with(id(2), |machine, now, rng| machine.receive(id(1), start, now + 1, rng));
    let answers: Vec<_> = ring.sent.iter().map(|(_, to, message)| (*to, message)).collect();
    assert!(matches!(answers[..], [(to, Message::Abort { .. })] if to == id(1)), "{answers:?}");
}

#[test]
fn a_part_in_an_attempt_is_stored_before_anything_is_sent() {
    let mut machine = member(id(1), &Scheme::ALL, &[]);
    connect(&mut machine, NOW - SETTLE_MS);
    let effects = machine.tick(NOW, &mut rng(4));
    let [Effect::StoreJoined(first)] = &effects[..] else { panic!("{effects:?}") };
    assert!(machine.tick(NOW + 1_000, &mut rng(4)).is_empty(), "nothing is sent again either");
    // it crashes, and its clock is behind what it stored
    let journal = Journal { joined: Some(*first), ..Journal::default() };
    let early = first.number - 10_000;
    let mut machine = resumed(id(1), journal, early);
    connect(&mut machine, early - SETTLE_MS);
    let effects = machine.tick(early, &mut rng(5));
    let [Effect::StoreJoined(second)] = &effects[..] else { panic!("{effects:?}") };
    assert!(second.number > first.number);
}

#[test]
fn an_attempt_starts_once_all_have_been_connected_for_a_moment() {
    let mut machine = member(id(1), &Scheme::ALL, &[]);
    connect(&mut machine, NOW);
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
    let mut ring = Ring::begun(is_broadcast);
    let terms = ring.started();
    let elsewhere = Message::Start { terms: AttemptTerms { epoch: 2, number: terms.number + 1, ..terms } };
    ring.sent.clear();
    ring.hear(id(2), id(1), elsewhere);
    assert!(ring.sent.is_empty());
    // the same attempt's packages, signed in another network
    let broadcast = ring.held_of(id(3), is_broadcast);
    let Message::Round1 { attempt, packages, .. } = broadcast else { panic!("it is one") };
    let hashes: Vec<u8> = packages.iter().flat_map(|package| keccak256(package).0).collect();
    let content = keccak256(hashes);
    let package = sol_types::KeyGenerationPackage { attempt: attempt.0, round: 1, from: 3, to: 0, content };
    let signature = sign(id(3), &package, NetworkId::from([9; 32]));
    ring.hear(id(2), id(3), Message::Round1 { attempt, packages, signature });
    assert_eq!(ring.culprits, [id(3)]);
}

#[test]
fn only_members_are_heard() {
    assert_eq!(Identifier::new(0), None);
    let mut ring = Ring::begun(|_| true);
    let start = ring.start();
    ring.sent.clear();
    for stranger in [99, 2] {
        ring.hear(id(2), id(stranger), start.clone());
    }
    assert!(ring.sent.is_empty());
}
