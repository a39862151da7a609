//! Requests that are not what they must be, and the same request again.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use countersign_api::Rate;
use countersign_client::{LocalSigner, RequestSigner, sign_request};
use countersign_testnet::{
    delay::Delays,
    demonstrations::{self, SHARES_METRIC, shares},
    network::now_ms,
};
use countersign_types::{
    ActionId, Address, Decision, FailureKind, NetworkId, Request, SignedRequest,
    api::{Problem, SignResponse},
};
use serde_json::json;

use crate::support::{Running, made, message, opened, problem, says, without_chain};

/// Changes a request, and has its caller sign what comes out.
fn changed(
    request: &SignedRequest,
    caller: &LocalSigner,
    change: impl FnOnce(&mut Request),
) -> Result<SignedRequest> {
    let mut request = request.request.clone();
    change(&mut request);
    Ok(sign_request(request, &[caller])?)
}

/// Changes what was signed, and keeps the signature.
fn tampered(request: &SignedRequest, change: impl FnOnce(&mut Request)) -> SignedRequest {
    let mut request = request.clone();
    change(&mut request.request);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_the_callers_own_is_refused() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let other = network.publish("balance-gate").await?.action_id;
    let (caller, thief) = (LocalSigner::random(), LocalSigner::random());
    let good = demonstrations::request(&network, opened(lock), message(), &caller)?;
    let before = shares(&network).await?;

    let unauthorised = [
        ("other params", tampered(&good, |r| r.params = b"{\"messages\":[\"0x00\"]}".to_vec().into())),
        ("another config", tampered(&good, |r| r.key.policy.config = b"{\"not_before\":0}".to_vec().into())),
        ("another action", tampered(&good, |r| r.key.policy.action = other)),
        ("another key", tampered(&good, |r| r.key.salt.0[0] ^= 1)),
        ("a longer life", tampered(&good, |r| r.expires_at += 1)),
        ("another caller", tampered(&good, |r| r.callers[0].id = thief.address())),
        ("signed by another", {
            let signature = thief.sign(good.request.digest().0)?;
            SignedRequest { signatures: vec![signature], ..good.clone() }
        }),
        ("not signed", SignedRequest { signatures: Vec::new(), ..good.clone() }),
    ];
    for (what, request) in unauthorised {
        let problem = network.refused(0, &request, FailureKind::Unauthorised).await;
        problem.with_context(|| what.to_owned())?;
    }

    // an owner's key signs for its owner alone
    let owned = changed(&good, &caller, |r| r.key.owner = thief.address())?;
    let problem = network.refused(0, &owned, FailureKind::Unauthorised).await?;
    says(&problem.detail, &[&thief.address().to_string()])?;

    ensure!(shares(&network).await? == before, "a node made a share");
    network.signed(0, &good).await?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_place_or_time_is_refused() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let caller = LocalSigner::random();
    let good = demonstrations::request(&network, opened(lock), message(), &caller)?;
    let now = now_ms();
    let refused = [
        (FailureKind::WrongNetwork, changed(&good, &caller, |r| r.network = NetworkId::from([7; 32]))?),
        (FailureKind::Expired, changed(&good, &caller, |r| (r.issued_at, r.expires_at) = (now, now + 1))?),
        (
            FailureKind::NotYetIssued,
            changed(&good, &caller, |r| (r.issued_at, r.expires_at) = (now + 300_000, now + 360_000))?,
        ),
        (
            FailureKind::BeforeBoot,
            changed(&good, &caller, |r| (r.issued_at, r.expires_at) = (now - 500_000, now + 60_000))?,
        ),
        (
            FailureKind::Invalid,
            changed(&good, &caller, |r| (r.issued_at, r.expires_at) = (now, now + 600_001))?,
        ),
        (FailureKind::Invalid, changed(&good, &caller, |r| r.expires_at = r.issued_at)?),
    ];
    while now_ms() <= now + 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for (kind, request) in refused {
        let problem = network.refused(0, &request, kind).await.with_context(|| format!("{kind:?}"))?;
        ensure!(!problem.detail.is_empty(), "{kind:?} without a detail");
    }
    network.signed(0, &good).await?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_no_request_from_before_it_started() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let request = network.open_request(lock)?;
    network.restart(0)?;
    network.wait_ready().await?;

    network.refused(0, &request, FailureKind::BeforeBoot).await?;
    // the others were up when it was issued; they ask the restarted one in vain where they ask it
    let answer = network.signed(1, &request).await?;
    if let Some(said) = network.said(&answer.nodes, 0) {
        ensure!(said.decision == Decision::Abstain, "{said:?}");
    }
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_gives_the_same_answer() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let request = network.open_request(lock)?;

    // at the same time: one session
    let (first, second) = tokio::join!(network.signed(0, &request), network.signed(0, &request));
    let first = first?;
    ensure!(first == second?, "two answers to one request");
    let made = shares(&network).await?;

    // later: the stored result, and no further share
    ensure!(network.signed(0, &request).await? == first, "another answer later");
    let digest = request.request.digest();
    let stored = network.rpc.get(&format!("{}/v1/requests/{digest}", network.nodes[0].api)).await?;
    ensure!(stored.signed()? == first, "another answer to the digest");
    ensure!(shares(&network).await? == made, "the same request made further shares");

    // the nonce is used up, for this caller
    let caller = LocalSigner::random();
    let used = demonstrations::request(&network, opened(lock), message(), &caller)?;
    network.signed(0, &used).await?;
    let other = json!({ "messages": ["0x00"] }).to_string().into_bytes();
    let reused = changed(&used, &caller, |r| r.params = other.into())?;
    network.refused(0, &reused, FailureKind::NonceReused).await?;
    network.refused(1, &reused, FailureKind::NonceReused).await?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_well_formed_is_named() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let api = network.nodes[0].api.clone();
    let good = serde_json::to_value(network.open_request(lock)?)?;
    let post = async |path: &str, body: String, kind: FailureKind| -> Result<Problem> {
        let answer = network.rpc.post_text(&format!("{api}{path}"), body).await?;
        problem(&answer, kind)
    };
    let with = |pointer: &str, value: serde_json::Value| -> Result<String> {
        let mut body = good.clone();
        *body.pointer_mut(pointer).with_context(|| format!("no {pointer} in a request"))? = value;
        Ok(body.to_string())
    };

    let told = post("/v1/requests", "{\"request\":".into(), FailureKind::Invalid).await?;
    says(&told.detail, &["line 1"])?;
    let told = post("/v1/requests", "[]".into(), FailureKind::Invalid).await?;
    ensure!(!told.detail.is_empty());
    for (pointer, value, named) in [
        ("/request/nonce", json!("0x12"), "nonce"),
        ("/request/nonce", json!("0xzz"), "nonce"),
        ("/request/params", json!("hello"), "params"),
        ("/request/key/scheme", json!("no-such-scheme"), "scheme"),
        ("/request/key/policy/action", json!(7), "action"),
        ("/request/issued_at", json!(-1), "issued_at"),
    ] {
        let told = post("/v1/requests", with(pointer, value)?, FailureKind::Invalid).await?;
        says(&told.detail, &[named]).with_context(|| pointer.to_owned())?;
    }
    let mut extra = good.clone();
    extra["request"]["priority"] = json!("high");
    let told = post("/v1/requests", extra.to_string(), FailureKind::Invalid).await?;
    says(&told.detail, &["priority"])?;

    // one byte of params more than may be is another matter than a body without end
    let long = format!("0x{}", "00".repeat((64 << 10) + 1));
    post("/v1/requests", with("/request/params", json!(long))?, FailureKind::Invalid).await?;
    post("/v1/requests", " ".repeat(4 << 20), FailureKind::TooLarge).await?;
    post("/v1/actions", " ".repeat(40 << 20), FailureKind::TooLarge).await?;

    let unknown = format!("0x{}", "ab".repeat(32));
    for (path, kind) in [
        (format!("/v1/requests/{unknown}"), FailureKind::NotFound),
        (format!("/v1/actions/{unknown}"), FailureKind::NotFound),
        (format!("/v1/actions/{unknown}/component"), FailureKind::NotFound),
        ("/v1/requests/0x12".into(), FailureKind::Invalid),
        ("/v1/actions/zzzz".into(), FailureKind::Invalid),
        ("/v1/nothing".into(), FailureKind::NotFound),
    ] {
        problem(&network.rpc.get(&format!("{api}{path}")).await?, kind).with_context(|| path.clone())?;
    }
    let absent = serde_json::to_value(network.open_request(unknown.parse()?)?)?;
    post("/v1/requests", absent.to_string(), FailureKind::UnknownAction).await?;

    // after all that, the node does its work
    let answer = network.rpc.post_text(&format!("{api}/v1/requests"), good.to_string()).await?;
    let answer: SignResponse = answer.signed()?;
    ensure!(answer.signatures.len() == 1);
    ensure!(network.rpc.metric(&api, SHARES_METRIC).await? <= 1.0);
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_key_may_ask() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let owner = LocalSigner::random();
    let mut key = opened(lock);
    key.owner = owner.address();
    ensure!(key.owner != Address::ZERO);
    let request = demonstrations::request(&network, key, message(), &owner)?;
    network.signed(0, &request).await?;
    network.stop()
}

