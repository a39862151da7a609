//! From node to node: who is asked, who is asked again, and when it ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use countersign_client::{ClientError, LocalSigner, NodeError, RequestSigner, sign_publication};
use countersign_types::{
    B256, Bytes, ComponentDigest, Failure, Limits, Manifest, NetworkId, PublishAction,
    action::{Content, script_digest},
    failure::FailureKind,
};

use crate::{
    nodes::{Behaviour, Node, client, dead, parrot},
    world::World,
};

const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_honest_answer_is_verified_and_returned() {
    let world = Arc::new(World::new());
    let node = Node::start(Behaviour::honest(&world)).await;
    let client = client(&world, vec![node.url.clone()], TIMEOUT);
    let request = client.build_request(world.spec(), vec![9].into(), world.callers(), 1_000, 500);
    let signed = countersign_client::sign_request(request, &[&world.caller]).expect("signed");
    let signed = client.sign(signed).await.expect("a signature");
    assert_eq!(signed.answer.public_key, client.public_key(&world.spec()).await.expect("a key"));
    assert!(signed.passed_over.is_empty());
    assert_eq!(client.trust().await.expect("trusted").root_keys(), &world.root_keys);
}

#[tokio::test]
async fn a_dead_node_is_passed_over_and_the_one_that_answers_is_asked_first_from_then_on() {
    let world = Arc::new(World::new());
    let node = Node::start(Behaviour::honest(&world)).await;
    let client = client(&world, vec![dead().await, node.url.clone()], TIMEOUT);
    client.trust().await.expect("from the second node");
    let signed = client.sign(world.request(1)).await.expect("a signature");
    assert_eq!(signed.node.port(), node.url.port());
    assert!(signed.passed_over.is_empty(), "the dead node was not asked again");
}

#[tokio::test]
async fn a_node_that_may_not_coordinate_is_passed_over_and_nobody_is_asked_twice() {
    let world = Arc::new(World::new());
    let kind = FailureKind::NotCoordinator;
    let first = Node::start(Behaviour::failing(&world, kind)).await;
    let second = Node::start(Behaviour::honest(&world)).await;
    let signed = client(&world, vec![first.url.clone(), second.url.clone()], TIMEOUT);
    signed.sign(world.request(1)).await.expect("from the second node");
    let alone = client(&world, vec![first.url.clone()], TIMEOUT);
    let error = alone.sign(world.request(1)).await.expect_err("it may not");
    assert!(error.to_string().contains(kind.name()), "{error}");
    assert_eq!((first.asked(), second.asked()), (2, 1));
}

#[tokio::test]
async fn the_nodes_that_answer_are_named_as_coordinators() {
    let world = Arc::new(World::new());
    let node = Node::start(Behaviour::honest(&world)).await;
    let named = client(&world, vec![dead().await, node.url.clone(), node.url.clone()], TIMEOUT);
    let names = named.coordinators().await.expect("one answers");
    assert_eq!(names, [world.keys[0].public_key().address()]);
}

#[tokio::test]
async fn a_network_that_is_busy_is_asked_again() {
    let world = Arc::new(World::new());
    let signer = world.clone();
    let submit = move |before: usize, request: &countersign_types::SignedRequest| {
        if before < 2 {
            Err(Failure::new(FailureKind::Busy, "busy"))
        } else {
            Ok(signer.answer(&request.request))
        }
    };
    let node = Node::start(Behaviour { submit: Box::new(submit), ..Behaviour::honest(&world) }).await;
    client(&world, vec![node.url.clone()], TIMEOUT).sign(world.request(1)).await.expect("the third time");
    assert_eq!(node.asked(), 3);
}

#[tokio::test]
async fn nodes_that_hang_or_are_down_end_at_the_timeout_and_are_named() {
    let world = Arc::new(World::new());
    let hanging = Node::start(Behaviour { hangs: true, ..Behaviour::honest(&world) }).await;
    let gone = dead().await;
    let timeout = Duration::from_secs(2);
    let client = client(&world, vec![hanging.url.clone(), gone.clone()], timeout);
    let begun = Instant::now();
    let error = client.sign(world.request(1)).await.expect_err("nobody answers");
    assert!(begun.elapsed() < 3 * timeout, "{:?}", begun.elapsed());
    let ClientError::NoAnswer { nodes, .. } = &error else { panic!("{error}") };
    assert!(matches!(nodes[0].error, NodeError::Timeout { .. }), "{error}");
    assert!(error.to_string().contains(hanging.url.as_str()), "{error}");
}

#[tokio::test]
async fn a_node_that_hangs_leaves_time_for_the_next() {
    let world = Arc::new(World::new());
    let hanging = Node::start(Behaviour { hangs: true, ..Behaviour::honest(&world) }).await;
    let honest = Node::start(Behaviour::honest(&world)).await;
    let client = client(&world, vec![hanging.url.clone(), honest.url.clone()], Duration::from_secs(6));
    let signed = client.sign(world.request(1)).await.expect("from the second node");
    assert!(matches!(signed.passed_over[0].error, NodeError::Timeout { .. }));
}

