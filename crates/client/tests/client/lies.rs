//! Nodes that lie: each lie is seen, its teller named, and an honest node asked.

use std::{sync::Arc, time::Duration};

use countersign_client::{Client, ClientError, NodeError, Signed, Trust, VerifyError, verify_answer};
use countersign_types::{
    ActionId, AttemptId, B256, Bytes, KeyId, KeySpec, Outcome, Payload, PublicKey, Request, Scheme,
    SignedRequest, Verdict,
    api::{NetworkInfo, SignResponse},
};

use crate::{
    nodes::{Behaviour, Node, client},
    world::World,
};

type Lie = fn(&World, &Request) -> SignResponse;
type Unmasks = fn(&VerifyError) -> bool;
type Falsify = fn(&mut NetworkInfo, &World);

/// Every lie, and whether an error is the one that unmasks it.
const LIES: [(&str, Lie, Unmasks); 22] = [
    (
        "another request's answer",
        |w, _| w.answer(&w.request(2).request),
        |e| matches!(e, VerifyError::Request { .. }),
    ),
    (
        "another request's answer, relabelled",
        |w, r| SignResponse { request: r.digest(), ..w.answer(&w.request(2).request) },
        |e| matches!(e, VerifyError::Session { .. }),
    ),
    (
        "another request's answer in a session of this one",
        |w, r| {
            let other = w.answer(&w.request(2).request);
            let session = w.answer(r).session;
            SignResponse { request: r.digest(), session, ..other }
        },
        |e| matches!(e, VerifyError::Votes { got: 0, .. }),
    ),
    (
        "a signature of another message",
        |w, r| {
            let mut answer = w.answer(r);
            answer.signatures[0].signature = w.sign(&r.key, &Bytes::from_static(b"another"));
            answer
        },
        |e| matches!(e, VerifyError::Signature { index: 0, .. }),
    ),
    (
        "a signature by another key",
        |w, r| {
            let mut answer = w.answer(r);
            let other = KeySpec { salt: B256::repeat_byte(9), ..r.key.clone() };
            answer.signatures[1].signature = w.sign(&other, &answer.signatures[1].message.clone());
            answer
        },
        |e| matches!(e, VerifyError::Signature { index: 1, .. }),
    ),
    (
        "a signature with a flipped bit",
        |w, r| {
            let mut answer = w.answer(r);
            let mut bytes = answer.signatures[0].signature.0.to_vec();
            bytes[40] ^= 1;
            answer.signatures[0].signature.0 = bytes.into();
            answer
        },
        |e| matches!(e, VerifyError::Signature { index: 0, .. }),
    ),
    (
        "another message, rightly signed",
        |w, r| {
            let mut answer = w.answer(r);
            answer.signatures[0].message = Bytes::from_static(b"another");
            answer.signatures[0].signature = w.sign(&r.key, &Bytes::from_static(b"another"));
            answer
        },
        |e| matches!(e, VerifyError::Message { index: 0, .. }),
    ),
    (
        "another payload, rightly signed, that nobody voted for",
        |w, r| {
            let votes = w.answer(r).votes;
            let other = w.answer_with(r, vec![Payload::Bytes(vec![43].into())], Bytes::new());
            SignResponse { votes, ..other }
        },
        |e| matches!(e, VerifyError::Votes { got: 0, .. }),
    ),
    (
        "another content under the same message",
        |w, r| {
            let mut answer = w.answer(r);
            answer.signatures[0].content = vec![43].into();
            answer
        },
        |e| matches!(e, VerifyError::Message { index: 0, .. }),
    ),
    (
        "one payload left out",
        |w, r| {
            let mut answer = w.answer(r);
            answer.signatures.pop();
            answer
        },
        |e| matches!(e, VerifyError::Votes { got: 0, .. }),
    ),
    (
        "no payload",
        |w, r| SignResponse { signatures: vec![], ..w.answer(r) },
        |e| matches!(e, VerifyError::Outcome(_)),
    ),
    (
        "a payload of no kind",
        |w, r| {
            let mut answer = w.answer(r);
            answer.signatures[0].payload = "nonsense".into();
            answer
        },
        |e| matches!(e, VerifyError::Payload { index: 0, .. }),
    ),
    (
        "a payload that the key does not sign",
        |w, r| {
            let mut answer = w.answer(r);
            answer.signatures[0].payload = "raw".into();
            answer
        },
        |e| matches!(e, VerifyError::Outcome(_)),
    ),
    (
        "another response to the caller",
        |w, r| SignResponse { response: vec![1].into(), ..w.answer(r) },
        |e| matches!(e, VerifyError::Votes { got: 0, .. }),
    ),
    (
        "another time",
        |w, r| SignResponse { time_ms: 1, ..w.answer(r) },
        |e| matches!(e, VerifyError::Session { .. }),
    ),
    (
        "another key",
        |w, r| SignResponse { public_key: PublicKey(vec![2; 33].into()), ..w.answer(r) },
        |e| matches!(e, VerifyError::Key { field: "public key", .. }),
    ),
    (
        "another key's id",
        |w, r| SignResponse { key_id: KeyId::from([2; 32]), ..w.answer(r) },
        |e| matches!(e, VerifyError::Key { field: "key id", .. }),
    ),
    (
        "another scheme",
        |w, r| SignResponse { scheme: Scheme::Bip340, ..w.answer(r) },
        |e| matches!(e, VerifyError::Key { field: "scheme", .. }),
    ),
    (
        "another action",
        |w, r| SignResponse { action_id: ActionId::from([2; 32]), ..w.answer(r) },
        |e| matches!(e, VerifyError::Key { field: "action", .. }),
    ),
    (
        "too few votes",
        |w, r| {
            let mut answer = w.answer(r);
            answer.votes.pop();
            answer
        },
        |e| matches!(e, VerifyError::Votes { expected: 2, got: 1, .. }),
    ),
    (
        "one member's vote twice",
        |w, r| {
            let mut answer = w.answer(r);
            answer.votes[1] = answer.votes[0].clone();
            answer
        },
        |e| matches!(e, VerifyError::Votes { expected: 2, got: 1, .. }),
    ),
    (
        "one member's vote as another's",
        |w, r| {
            let mut answer = w.answer(r);
            answer.votes[1].vote = answer.votes[0].vote;
            answer
        },
        |e| matches!(e, VerifyError::Votes { expected: 2, got: 1, .. }),
    ),
];

