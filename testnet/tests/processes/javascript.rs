//! Actions in JavaScript: published as text, run everywhere, and explained to their author.

use std::time::Instant;

use anyhow::{Result, ensure};
use countersign_client::LocalSigner;
use countersign_testnet::{
    demonstrations::{key_spec, request, shares},
    network::script_manifest,
};
use countersign_types::{FailureKind, api::ActionInfo};
use serde_json::json;

use crate::support::{DEADLINE_S, Running, problem, says, without_chain};

async fn fails(network: &Running, source: &str, kind: FailureKind, words: &[&str]) -> Result<()> {
    let action = network.publish_script("guest", source, &[], &[]).await?;
    let before = shares(network).await?;
    let asked =
        request(network, key_spec(action, &json!({})), b"hello".to_vec().into(), &LocalSigner::random())?;
    let started = Instant::now();
    let problem = network.refused(0, &asked, kind).await?;
    ensure!(started.elapsed().as_secs_f64() < DEADLINE_S, "it took too long");
    says(&problem.detail, words)?;
    ensure!(shares(network).await? == before, "a node made a share");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_published_as_text_and_handed_on() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let source = "import { context, sign } from \"countersign\";\n\
                  export default () => ({ sign: sign.bytes(context.params), response: \"ü\" });\n";
    network.nodes[2].terminate()?;
    let action = network.publish_script("small", source, &[], &[]).await?;
    network.nodes[2].start()?;
    network.wait_ready().await?;
    network.wait_replicated(action).await?;
    let url = format!("{}/v1/actions/{action}", network.nodes[2].api);
    let info: ActionInfo = network.rpc.get(&url).await?.json()?;
    ensure!(info.script_bytes == source.len() as u64 && info.component_bytes > 500_000, "{info:?}");
    ensure!(network.rpc.get(&format!("{url}/script")).await?.body == source);

    network.restart(2)?;
    network.wait_ready().await?;
    let asked =
        request(&network, key_spec(action, &json!({})), b"hello".to_vec().into(), &LocalSigner::random())?;
    let answer = network.signed(2, &asked).await?;
    ensure!(answer.response.as_ref() == "ü".as_bytes());
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_script_is_refused_where_it_is_published() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    for (source, words) in [
        ("export default function run() {\n  return sign(;\n}", &["action.js:2:", "SyntaxError"][..]),
        ("const run = () => 1;", &["default"]),
        ("", &["default"]),
    ] {
        let (manifest, content) = script_manifest("broken", source, &[], &[]);
        let answer = network.post_action(0, manifest, content).await?;
        let problem = problem(&answer, FailureKind::Invalid)?;
        says(&problem.detail, words)?;
    }
    let (manifest, content) = script_manifest("large", &"/".repeat(300_000), &[], &[]);
    problem(&network.post_action(0, manifest, content).await?, FailureKind::TooLarge)?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_fail_tell_their_author_where_and_what_to_change() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let imports = "import { context, decimal, http, sign } from \"countersign\";\n";
    for (body, words) in [
        ("export default () => {\n  context.nothing.at;\n}", &["action.js:3:", "TypeError"][..]),
        ("export default () => {}", &["returned nothing"]),
        ("export default async () => new Promise(() => {});", &["promise"]),
        (
            "export default () => { Promise.reject(new Error(\"lost\")); return sign.bytes(context.params); }",
            &["lost"],
        ),
        ("export default () => { decimal.gte(0.1, \"1\"); }", &["action.js:2:", "float", "\"0.1\""]),
        (
            "export default () => http.fetch(\"https://elsewhere.example/\")",
            &["manifest", "elsewhere.example"],
        ),
        ("export default () => ({ sign: [] })", &["nothing to sign"]),
    ] {
        fails(&network, &format!("{imports}{body}"), FailureKind::ActionFailed, words).await?;
    }
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_scripts_are_bounded_and_others_go_on() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let imports = "import { context, crypto, http, log, sign } from \"countersign\";\n";
    for (body, words) in [
        ("export default () => { for (;;); }", &["fuel"][..]),
        ("export default () => { const all = []; for (;;) all.push(new Uint8Array(1 << 20)); }", &["memory"]),
        ("export default () => { const deep = () => deep() + 1; return deep(); }", &["stack"]),
        ("export default () => { for (;;) crypto.keccak256(new Uint8Array(1 << 16)); }", &["fuel"]),
        ("export default () => { for (;;) log.info(\"x\".repeat(1000)); }", &["fuel"]),
        (
            "export default () => ({ sign: sign.bytes(context.params), response: \"x\".repeat(1 << 20) })",
            &["response"],
        ),
        ("export default () => ({ sign: sign.bytes(\"00\".repeat(1 << 24)) })", &["memory"]),
    ] {
        let other = async { network.signed(1, &network.open_request(lock)?).await };
        let source = format!("{imports}{body}");
        let hostile = fails(&network, &source, FailureKind::ActionFailed, words);
        let (hostile, other) = tokio::join!(hostile, other);
        hostile?;
        other?;
    }
    network.no_panic()?;
    network.stop()
}
