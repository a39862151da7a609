use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const DEADLINE: Moment = Duration::from_secs(30);

/// What a node does when it is asked, and after how long; the last one again and again.
type Script = Vec<(Duration, Option<Meaning>)>;

const ANSWERS: Option<Meaning> = None;

fn hangs() -> Script {
    vec![(100 * DEADLINE, ANSWERS)]
}

fn says(meaning: Meaning) -> Script {
    vec![(MS, Some(meaning))]
}

fn answers_after(took: Duration) -> Script {
    vec![(took, ANSWERS)]
}

/// How a call went.
#[derive(Debug, PartialEq, Eq)]
struct Went {
    /// Who answered; none if the call ended without.
    by: Option<usize>,
    ended: Moment,
    /// Who was asked when.
    asked: Vec<(usize, Moment)>,
    word: Option<usize>,
}

impl Went {
    fn order(&self) -> Vec<usize> {
        self.asked.iter().map(|(node, _)| *node).collect()
    }
}

/// Plays a call with nodes that do as they are told, in virtual time.
fn play(work: Work, opinions: usize, nodes: &[Script]) -> Went {
    let mut standings = Standings::new(nodes.len());
    let mut course = Course::new(nodes.len(), work, DEADLINE, opinions);
    let mut now = Duration::ZERO;
    let mut under_way: BTreeMap<(Moment, usize), Option<Meaning>> = BTreeMap::new();
    let mut asked: Vec<(usize, Moment)> = Vec::new();
    loop {
        for node in course.turned_silent(now) {
            standings.failed(node, now, None);
        }
        let until = match course.next(now, &standings) {
            Step::Ask(node) => {
                let times = asked.iter().filter(|(before, _)| *before == node).count();
                let (took, meaning) = nodes[node][times.min(nodes[node].len() - 1)];
                under_way.insert((now + took, node), meaning);
                asked.push((node, now));
                assert!(asked.len() < 10_000, "it asks without end");
                continue;
            }
            Step::Wait(until) => until,
            Step::End => return Went { by: None, ended: now, asked, word: course.word() },
        };
        assert!(until > now, "it waits for what has passed");
        let first = under_way.first_key_value().map(|(key, meaning)| (*key, *meaning));
        let Some(((at, node), meaning)) = first.filter(|((at, _), _)| *at <= until) else {
            now = until;
            continue;
        };
        now = at;
        under_way.remove(&(at, node));
        let Some(meaning) = meaning else {
            return Went { by: Some(node), ended: now, asked, word: None };
        };
        course.heard(node, now, meaning);
    }
}

fn sign(nodes: &[Script]) -> Went {
    play(Work::Sign, 1, nodes)
}

#[test]
fn the_best_is_asked_and_nobody_else() {
    let went = sign(&[answers_after(10 * MS), answers_after(MS)]);
    assert_eq!((went.by, went.order()), (Some(0), vec![0]));
}

#[test]
fn one_that_cannot_be_reached_is_passed_over_at_once() {
    let went = sign(&[says(Meaning::Silence), answers_after(MS)]);
    assert_eq!((went.by, went.ended), (Some(1), 2 * MS));
}

#[test]
fn one_that_is_silent_is_still_listened_to_while_another_is_asked() {
    let went = sign(&[answers_after(3 * S), answers_after(10 * S)]);
    assert_eq!(went.asked, [(0, Duration::ZERO), (1, 2 * S)]);
    assert_eq!((went.by, went.ended), (Some(0), 3 * S));
}

#[test]
fn waiting_doubles_with_each_silent_node_and_each_has_its_turn() {
    let went = sign(&[hangs(), hangs(), hangs(), hangs()]);
    assert_eq!(went.asked, [(0, Duration::ZERO), (1, 2 * S), (2, 6 * S), (3, 14 * S)]);
    assert_eq!((went.by, went.ended, went.word), (None, DEADLINE, None));
    let many: Vec<Script> = (0..12).map(|_| hangs()).chain([answers_after(MS)]).collect();
    assert_eq!(sign(&many).by, Some(12), "the last one too");
}

#[test]
fn a_verdict_ends_the_call_and_one_view_does_not() {
    let went = sign(&[says(Meaning::Verdict), answers_after(MS)]);
    assert_eq!((went.by, went.word, went.order()), (None, Some(0), vec![0]));
    for meaning in [Meaning::NotHere, Meaning::OneView, Meaning::Nonsense, Meaning::Later(None)] {
        let went = sign(&[says(meaning), answers_after(MS)]);
        assert_eq!((went.by, went.order()), (Some(1), vec![0, 1]), "{meaning:?}");
    }
}

