//! The same with what members tell and ask each other about actions. Whatever the relay changes, no node stores what nobody
//! published, and what was published runs at the members all the same.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use countersign_client::LocalSigner;
use countersign_network::Lane;
use countersign_testnet::{
    demonstrations::{key_spec, request},
    network::script_manifest,
    relay::{Frame, Passage, Relay},
};
use countersign_types::{
    ActionId, Bytes,
    api::{ActionInfo, ActionList},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    change::{Change, How},
    locked,
    mind::{Done, Mind, Order},
};
use crate::support::{Running, made};

/// The node to which all is published.
const PUBLISHER: usize = 0;
/// How many publications may go by until a message comes that has the part: members ask each other too.
const TRIES: usize = 40;
/// How long a change may take to be made: by then, whoever is told of an action has asked for it.
const PATIENCE: Duration = Duration::from_millis(1_500);
const POLL: Duration = Duration::from_millis(10);
/// The fewest changes that must have been made.
const LEAST: usize = 60;

struct Stage {
    network: Running,
    _relay: Relay,
    mind: Arc<Mutex<Mind>>,
    /// What was published, with its source.
    published: BTreeMap<ActionId, (ActionInfo, String)>,
    caller: LocalSigner,
}

impl Stage {
    async fn start() -> Result<Self> {
        let mut network = made(3, 2)?;
        let mind = Arc::new(Mutex::new(Mind::of(Lane::Background)));
        let changes = {
            let mind = Arc::clone(&mind);
            Box::new(move |frame: &Frame, passage: &Passage| locked(&mind).change(frame, passage))
        };
        let relay = Relay::start(&mut network, PUBLISHER, &[1, 2], changes).await?;
        network.wait_ready().await?;
        let (published, caller) = (BTreeMap::new(), LocalSigner::random());
        let mut stage = Self { network, _relay: relay, mind, published, caller };
        for _ in 0..4 {
            let action = stage.publish().await?;
            stage.network.wait_replicated(action).await?;
            stage.signs(PUBLISHER, action).await?;
        }
        Ok(stage)
    }

    /// Publishes one that nobody has seen yet. What it answers shows which one ran.
    async fn publish(&mut self) -> Result<ActionId> {
        let number = self.published.len();
        let source = format!(
            "import {{ context, sign }} from \"countersign\";\n\
             export default () => ({{ sign: sign.bytes(context.params), response: \"number {number}.\" }});\n"
        );
        let (manifest, content) =
            script_manifest(&format!("action-{number}"), &source, &["a.test", "b.test"], &[]);
        let info = self.network.publish_content(PUBLISHER, manifest, content).await?;
        let action = info.action_id;
        self.published.insert(action, (info, source));
        Ok(action)
    }

    /// Has what was published run, and signed, by the network at a node's.
    async fn signs(&self, node: usize, action: ActionId) -> Result<()> {
        let key = key_spec(action, &json!({}));
        let request = request(&self.network, key, Bytes::from_static(b"hello"), &self.caller)?;
        let answer = self.network.signed(node, &request).await?;
        let (info, _) = &self.published[&action];
        let number = info.manifest.name.trim_start_matches("action-");
        let said = String::from_utf8_lossy(&answer.response).into_owned();
        ensure!(said.contains(&format!("number {number}.")), "{} says {said}", info.manifest.name);
        Ok(())
    }

    /// Publishes one with these orders; what was done of them.
    async fn disturb(&mut self, orders: &[Order]) -> Result<Vec<Done>> {
        {
            let mut mind = locked(&self.mind);
            mind.orders = orders.to_vec();
            mind.done.clear();
        }
        let action = self.publish().await?;
        let until = Instant::now() + PATIENCE;
        while !locked(&self.mind).orders.is_empty() && Instant::now() < until {
            sleep(POLL).await;
        }
        let done = {
            let mut mind = locked(&self.mind);
            mind.orders.clear();
            std::mem::take(&mut mind.done)
        };
        if let Some(done) = done.last() {
            let is_member = |node: &usize| self.network.nodes[*node].public_key == done.passage.member;
            let member = (0..self.network.nodes.len()).find(is_member).context("a member")?;
            self.signs(member, action).await?;
        }
        self.stored().await?;
        Ok(done)
    }

    /// Checks what each node stores: what was published, as it was. Returns how much that is.
    async fn stored(&self) -> Result<Vec<usize>> {
        let mut counts = Vec::new();
        for node in &self.network.nodes {
            let list: ActionList = self.network.rpc.get(&format!("{}/v1/actions", node.api)).await?.json()?;
            for info in &list.actions {
                let published = self.published.get(&info.action_id).map(|(published, _)| published);
                ensure!(published == Some(info), "node {} stores {info:?}", node.number);
            }
            counts.push(list.actions.len());
        }
        Ok(counts)
    }

    /// Every change of every part of messages of a kind, each with a publication of its own, after these other orders.
    async fn all(&mut self, label: &'static str, first: &[Order]) -> Result<usize> {
        let found = locked(&self.mind).changes(label, &[])?;
        for change in &found {
            let orders = [first, &[Order { label, change: change.clone() }]].concat();
            let context = || format!("{label} {} ({:?})", change.at, change.how);
            let mut tries = 0;
            while self.disturb(&orders).await.with_context(context)?.len() < orders.len() {
                tries += 1;
                ensure!(tries < TRIES, "{}: no such message came", context());
            }
        }
        Ok(found.len())
    }

    /// Checks the sources that the nodes store too, and ends all.
    async fn end(mut self) -> Result<()> {
        let counts = self.stored().await?;
        ensure!(counts[PUBLISHER] == self.published.len(), "{counts:?} of {}", self.published.len());
        for node in &self.network.nodes {
            for (action, (_, source)) in &self.published {
                let url = format!("{}/v1/actions/{action}/script", node.api);
                let answer = self.network.rpc.get(&url).await?;
                ensure!(answer.status == 404 || answer.body == *source, "{url}: {}", answer.body);
            }
        }
        self.network.no_panic()?;
        self.network.network.stop()?;
        println!("{} published; stored {counts:?}", self.published.len());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_message_about_actions_makes_a_node_store_another() -> Result<()> {
    let mut stage = Stage::start().await?;
    let mut made = BTreeMap::new();
    for label in ["ask-action", "action", "ask-chunk", "chunk", "announcement"] {
        made.insert(label, stage.all(label, &[]).await?);
    }
    // whoever is told of what does not exist asks for it, and is told so
    let change = Change { at: "/Announcement/action".into(), how: How::Other };
    let told = Order { label: "announcement", change };
    made.insert("unknown", stage.all("unknown", &[told]).await?);
    stage.end().await?;
    let count: usize = made.values().sum();
    println!("{count} changes: {made:?}");
    ensure!(count >= LEAST, "only {count} changes");
    Ok(())
}
