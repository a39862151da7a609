//! Publishing, storing and handing on actions.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use countersign_client::{LocalSigner, RequestSigner, sign_publication};
use countersign_node::config::Publishers;
use countersign_testnet::{
    demonstrations::{self, request},
    network::now_ms,
};
use countersign_types::{
    Bytes, ComponentDigest, FailureKind, Manifest, PublishAction,
    action::{Content, PublishedAction},
    api::ActionInfo,
};

use crate::support::{Running, component_of, message, opened, problem, says, time_lock, without_chain};

/// A publication by anybody.
fn publication(network: &Running, manifest: Manifest, component: Bytes) -> Result<PublishedAction> {
    let signer = LocalSigner::random();
    let publish = PublishAction { manifest, publisher: signer.address(), issued_at: now_ms() };
    let signed = sign_publication(publish, network.genesis.network_id(), &signer)?;
    Ok(PublishedAction::new(signed, Content::component(component)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_reaches_nodes_that_were_down_when_it_was_published() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    network.nodes[2].terminate()?;
    let lock = network.time_lock().await?;
    network.nodes[2].start()?;
    network.wait_ready().await?;
    let url = |network: &Running| format!("{}/v1/actions/{lock}", network.nodes[2].api);

    // asked to sign, it has the action: told of it by its peers, or by its id, whichever comes first
    network.signed(2, &network.open_request(lock)?).await?;
    let info: ActionInfo = network.rpc.get(&url(&network)).await?.json()?;
    ensure!(info.action_id == lock);

    // then it has it, with nobody to ask
    network.restart(2)?;
    network.wait_ready().await?;
    let (manifest, component) = time_lock()?;
    let stored = network.rpc.get_bytes(&format!("{}/component", url(&network))).await?;
    ensure!(stored == component, "another component");
    ensure!(manifest.action_id() == lock);
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_action_is_not_stored() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let api = format!("{}/v1/actions", network.nodes[0].api);
    let (manifest, component) = time_lock()?;
    let of = |component: &[u8]| Manifest { component: ComponentDigest::of(component), ..manifest.clone() };

    let not_wasm = Bytes::from_static(b"#!/bin/sh\necho hello\n");
    let foreign = Bytes::from(wat::parse_str(
        r#"(component
            (import "wasi:sockets/tcp@0.2.0" (instance (export "connect" (func))))
        )"#,
    )?);
    let idle = Bytes::from(wat::parse_str("(component)")?);
    let module = Bytes::from(wat::parse_str("(module)")?);
    for (what, component, named) in [
        ("text", &not_wasm, "component"),
        ("a foreign import", &foreign, "wasi:sockets/tcp"),
        ("no run", &idle, "run"),
        ("a module", &module, "component"),
    ] {
        let body = publication(&network, of(component), component.clone())?;
        let told = problem(&network.rpc.post(&api, &body).await?, FailureKind::Invalid);
        says(&told.with_context(|| what.to_owned())?.detail, &[named]).with_context(|| what.to_owned())?;
    }

    // the digest is of another component
    let body = publication(&network, of(b"other"), component.clone())?;
    let told = problem(&network.rpc.post(&api, &body).await?, FailureKind::Invalid)?;
    says(&told.detail, &[&ComponentDigest::of(b"other").to_string()])?;

    // signed for another action
    let mut body = publication(&network, manifest.clone(), component.clone())?;
    body.signed.publish.manifest.name = "renamed".into();
    problem(&network.rpc.post(&api, &body).await?, FailureKind::Unauthorised)?;

    let listed = network.rpc.get(&api).await?;
    ensure!(!listed.body.contains("0x"), "something was stored: {}", listed.body);
    let body = publication(&network, manifest, component)?;
    let stored: ActionInfo = network.rpc.post(&api, &body).await?.json()?;
    let again: ActionInfo = network.rpc.post(&api, &body).await?.json()?;
    ensure!(stored == again, "the same publication again is another");
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_decides_whose_actions_are_stored() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let mut config = network.nodes[0].config()?;
    config.actions.publishers = Publishers::Listed(BTreeSet::from([LocalSigner::random().address()]));
    network.nodes[0].write_config(&config)?;
    network.restart(0)?;
    network.wait_ready().await?;

    let (manifest, component) = time_lock()?;
    let body = publication(&network, manifest, component)?;
    let answer = network.rpc.post(&format!("{}/v1/actions", network.nodes[0].api), &body).await?;
    let told = problem(&answer, FailureKind::PublisherNotListed)?;
    says(&told.detail, &[&body.signed.publish.publisher.to_string(), "actions.publishers"])?;

    // the others take it, and sign without the one that does not
    let answer = network.rpc.post(&format!("{}/v1/actions", network.nodes[1].api), &body).await?;
    let lock = answer.json::<ActionInfo>()?.action_id;
    let asked = request(&network, opened(lock), message(), &LocalSigner::random())?;
    network.signed(1, &asked).await?;
    let asked = demonstrations::request(&network, opened(lock), message(), &LocalSigner::random())?;
    network.refused(0, &asked, FailureKind::PublisherNotListed).await?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_actions_have_bounds() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let mut config = network.nodes[0].config()?;
    config.actions.count = 1;
    network.nodes[0].write_config(&config)?;
    network.restart(0)?;
    network.wait_ready().await?;
    network.publish("time-lock").await?;
    let (manifest, component) = component_of("balance-gate")?;
    let body = publication(&network, manifest, component)?;
    let answer = network.rpc.post(&format!("{}/v1/actions", network.nodes[0].api), &body).await?;
    let told = problem(&answer, FailureKind::StorageFull)?;
    says(&told.detail, &["1"])?;
    network.stop()
}