#[test]
fn a_verdict_waits_for_those_that_were_asked_before_and_not_for_ever() {
    // the verdict may come of the first one's session, whose signatures are on their way
    let verdict = || vec![(100 * MS, Some(Meaning::Verdict))];
    let went = sign(&[answers_after(3 * S), verdict()]);
    assert_eq!((went.by, went.ended), (Some(0), 3 * S));
    let went = sign(&[hangs(), verdict(), answers_after(MS)]);
    assert_eq!((went.by, went.word), (None, Some(1)));
    assert_eq!(went.ended, 2 * S + 100 * MS + VERDICT_GRACE);
}

#[test]
fn as_many_verdicts_are_heard_as_was_asked_for() {
    let verdict = || says(Meaning::Verdict);
    let answer = || answers_after(MS);
    assert_eq!(play(Work::Sign, 2, &[verdict(), answer(), answer()]).by, Some(1));
    let went = play(Work::Sign, 2, &[verdict(), verdict(), answer()]);
    assert_eq!((went.by, went.order()), (None, vec![0, 1]));
    // where there are not as many nodes, all that there are
    let went = play(Work::Sign, 9, &[verdict(), verdict()]);
    assert_eq!((went.word, went.order()), (Some(1), vec![0, 1]));
}

#[test]
fn fewer_verdicts_than_are_to_be_heard_are_no_answer() {
    let verdict = || says(Meaning::Verdict);
    // one that cannot be reached is asked until the deadline
    let back = || vec![(MS, Some(Meaning::Silence)), (MS, Some(Meaning::Silence)), (MS, ANSWERS)];
    assert_eq!(play(Work::Sign, 2, &[verdict(), back()]).by, Some(1));
    let went = play(Work::Sign, 2, &[verdict(), says(Meaning::Silence)]);
    assert_eq!((went.by, went.word), (None, None));
    assert!(went.ended > DEADLINE - 2 * S, "{:?}", went.ended);
    // nor is what the others say, which the one verdict speaks against
    for other in [Meaning::NotHere, Meaning::OneView, Meaning::Nonsense] {
        let went = play(Work::Sign, 2, &[verdict(), says(other)]);
        assert_eq!((went.by, went.word), (None, None), "{other:?}");
    }
    assert_eq!(play(Work::Sign, 2, &[verdict(), says(Meaning::Nonsense), verdict()]).word, Some(2));
    // what was decided before is looked up at one node
    let went = play(Work::Look, 2, &[verdict(), says(Meaning::Silence)]);
    assert_eq!(went.word, Some(0));
}

#[test]
fn a_busy_network_is_asked_again_when_it_said_and_not_before() {
    let busy = (MS, Some(Meaning::Later(Some(5 * S))));
    let went = sign(&[vec![busy, busy, (MS, ANSWERS)]]);
    let times: Vec<Moment> = went.asked.iter().map(|(_, at)| *at).collect();
    assert_eq!(times, [Duration::ZERO, 5 * S + MS, 10 * S + 2 * MS]);
    assert_eq!(went.by, Some(0));
    let later = sign(&[says(Meaning::Later(Some(31 * S)))]);
    assert_eq!((later.by, later.ended), (None, MS), "that is after the deadline: it does not wait for it");
}

#[test]
fn pauses_double_where_nobody_says_how_long() {
    let went = sign(&[says(Meaning::Silence)]);
    let times: Vec<Moment> = went.asked.iter().map(|(_, at)| *at).collect();
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0] - MS).collect();
    assert_eq!(pauses[..6], [100 * MS, 200 * MS, 400 * MS, 800 * MS, 1_600 * MS, 2 * S]);
    assert!(went.ended <= DEADLINE);
}