async fn sign_past(world: &Arc<World>, liar: Behaviour) -> (Signed, Node) {
    let (liar, honest) = (Node::start(liar).await, Node::start(Behaviour::honest(world)).await);
    let client = both(world, &liar, &honest);
    let signed = client.sign(world.request(1)).await.expect("from the honest node");
    assert_eq!(signed.node.port(), honest.url.port());
    (signed, liar)
}

fn both(world: &World, first: &Node, second: &Node) -> Client {
    client(world, vec![first.url.clone(), second.url.clone()], Duration::from_secs(30))
}

#[test]
fn every_lie_is_seen_and_the_truth_is_accepted() {
    let world = World::new();
    let trust = Trust::new(&world.genesis, world.root_keys.clone()).expect("activated by all");
    let request = world.request(1).request;
    assert_eq!(verify_answer(&trust, &request, &world.answer(&request)), Ok(()));
    for (name, lie, unmasks) in LIES {
        let error = verify_answer(&trust, &request, &lie(&world, &request)).expect_err(name);
        assert!(unmasks(&error), "{name}: {error:?}");
    }
}

#[test]
fn votes_beyond_the_threshold_and_unfit_ones_do_no_harm() {
    let world = World::new();
    let trust = Trust::new(&world.genesis, world.root_keys.clone()).expect("activated by all");
    let request = world.request(1).request;
    let mut answer = world.answer(&request);
    let refused = Outcome::Refused { reason: "no".into() };
    let dissent = world.vote(3, &answer, &refused);
    let nobody = countersign_types::api::SignerVote { signer: 0, ..answer.votes[0].clone() };
    let stranger = countersign_types::api::SignerVote { signer: 9, ..answer.votes[0].clone() };
    answer.votes.extend([dissent, nobody, stranger]);
    assert_eq!(verify_answer(&trust, &request, &answer), Ok(()));
}

