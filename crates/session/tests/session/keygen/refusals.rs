//! Members that never confirm an attempt, and say so: what it takes for their word to count, and whom it frees.

use countersign_session::keygen::{JOIN_MS, KeyGen, LONGEST_BACKOFF_MS, Message, Refusal};
use countersign_types::{AttemptId, AttemptTerms, Identifier, canonical::sol_types};

use super::ring::{Ring, is_activation, is_broadcast, is_confirmation, is_private, sign};
use crate::committee::{NETWORK, SIZE, id};

/// A member's word that it never confirms an attempt.
fn refusal(by: Identifier, signer: Identifier, attempt: AttemptId) -> Message {
    let signature = sign(signer, &sol_types::Refuse { attempt: attempt.0 }, NETWORK);
    Message::Refuse(Refusal { attempt, by, signature })
}

fn refusals(ring: &Ring, by: Identifier) -> usize {
    let is_one = |message: &Message| matches!(message, Message::Refuse(refusal) if refusal.by == by);
    ring.sent.iter().filter(|(from, _, message)| *from == by && is_one(message)).count()
}

#[test]
fn whoever_lost_an_attempt_refuses_it_and_a_further_one_begins() {
    let mut ring = Ring::begun(is_private);
    // member 2 gets no private packages, so it never has shares
    ring.deal_to_all_but(2);
    ring.held.clear();
    ring.now += 1;
    let mut ring = ring.restarted(|_| false);
    ring.tick();
    assert!(refusals(&ring, id(2)) >= 4, "everybody else confirmed, and asks");
    ring.now += LONGEST_BACKOFF_MS;
    ring.tick();
    assert!(ring.is_done());
    assert_eq!(ring.starts().len(), 1);
    assert!(ring.culprits.is_empty());
}

#[test]
fn whoever_confirmed_never_refuses() {
    let ring = Ring::begun(is_confirmation);
    let confirmation = ring.held_of(id(2), is_confirmation);
    let mut ring = ring.restarted(|_| true);
    ring.hear(id(1), id(2), confirmation.clone());
    ring.with(id(1), |machine, now, _| machine.disconnected(id(2), now));
    assert_eq!(refusals(&ring, id(1)), 0);
    // nor does it say anything of an attempt of the future, which it may join
    let Message::Confirm { mut terms, roots, signature } = confirmation else { panic!("it is one") };
    terms.number = ring.now + 1;
    let future = Message::Confirm { terms, roots, signature };
    ring.hear(id(1), id(2), future.clone());
    assert_eq!(refusals(&ring, id(1)), 0);
    ring.with(id(1), |machine, now, rng| machine.receive(id(2), future, now + 2 + JOIN_MS, rng));
    assert_eq!(refusals(&ring, id(1)), 1, "and of one that is over it does");
}

#[test]
fn a_refusal_counts_with_its_members_signature() {
    let mut ring = Ring::begun(is_confirmation);
    let terms = ring.started();
    let attempt = terms.id(NETWORK);
    let other = AttemptTerms { number: 1, ..terms }.id(NETWORK);
    let outsider = id(99);
    for forged in
        [refusal(id(3), id(2), attempt), refusal(outsider, id(2), attempt), refusal(id(3), id(3), other)]
    {
        ring.hear(id(1), id(2), forged);
    }
    ring.now += LONGEST_BACKOFF_MS;
    ring.tick();
    assert_eq!(ring.starts().len(), 1);
    // any member may hand it on
    let genuine = refusal(id(3), id(3), attempt);
    ring.hear(id(1), id(2), genuine);
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
    let mut ring = Ring::begun(is_confirmation);
    let word = refusal(id(3), id(3), ring.started().id(NETWORK));
    for me in 1..=SIZE {
        let from = id(if me == 2 { 4 } else { 2 });
        ring.hear(id(me), from, word.clone());
    }
    ring.holds = is_broadcast;
    ring.now += LONGEST_BACKOFF_MS;
    ring.tick();
    assert_eq!(ring.starts().len(), 2);
    ring.now += LONGEST_BACKOFF_MS;
    let mut ring = ring.restarted(|_| false);
    ring.tick();
    assert_eq!(ring.starts().len(), 1, "nobody waits again");
    let described: Vec<String> = ring.members.values().map(KeyGen::describe).collect();
    assert!(ring.is_done(), "{described:?}");
}

#[test]
fn whoever_refuses_and_confirms_is_named_and_only_others_make_a_member_turn_back() {
    let mut ring = Ring::begun(|message| is_confirmation(message) || is_activation(message));
    let word = refusal(id(3), id(3), ring.started().id(NETWORK));
    ring.hear(id(1), id(3), word);
    // member 3 has all confirmations, and so has member 4
    for me in [3, 4] {
        ring.release(id(me), is_confirmation);
    }
    let mut activations: Vec<_> =
        ring.held.iter().filter(|(_, to, message)| *to == id(1) && is_activation(message)).cloned().collect();
    activations.sort_by_key(|(from, _, _)| *from);
    let [(three, _, liars), (four, _, honest)] = &activations[..] else { panic!("two activations") };
    assert_eq!((*three, *four), (id(3), id(4)));
    ring.hear(id(1), id(3), liars.clone());
    assert!(ring.activations.iter().all(|(member, _)| *member != id(1)));
    assert_eq!(ring.culprits, [id(3)]);
    ring.hear(id(1), id(4), honest.clone());
    assert!(ring.activations.iter().any(|(member, _)| *member == id(1)));
    assert_eq!(ring.culprits, [id(3)], "told once");
}
