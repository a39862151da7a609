use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn order(standings: &Standings, now: Moment) -> Vec<usize> {
    standings.order(now, Work::Sign)
}

#[test]
fn nodes_of_which_nothing_is_known_are_asked_as_configured() {
    let standings = Standings::new(3);
    assert_eq!(order(&standings, S), [0, 1, 2]);
    assert_eq!(standings.patience(0, S, Work::Sign), MOST_PATIENCE);
}

#[test]
fn whoever_answered_last_is_asked_first_among_equals() {
    let mut standings = Standings::new(3);
    standings.answered(2, S, Work::Look, 5 * MS);
    assert_eq!(order(&standings, S), [2, 0, 1]);
}

#[test]
fn a_node_that_is_slow_to_sign_comes_after_those_that_nobody_tried() {
    let mut standings = Standings::new(3);
    standings.answered(0, S, Work::Sign, S);
    assert_eq!(order(&standings, S), [1, 2, 0]);
    standings.answered(1, S, Work::Sign, 20 * MS);
    assert_eq!(order(&standings, S), [1, 2, 0]);
    assert_eq!(standings.order(S, Work::Look), [1, 0, 2], "looking it up is another matter");
}

#[test]
fn latencies_are_smoothed_and_small_differences_do_not_count() {
    let mut standings = Standings::new(2);
    for node in [0, 1] {
        standings.answered(node, S, Work::Sign, 40 * MS);
    }
    standings.answered(1, S, Work::Sign, 48 * MS);
    assert_eq!(order(&standings, S), [1, 0], "it answered last");
    standings.answered(1, S, Work::Sign, 120 * MS);
    assert_eq!(order(&standings, S), [1, 0], "once is not often");
    for _ in 0..8 {
        standings.answered(1, S, Work::Sign, 120 * MS);
    }
    assert_eq!(order(&standings, S), [0, 1]);
}

#[test]
fn a_slow_node_gets_another_chance_after_a_while() {
    let mut standings = Standings::new(2);
    standings.answered(1, S, Work::Sign, 300 * MS);
    standings.answered(0, S, Work::Sign, 2 * S);
    assert_eq!(order(&standings, 2 * S), [1, 0]);
    assert_eq!(order(&standings, S + LATENCY_KEPT), [0, 1]);
}

#[test]
fn a_node_that_failed_comes_last_until_something_is_heard_of_it() {
    let mut standings = Standings::new(3);
    standings.failed(0, S, None);
    assert_eq!(order(&standings, S), [1, 2, 0]);
    assert_eq!(order(&standings, 1_000 * S), [1, 2, 0], "time alone heals nothing");
    standings.said_how_it_is(0, 2 * S, true, 3 * MS);
    assert_eq!(order(&standings, 2 * S), [0, 1, 2]);
}

#[test]
fn a_node_that_is_not_ready_can_be_looked_at_and_is_not_asked_to_sign() {
    let mut standings = Standings::new(2);
    standings.said_how_it_is(0, S, false, MS);
    assert_eq!(order(&standings, S), [1, 0]);
    assert_eq!(standings.order(S, Work::Look), [0, 1]);
    standings.answered(0, 2 * S, Work::Look, MS);
    assert_eq!(order(&standings, 2 * S), [1, 0], "that says nothing of signing");
    standings.answered(0, 2 * S, Work::Sign, MS);
    assert_eq!(order(&standings, 2 * S), [0, 1]);
}

#[test]
fn nonsense_is_remembered_however_well_the_node_says_it_is() {
    let mut standings = Standings::new(2);
    standings.is_distrusted(0, S);
    standings.failed(1, S, None);
    standings.said_how_it_is(0, 2 * S, true, MS);
    standings.answered(0, 2 * S, Work::Look, MS);
    assert_eq!(order(&standings, 2 * S), [1, 0], "one that fails comes before one that lies");
    standings.said_how_it_is(1, 2 * S, true, MS);
    assert_eq!(order(&standings, S + NONSENSE_REST), [0, 1]);
}

#[test]
fn patience_follows_from_the_latency_within_bounds() {
    let mut standings = Standings::new(4);
    for (node, took, expected) in
        [(0, 5 * MS, LEAST_PATIENCE), (1, 300 * MS, 1_200 * MS), (2, 3 * S, MOST_PATIENCE)]
    {
        standings.answered(node, S, Work::Sign, took);
        assert_eq!(standings.patience(node, S, Work::Sign), expected);
        assert_eq!(standings.patience(node, S, Work::Transfer), TRANSFER_PATIENCE);
    }
}

#[test]
fn nothing_is_learned_of_a_transfer() {
    let mut standings = Standings::new(2);
    standings.answered(0, S, Work::Transfer, 60 * S);
    assert_eq!(standings.order(S, Work::Look), [0, 1]);
}

#[test]
fn those_that_were_not_heard_of_are_asked_how_they_are_once() {
    let mut standings = Standings::new(3);
    assert_eq!(standings.due(Duration::ZERO), [0, 1, 2]);
    assert_eq!(standings.due(10 * MS), [0; 0], "they are being asked");
    for node in [0, 1] {
        standings.said_how_it_is(node, 20 * MS, true, MS);
    }
    standings.failed(2, 20 * MS, None);
    assert_eq!(standings.due(S), [2]);
    assert_eq!(standings.due(HEARD_KEPT), [2], "it is asked more often than those that are well");
    assert_eq!(standings.due(HEARD_KEPT + 20 * MS), [0, 1]);
    assert_eq!(Standings::new(1).due(S), [0; 0], "there is nothing to choose");
}

#[test]
fn a_node_is_left_alone_for_as_long_as_it_asked_for() {
    let mut standings = Standings::new(2);
    standings.failed(1, S, Some(20 * S));
    standings.said_how_it_is(0, S, true, MS);
    assert_eq!(standings.due(20 * S), [0; 0]);
    assert_eq!(standings.due(21 * S), [1]);
}

#[test]
fn rests_double_up_to_a_bound() {
    let mut standings = Standings::new(2);
    let mut before = Duration::ZERO;
    for _ in 0..40 {
        standings.failed(0, S, None);
        let rest = standings.nodes[0].rests_until - S;
        assert!(rest >= before && rest <= LONGEST_REST, "{rest:?}");
        before = rest;
    }
    assert_eq!(before, LONGEST_REST);
}

proptest! {
    /// Whatever happened, everybody is in the order once, and whoever is well comes before whoever is not.
    #[test]
    fn the_order_holds_every_node_once_the_well_ones_first(
        events in prop::collection::vec((0usize..5, 0u64..5, 0u64..4_000), 0..60),
    ) {
        let mut standings = Standings::new(5);
        let mut now = Duration::ZERO;
        for (node, event, ms) in events {
            now += ms as u32 * MS;
            let took = ms as u32 * MS;
            match event {
                0 => standings.answered(node, now, Work::Sign, took),
                1 => standings.spoke(node, now),
                2 => standings.said_how_it_is(node, now, ms % 2 == 0, took),
                3 => standings.failed(node, now, Some(took)),
                _ => standings.is_distrusted(node, now),
            }
            let order = standings.order(now, Work::Sign);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, [0, 1, 2, 3, 4]);
            let ill: Vec<bool> = order
                .iter()
                .map(|node| standings.nodes[*node].failures > 0 || now < standings.nodes[*node].distrusted_until)
                .collect();
            prop_assert!(ill.is_sorted(), "{:?} {:?}", order, ill);
        }
    }
}