#[tokio::test]
async fn a_node_that_answers_with_a_lie_is_passed_over_and_named() {
    let world = Arc::new(World::new());
    for (name, lie, unmasks) in LIES {
        let teller = world.clone();
        let submit = move |_: usize, request: &SignedRequest| Ok(lie(&teller, &request.request));
        let liar = Behaviour { submit: Box::new(submit), ..Behaviour::honest(&world) };
        let (signed, liar) = sign_past(&world, liar).await;
        assert_eq!(signed.passed_over.len(), 1, "{name}");
        assert_eq!(signed.passed_over[0].node.port(), liar.url.port(), "{name}");
        assert!(signed.passed_over[0].error.is_lie(), "{name}");
        assert!(matches!(&signed.passed_over[0].error, NodeError::Wrong(error) if unmasks(error)), "{name}");
    }
}

#[tokio::test]
async fn a_liar_is_not_asked_twice() {
    let world = Arc::new(World::new());
    let teller = world.clone();
    let submit = move |_: usize, _: &SignedRequest| Ok(teller.answer(&teller.request(2).request));
    let liar = Node::start(Behaviour { submit: Box::new(submit), ..Behaviour::honest(&world) }).await;
    let client = client(&world, vec![liar.url.clone()], Duration::from_secs(30));
    let error = client.sign(world.request(1)).await.expect_err("nobody is honest");
    let ClientError::NoAnswer { nodes, .. } = error else { panic!("{error}") };
    assert!(nodes[0].error.is_lie());
    assert_eq!(liar.asked(), 1);
}

#[tokio::test]
async fn root_keys_that_not_all_members_of_the_genesis_activated_are_passed_over_and_named() {
    let (world, other) = (Arc::new(World::new()), World::new());
    let lies: [(&str, Falsify); 5] = [
        ("another root", |info, other| {
            info.root_keys.as_mut().expect("keys").ceremonies[0].roots =
                other.root_keys.ceremonies[0].roots.clone();
        }),
        ("another network's keys", |info, other| info.root_keys = Some(other.root_keys.clone())),
        ("another attempt", |info, _| {
            info.root_keys.as_mut().expect("keys").ceremonies[0].attempt = AttemptId::from([9; 32]);
        }),
        ("an activation missing", |info, _| {
            info.root_keys.as_mut().expect("keys").ceremonies[0].signatures.pop();
        }),
        ("another genesis", |info, other| info.genesis = other.genesis.clone()),
    ];
    for (name, lie) in lies {
        let mut info = world.info();
        lie(&mut info, &other);
        let liar = Node::start(Behaviour { info, ..Behaviour::honest(&world) }).await;
        let honest = Node::start(Behaviour::honest(&world)).await;
        let client_of_both = both(&world, &liar, &honest);
        assert_eq!(client_of_both.trust().await.expect(name).root_keys(), &world.root_keys, "{name}");

        let alone = client(&world, vec![liar.url.clone()], Duration::from_secs(30));
        let error = alone.trust().await.expect_err(name);
        let ClientError::NoAnswer { nodes, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(nodes[0].node.port(), liar.url.port(), "{name}");
        assert!(nodes[0].error.is_lie(), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_typed_answer_that_was_made_for_other_params_does_not_count() {
    // The same key and the same payloads: only the votes' session tells the two apart.
    let world = World::new();
    let trust = Trust::new(&world.genesis, world.root_keys.clone()).expect("activated by all");
    let (asked, other) = (world.request(1).request, world.request(2).request);
    let mut answer = world.answer(&other);
    answer.request = asked.digest();
    answer.session = answer.terms().id(world.network());
    let verdict = Verdict::Allow {
        payloads: vec![Payload::Bytes(vec![42].into()), Payload::PersonalMessage(b"hello".to_vec().into())],
        response: answer.response.clone(),
    };
    let outcome = Outcome::of(verdict, &asked.key).expect("the key signs them");
    assert!(matches!(verify_answer(&trust, &asked, &answer), Err(VerifyError::Votes { got: 0, .. })));
    // One dishonest member voting for it is not enough either.
    answer.votes.push(world.vote(3, &answer, &outcome));
    assert!(matches!(verify_answer(&trust, &asked, &answer), Err(VerifyError::Votes { got: 1, .. })));
}
