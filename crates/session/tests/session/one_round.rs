//! One round: the package with the proposal, and what becomes of it where a member cannot take it.

use countersign_session::{
    Stock,
    coordinator::{Fallback, HEDGE_MS, Signed},
    message::ToParticipant,
    participant::{MAX_ADVANCE, MAX_BATCH},
};
use countersign_types::{ActionId, Scheme};

use crate::{
    committee::{NOW, id, participant, public, rng},
    table::{Says, Table},
};

const SCHEME: Scheme = Scheme::SchnorrSecp256k1;
const ACTION: ActionId = ActionId(countersign_types::B256::repeat_byte(3));

fn signers(signed: &Signed) -> Vec<u16> {
    signed.votes.keys().map(|id| id.get()).collect()
}

/// What was sent to a member: p for a proposal, P for one with a package, s, c and x for sign, commit and close.
fn sent(table: &Table, number: u16) -> String {
    let letter = |message: &ToParticipant| match message {
        ToParticipant::Propose(proposal) if proposal.eager.is_some() => 'P',
        ToParticipant::Propose(_) => 'p',
        ToParticipant::Sign { .. } => 's',
        ToParticipant::Commit { .. } => 'c',
        ToParticipant::Close { .. } => 'x',
    };
    table.sent.iter().filter(|(to, _)| *to == id(number)).map(|(_, message)| letter(message)).collect()
}

#[test]
fn members_that_read_the_same_are_asked_once() {
    let table = Table::in_advance(&[], &[2, 3]);
    assert!(table.is_done(), "no time has passed");
    assert_eq!([1, 2, 3, 4].map(|number| sent(&table, number)), ["psx", "Px", "Px", ""]);
    let signed = table.result().expect("all allow");
    assert_eq!((signers(&signed), signed.attempts, signed.fallback), (vec![1, 2, 3], 1, None));
    let message = &signed.outcome.messages()[0];
    assert_eq!(public().verify(message, &signed.signatures[0]), Ok(()));
}

#[test]
fn who_reads_otherwise_is_replaced() {
    let table = Table::in_advance(&[(2, Says::Reads(7))], &[2, 3]);
    assert_eq!(table.shares_made(), 5, "two at once, and three again");
    let signed = table.result().expect("four allow");
    let why = Some(Fallback::Observed);
    assert_eq!((signers(&signed), signed.attempts, signed.fallback), (vec![1, 3, 4], 2, why));
}

#[test]
fn who_refuses_cannot_run_or_is_silent_is_replaced() {
    for (says, why) in [
        (Says::Refuses, Fallback::Observed),
        (Says::CannotRun, Fallback::Declined),
        (Says::RefusesLate, Fallback::Declined),
        (Says::Silent, Fallback::Late),
        (Says::SilentLate, Fallback::Late),
    ] {
        let signed = Table::in_advance(&[(2, says)], &[2, 3]).result().expect("four allow");
        let got = (signers(&signed), signed.attempts, signed.fallback);
        assert_eq!(got, (vec![1, 3, 4], 2, Some(why)), "{says:?}");
    }
}

/// The coordinator reads what nobody else does: the others agree without it.
#[test]
fn a_coordinator_that_reads_otherwise_is_left_out() {
    let table = Table::in_advance(&[(1, Says::Reads(7))], &[2, 3]);
    let signed = table.result().expect("four allow");
    assert_eq!(signers(&signed), [2, 3, 4]);
}

#[test]
fn a_coordinator_that_cannot_allow_asks_as_ever() {
    for says in [Says::Refuses, Says::CannotRun] {
        let table = Table::in_advance(&[(1, says)], &[2, 3]);
        assert_eq!(sent(&table, 2), "psx");
        assert_eq!(signers(&table.result().expect("four allow")), [2, 3, 4], "{says:?}");
    }
}

#[test]
fn a_slow_own_run_is_not_waited_for() {
    let mut table = Table::in_advance(&[(1, Says::Silent)], &[2, 3]);
    assert_eq!([2, 3].map(|number| sent(&table, number)), ["", ""]);
    table.pass(HEDGE_MS);
    assert!(table.is_done());
    assert_eq!(sent(&table, 2), "psx");
}

