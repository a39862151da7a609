//! Which requests a participant takes: of callers at its own node, and of other coordinators.

use std::sync::Arc;

use countersign_session::participant::{Participant, authenticate};
use countersign_types::{FailureKind, NetworkId, SignedRequest};

use crate::{
    committee::{BOOT, NOW, id, identity, membership, participant, request, rng, signed},
    participant::{abstains, proposal, run_of},
};

fn kind(result: Result<impl Sized, countersign_types::Failure>) -> Option<FailureKind> {
    result.err().map(|failure| failure.kind)
}

pub(crate) fn admit(
    participant: &mut Participant<()>,
    signed: SignedRequest,
    now: u64,
) -> Result<(), countersign_types::Failure> {
    participant.admit_request(&Arc::new(authenticate(signed)?), now)
}

/// A request with another one's signatures.
fn forged() -> SignedRequest {
    SignedRequest { signatures: signed(request(2)).signatures, ..signed(request(1)) }
}

#[test]
fn a_request_that_is_in_order_is_taken_and_taken_again() {
    let mut me = participant(id(1));
    assert!(admit(&mut me, signed(request(1)), NOW).is_ok());
    assert!(admit(&mut me, signed(request(1)), NOW + 1).is_ok());
}

#[test]
fn every_reason_to_turn_a_request_away_has_its_kind() {
    let check = |signed: SignedRequest, now| kind(admit(&mut participant(id(1)), signed, now));
    let mut other = request(1);
    other.network = NetworkId::from([8; 32]);
    assert_eq!(check(signed(other), NOW), Some(FailureKind::WrongNetwork));
    assert_eq!(check(signed(request(1)), NOW - 1), Some(FailureKind::NotYetIssued));
    assert_eq!(check(signed(request(1)), NOW + 60_000), Some(FailureKind::Expired));
    let mut altered = signed(request(1));
    altered.request.params = vec![1].into();
    assert_eq!(check(altered, NOW), Some(FailureKind::Unauthorised));
    let mut owned = request(1);
    owned.key.owner = countersign_types::Address::repeat_byte(1);
    assert_eq!(check(signed(owned), NOW), Some(FailureKind::Unauthorised));
    let mut long = request(1);
    long.expires_at = NOW + 20 * 60_000;
    assert_eq!(check(signed(long), NOW), Some(FailureKind::Invalid));
}

#[test]
fn a_request_of_before_the_start_or_of_its_millisecond_is_refused() {
    for (issued_at, expected) in
        [(BOOT - 1, Some(FailureKind::BeforeBoot)), (BOOT, Some(FailureKind::BeforeBoot)), (BOOT + 1, None)]
    {
        let mut old = request(1);
        (old.issued_at, old.expires_at) = (issued_at, NOW + 60_000);
        assert_eq!(kind(admit(&mut participant(id(1)), signed(old), NOW)), expected);
    }
}

#[test]
fn a_nonce_serves_one_request_until_it_ends() {
    let mut me = participant(id(1));
    assert!(admit(&mut me, signed(request(1)), NOW).is_ok());
    let mut other = request(1);
    other.params = vec![1].into();
    assert_eq!(kind(admit(&mut me, signed(other), NOW)), Some(FailureKind::NonceReused));
    let mut later = request(1);
    (later.issued_at, later.expires_at) = (NOW + 60_000, NOW + 70_000);
    me.tick(NOW + 60_000);
    assert!(admit(&mut me, signed(later), NOW + 60_000).is_ok());
}

#[test]
fn a_node_without_a_root_key_is_not_ready() {
    let mut bare: Participant<()> = Participant::new(membership(id(1)), Arc::new(identity(id(1))), BOOT);
    assert_eq!(kind(admit(&mut bare, signed(request(1)), NOW)), Some(FailureKind::NotReady));
}

#[test]
fn what_this_node_has_authenticated_is_not_checked_again_and_nothing_else_passes_for_it() {
    let mut me = participant(id(1));
    let valid = Arc::new(authenticate(signed(request(1))).expect("in order"));
    assert!(me.admit_request(&valid, NOW).is_ok());
    let forged = me.receive(id(1), proposal(forged(), NOW), NOW, &mut rng(1));
    assert_eq!(abstains(forged), Some(FailureKind::Unauthorised));
    let run = run_of(me.receive(id(2), proposal(signed(request(1)), NOW), NOW, &mut rng(1)));
    assert!(!Arc::ptr_eq(&run.request, &valid), "what another brings is checked");
    let run = run_of(me.receive(id(1), proposal(signed(request(1)), NOW), NOW, &mut rng(1)));
    assert!(Arc::ptr_eq(&run.request, &valid));
}

/// Else whoever is asked to sign could open a session of its own over another moment, and have the others bound to it.
#[test]
fn only_nodes_that_the_callers_named_coordinate() {
    let named = |number: u16| {
        let mut request = request(1);
        request.coordinators = vec![identity(id(number)).public_key().address()];
        signed(request)
    };
    assert_eq!(kind(admit(&mut participant(id(1)), named(1), NOW)), None);
    assert_eq!(kind(admit(&mut participant(id(1)), named(2), NOW)), Some(FailureKind::NotCoordinator));
    let mut me = participant(id(1));
    let not_named = me.receive(id(3), proposal(named(2), NOW), NOW, &mut rng(1));
    assert_eq!(abstains(not_named), Some(FailureKind::NotCoordinator));
    run_of(me.receive(id(2), proposal(named(2), NOW), NOW, &mut rng(1)));
}

#[test]
fn whoever_brings_what_is_not_signed_is_soon_turned_away_unchecked() {
    let asked = |is_forged: bool| if is_forged { forged() } else { signed(request(1)) };
    let mut me = participant(id(1));
    let mut said = |from: u16, is_forged: bool, now: u64| {
        abstains(me.receive(id(from), proposal(asked(is_forged), NOW), now, &mut rng(1)))
    };
    let kinds: Vec<_> = (0..10).map(|_| said(2, true, NOW)).collect();
    assert_eq!(kinds[..8], [Some(FailureKind::Unauthorised); 8]);
    assert_eq!(kinds[8..], [Some(FailureKind::Busy); 2]);
    assert_eq!(said(2, false, NOW), Some(FailureKind::Busy), "whatever it is");
    assert_eq!(said(3, false, NOW), None, "others are heard");
    assert_eq!(said(2, true, NOW + 1_000), Some(FailureKind::Unauthorised));
    assert_eq!(said(2, false, NOW + 1_000), None);
}
