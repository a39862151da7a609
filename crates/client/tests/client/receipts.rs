//! Receipts that nodes give: one counts that holds, and is of what was asked.

use std::{sync::Arc, time::Duration};

use countersign_client::{ClientError, NodeError};
use countersign_receipt::Receipt;
use countersign_types::{Manifest, SignedRequest, api::SignResponse};

use crate::{
    nodes::{Behaviour, Node, client},
    world::World,
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// With another manifest than its key names.
fn changed(receipt: &Receipt) -> Receipt {
    let manifest = Manifest { name: "another".into(), ..receipt.manifest.clone() };
    Receipt { manifest, ..receipt.clone() }
}

#[tokio::test]
async fn a_receipt_beside_an_answer_is_given_on_only_if_it_proves_its_signatures() {
    let world = Arc::new(World::new());
    let (asked, other) = (world.request(1), world.request(2));
    let (answer, receipt) = world.answer_with_receipt(&asked);
    let (others, of_another) = world.answer_with_receipt(&other);
    let with_others = SignResponse { signatures: others.signatures, ..answer.clone() };
    let (_, of_other_signatures) = world.answer_with_receipt(&asked);
    for (what, answer, receipt, counts) in [
        ("its own", answer.clone(), receipt.clone(), true),
        ("one that does not hold", answer.clone(), changed(&receipt), false),
        ("one of other signatures", answer, of_other_signatures, false),
        ("one of another session with the same signatures", with_others, of_another, false),
    ] {
        let told = answer.clone();
        let submit = move |_: usize, _: &SignedRequest| Ok(told.clone());
        let shown = Ok(Arc::new(receipt.clone()));
        let behaviour = Behaviour { submit: Box::new(submit), receipt: shown, ..Behaviour::honest(&world) };
        let node = Node::start(behaviour).await;
        let asking = client(&world, vec![node.url.clone()], TIMEOUT);
        let signed = asking.sign(asked.clone()).await.expect(what);
        assert_eq!(signed.answer, answer, "{what}");
        assert_eq!(signed.receipt, counts.then_some(receipt), "{what}");
    }
}

#[tokio::test]
async fn a_receipt_that_proves_nothing_of_the_request_is_passed_over_and_named() {
    type Is = fn(&NodeError) -> bool;
    let world = Arc::new(World::new());
    let (asked, other) = (world.request(1), world.request(2));
    let digest = asked.request.digest();
    let (_, receipt) = world.answer_with_receipt(&asked);
    let (_, of_another) = world.answer_with_receipt(&other);
    let showing = |receipt| Behaviour { receipt: Ok(Arc::new(receipt)), ..Behaviour::honest(&world) };
    let honest = Node::start(showing(receipt.clone())).await;
    let lies: [(Receipt, Is); 2] = [
        (of_another, |error| matches!(error, NodeError::OtherReceipt { .. })),
        (changed(&receipt), |error| matches!(error, NodeError::Receipt(_))),
    ];
    for (lie, is) in lies {
        let liar = Node::start(showing(lie)).await;
        let both = client(&world, vec![liar.url.clone(), honest.url.clone()], TIMEOUT);
        assert_eq!(both.receipt(digest, None, 0).await.expect("from the honest node"), receipt);

        let alone = client(&world, vec![liar.url.clone()], TIMEOUT);
        let error = alone.receipt(digest, None, 0).await.expect_err("it proves nothing");
        let ClientError::NoAnswer { nodes, .. } = &error else { panic!("{error}") };
        assert!(is(&nodes[0].error) && nodes[0].error.is_lie(), "{error}");
    }
}
