//! One round: the package with the proposal, and what becomes of it where a member cannot take it.

use std::collections::BTreeMap;

use countersign_session::{
    Stock,
    coordinator::{Fallback, HEDGE_MS},
    message::{Eager, ToCoordinator, ToParticipant},
    participant::{MAX_ADVANCE, MAX_BATCH},
};
use countersign_threshold::Commitments;
use countersign_types::{ActionId, Decision, Identifier, MAX_PAYLOADS, Record, Scheme};

use crate::{
    committee::{NOW, SCHEME, id, membership, participant, public, rng},
    coordinator::{said, signers},
    table::{Advance, Says, Table},
    twist::garbage,
};

const ACTION: ActionId = ActionId(countersign_types::B256::repeat_byte(3));

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
    for round in 0..32 {
        assert_eq!(me.hand_out(id(1), SCHEME, u16::MAX, NOW, &mut rng(round)).len(), MAX_BATCH);
    }
    assert_eq!(me.nonces_in_advance(), MAX_ADVANCE);
    assert!(me.hand_out(id(1), SCHEME, 1, NOW, &mut rng(40)).is_empty(), "no more within this second");
    assert_eq!(me.hand_out(id(1), SCHEME, 1, NOW + 1_000, &mut rng(40)).len(), 1);
    me.hand_out(id(3), SCHEME, 1, NOW, &mut rng(77));
    assert_eq!(me.nonces_in_advance(), MAX_ADVANCE + 1, "each coordinator has its own");
    me.disconnected(id(1));
    assert_eq!(me.nonces_in_advance(), 1);
    assert!(me.hand_out(id(1), Scheme::Ed25519, 1, NOW, &mut rng(78)).is_empty(), "no such root");
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
            let commitments = member.hand_out(id(1), SCHEME, count, NOW + 1_000 * round, &mut rng(round));
            stock.put(id(2), SCHEME, commitments);
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
    let mut made = || member.hand_out(id(1), SCHEME, u16::MAX, NOW, &mut rng(1));
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

/// Member 2 hands out, and commits to, what is no commitment. Whoever declines the package has read the same as the coordinator, and
/// is not lost for the session.
#[test]
fn garbage_in_advance_costs_nobody_but_its_sender() {
    let twist = |from: Identifier, message: ToCoordinator| match message {
        ToCoordinator::Committed { session, attempt, .. } if from == id(2) => {
            ToCoordinator::Committed { session, attempt, commitments: garbage() }
        }
        other @ (ToCoordinator::Committed { .. }
        | ToCoordinator::Observed(_)
        | ToCoordinator::Declined { .. }
        | ToCoordinator::Signed(_)) => other,
    };
    let spoil = |advance: &mut Advance| drop(advance.insert(id(2), garbage()));
    let table = Table::with_advance(&[5], &[2, 3], spoil, Box::new(twist));
    let signed = table.result().expect("1, 3 and 4 are honest and agree");
    assert_eq!(signers(&signed), [1, 3, 4]);
    assert_eq!(said(&signed.nodes, 2), Some(Decision::Misbehaved));
    assert_eq!(said(&signed.nodes, 3), Some(Decision::Allow));
}

/// A package with the proposal that nobody could use is not kept, and does no harm.
#[test]
fn an_eager_package_beyond_its_bounds_is_as_good_as_none() {
    let strangers = |advance: &mut Advance| {
        let commitments = advance[&id(2)].clone();
        advance.extend((6..10).map(|number| (id(number), commitments.clone())));
    };
    let many = |advance: &mut Advance| {
        let one = advance[&id(2)][0].clone();
        advance.insert(id(2), vec![one; MAX_PAYLOADS + 1]);
    };
    for spoil in [strangers, many] as [fn(&mut Advance); 2] {
        let mut advance = BTreeMap::from([2, 3].map(|number| (id(number), handed_out(number))));
        let eager = |advance: &Advance| Eager { record: Record::default(), signers: advance.clone() };
        assert!(eager(&advance).is_bounded(&membership(id(1)).committee));
        spoil(&mut advance);
        assert!(!eager(&advance).is_bounded(&membership(id(1)).committee));
    }
}

pub(crate) fn handed_out(number: u16) -> Vec<Commitments> {
    participant(id(number)).hand_out(id(1), SCHEME, 1, NOW, &mut rng(u64::from(number)))
}
