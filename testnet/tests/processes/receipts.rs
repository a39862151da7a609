//! Receipts: made by whoever signs, shown to callers, checked and replayed by the command.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use countersign_client::{LocalSigner, RequestSigner};
use countersign_node::ShownTo;
use countersign_receipt::{CheckError, Receipt, SignerPart};
use countersign_session::message::{Completion, ToParticipant};
use countersign_testnet::{
    demonstrations::{key_spec, price_config, request as request_of},
    network::{action, now_ms},
    relay::{Frame, Passage, Relay},
    rpc::Answer,
};
use countersign_types::{ReceiptAccess, RequestDigest, failure::FailureKind};
use countersign_wire::SigningFrame;
use serde_json::Value;

use crate::{
    outages::until,
    support::{
        Running, countersign, document, made, message, opened, problem, says, with_chain, without_chain,
    },
};

/// What a node shows of a request to whoever asks.
async fn shown(
    network: &Running,
    node: usize,
    request: RequestDigest,
    asker: Option<&LocalSigner>,
) -> Result<Answer> {
    let word = asker.map(|asker| word(network, node, request, asker)).transpose()?.unwrap_or_default();
    network.rpc.get(&format!("{}/v1/receipts/{request}{word}", network.nodes[node].api)).await
}

/// What somebody signs to see a receipt at a node, as a query.
fn word(network: &Running, node: usize, request: RequestDigest, asker: &LocalSigner) -> Result<String> {
    let (until, node) = (now_ms() + 60_000, network.nodes[node].public_key.address());
    let digest = ReceiptAccess::digest(network.genesis.network_id(), node, request, until);
    Ok(format!("?node={node}&expires_at={until}&signature={}", asker.sign(digest)?.0))
}

/// The receipt that came with an answer.
fn attached(answer: &Answer) -> Result<Receipt> {
    let body: Value = answer.json()?;
    Ok(Receipt::from_json(body["receipt"].to_string().as_bytes())?)
}

fn verify(network: &Running, file: &Path, further: &[&str]) -> Result<Output> {
    let genesis = network.plan.folder.join("genesis.json");
    let root_keys = network.nodes[0].folder.join("data/root-keys.json");
    let mut arguments: Vec<&OsStr> = ["--json", "receipt", "verify"].map(OsStr::new).into();
    arguments.extend([file.as_os_str(), "--genesis".as_ref(), genesis.as_os_str()]);
    arguments.extend(["--root-keys".as_ref(), root_keys.as_os_str()]);
    arguments.extend(further.iter().map(OsStr::new));
    countersign(arguments)
}

fn saved(folder: &Path, name: &str, receipt: &Receipt) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, serde_json::to_vec(receipt)?)?;
    Ok(path)
}

fn ends(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(code), "{}: {said}", output.status);
    says(&said, words)
}

