//! Nonces between commitment and share, and those that are made while a node has nothing else to do.

use std::collections::BTreeSet;

use countersign_session::{
    message::ToCoordinator,
    participant::{Effect, MAX_BATCH, MAX_SPARE, Run},
};

use super::{COORDINATOR, declined, live, open, opened, propose, run_of};
use crate::committee::{NOW, SCHEME, allow, id, participant, rng};

#[test]
fn a_purge_leaves_no_nonce_and_tells_who_waits() {
    let tells = |effects: &[Effect<()>], run: &Run| {
        let told = |effect: &Effect<()>| {
            matches!(effect, Effect::Send { to, message: ToCoordinator::Declined { session, attempt: None, .. } }
                if *to == run.coordinator && *session == run.session)
        };
        effects.len() == 1 && effects.iter().all(told)
    };

    // before the package, and while it is replayed
    for is_replaying in [false, true] {
        let mut opened = opened(NOW);
        opened.me.hand_out(id(3), SCHEME, 4, NOW, &mut rng(5));
        opened.me.prepare(&mut rng(6));
        assert_eq!((opened.me.nonces_in_advance(), opened.me.spare_nonces()), (4, 1));
        let package = if is_replaying { opened.replaying() } else { opened.package() };
        let effects = opened.me.purge();
        assert!(tells(&effects, &opened.run), "{effects:?}");
        assert_eq!((opened.me.nonces_in_advance(), opened.me.spare_nonces()), (0, 0));
        assert_eq!(opened.me.open_sessions(), 0);
        assert!(opened.replayed(Ok(allow(1))).is_empty());
        assert!(declined(opened.sign(&package)).is_some());
        assert_eq!(opened.me.shares_made(), 0);
        // a proposal that comes again opens nothing under the old terms, and the request is good for new ones
        let again = opened.me.receive(id(COORDINATOR), propose(NOW), NOW, &mut rng(9));
        assert!(declined(again).is_some());
        let fresh = open(opened.me, id(COORDINATOR), NOW + 1);
        assert_ne!(fresh.observation.commitments, opened.observation.commitments);
    }

    // a live run that ends afterwards commits to nothing
    let mut me = participant(id(1));
    let run = run_of(me.receive(id(COORDINATOR), propose(NOW), NOW, &mut rng(1)));
    let effects = me.purge();
    assert!(tells(&effects, &run), "{effects:?}");
    assert!(me.observed(&run, live(), &mut rng(2)).is_empty());

    // whoever has its shares is not told that they are void
    let mut opened = opened(NOW);
    opened.replaying();
    opened.replayed(Ok(allow(1)));
    assert!(opened.me.purge().is_empty());
}

#[test]
fn nonces_made_between_sessions_are_bounded_and_serve_once() {
    let mut me = participant(id(1));
    assert!(!me.wants_spare_nonces(), "no scheme is in use yet");
    me.prepare(&mut rng(3));
    assert_eq!(me.spare_nonces(), 0);
    let mut me = open(me, id(COORDINATOR), NOW).me;
    while me.wants_spare_nonces() {
        me.prepare(&mut rng(me.spare_nonces() as u64 + 10));
    }
    me.prepare(&mut rng(4));
    assert_eq!(me.spare_nonces(), MAX_SPARE);

    // whoever asks gets those, and each is given once: to a member in advance, or to a session
    let batch = u16::try_from(MAX_BATCH).expect("small");
    let handed_out = me.hand_out(id(3), SCHEME, batch, NOW, &mut rng(5));
    assert_eq!(me.spare_nonces(), MAX_SPARE - MAX_BATCH);
    let opened = open(me, id(4), NOW);
    assert_eq!(opened.me.spare_nonces(), MAX_SPARE - MAX_BATCH - 1);
    let mut me = opened.me;
    let rest = me.hand_out(id(5), SCHEME, batch, NOW, &mut rng(5));
    let all: BTreeSet<_> = handed_out.iter().chain(&opened.observation.commitments).chain(&rest).collect();
    assert_eq!(all.len(), 2 * MAX_BATCH + 1);
    assert_eq!(me.spare_nonces(), 0);
    assert_eq!(me.hand_out(id(5), SCHEME, 1, NOW, &mut rng(6)).len(), 1, "else they are made then");
}

#[test]
fn nonces_made_between_sessions_do_not_outlive_their_use_for_long() {
    let mut me = opened(NOW).me;
    me.tick(NOW);
    me.prepare(&mut rng(3));
    me.tick(NOW + 4_999);
    assert_eq!(me.spare_nonces(), 1);
    me.tick(NOW + 5_000);
    assert_eq!(
        (me.spare_nonces(), me.wants_spare_nonces()),
        (0, false),
        "wiped, and none made until one is used"
    );
    me.hand_out(id(3), SCHEME, 1, NOW + 5_000, &mut rng(4));
    assert!(me.wants_spare_nonces());
}
