//! The table at the head of `meaning.rs`, row by row, and what a client learns of nodes from it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign_client::{Client, ClientError, NodeError, NodeHealth};
use countersign_types::{Decision, Failure, FailureKind, RequestError, SignedRequest};

use crate::{
    nodes::{Behaviour, Node, client, dead, hangs_up, parrot},
    world::World,
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// What comes of a call whose first node fails and whose second one signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The failure is returned, and the second node not asked.
    Ends,
    /// The second node is asked, and its signature returned.
    Signed,
}

/// Every kind of failure, and what comes of it.
const ROWS: [(FailureKind, Outcome); 22] = [
    (FailureKind::Refused, Outcome::Ends),
    (FailureKind::Disagreement, Outcome::Ends),
    (FailureKind::NonceReused, Outcome::Ends),
    (FailureKind::ActionFailed, Outcome::Ends),
    (FailureKind::UnusableSource, Outcome::Ends),
    (FailureKind::NotFound, Outcome::Signed),
    (FailureKind::UnknownAction, Outcome::Signed),
    (FailureKind::PublisherNotListed, Outcome::Signed),
    (FailureKind::Invalid, Outcome::Signed),
    (FailureKind::WrongNetwork, Outcome::Signed),
    (FailureKind::Expired, Outcome::Signed),
    (FailureKind::NotYetIssued, Outcome::Signed),
    (FailureKind::BeforeBoot, Outcome::Signed),
    (FailureKind::Unauthorised, Outcome::Signed),
    (FailureKind::TooLarge, Outcome::Signed),
    (FailureKind::NotCoordinator, Outcome::Signed),
    (FailureKind::StorageFull, Outcome::Signed),
    (FailureKind::Busy, Outcome::Signed),
    (FailureKind::NotReady, Outcome::Signed),
    (FailureKind::Unavailable, Outcome::Signed),
    (FailureKind::Deadline, Outcome::Signed),
    (FailureKind::Internal, Outcome::Signed),
];

async fn pair(world: &Arc<World>, first: Behaviour) -> (Node, Node, Client) {
    let (first, second) = (Node::start(first).await, Node::start(Behaviour::honest(world)).await);
    let client = client(world, vec![first.url.clone(), second.url.clone()], TIMEOUT);
    (first, second, client)
}

