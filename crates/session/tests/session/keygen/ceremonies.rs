//! What a ceremony gives, and for which schemes there is a further one.

use countersign_session::keygen::Message;
use countersign_types::{Activation, Scheme};

use super::ring::{Ring, member};
use crate::committee::{SIZE, id};

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
fn all_members_end_with_all_roots_in_one_attempt() {
    let ring = Ring::begun(|_| false);
    let roots: Vec<_> = ring.members.values().map(|machine| machine.complete().to_vec()).collect();
    assert!(roots.iter().all(|done| *done == roots[0]));
    let [done] = &roots[0][..] else { panic!("{} ceremonies", roots[0].len()) };
    assert!(done.schemes().eq(Scheme::ALL));
    assert_eq!(ring.starts().len(), 1);
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