#[test]
fn who_cannot_be_reached_is_not_waited_for_once_another_has_no_such_thing() {
    for (meaning, work) in
        [(Meaning::NotHere, Work::Look), (Meaning::OneView, Work::Look), (Meaning::NotHere, Work::Sign)]
    {
        let went = play(work, 1, &[says(Meaning::Silence), says(meaning)]);
        assert_eq!((went.word, went.order()), (Some(1), vec![0, 1]), "{meaning:?}");
        assert!(went.ended < S);
    }
    let went = play(Work::Look, 1, &[hangs(), says(Meaning::NotHere)]);
    assert_eq!((went.word, went.ended), (Some(1), 2 * S + MS), "one that is silent neither");
    // but one that says "later" is, whatever a liar says meanwhile
    let later = vec![(MS, Some(Meaning::Later(None))), (MS, ANSWERS)];
    for meaning in [Meaning::NotHere, Meaning::OneView] {
        assert_eq!(play(Work::Look, 1, &[says(meaning), later.clone()]).by, Some(1));
    }
    // and a request for signatures, of which the client knows that it is right, waits for everybody
    let back = vec![(MS, Some(Meaning::Silence)), (MS, Some(Meaning::Silence)), (MS, ANSWERS)];
    assert_eq!(sign(&[says(Meaning::OneView), back]).by, Some(1));
}

#[test]
fn a_liar_that_has_no_such_thing_does_not_end_a_call_that_slow_nodes_are_signing() {
    // each is silent for longer than the client is patient, and both sign
    for place in 0..3 {
        let mut nodes = vec![answers_after(12 * S), answers_after(15 * S)];
        nodes.insert(place, says(Meaning::NotHere));
        let went = sign(&nodes);
        assert!(went.by.is_some_and(|by| by != place) && went.ended <= 13 * S, "{went:?}");
    }
    // a call for anything else does not wait for them
    let went = play(Work::Look, 1, &[says(Meaning::NotHere), answers_after(12 * S)]);
    assert_eq!((went.by, went.word), (None, Some(0)));
    // who stays silent could have been signing: then the call ends without a word
    let went = sign(&[says(Meaning::NotHere), hangs()]);
    assert_eq!((went.by, went.ended, went.word), (None, DEADLINE, None));
    // until it is known not to: its connection breaks
    let breaks = vec![(12 * S, Some(Meaning::Silence))];
    let went = sign(&[says(Meaning::NotHere), breaks]);
    assert_eq!((went.by, went.ended, went.word), (None, 12 * S + MS, Some(0)));
}

#[test]
fn as_many_nodes_as_are_to_be_heard_have_no_such_thing() {
    let not_here = || says(Meaning::NotHere);
    let unreachable = || says(Meaning::Silence);
    let back = || vec![(MS, Some(Meaning::Silence)), (MS, Some(Meaning::Silence)), (MS, ANSWERS)];
    let went = play(Work::Sign, 2, &[not_here(), back(), unreachable()]);
    assert_eq!(went.by, Some(1), "one of two is not enough to give up the others");
    let went = play(Work::Sign, 2, &[not_here(), not_here(), unreachable()]);
    assert_eq!((went.by, went.word), (None, Some(1)));
    assert!(went.ended < S, "two of two are, {:?}", went.ended);
    let went = play(Work::Sign, 2, &[not_here(), unreachable()]);
    assert_eq!((went.by, went.word), (None, None), "the other was never heard");
    let went = play(Work::Sign, 2, &[not_here(), says(Meaning::Nonsense)]);
    assert_eq!((went.ended, went.word), (2 * MS, Some(0)), "all have said something");
}

#[test]
fn a_verdict_that_fewer_give_than_are_to_be_heard_waits_for_slow_nodes() {
    let went = play(Work::Sign, 2, &[says(Meaning::Verdict), answers_after(12 * S), answers_after(15 * S)]);
    assert_eq!((went.by, went.ended), (Some(1), 12 * S + MS));
    let went = play(Work::Sign, 2, &[says(Meaning::Verdict), hangs()]);
    assert_eq!((went.ended, went.word), (DEADLINE, None));
}

#[test]
fn the_word_that_a_call_ends_with_is_the_one_that_says_most() {
    let end = |first, second| sign(&[says(first), says(second)]).word;
    assert_eq!(end(Meaning::OneView, Meaning::NotHere), Some(1));
    assert_eq!(end(Meaning::NotHere, Meaning::OneView), Some(0));
    let looked_up = |first, second| play(Work::Look, 1, &[says(first), says(second)]).word;
    assert_eq!(looked_up(Meaning::OneView, Meaning::NotHere), Some(0));
    assert_eq!(looked_up(Meaning::NotHere, Meaning::OneView), Some(1));
    assert_eq!(end(Meaning::OneView, Meaning::Verdict), Some(1));
    assert_eq!(end(Meaning::Nonsense, Meaning::OneView), Some(1));
    assert_eq!(end(Meaning::Nonsense, Meaning::Nonsense), None);
    let busy = Meaning::Later(Some(10 * S));
    assert_eq!(end(Meaning::OneView, busy), None, "the other might have had it");
    assert_eq!(end(Meaning::NotHere, busy), None, "the same");
}