/// Waits until what the client knows of a node is as it should be.
async fn known(client: &Client, node: usize, is: impl Fn(&NodeHealth) -> bool) {
    while !is(&client.health()[node].1) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn every_failure_does_what_its_row_says() {
    let world = Arc::new(World::new());
    for kind in FailureKind::ALL {
        let (_, expected) = ROWS.into_iter().find(|(of, _)| *of == kind).expect("a row for each kind");
        let (first, second, client) = pair(&world, Behaviour::failing(&world, kind)).await;
        match (expected, client.sign(world.request(1)).await) {
            (Outcome::Ends, Err(ClientError::Failed { failure, node, .. })) => {
                assert_eq!((failure.kind, node.port()), (kind, first.url.port()));
                assert_eq!((first.asked(), second.asked()), (1, 0), "{kind:?}");
            }
            (Outcome::Signed, Ok(signed)) => {
                assert_eq!((first.asked(), second.asked()), (1, 1), "{kind:?}");
                let said = &signed.passed_over[0];
                assert_eq!(said.node.port(), first.url.port(), "{kind:?}");
                assert!(matches!(&said.error, NodeError::Failure(f) if f.kind == kind), "{kind:?}: {said}");
            }
            (expected, got) => panic!("{kind:?}: expected {expected:?}, got {got:?}"),
        }
    }
}

#[tokio::test]
async fn where_all_say_the_same_it_is_the_answer_and_nobody_is_asked_twice() {
    let world = Arc::new(World::new());
    for (kind, _) in ROWS.into_iter().filter(|(kind, _)| !kind.is_transient()) {
        let nodes = [
            Node::start(Behaviour::failing(&world, kind)).await,
            Node::start(Behaviour::failing(&world, kind)).await,
        ];
        let both = client(&world, nodes.iter().map(|node| node.url.clone()).collect(), TIMEOUT);
        let error = both.sign(world.request(1)).await.expect_err("nobody signs");
        let ClientError::Failed { failure, .. } = error else { panic!("{kind:?}: {error}") };
        assert_eq!(failure.kind, kind);
        assert!(nodes.iter().all(|node| node.asked() <= 1), "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_before_a_node_is_passed_over_and_may_pass() {
    let world = Arc::new(World::new());
    let busy =
        parrot("HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n", b"", 0);
    let down = parrot("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", b"", 0);
    for first in [busy.await, down.await, hangs_up().await] {
        let second = Node::start(Behaviour::honest(&world)).await;
        let both = client(&world, vec![first, second.url.clone()], TIMEOUT);
        let both = both.with_root_keys(world.root_keys.clone()).expect("the network's");
        let signed = both.sign(world.request(1)).await.expect("from the second node");
        assert!(!signed.passed_over[0].error.is_lie());
        assert!(!both.health()[0].1.distrusted);
        assert!(both.health()[0].1.failures > 0);
    }
}

#[tokio::test]
async fn every_node_gets_the_same_signed_request() {
    let world = Arc::new(World::new());
    let got: Arc<Mutex<Vec<SignedRequest>>> = Arc::default();
    let recording = |kind: Option<FailureKind>| {
        let (got, signer) = (got.clone(), world.clone());
        let submit = move |_: usize, request: &SignedRequest| {
            got.lock().expect("not poisoned").push(request.clone());
            kind.map_or_else(|| Ok(signer.answer(&request.request)), |kind| Err(Failure::new(kind, "no")))
        };
        Behaviour { submit: Box::new(submit), ..Behaviour::honest(&world) }
    };
    let nodes = [
        Node::start(recording(Some(FailureKind::Busy))).await,
        Node::start(recording(Some(FailureKind::Internal))).await,
        Node::start(recording(None)).await,
    ];
    let all = client(&world, nodes.iter().map(|node| node.url.clone()).collect(), TIMEOUT);
    all.sign(world.request(1)).await.expect("from the third node");
    assert_eq!(*got.lock().expect("not poisoned"), vec![world.request(1); 3]);
}

#[tokio::test]
async fn a_refusal_that_too_few_members_stand_behind_is_passed_over_and_named() {
    let world = Arc::new(World::new());
    let stranger = countersign_types::NodeDecision {
        peer_id: "16Uiu2HAmStranger".into(),
        decision: Decision::Refuse,
        reason: None,
    };
    let one = world.said(&[1], Decision::Refuse);
    let twice = [one.clone(), one.clone()].concat();
    let with_stranger = [one.clone(), vec![stranger]].concat();
    let others_abstain = [one, world.said(&[2, 3], Decision::Abstain)].concat();
    for said in [Vec::new(), twice, with_stranger, others_abstain] {
        let expected = usize::from(!said.is_empty());
        let failure = Failure::new(FailureKind::Refused, "as told").with_nodes(said);
        let submit = move |_: usize, _: &SignedRequest| Err(failure.clone());
        let liar = Behaviour { submit: Box::new(submit), ..Behaviour::honest(&world) };
        let (first, _second, client) = pair(&world, liar).await;
        let signed = client.sign(world.request(1)).await.expect("from the second node");
        assert_eq!(signed.passed_over[0].node.port(), first.url.port());
        let error = &signed.passed_over[0].error;
        assert!(matches!(error, NodeError::Unfounded { expected: 2, got } if *got == expected), "{error}");
        assert!(error.is_lie() && client.health()[0].1.distrusted);
    }
}

#[tokio::test]
async fn as_many_nodes_are_heard_as_was_asked_for() {
    let world = Arc::new(World::new());
    let (first, second, cautious) = pair(&world, Behaviour::failing(&world, FailureKind::Refused)).await;
    let signed = cautious.with_opinions(2).sign(world.request(1)).await.expect("the second one signs");
    assert_eq!((signed.node.port(), first.asked(), second.asked()), (second.url.port(), 1, 1));
}

#[tokio::test]
async fn whoever_does_not_show_a_receipt_does_not_end_the_search_for_one() {
    let world = Arc::new(World::new());
    let telling = |kind| Behaviour { receipt: Err(kind), ..Behaviour::honest(&world) };
    let digest = world.request(1).request.digest();
    for (first, second, expected) in [
        (FailureKind::Unauthorised, FailureKind::NotFound, FailureKind::Unauthorised),
        (FailureKind::NotFound, FailureKind::Unauthorised, FailureKind::Unauthorised),
        (FailureKind::Unauthorised, FailureKind::Unauthorised, FailureKind::Unauthorised),
    ] {
        let nodes = [Node::start(telling(first)).await, Node::start(telling(second)).await];
        let urls = vec![nodes[0].url.clone(), dead().await, nodes[1].url.clone()];
        let error = client(&world, urls, TIMEOUT)
            .receipt(digest, Some(&world.caller), 60_000)
            .await
            .expect_err("nobody has it");
        let ClientError::Failed { failure, passed_over, .. } = &error else { panic!("{error}") };
        assert_eq!(failure.kind, expected);
        assert_eq!((nodes[0].asked(), nodes[1].asked()), (1, 1));
        assert_eq!(passed_over.len(), 2, "{error}");
    }
}

#[tokio::test]
async fn a_request_that_nobody_may_answer_is_asked_of_nobody() {
    let world = Arc::new(World::new());
    let (first, second, client) = pair(&world, Behaviour::honest(&world)).await;
    let mut unsigned = world.request(1);
    unsigned.signatures.clear();
    let mut changed = world.request(1);
    changed.request.params = vec![7].into();
    let mut endless = world.request(1);
    endless.request.expires_at = u64::MAX;
    type Is = fn(&RequestError) -> bool;
    let cases: [(SignedRequest, Is); 3] = [
        (unsigned, |error| matches!(error, RequestError::SignatureCount { .. })),
        (changed, |error| matches!(error, RequestError::Signature { .. })),
        (endless, |error| matches!(error, RequestError::Lifetime { .. })),
    ];
    for (request, is) in cases {
        let error = client.sign(request).await.expect_err("no node would take it");
        assert!(matches!(&error, ClientError::Request(error) if is(error)), "{error}");
    }
    assert_eq!((first.asked(), second.asked()), (0, 0));
}

#[tokio::test]
async fn a_node_that_says_it_is_not_ready_is_not_asked_to_sign() {
    let world = Arc::new(World::new());
    let (first, second, client) = pair(&world, Behaviour { ready: false, ..Behaviour::honest(&world) }).await;
    client.trust().await.expect("from the first node");
    known(&client, 0, |health| health.not_ready).await;
    let signed = client.sign(world.request(1)).await.expect("from the second node");
    assert!(signed.passed_over.is_empty());
    assert_eq!((first.asked(), second.asked()), (0, 1));
}

#[tokio::test]
async fn a_liar_is_asked_last_from_then_on_and_one_that_fails_before_it() {
    let world = Arc::new(World::new());
    let teller = world.clone();
    let lie = move |_: usize, _: &SignedRequest| Ok(teller.answer(&teller.request(9).request));
    let liar = Node::start(Behaviour { submit: Box::new(lie), ..Behaviour::honest(&world) }).await;
    let honest = Node::start(Behaviour::honest(&world)).await;
    let client = client(&world, vec![liar.url.clone(), honest.url.clone()], TIMEOUT);
    for request in 1..5 {
        client.sign(world.request(request)).await.expect("from the honest node");
    }
    assert_eq!((liar.asked(), honest.asked()), (1, 4));
    assert!(client.health()[0].1.distrusted && !client.health()[1].1.distrusted);
}

#[tokio::test]
async fn a_node_that_is_silent_is_listened_to_while_another_is_asked() {
    let world = Arc::new(World::new());
    let (first, second, client) = pair(&world, Behaviour { hangs: true, ..Behaviour::honest(&world) }).await;
    let signed = client.sign(world.request(1)).await.expect("from the second node");
    assert_eq!(signed.node.port(), second.url.port());
    assert!(matches!(signed.passed_over[0].error, NodeError::Timeout { .. }));
    client.sign(world.request(2)).await.expect("from the second node, at once");
    assert_eq!((first.asked(), second.asked()), (1, 2));
}