/// The counters of sessions of which this node was the coordinator, by the rounds that they took: one, more.
async fn rounds(network: &Running, node: usize) -> Result<[f64; 2]> {
    let mut counted = [0.0; 2];
    for (rounds, counted) in ["one", "more"].into_iter().zip(&mut counted) {
        let name = format!("countersign_sessions_signed_total{{rounds=\"{rounds}\"}}");
        *counted = network.rpc.metric(&network.nodes[node].api, &name).await?;
    }
    Ok(counted)
}

/// Asks a node until a session takes one round; says how many took more.
async fn until_one_round(network: &Running, node: usize, action: ActionId) -> Result<f64> {
    let before = rounds(network, node).await?;
    for _ in 0..50 {
        network.signed(node, &network.open_request(action)?).await?;
        let now = rounds(network, node).await?;
        if now[0] > before[0] {
            return Ok(now[1] - before[1]);
        }
    }
    anyhow::bail!("no session took one round: {:?}", rounds(network, node).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_everybody_reads_the_same_takes_one_round() -> Result<()> {
    let mut network = without_chain(4, 3).await?;
    let lock = network.time_lock().await?;
    let before = shares(&network).await?.iter().sum::<f64>();
    let more = until_one_round(&network, 0, lock).await?;
    ensure!(more >= 1.0, "nothing is known before the first session");
    let made = shares(&network).await?.iter().sum::<f64>() - before;
    ensure!(made == 3.0 * (more + 1.0), "{made} shares for {} signatures", more + 1.0);

    // what was handed out before a node died is void, and nobody waits for it
    network.nodes[2].kill()?;
    for _ in 0..4 {
        network.signed(0, &network.open_request(lock)?).await?;
    }
    network.nodes[2].start()?;
    network.wait_ready().await?;
    network.nodes[1].kill()?;
    for _ in 0..4 {
        network.signed(0, &network.open_request(lock)?).await?;
    }
    until_one_round(&network, 0, lock).await?;
    network.no_panic()?;
    network.stop()
}

/// Nodes that are far apart: a session over identical reads is one message there and one back.
#[tokio::test(flavor = "multi_thread")]
async fn one_round_is_one_trip_to_the_others() -> Result<()> {
    const ROUND_TRIP: Duration = Duration::from_millis(200);
    let mut network = made(4, 3)?;
    let _delays = Delays::between(&network, ROUND_TRIP / 2).await?;
    network.start_nodes()?;
    network.wait_ready().await?;
    let lock = network.time_lock().await?;
    until_one_round(&network, 0, lock).await?;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let request = network.open_request(lock)?;
        let started = Instant::now();
        network.signed(0, &request).await?;
        fastest = fastest.min(started.elapsed());
    }
    // two trips would be twice that, on the fastest of machines
    ensure!(fastest >= ROUND_TRIP && fastest < 2 * ROUND_TRIP, "{fastest:?}");
    network.stop()
}

/// A network whose first node takes two requests of a caller at once, and one a minute.
async fn with_caller_rate() -> Result<Running> {
    let mut network = made(3, 2)?;
    let some = |count| NonZeroU32::new(count).context("not zero");
    let mut config = network.nodes[0].config()?;
    config.api.caller_rate = Some(Rate { per_minute: some(1)?, burst: some(2)? });
    network.nodes[0].write_config(&config)?;
    network.start_nodes()?;
    network.wait_ready().await?;
    Ok(network)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_asks_so_often_and_nobody_uses_up_what_is_anothers() -> Result<()> {
    let mut network = with_caller_rate().await?;
    let lock = network.time_lock().await?;
    let (alice, bob) = (LocalSigner::random(), LocalSigner::random());
    let request = |caller| demonstrations::request(&network, opened(lock), message(), caller);

    // in her name, without her signature: that is not hers
    let forged = SignedRequest {
        signatures: vec![bob.sign(request(&alice)?.request.digest().0)?],
        ..request(&alice)?
    };
    for _ in 0..4 {
        network.refused(0, &forged, FailureKind::Unauthorised).await?;
    }
    let first = request(&alice)?;
    network.signed(0, &first).await?;
    // nor does anybody use it up who sends again what she sent
    for _ in 0..4 {
        network.signed(0, &first).await?;
    }
    network.signed(0, &request(&alice)?).await?;
    let often = network.refused(0, &request(&alice)?, FailureKind::Busy).await?;
    says(&often.detail, &[&alice.address().to_string(), "1 a minute and 2 at once", "ask again in"])?;
    network.signed(0, &request(&bob)?).await?;
    // each operator has rules of their own
    network.signed(1, &request(&alice)?).await?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_again_what_fails_uses_up_nothing() -> Result<()> {
    let mut network = with_caller_rate().await?;
    let lock = network.time_lock().await?;
    let locked = demonstrations::key_spec(lock, &json!({ "not_before": 4_000_000_000_u64 }));
    // one that the action refuses, in a session; one that no session is opened for
    for (key, kind) in
        [(locked, FailureKind::Refused), (opened(ActionId::from([7; 32])), FailureKind::UnknownAction)]
    {
        let caller = LocalSigner::random();
        let failing = demonstrations::request(&network, key, message(), &caller)?;
        for time in 0..5 {
            network.refused(0, &failing, kind).await.with_context(|| format!("{kind:?}, time {time}"))?;
        }
        let fresh = || demonstrations::request(&network, opened(lock), message(), &caller);
        network.signed(0, &fresh()?).await.with_context(|| format!("after {kind:?}"))?;
        // the one that failed counts as one
        network.refused(0, &fresh()?, FailureKind::Busy).await?;
    }
    network.no_panic()?;
    network.stop()
}