fn any_meaning() -> impl Strategy<Value = Meaning> {
    prop_oneof![
        Just(Meaning::Verdict),
        Just(Meaning::NotHere),
        Just(Meaning::OneView),
        Just(Meaning::Nonsense),
        Just(Meaning::Silence),
        Just(Meaning::Later(None)),
        (0u32..40).prop_map(|seconds| Meaning::Later(Some(seconds * S))),
    ]
}

fn any_script() -> impl Strategy<Value = Script> {
    let step = (0u32..4_000, prop::option::weighted(0.85, any_meaning()));
    prop::collection::vec(step.prop_map(|(ms, meaning)| (ms * MS, meaning)), 1..4)
}

fn any_work() -> impl Strategy<Value = Work> {
    prop_oneof![Just(Work::Look), Just(Work::Sign), Just(Work::Transfer)]
}

proptest! {
    /// Whatever nodes do, a call ends by its deadline, and asks nobody again who is done or asked for more time.
    #[test]
    fn a_call_ends_and_keeps_to_what_nodes_said(
        nodes in prop::collection::vec(any_script(), 1..6),
        work in any_work(),
        opinions in 0usize..7,
    ) {
        let went = play(work, opinions, &nodes);
        prop_assert!(went.ended <= DEADLINE);
        let mut before: BTreeMap<usize, (usize, Moment)> = BTreeMap::new();
        for (node, at) in went.asked {
            if let Some((times, asked)) = before.get(&node) {
                let script = &nodes[node];
                let (took, meaning) = script[(times - 1).min(script.len() - 1)];
                match meaning {
                    Some(Meaning::Later(after)) => {
                        prop_assert!(at >= *asked + took + after.unwrap_or_default());
                    }
                    Some(Meaning::Silence) => prop_assert!(at > *asked + took),
                    other => prop_assert!(false, "node {} was asked again after {:?}", node, other),
                }
            }
            let times = before.get(&node).map_or(1, |(times, _)| times + 1);
            before.insert(node, (times, at));
        }
    }

    /// Fewer verdicts than opinions are wanted, and whatever else liars say or hold back: the honest node's answer is returned.
    #[test]
    fn liars_cannot_end_a_call_that_an_honest_node_answers(
        liars in prop::collection::vec(any_script(), 0..6),
        place in 0usize..6,
        work in any_work(),
    ) {
        let is_verdict = |script: &&Script| script.iter().any(|(_, meaning)| *meaning == Some(Meaning::Verdict));
        let opinions = liars.iter().filter(is_verdict).count() + 1;
        let mut nodes: Vec<Script> = liars
            .into_iter()
            .map(|script| script.into_iter().map(|(took, m)| (took, m.or(Some(Meaning::Nonsense)))).collect())
            .collect();
        let honest = place.min(nodes.len());
        nodes.insert(honest, answers_after(MS));
        prop_assert_eq!(play(work, opinions, &nodes).by, Some(honest));
    }

    /// The same of signatures from an honest node that is slower than a client is patient.
    #[test]
    fn liars_cannot_end_a_call_that_an_honest_node_is_signing(
        liars in prop::collection::vec(any_script(), 0..4),
        place in 0usize..4,
        took in 0u32..10_000,
    ) {
        let is_verdict = |script: &&Script| script.iter().any(|(_, meaning)| *meaning == Some(Meaning::Verdict));
        let opinions = liars.iter().filter(is_verdict).count() + 1;
        let mut nodes: Vec<Script> = liars
            .into_iter()
            .map(|script| script.into_iter().map(|(took, m)| (took, m.or(Some(Meaning::Nonsense)))).collect())
            .collect();
        let honest = place.min(nodes.len());
        nodes.insert(honest, answers_after(took * MS));
        prop_assert_eq!(play(Work::Sign, opinions, &nodes).by, Some(honest));
    }
}

#[test]
fn one_opinion_too_few_and_a_liar_ends_the_call() {
    // what the property above would see if the bound were one lower
    let liar = says(Meaning::Verdict);
    assert_eq!(play(Work::Sign, 1, &[liar.clone(), answers_after(MS)]).by, None);
    assert_eq!(play(Work::Sign, 2, &[liar, answers_after(MS)]).by, Some(1));
}
