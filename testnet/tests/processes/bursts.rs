//! Many requests at once for an action that no node has at hand yet.

use anyhow::{Result, ensure};
use countersign_client::LocalSigner;
use countersign_testnet::{
    demonstrations::{key_spec, request, verify},
    network::script_manifest,
};
use countersign_types::{ActionId, Bytes, Manifest, action::Content};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Running, component_of, message, without_chain};

/// How many requests come at once, spread over all nodes.
const AT_ONCE: usize = 50;
/// The whole of a script that allows everything.
const ALLOW: &str = "import { context, sign } from \"countersign\";\n\
                     export default () => ({ sign: sign.bytes(context.params) });\n";

/// Asks all nodes at once, and wants a signature for each request.
async fn all_are_signed(network: &Running, id: ActionId, params: &Bytes) -> Result<()> {
    let mut asking = JoinSet::new();
    for number in 0..AT_ONCE {
        let key = key_spec(id, &json!({ "not_before": 0 }));
        let request = request(network, key, params.clone(), &LocalSigner::random())?;
        let (rpc, api) = (network.rpc.clone(), network.nodes[number % network.nodes.len()].api.clone());
        asking.spawn(async move { (rpc.submit(&api, &request).await, request) });
    }
    let mut failed = Vec::new();
    while let Some(asked) = asking.join_next().await {
        let (answer, request) = asked?;
        let answer = answer?;
        if answer.status == 200 {
            verify(network, &request, &answer.signed()?).await?;
        } else {
            failed.push(answer.body);
        }
    }
    ensure!(failed.is_empty(), "{} of {AT_ONCE} failed: {:#?}", failed.len(), failed.first());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_at_once_for_a_new_action_are_all_signed() -> Result<()> {
    let mut network = without_chain(5, 3).await?;
    // nobody waits until the other nodes have it
    let (manifest, content) = script_manifest("allow", ALLOW, &[], &[]);
    let script = network.publish_content(0, manifest, content).await?.action_id;
    all_are_signed(&network, script, &message()).await?;

    let (manifest, component) = component_of("time-lock")?;
    let manifest = Manifest { chains: Vec::new(), ..manifest };
    let lock = network.publish_content(0, manifest, Content::component(component)).await?.action_id;
    all_are_signed(&network, lock, &message()).await?;
    network.no_panic()?;
    network.stop()
}
