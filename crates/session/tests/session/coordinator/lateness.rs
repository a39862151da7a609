//! Who is said to have kept a session waiting.

use std::collections::BTreeSet;

use countersign_session::coordinator::HEDGE_MS;

use crate::{
    committee::id,
    table::{DEADLINE_MS, Says, Table},
};

/// Whoever was asked first and not needed in the end did not keep anybody waiting.
#[test]
fn late_is_who_was_waited_for() {
    let mut table = Table::new(&[(2, Says::CannotRun), (4, Says::Silent)], &[]);
    assert!(table.is_done());
    assert_eq!(table.coordinator.late(), BTreeSet::new());
    table = Table::new(&[(2, Says::Silent), (4, Says::Silent)], &[]);
    table.pass(HEDGE_MS);
    assert!(table.is_done());
    assert_eq!(table.coordinator.late(), BTreeSet::from([id(2)]));
    table = Table::in_advance(&[(2, Says::SilentLate)], &[2, 3]);
    table.pass(2 * HEDGE_MS);
    assert!(table.is_done());
    assert_eq!(table.coordinator.late(), BTreeSet::from([id(2)]));
}

/// An action may take longer than members are given before others are asked too.
#[test]
fn nobody_is_late_where_the_action_takes_long_for_all() {
    let all = |ms| [1, 2, 3, 4, 5].map(|number| (number, Says::Slow(ms)));
    let late = |says: &[(u16, Says)], of: &[u16]| {
        let mut table = if of.is_empty() { Table::new(says, &[]) } else { Table::in_advance(says, of) };
        table.pass(DEADLINE_MS / 2);
        assert!(table.is_done());
        table.coordinator.late()
    };
    assert_eq!(late(&all(HEDGE_MS + 50), &[]), BTreeSet::new());
    // who is slower than those that were asked so much later is
    let mut says = all(HEDGE_MS + 50);
    says[1].1 = Says::Slow(3 * HEDGE_MS);
    assert_eq!(late(&says, &[]), BTreeSet::from([id(2)]));
    // the time of those that are asked after the own run counts from there
    assert_eq!(late(&all(HEDGE_MS - 50), &[2, 3]), BTreeSet::new());
    let mut says = all(HEDGE_MS - 50);
    says[1].1 = Says::Slow(3 * HEDGE_MS);
    assert_eq!(late(&says, &[2, 3]), BTreeSet::from([id(2)]));
    // nor does a member that cannot run the action at all show that others are slow
    let mut says = all(HEDGE_MS + 50);
    says[3].1 = Says::CannotRun;
    assert_eq!(late(&says, &[]), BTreeSet::new());
}