fn signers(receipt: &Receipt) -> Vec<usize> {
    receipt.signers.keys().map(|member| usize::from(member.get())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_has_a_receipt_at_each_signer_and_for_its_callers() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let caller = LocalSigner::random();
    let request = request_of(&network, opened(lock), message(), &caller)?;
    let digest = request.request.digest();
    let answer = network.ask(0, &request).await?;
    ensure!(answer.status == 200, "{}", answer.body);
    let receipt = attached(&answer)?;
    let trust = network.trust().await?;
    ensure!(trust.check(&receipt)?.request == digest, "it is of this request");

    // at each signer, for the caller, and for nobody else
    let members: Vec<String> =
        network.genesis.committee()?.members().iter().map(|member| member.peer_id()).collect();
    let mut having = 0;
    for node in 0..3 {
        let member = members.iter().position(|member| *member == network.peer_id(node));
        let signs = signers(&receipt).contains(&(member.context("a member")? + 1));
        let shown_to_caller = async || shown(&network, node, digest, Some(&caller)).await;
        if signs {
            // it is written beside signing, which waits for no disk
            until("the signer has it", async || Ok(shown_to_caller().await?.status == 200)).await?;
        }
        let answer = shown_to_caller().await?;
        if signs {
            let kept = Receipt::from_json(answer.body.as_bytes())?;
            ensure!(kept == receipt || trust.check(&kept).is_ok(), "node {node} has another");
            having += 1;
        } else {
            problem(&answer, FailureKind::NotFound)?;
        }
        let stranger = shown(&network, node, digest, Some(&LocalSigner::random())).await?;
        ensure!(stranger.status != 200, "{}", stranger.body);
        problem(&shown(&network, node, digest, None).await?, FailureKind::Unauthorised)?;
    }
    ensure!(having == 2, "{having} of two signers have it");
    // a node that is asked cannot ask a signer with what it was shown
    for (asked, relayed) in [(0, 1), (1, 2), (2, 0)] {
        let word = word(&network, asked, digest, &caller)?;
        let url = format!("{}/v1/receipts/{digest}{word}", network.nodes[relayed].api);
        let answer = network.rpc.get(&url).await?;
        problem(&answer, FailureKind::Unauthorised)?;
        let address = network.nodes[asked].public_key.address();
        says(&answer.body, &[&format!("signed for node {address}")])?;
    }
    let result = network.rpc.get(&format!("{}/v1/requests/{digest}", network.nodes[0].api)).await?;
    ensure!(result.json::<Value>()?.get("receipt").is_none(), "whoever knows the digest is not shown it");

    // it outlives the process
    network.restart(0)?;
    network.wait_ready().await?;
    let again = shown(&network, 0, digest, Some(&caller)).await?;
    ensure!(Receipt::from_json(again.body.as_bytes())? == receipt, "{}", again.body);
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_runs_the_action_again_and_says_what_was_read() -> Result<()> {
    let mut network = with_chain(3, 2).await?;
    let folder = network.plan.folder.clone();
    let price = network.publish("price-gate").await?;
    network.wait_replicated(price.action_id).await?;
    let key = key_spec(price.action_id, &price_config(1, 500));
    let request = request_of(&network, key, message(), &network.key("alice")?)?;
    let answer = network.ask(0, &request).await?;
    ensure!(answer.status == 200, "{}", answer.body);
    let receipt = attached(&answer)?;
    let file = saved(&folder, "receipt.json", &receipt)?;

    let node = network.nodes[1].api.clone();
    let output = verify(&network, &file, &["--node", &node])?;
    ends(&output, 0, &[])?;
    let said = document(&output)?;
    ensure!(said["verified"] == true && said["replayed"] == true, "{said:#}");
    let read = &said["receipt"]["reads"][0];
    ensure!(
        read["field"] == "/price" && read["saw"].as_array().is_some_and(|saw| saw.len() == 2),
        "{read:#}"
    );

    let (_, content) = action("price-gate")?;
    let script = folder.join("price-gate.js");
    std::fs::write(&script, content.script.context("it is a script")?)?;
    ends(&verify(&network, &file, &["--script", &script.to_string_lossy()])?, 0, &[])?;
    ends(&verify(&network, &file, &[])?, 7, &["price-gate", "not at hand", "--script"])?;
    ends(&verify(&network, &file, &["--no-replay"])?, 0, &[])?;

    // fetched by the command, as one of the callers
    let digest = request.request.digest().to_string();
    let got = folder.join("got.json");
    let (genesis, asker) = (folder.join("genesis.json"), network.key_file("alice"));
    let mut get: Vec<&OsStr> =
        ["--json", "receipt", "get", &digest, "--node", &network.nodes[0].api].map(OsStr::new).into();
    get.extend(["--genesis".as_ref(), genesis.as_os_str(), "--out".as_ref(), got.as_os_str()]);
    let refused = countersign(get.iter().copied())?;
    ends(&refused, 6, &["--caller-key"])?;
    get.extend(["--caller-key".as_ref(), asker.as_os_str()]);
    ends(&countersign(get.iter().copied())?, 0, &[])?;
    ensure!(Receipt::from_json(&std::fs::read(&got)?)? == receipt, "it is the one that came with the answer");
    ends(&countersign(get.iter().copied())?, 8, &["got.json exists"])?;

    // another number, whose hash stands in nobody's vote
    let mut forged = receipt.clone();
    forged.package.records.retain(|member, _| receipt.signers.contains_key(member));
    let text = serde_json::to_string(&forged)?.replacen("\"number\":\"", "\"number\":\"1", 1);
    std::fs::write(folder.join("forged.json"), text)?;
    let forged = verify(&network, &folder.join("forged.json"), &["--node", &node])?;
    ends(&forged, 9, &["not one that it signed"])?;
    std::fs::write(folder.join("cut.json"), b"{\"version\":1")?;
    ends(&verify(&network, &folder.join("cut.json"), &[])?, 8, &["no receipt"])?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_shows_receipts_to_everybody_wants_no_signature() -> Result<()> {
    let mut network = made(3, 2)?;
    let mut config = network.nodes[0].config()?;
    config.receipts.shown_to = ShownTo::Everybody;
    network.nodes[0].write_config(&config)?;
    network.start_nodes()?;
    network.wait_ready().await?;
    let lock = network.time_lock().await?;
    let request = network.open_request(lock)?;
    let digest = request.request.digest();
    let receipt = attached(&network.ask(0, &request).await?)?;
    let trust = network.trust().await?;
    // it is written beside the answer
    until("the node has it", async || Ok(shown(&network, 0, digest, None).await?.status == 200)).await?;
    for asker in [None, Some(&LocalSigner::random())] {
        let answer = shown(&network, 0, digest, asker).await?;
        ensure!(answer.status == 200, "{}", answer.body);
        let kept = Receipt::from_json(answer.body.as_bytes())?;
        ensure!(kept == receipt && trust.check(&kept)?.request == digest, "{}", answer.body);
    }
    // each operator decides for its own node
    for node in [1, 2] {
        problem(&shown(&network, node, digest, None).await?, FailureKind::Unauthorised)?;
    }
    let unknown: RequestDigest = [1; 32].into();
    problem(&shown(&network, 0, unknown, None).await?, FailureKind::NotFound)?;
    network.no_panic()?;
    network.stop()
}

/// What a coordinator brings that gives each signer the part of the next one.
fn swapped(completion: &Completion) -> Completion {
    let mut completion = completion.clone();
    // each signer has its own part by itself: what is brought of the others must be wrong
    let mut parts: Vec<SignerPart> = completion.signers.values().cloned().collect();
    parts.rotate_left(1);
    completion.signers.values_mut().zip(parts).for_each(|(part, other)| *part = other);
    completion
}

/// A coordinator that signs and answers, and keeps from the other signer what makes its part a receipt, or brings something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_is_not_brought_the_rest_shows_its_own_part() -> Result<()> {
    let mut network = made(3, 2)?;
    let withholds = Arc::new(AtomicBool::new(true));
    let changes = {
        let withholds = Arc::clone(&withholds);
        Box::new(move |frame: &Frame, _: &Passage| {
            let Frame::Signing(SigningFrame::ToParticipant(ToParticipant::Close { session, signed })) = frame
            else {
                return None;
            };
            let lie = signed.as_deref().filter(|_| !withholds.load(Ordering::Relaxed));
            let signed = lie.map(|completion| Box::new(swapped(completion)));
            Some(Frame::Signing(SigningFrame::ToParticipant(ToParticipant::Close {
                session: *session,
                signed,
            })))
        })
    };
    let _relay = Relay::start(&mut network, 0, &[1, 2], changes).await?;
    network.wait_ready().await?;
    let lock = network.time_lock().await?;
    let committee = network.genesis.committee()?;
    let trust = network.trust().await?;
    for withheld in [true, false] {
        withholds.store(withheld, Ordering::Relaxed);
        let caller = LocalSigner::random();
        let request = request_of(&network, opened(lock), message(), &caller)?;
        let digest = request.request.digest();
        let whole = attached(&network.ask(0, &request).await?)?;
        trust.check(&whole).context("the coordinator has all of it")?;

        let other = |node: &usize| {
            let member = committee.identifier(&network.nodes[*node].public_key);
            member.filter(|member| whole.signers.contains_key(member)).map(|member| (*node, member))
        };
        let (node, member) = [1, 2].iter().find_map(other).context("another signer")?;
        until("the signer has its part", async || {
            Ok(shown(&network, node, digest, Some(&caller)).await?.status == 200)
        })
        .await?;
        let answer = shown(&network, node, digest, Some(&caller)).await?;
        let own = Receipt::from_json(answer.body.as_bytes())?;
        ensure!(!own.is_complete() && own.signers.keys().eq([&member]), "{}", answer.body);
        ensure!(own.signers[&member] == whole.signers[&member] && own.package == whole.package);
        let error = trust.check(&own).err().context("it proves no signature")?;
        ensure!(matches!(error, CheckError::Incomplete { .. }), "{error}");
    }
    network.no_panic()?;
    // what was sent is not what arrived
    network.network.stop()
}
