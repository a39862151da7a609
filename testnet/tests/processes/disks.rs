//! Disks that are full, and disks that lie.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use countersign_testnet::{node::Node, process::Process};
use countersign_types::{ActionId, Bytes, ComponentDigest, Decision, action::Content, api::SignResponse};
use rand_core::{OsRng, RngCore};
use tokio::time::{Instant, sleep};

use crate::support::{Running, program, says, time_lock, without_chain};

const PATIENCE: Duration = Duration::from_secs(60);
/// A shell that lets no file grow beyond 2 MiB: writes fail as they do on a full disk.
const SMALL: &str = "trap '' XFSZ; ulimit -f 4096; exec \"$@\"";

/// A component that does the same, with a custom section of so many random bytes at its end.
fn padded(component: &[u8], bytes: usize) -> Bytes {
    let mut section = vec![3, b'p', b'a', b'd'];
    section.resize(4 + bytes, 0);
    OsRng.fill_bytes(&mut section[4..]);
    let mut padded = component.to_vec();
    padded.push(0);
    let mut length = section.len();
    while length >= 0x80 {
        padded.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    padded.push(length as u8);
    padded.extend(section);
    padded.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_a_full_disk_stops_and_loses_nothing() -> Result<()> {
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let key = network.signed(0, &network.open_request(lock)?).await?.public_key;

    network.nodes[0].terminate()?;
    let log = network.plan.folder.join("logs/full.log");
    let mut command = Command::new("sh");
    command.args(["-c", SMALL, "sh"]).arg(program()?).args(["node", "run", "--config"]);
    command.arg(network.nodes[0].folder.join("node.toml"));
    network.nodes[0].process = Some(Process::start("node 1", &mut command, &log)?);
    network.wait_ready().await?;

    // until no more goes onto the disk
    let (manifest, component) = time_lock()?;
    let mut told = None;
    for round in 0..32 {
        let component = padded(&component, 512 << 10);
        let manifest = countersign_types::Manifest {
            name: format!("padded-{round}"),
            component: ComponentDigest::of(&component),
            ..manifest.clone()
        };
        if let Err(error) = network.publish_content(0, manifest, Content::component(component)).await {
            told = Some(format!("{error:#}"));
            break;
        }
    }
    says(&told.context("16 MiB went into files of 2 MiB")?, &["no space left"])?;

    // it stops by itself, with the reason; the others go on
    let process = network.nodes[0].process.as_mut().context("it was started")?;
    let status = process.wait(PATIENCE)?;
    ensure!(status.code() == Some(1), "{status}");
    says(&process.log(), &["no space left"])?;
    ensure!(!process.log().contains("panicked"), "{}", process.log());
    network.nodes[0].process = None;
    network.signed(1, &network.open_request(lock)?).await?;

    network.nodes[0].start()?;
    network.wait_ready().await?;
    let answer = network.signed(0, &network.open_request(lock)?).await?;
    ensure!(answer.public_key == key, "the key is another");
    network.no_panic()?;
    network.stop()
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let copied = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(copied.parent().context("a folder")?)?;
        fs::copy(&file, &copied)?;
    }
    Ok(())
}

/// Whether a node with a damaged database starts. One that does not says why, and ends with an error.
async fn starts(network: &mut Running, node: usize) -> Result<bool> {
    network.nodes[node].start()?;
    let until = Instant::now() + PATIENCE;
    let url = format!("{}/healthz", network.nodes[node].api);
    loop {
        let process = network.nodes[node].process.as_mut().context("it was started")?;
        if process.check().is_err() {
            let status = process.wait(PATIENCE)?;
            ensure!(matches!(status.code(), Some(1 | 8)), "the node ended with {status}");
            network.nodes[node].process = None;
            return Ok(false);
        }
        if network.rpc.get(&url).await.is_ok_and(|answer| answer.status == 200) {
            return Ok(true);
        }
        ensure!(Instant::now() < until, "the node neither starts nor ends");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Has a node coordinate a request, and checks that its own share was one of those that make the signature, at the
/// first attempt: the others alone would sign as well, once a wrong share is found out.
async fn signs_itself(network: &Running, node: usize, lock: ActionId) -> Result<SignResponse> {
    let answer = network.signed(node, &network.open_request(lock)?).await?;
    let said = network.said(&answer.nodes, node).context("it says nothing of itself")?;
    ensure!(said.decision == Decision::Allow, "{said:?}");
    let culprit = answer.nodes.iter().find(|said| said.decision == Decision::Misbehaved);
    ensure!(culprit.is_none(), "{culprit:?}");
    let member = network.genesis.committee()?.identifier(&network.nodes[node].public_key);
    let member = member.context("a member")?.get();
    ensure!(answer.votes.iter().any(|vote| vote.signer == member), "it is no signer: {:?}", answer.votes);
    let refused = "countersign_further_rounds_total{why=\"misbehaved\"}";
    let refused = network.rpc.metric(&network.nodes[node].api, refused).await?;
    ensure!(refused == 0.0, "{refused} attempts failed by what was signed");
    Ok(answer)
}

fn new_log(node: &Node, from: usize) -> String {
    node.log().get(from..).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bytes_never_make_a_wrong_share() -> Result<()> {
    const NODE: usize = 2;
    let mut network = without_chain(3, 2).await?;
    let lock = network.time_lock().await?;
    let key = network.signed(0, &network.open_request(lock)?).await?.public_key;
    network.nodes[NODE].terminate()?;

    let database = network.nodes[NODE].folder.join("data/db");
    let aside = network.nodes[NODE].folder.join("data/db.aside");
    fs::rename(&database, &aside)?;
    let mut refused = 0;
    for file in files(&aside)? {
        let name = file.strip_prefix(&aside)?.to_owned();
        let length = usize::try_from(fs::metadata(&file)?.len())?;
        // texts that no program reads
        if length == 0 || name.file_name().is_some_and(|name| name.to_string_lossy().starts_with("LOG")) {
            continue;
        }
        for place in [length / 7, length / 2, length - 1] {
            copy(&aside, &database)?;
            let mut bytes = fs::read(&file)?;
            bytes[place] ^= 0x40;
            fs::write(database.join(&name), bytes)?;
            let logged = network.nodes[NODE].log().len();
            if starts(&mut network, NODE).await? {
                // what was flipped is not needed, or was found out to be a copy: then all is as it was
                network.wait_ready().await?;
                let answer = signs_itself(&network, NODE, lock).await;
                let answer = answer.with_context(|| format!("{} at {place}", name.display()))?;
                ensure!(answer.public_key == key, "{} at {place}: another key", name.display());
                // however it ends; not killed, so that the others notice at once
                let _ = network.nodes[NODE].terminate();
                // the next database is older than this one by a start
                network.readmit(NODE)?;
            } else {
                refused += 1;
                let said = new_log(&network.nodes[NODE], logged);
                ensure!(said.contains("error: "), "{} at {place}: {said}", name.display());
            }
            fs::remove_dir_all(&database)?;
        }
    }
    ensure!(refused >= 3, "no damage was found: the test damages nothing that matters");

    fs::rename(&aside, &database)?;
    network.nodes[NODE].start()?;
    network.wait_ready().await?;
    network.signed(NODE, &network.open_request(lock)?).await?;
    network.no_panic()?;
    network.stop()
}
