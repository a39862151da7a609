//! Databases that are put back or run twice, and processes that stand still.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use countersign_node::NodeConfig;
use countersign_testnet::{
    process::Process,
    wire::{Event, Tail, Way},
};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::{
    load::{Caller, Load},
    support::{Running, countersign, document, program, says, without_chain},
};

/// Nothing that is waited for takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// What a node logs when it or its peer refuses the other.
const REFUSED: &str = "a member is not talked to";

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("a name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map(drop)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}

/// Puts a folder in another's place.
fn put(from: &Path, to: &Path) -> Result<()> {
    fs::remove_dir_all(to)?;
    copy(from, to)
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !holds().await? {
        ensure!(begun.elapsed() < PATIENCE, "never: {what}");
        sleep(POLL).await;
    }
    Ok(())
}

impl Running {
    /// Starts a node, waits until all others that run refuse it, and ends it. Returns what it has logged.
    pub(crate) async fn is_refused(&mut self, node: usize) -> Result<String> {
        let heard: Vec<usize> = self.nodes.iter().map(|node| node.log().len()).collect();
        let others: Vec<usize> = (0..self.nodes.len()).filter(|other| *other != node).collect();
        self.nodes[node].start()?;
        // whether a node has refused another, or been refused by it, since then
        let refusal = |at: usize, of: usize| {
            let (log, of) = (self.nodes[at].log(), self.nodes[of].public_key.peer_id());
            log[heard[at]..].lines().any(|line| line.contains(REFUSED) && line.contains(&of))
        };
        until("all refuse it", async || {
            Ok(others.iter().all(|other| refusal(*other, node) && refusal(node, *other)))
        })
        .await?;
        let said = self.nodes[node].log()[heard[node]..].to_owned();
        ensure!(!said.contains("member connected"), "a member talked to it: {said}");
        let own = self.peer_id(node);
        for other in others {
            let info = self.rpc.network(&self.nodes[other].api).await?;
            let seen = info.members.iter().find(|member| member.peer_id == own).context("a member")?;
            ensure!(!seen.connected, "node {} talks to it", other + 1);
        }
        self.nodes[node].terminate()?;
        Ok(said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_an_old_database_is_refused_however_often_it_starts() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let database = network.nodes[2].folder.join("data/db");
    let [old, newest] = ["old", "newest"].map(|name| network.nodes[2].folder.join(name));
    network.nodes[2].terminate()?;
    copy(&database, &old)?;
    network.nodes[2].start()?;
    network.wait_ready().await?;
    network.signed(2, &network.open_request(lock)?).await?;
    network.restart(2)?;
    network.wait_ready().await?;
    network.nodes[2].terminate()?;
    copy(&database, &newest)?;

    // its generation is lower, then the same, then higher
    put(&old, &database)?;
    for _ in 0..4 {
        let said = network.is_refused(2).await?;
        says(&said, &["countersign node readmit"])?;
        network.signed(0, &network.open_request(lock)?).await?;
    }
    let rolled_back = network.nodes[0].log();
    says(&rolled_back, &["it was rolled back", "it runs twice", "an old state or a copy"])?;

    // nothing is lost as long as the newest is there
    put(&newest, &database)?;
    network.nodes[2].start()?;
    network.wait_ready().await?;
    network.signed(2, &network.open_request(lock)?).await?;
    network.nodes[2].terminate()?;

    // where it is not: the peers' operators readmit the node
    put(&old, &database)?;
    network.is_refused(2).await?;
    let member = network.nodes[2].public_key.to_string();
    for node in 0..2 {
        network.nodes[node].terminate()?;
        let config = network.nodes[node].folder.join("node.toml");
        let config = config.to_str().context("a path")?;
        for known in [true, false] {
            let output = countersign(["--json", "node", "readmit", &member, "--config", config])?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            ensure!(document(&output)?["known_generation"].is_u64() == known);
        }
        let stranger = network.nodes[node].public_key.to_string();
        let output = countersign(["node", "readmit", &stranger, "--config", config])?;
        says(&String::from_utf8_lossy(&output.stderr), &["is not another member"])?;
        network.nodes[node].start()?;
    }
    network.nodes[2].start()?;
    network.wait_ready().await?;
    network.signed(2, &network.open_request(lock)?).await?;
    network.nodes[2].terminate()?;
    // and from then on the other one is refused
    put(&newest, &database)?;
    network.is_refused(2).await?;
    network.no_panic()?;
    network.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_runs_beside_the_node_is_refused_and_nobody_waits() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    network.nodes[2].terminate()?;
    let folder = network.plan.folder.join("copy");
    copy(&network.nodes[2].folder, &folder)?;
    let file = folder.join("node.toml");
    let mut config: NodeConfig = toml::from_str(&fs::read_to_string(&file)?)?;
    config.api.listen.set_port(0);
    config.network.listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"]
        .into_iter()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    fs::write(&file, toml::to_string_pretty(&config)?)?;
    network.nodes[2].start()?;
    network.wait_ready().await?;

    let caller = Caller::new(&network, lock).await?;
    let load = Load::start(&caller, 2);
    let log = network.plan.folder.join("logs/copy.log");
    let mut command = Command::new(program()?);
    command.args(["node", "run", "--config"]).arg(&file).env_remove("RUST_LOG");
    let mut process = Process::start("copy", &mut command, &log)?;
    until("the copy is refused by both", async || {
        process.check()?;
        let log = process.log();
        let by = |node: usize| {
            let member = network.peer_id(node);
            log.lines().any(|line| line.contains("it runs twice") && line.contains(&member))
        };
        Ok(by(0) && by(1))
    })
    .await?;
    // it dials again and again, and never gets in
    sleep(Duration::from_secs(10)).await;
    ensure!(!process.log().contains("member connected"), "{}", process.log());
    process.terminate()?;
    let served = load.end().await?;
    ensure!(served.signatures > 0, "nobody was served beside a copy");
    println!("{} signatures beside a copy, longest gap {:?}", served.signatures, served.longest_gap);

    network.wait_ready().await?;
    network.signed(2, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.network.stop()?;
    let copied = folder.join("wire.jsonl");
    // what the node had written before it was copied stands in both
    let text = fs::read_to_string(&copied)?;
    let own =
        text.rfind("\"kind\":\"started\"").and_then(|at| text[..at].rfind('\n')).context("a start")? + 1;
    fs::write(&copied, &text[own..])?;
    let summary = network.check_wire(&[copied])?;
    ensure!(summary.shares > 0, "{summary:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stood_still_wipes_its_nonces_and_goes_on() -> Result<()> {
    const STILL: Duration = Duration::from_secs(11);
    const PURGED: &str = "countersign_nonces_purged_total";
    let mut network = without_chain(4, 3).await?;
    let lock = network.time_lock().await?;
    let caller = Caller::new(&network, lock).await?;
    let load = Load::start(&caller, 3);
    for round in 0..2 {
        // while others hold commitments of it, in a session or in advance
        let mut tail = Tail::new(&network.nodes[1].wire_log())?;
        let committed = |way: Way, event: &Event| {
            way == Way::Sent && matches!(event, Event::Observed { .. } | Event::HandOut { .. })
        };
        ensure!(tail.wait(PATIENCE, committed).await?, "node 2 has no part in anything");
        let before = network.rpc.metric(&network.nodes[1].api, PURGED).await?;
        network.nodes[1].signal(Signal::STOP)?;
        sleep(STILL).await;
        network.nodes[1].signal(Signal::CONT)?;
        let took = caller.until_signs(1).await?;
        println!("round {round}: signs {took:?} after it goes on");
        ensure!(network.rpc.metric(&network.nodes[1].api, PURGED).await? > before, "it has not noticed");
    }
    let served = load.end().await?;
    println!("{} signatures, longest gap {:?}", served.signatures, served.longest_gap);
    says(&network.nodes[1].log(), &["this process did not run for"])?;
    network.wait_ready().await?;
    network.no_panic()?;
    network.network.stop()?;
    let summary = network.check_wire(&[])?;
    println!("wire: {summary:?}");
    ensure!(summary.purges >= 2 && summary.shares > 0, "{summary:?}");
    Ok(())
}
