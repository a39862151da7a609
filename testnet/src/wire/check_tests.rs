//! A log that is right, and what is wrong with each that was changed.

use super::*;

fn hash(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn commitment(byte: u8) -> Bytes {
    vec![byte; 66].into()
}

/// The coordinator, and a signer.
const HER: u16 = 1;
const HIM: u16 = 2;

fn package(session: u8, attempt: u32, package: u8, own: u8) -> Package {
    let signers = [(HER, vec![commitment(own + 100)]), (HIM, vec![commitment(own)])].into();
    Package { session: hash(session), attempt, package: hash(package), signers }
}

fn observed(session: u8, own: u8) -> Event {
    Event::Observed { session: hash(session), allows: true, commitments: vec![commitment(own)] }
}

fn signed(session: u8, attempt: u32, package: u8, outcome: u8, share: u8) -> Event {
    Event::Signed {
        session: hash(session),
        attempt,
        package: hash(package),
        outcome: hash(outcome),
        shares: vec![hash(share)],
    }
}

fn hand_out(own: &[u8]) -> Event {
    Event::HandOut {
        scheme: "ed25519".into(),
        commitments: own.iter().map(|byte| commitment(*byte)).collect(),
    }
}

fn proposed(package: Package) -> Event {
    Event::Propose { session: package.session, request: hash(9), eager: Some(package) }
}

/// A process of the signer: what it received and sent, in this order.
fn process(events: &[(Way, Event)]) -> Vec<Line> {
    let start = (Way::Here, None, Event::Started { member: HIM, generation: 1 });
    let events = events.iter().map(|(way, event)| (*way, Some(HER), event.clone()));
    let line = |(n, (way, peer, event))| Line { n, ms: n, way, peer, event };
    (0..).zip(std::iter::once(start).chain(events)).map(line).collect()
}

fn log(events: &[(Way, Event)]) -> Log {
    Log { member: HIM, boots: vec![process(events)] }
}

/// Two rounds, a further attempt, one round, and answers that were sent twice.
fn right() -> Vec<(Way, Event)> {
    use Way::{Received, Sent};
    vec![
        (Sent, observed(1, 1)),
        (Sent, observed(1, 1)),
        (Received, Event::Sign(package(1, 1, 11, 1))),
        (Sent, signed(1, 1, 11, 21, 31)),
        (Sent, signed(1, 1, 11, 21, 31)),
        (Sent, Event::Committed { session: hash(1), attempt: 2, commitments: vec![commitment(2)] }),
        (Received, Event::Sign(package(1, 2, 12, 2))),
        (Sent, signed(1, 2, 12, 21, 32)),
        (Sent, hand_out(&[3, 4])),
        (Received, proposed(package(3, 1, 13, 3))),
        (Sent, signed(3, 1, 13, 23, 33)),
    ]
}

/// The same with one event in another's place.
fn with(at: usize, event: Event) -> Vec<(Way, Event)> {
    let mut events = right();
    events[at].1 = event;
    events
}

/// The same with more behind.
fn then(more: &[(Way, Event)]) -> Vec<(Way, Event)> {
    [right(), more.to_vec()].concat()
}

fn wrong(events: &[(Way, Event)]) -> Violation {
    check(&[log(events)]).expect_err("it must be found")
}

#[test]
fn what_is_right_is_counted() {
    let summary = check(&[log(&right())]).expect("nothing is wrong");
    assert_eq!(summary, Summary { boots: 1, purges: 0, messages: 8, commitments: 4, packages: 3, shares: 4 });
}

#[test]
fn a_commitment_is_made_once() {
    use Way::Sent;
    let twice = |events: &[(Way, Event)]| {
        assert!(matches!(wrong(events), Violation::CommittedTwice { member: HIM, .. }), "{events:?}");
    };
    // in another session, in another attempt, handed out, handed out again, twice in one message
    twice(&then(&[(Sent, observed(4, 1))]));
    twice(&then(&[(
        Sent,
        Event::Committed { session: hash(1), attempt: 3, commitments: vec![commitment(2)] },
    )]));
    twice(&then(&[(Sent, hand_out(&[1]))]));
    twice(&then(&[(Sent, hand_out(&[4]))]));
    twice(&then(&[(Sent, hand_out(&[5, 5]))]));
    // by a later process, and by a copy that runs beside it
    let later = Log { member: HIM, boots: vec![process(&right()), process(&[(Sent, observed(1, 1))])] };
    assert!(matches!(check(&[later]), Err(Violation::CommittedTwice { .. })));
    let copy = log(&[(Sent, observed(1, 1))]);
    assert!(matches!(check(&[log(&right()), copy]), Err(Violation::CommittedTwice { .. })));
}

#[test]
fn a_commitment_stands_behind_one_share() {
    use Way::{Received, Sent};
    let reused = |events: &[(Way, Event)]| {
        assert!(matches!(wrong(events), Violation::Reused { member: HIM, .. }), "{events:?}");
    };
    let other = (Received, Event::Sign(package(1, 1, 14, 1)));
    reused(&then(&[other, (Sent, signed(1, 1, 14, 21, 31))]));
    // in the same package another outcome, or another share
    reused(&with(4, signed(1, 1, 11, 22, 31)));
    reused(&with(4, signed(1, 1, 11, 21, 39)));
    // handed out once, asked for in two sessions
    reused(&then(&[(Received, proposed(package(4, 1, 15, 3))), (Sent, signed(4, 1, 15, 23, 33))]));
}

#[test]
fn a_share_follows_its_package() {
    use Way::{Received, Sent};
    let mut early = right();
    early.swap(2, 3);
    assert_eq!(wrong(&early), Violation::NoPackage { member: HIM, to: HER, package: hash(11) });
    assert_eq!(
        wrong(&with(3, signed(1, 1, 99, 21, 31))),
        Violation::NoPackage { member: HIM, to: HER, package: hash(99) }
    );
    for other in [signed(1, 2, 11, 21, 31), signed(2, 1, 11, 21, 31)] {
        assert_eq!(wrong(&with(3, other)), Violation::OtherSession { member: HIM, package: hash(11) });
    }
    let none = Package { signers: Vec::new(), ..package(1, 1, 11, 1) };
    let counted = Violation::Count { member: HIM, package: hash(11), shares: 1, commitments: 0 };
    assert_eq!(wrong(&with(2, Event::Sign(none))), counted);
    // another package under the same hash
    let other = (Received, Event::Sign(package(1, 1, 11, 7)));
    assert_eq!(wrong(&then(&[other])), Violation::Hash { package: hash(11) });
    // what came in an earlier life is not there in this one
    let later = process(&[(Sent, signed(1, 1, 11, 21, 31))]);
    let log = Log { member: HIM, boots: vec![process(&right()), later] };
    assert!(matches!(check(&[log]), Err(Violation::NoPackage { .. })));
}

#[test]
fn a_share_is_for_commitments_of_this_process_and_coordinator() {
    use Way::{Received, Sent};
    let foreign = |events: &[(Way, Event)]| {
        assert!(matches!(wrong(events), Violation::NotCommitted { member: HIM, .. }), "{events:?}");
    };
    // never made, or made for another attempt
    foreign(&then(&[(Received, Event::Sign(package(4, 1, 16, 8))), (Sent, signed(4, 1, 16, 24, 34))]));
    foreign(&then(&[
        (Sent, observed(4, 8)),
        (Received, Event::Sign(package(4, 2, 16, 8))),
        (Sent, signed(4, 2, 16, 24, 34)),
    ]));
    // made before a restart
    let later = process(&[(Received, proposed(package(4, 1, 16, 4))), (Sent, signed(4, 1, 16, 24, 34))]);
    let log = Log { member: HIM, boots: vec![process(&right()), later] };
    assert!(matches!(check(&[log]), Err(Violation::NotCommitted { .. })));
    // made before all nonces were wiped
    let mut lines =
        process(&then(&[(Received, proposed(package(4, 1, 16, 4))), (Sent, signed(4, 1, 16, 24, 34))]));
    assert!(check(&[Log { member: HIM, boots: vec![lines.clone()] }]).is_ok());
    let purged = Line { n: 0, ms: 0, way: Way::Here, peer: None, event: Event::Purged };
    lines.insert(right().len() + 1, purged);
    assert!(matches!(check(&[Log { member: HIM, boots: vec![lines] }]), Err(Violation::NotCommitted { .. })));
    // handed out to another coordinator
    let mut lines =
        process(&then(&[(Received, proposed(package(4, 1, 16, 4))), (Sent, signed(4, 1, 16, 24, 34))]));
    lines
        .iter_mut()
        .filter(|line| matches!(line.event, Event::HandOut { .. }))
        .for_each(|line| line.peer = Some(3));
    // session 3 used one of these too: it comes first
    assert!(matches!(check(&[Log { member: HIM, boots: vec![lines] }]), Err(Violation::NotCommitted { .. })));
}

#[test]
fn what_came_was_sent() {
    let her = |events: &[(Way, Event)]| {
        let mut lines = process(events);
        lines[0].event = Event::Started { member: HER, generation: 1 };
        lines.iter_mut().skip(1).for_each(|line| line.peer = Some(HIM));
        Log { member: HER, boots: vec![lines] }
    };
    let mirrored: Vec<(Way, Event)> = right()
        .into_iter()
        .map(|(way, event)| (if way == Way::Sent { Way::Received } else { Way::Sent }, event))
        .collect();
    check(&[log(&right()), her(&mirrored)]).expect("nothing is wrong");
    let forged = (Way::Received, signed(1, 1, 11, 21, 77));
    let logs = [log(&right()), her(&[mirrored, vec![forged]].concat())];
    assert!(matches!(check(&logs), Err(Violation::NeverSent { at: HER, from: HIM, .. })));
}