#[test]
fn numbers_take_two_rounds() {
    let says = [(1, Says::Sees(100)), (2, Says::Sees(101))];
    let table = Table::in_advance(&says, &[2, 3]);
    assert_eq!(sent(&table, 2), "psx");
    let signed = table.result().expect("within the tolerance");
    assert_eq!((signed.attempts, signed.fallback), (1, Some(Fallback::OwnRun)));
}

#[test]
fn without_their_commitments_members_observe() {
    let mut table = Table::in_advance(&[(1, Says::Silent)], &[2, 3]);
    for member in [2, 3] {
        table.participants.get_mut(&id(member)).expect("a member").disconnected(id(1));
        assert_eq!(table.participants[&id(member)].nonces_in_advance(), 0);
    }
    table.pass(HEDGE_MS);
    assert!(table.result().is_ok());
}

#[test]
fn what_is_handed_out_is_bounded() {
    let mut me = participant(id(2));
    for round in 0..20 {
        assert_eq!(me.hand_out(id(1), SCHEME, u16::MAX, &mut rng(round)).len(), MAX_BATCH);
    }
    assert_eq!(me.nonces_in_advance(), MAX_ADVANCE);
    me.hand_out(id(3), SCHEME, 1, &mut rng(77));
    assert_eq!(me.nonces_in_advance(), MAX_ADVANCE + 1, "each coordinator has its own");
    me.disconnected(id(1));
    assert_eq!(me.nonces_in_advance(), 1);
    assert!(me.hand_out(id(1), Scheme::Ed25519, 1, &mut rng(78)).is_empty(), "no such root");
}

/// What a coordinator has drawn and not used yet is the oldest that a member has, so it would be wiped first.
#[test]
fn a_stock_that_is_refilled_wipes_nothing_that_is_in_use() {
    const IN_USE: usize = 128;
    let mut stock = Stock::default();
    let mut member = participant(id(2));
    stock.learn(ACTION, Some(1));
    for round in 0..IN_USE as u64 {
        while let Some(count) = stock.ask(ACTION, SCHEME, id(2), NOW) {
            stock.put(id(2), SCHEME, member.hand_out(id(1), SCHEME, count, &mut rng(round)));
        }
        assert!(!stock.draw(ACTION, SCHEME, &[id(2)]).is_empty(), "there is always one left");
    }
    // beyond its bound a member wipes as many as it makes
    assert!((IN_USE..MAX_ADVANCE).contains(&member.nonces_in_advance()));
}

#[test]
fn a_stock_gives_each_commitment_once_and_takes_what_it_asked_for() {
    let mut stock = Stock::default();
    let mut member = participant(id(2));
    let mut made = || member.hand_out(id(1), SCHEME, u16::MAX, &mut rng(1));
    assert_eq!(stock.ask(ACTION, SCHEME, id(2), NOW), None, "nothing is known of the action");
    stock.learn(ACTION, Some(2));
    stock.put(id(2), SCHEME, made());
    assert!(stock.draw(ACTION, SCHEME, &[id(2)]).is_empty(), "it did not ask");
    assert_eq!(stock.ask(ACTION, SCHEME, id(2), NOW), Some(16));
    assert_eq!(stock.ask(ACTION, SCHEME, id(2), NOW + 1), None, "one answer at a time");
    assert_eq!(stock.ask(ACTION, SCHEME, id(2), NOW + 2_000), Some(16), "the answer was lost");
    let batch = made();
    stock.put(id(2), SCHEME, [batch.clone(), batch.clone()].concat());
    let drawn = stock.draw(ACTION, SCHEME, &[id(2)]);
    assert_eq!(drawn[&id(2)], batch[..2]);
    assert_eq!(stock.draw(ACTION, SCHEME, &[id(2)])[&id(2)], batch[2..4]);
    assert!(stock.draw(ACTION, SCHEME, &[id(2), id(3)]).is_empty(), "all or none");
    for _ in 0..6 {
        assert!(!stock.draw(ACTION, SCHEME, &[id(2)]).is_empty());
    }
    assert!(stock.draw(ACTION, SCHEME, &[id(2)]).is_empty(), "no more than a batch was taken");
    stock.learn(ACTION, None);
    assert_eq!(stock.ask(ACTION, SCHEME, id(2), NOW + 9_000), None, "its reads may differ");
}
