//! What members do once they have shares: they confirm, wait for each other, and activate.

use alloy_primitives::B256;
use countersign_session::keygen::{ATTEMPT_MS, Effect, Journal, LONGEST_BACKOFF_MS, Message, SETTLE_MS};
use countersign_types::{Identifier, canonical::sol_types};

use super::ring::{Ring, is_activation, is_confirmation, is_private, resumed, sign};
use crate::committee::{NETWORK, NOW, SIZE, id};

#[test]
fn nothing_begins_while_an_attempt_may_still_be_activated() {
    let mut ring = Ring::begun(is_confirmation);
    ring.now += ATTEMPT_MS + LONGEST_BACKOFF_MS;
    ring.tick();
    assert_eq!(ring.starts().len(), 1, "who knows whether one member has all confirmations?");
    let described = ring.members[&id(1)].describe();
    assert!(described.contains("waits for members 2, 3, 4, 5 to confirm or refuse"), "{described}");
    assert_eq!(ring.members[&id(2)].waits_for(), [1, 3, 4, 5].map(id));
    // one member has them, and hands them on
    ring.release(id(3), is_confirmation);
    assert_eq!(ring.activations.len(), usize::from(SIZE));
    assert!(ring.is_done());
}

#[test]
fn a_restart_goes_on_with_what_was_confirmed() {
    let mut ring = Ring::begun(is_confirmation);
    ring.now += ATTEMPT_MS + LONGEST_BACKOFF_MS;
    let mut ring = ring.restarted(|_| false);
    ring.tick();
    assert!(ring.is_done());
    assert!(ring.starts().is_empty());
}

#[test]
fn what_others_may_lack_is_sent_until_they_confirm() {
    let mut ring = Ring::begun(is_private);
    // all but member 2 have their shares
    ring.deal_to_all_but(2);
    ring.held.clear();
    ring.holds = |_| false;
    ring.now += 1_000;
    ring.tick();
    assert!(ring.is_done());
    assert_eq!(ring.starts().len(), 1);
}

/// A member's confirmation of other roots than the attempt's.
fn other_confirmation(by: Identifier, confirmation: &Message) -> Message {
    let Message::Confirm { terms, .. } = confirmation else { panic!("it is one") };
    let (attempt, roots) = (terms.id(NETWORK).0, B256::repeat_byte(6));
    let signature = sign(by, &sol_types::Confirm { attempt, roots }, NETWORK);
    Message::Confirm { terms: terms.clone(), roots, signature }
}

#[test]
fn whoever_confirms_other_roots_is_named_also_where_that_comes_before_the_receivers_own_shares() {
    for is_first in [true, false] {
        let mut ring = Ring::begun(|message| is_private(message) || is_confirmation(message));
        // all but member 2 have their shares, and confirm
        ring.deal_to_all_but(2);
        let right = ring.held_of(id(3), is_confirmation);
        let mut said = [other_confirmation(id(3), &right), right];
        if !is_first {
            said.reverse();
        }
        // the one that is made for another's name says nothing about it
        let forged = other_confirmation(id(3), &said[0]);
        ring.hear(id(2), id(4), forged);
        for message in said {
            ring.hear(id(2), id(3), message);
        }
        assert!(ring.culprits.is_empty(), "it has no roots to hold them against");
        ring.release(id(2), is_private);
        assert_eq!(ring.culprits, [id(3)]);
        // and the right one counts, whichever came first
        assert_eq!(ring.members[&id(2)].waits_for(), [1, 4, 5].map(id));
        for me in 1..=SIZE {
            ring.release(id(me), is_confirmation);
        }
        assert!(ring.is_done());
        assert_eq!(ring.culprits, [id(3)], "told once");
    }
}

#[test]
fn what_an_older_version_left_is_followed_until_this_one_has_shares() {
    // 256 attempts that an older version stored, of which the others activated the first
    let mut ring = Ring::begun(is_activation);
    let attempt = ring.activations.first().expect("activated").1;
    let activation = ring.held_of(id(2), is_activation);
    let mut pending = ring.stored[&id(1)].clone();
    for number in 1..256 {
        let mut later = pending[0].clone();
        later.terms.number += number;
        pending.push(later);
    }
    let now = NOW + ATTEMPT_MS;
    let mut old = resumed(id(1), Journal { pending, ..Journal::default() }, now);
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