#[tokio::test]
async fn what_is_no_node_is_passed_over_whatever_it_sends() {
    let world = Arc::new(World::new());
    let megabyte: &'static [u8] = Box::leak(vec![b' '; 1 << 20].into_boxed_slice());
    let endless = parrot("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", megabyte, 64).await;
    let elsewhere =
        parrot("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", b"", 0)
            .await;
    let html = parrot("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n", b"<html>", 1).await;
    let gateway = parrot("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n", b"<html>", 1).await;
    let nonsense = parrot("hello\r\n\r\n", b"", 0).await;
    let honest = Node::start(Behaviour::honest(&world)).await;
    for (url, expected) in [
        (endless, "longer than"),
        (elsewhere, "status 302"),
        (html, "status 200"),
        (gateway, "status 502"),
        (nonsense, "not reached"),
    ] {
        let client = client(&world, vec![url, honest.url.clone()], TIMEOUT);
        let info = client.networks().await;
        let error = info[0].1.as_ref().expect_err("no node").to_string();
        assert!(error.contains(expected), "{error}");
        client.sign(world.request(1)).await.expect("from the honest node");
    }
}

#[tokio::test]
async fn a_request_for_another_network_is_asked_of_nobody() {
    let world = Arc::new(World::new());
    let node = Node::start(Behaviour::honest(&world)).await;
    let mut request = world.request(1);
    request.request.network = NetworkId::from([9; 32]);
    let error =
        client(&world, vec![node.url.clone()], TIMEOUT).sign(request).await.expect_err("another network");
    assert!(matches!(error, ClientError::Network { .. }), "{error}");
    assert_eq!(node.asked(), 0);
}

#[tokio::test]
async fn an_operator_who_does_not_list_the_publisher_is_passed_over() {
    let world = Arc::new(World::new());
    let refuse = |_| Err(Failure::new(FailureKind::PublisherNotListed, "not listed"));
    let strict = || Behaviour { publish: Box::new(refuse), ..Behaviour::honest(&world) };
    let (first, second) = (Node::start(strict()).await, Node::start(Behaviour::honest(&world)).await);
    let (signed, component) = publication(&world);
    let id = signed.action_id();
    let both = client(&world, vec![first.url.clone(), second.url.clone()], TIMEOUT);
    assert_eq!(
        both.publish(signed.clone(), Content::component(component.clone()))
            .await
            .expect("the second")
            .action_id,
        id
    );

    let third = Node::start(strict()).await;
    let none = client(&world, vec![first.url.clone(), third.url.clone()], TIMEOUT);
    let error =
        none.publish(signed, Content::component(component)).await.expect_err("nobody lists the publisher");
    let ClientError::Failed { failure, .. } = error else { panic!("{error}") };
    assert_eq!(failure.kind, FailureKind::PublisherNotListed);
}

#[tokio::test]
async fn a_script_counts_if_it_is_the_one_that_the_manifest_names() {
    let world = Arc::new(World::new());
    let (signed, _) = publication(&world);
    let script = "export default function run() {}";
    let manifest = Manifest { script: script_digest(script), ..signed.publish.manifest };
    let answering = |script: &str| Behaviour { script: script.into(), ..Behaviour::honest(&world) };
    let (other, right) = (Node::start(answering("other")).await, Node::start(answering(script)).await);
    let both = client(&world, vec![other.url.clone(), right.url.clone()], TIMEOUT);
    assert_eq!(both.script(&manifest).await.expect("from the second"), script);
    let one = client(&world, vec![other.url.clone()], TIMEOUT);
    let error = one.script(&manifest).await.expect_err("another script");
    assert!(error.to_string().contains("script"), "{error}");
}

#[tokio::test]
async fn a_component_counts_if_it_is_the_one_that_the_manifest_names() {
    let world = Arc::new(World::new());
    let (signed, component) = publication(&world);
    let other = Behaviour { component: vec![1].into(), ..Behaviour::honest(&world) };
    let right = Behaviour { component: component.clone(), ..Behaviour::honest(&world) };
    let (other, right) = (Node::start(other).await, Node::start(right).await);
    let both = client(&world, vec![other.url.clone(), right.url.clone()], TIMEOUT);
    assert_eq!(both.component(&signed.publish.manifest).await.expect("from the second"), component);
    let one = client(&world, vec![other.url.clone()], TIMEOUT);
    let error = one.component(&signed.publish.manifest).await.expect_err("another component");
    assert!(error.to_string().contains("component"), "{error}");
}

fn publication(world: &World) -> (countersign_types::SignedPublishAction, Bytes) {
    let component = Bytes::from_static(b"\0asm");
    let manifest = Manifest {
        name: "time-lock".into(),
        component: ComponentDigest::of(&component),
        script: B256::ZERO,
        hosts: vec![],
        chains: vec![],
        limits: Limits::default(),
    };
    let publisher = LocalSigner::random();
    let publish = PublishAction { manifest, publisher: publisher.address(), issued_at: 1 };
    (sign_publication(publish, world.network(), &publisher).expect("signed"), component)
}
