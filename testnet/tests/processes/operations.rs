//! What operators see of nodes that run: checks, metrics, logs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use countersign_api::TlsConfig;
use countersign_chain::ProviderConfig;
use countersign_check::{Name, Report, State};
use countersign_contracts::anvil::{Anvil, AnvilConfig};
use countersign_node::{
    logging::{LogConfig, LogFormat},
    measures::{Kind, MEASURES},
};
use countersign_testnet::{network::Node, settings::CHAIN_ID};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use crate::support::{Running, countersign, document, made, with_chain};

/// The command's code where a check failed.
const UNWELL: i32 = 10;
/// The node that is checked, and one that goes.
const CHECKED: usize = 0;
const GONE: usize = 2;

/// A check that is not well: its name, its subject, and how it ended.
type Fault = (Name, String, State);

fn config_file(node: &Node) -> PathBuf {
    node.folder.join("node.toml")
}

/// Checks a node; the document, whose verdict is the command's.
fn check(node: &Node) -> Result<Report> {
    let file = config_file(node);
    let arguments =
        ["--json".as_ref(), "node".as_ref(), "check".as_ref(), "--config".as_ref(), file.as_os_str()];
    let output = countersign(arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Report = serde_json::from_value(document(&output)?)?;
    ensure!(output.status.code() == Some(if report.well { 0 } else { UNWELL }), "{}: {said}", output.status);
    ensure!(report.node == Some(node.public_key), "of another node: {report:?}");
    Ok(report)
}

fn faults(report: &Report) -> BTreeSet<Fault> {
    let unwell = report.checks.iter().filter(|check| matches!(check.state, State::Warning | State::Failed));
    unwell.map(|check| (check.name, check.subject.clone().unwrap_or_default(), check.state)).collect()
}

/// A network, and what this machine itself gives reason to warn of: nothing that fails.
struct Bench {
    network: Running,
    usual: BTreeSet<Fault>,
}

impl Bench {
    fn new(network: Running) -> Result<Self> {
        let report = check(&network.nodes[CHECKED])?;
        let usual = faults(&report);
        let of_machine =
            |(name, _, state): &Fault| *state == State::Warning && matches!(name, Name::Clock | Name::Disk);
        ensure!(report.well && report.running, "{report:#?}");
        ensure!(usual.iter().all(of_machine), "not all is well: {usual:?} {report:#?}");
        for name in Name::ALL {
            ensure!(report.checks.iter().any(|check| check.name == name), "{name:?} was not checked");
        }
        Ok(Self { network, usual })
    }

    /// Checks the node, which must have these faults and no other; what is said of the first contains `words`.
    fn has(&self, expected: &[(Name, &str, State)], words: &[&str]) -> Result<Report> {
        let report = check(&self.network.nodes[CHECKED])?;
        let mut all = self.usual.clone();
        all.extend(expected.iter().map(|(name, subject, state)| (*name, (*subject).to_owned(), *state)));
        let got = faults(&report);
        ensure!(got == all, "expected {all:#?}, got {got:#?}: {report:#?}");
        let Some((name, subject, _)) = expected.first() else { return Ok(report) };
        let check = report
            .checks
            .iter()
            .find(|check| check.name == *name && check.subject.as_deref().unwrap_or_default() == *subject);
        let check = check.context("it is there")?;
        ensure!(check.advice.is_some(), "nothing to do: {check:?}");
        for word in words {
            ensure!(check.says.contains(word), "{word:?} is not in {check:?}");
        }
        Ok(report)
    }

    /// The same with another provider in the configuration, while the node runs on as it is.
    fn with_provider(&self, url: &str, words: &[&str]) -> Result<Report> {
        let node = &self.network.nodes[CHECKED];
        let before = node.config()?;
        let mut config = before.clone();
        config.chains[0].providers = vec![ProviderConfig::new("odd", url)];
        node.write_config(&config)?;
        let subject = format!("chain {CHAIN_ID}: provider 1 (odd at {url})");
        let report = self.has(&[(Name::Provider, &subject, State::Failed)], words);
        node.write_config(&before)?;
        report
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_wrong_and_only_that() -> Result<()> {
    let network = with_chain(3, 2).await?;
    network.wait_final_view(1).await?;
    let mut bench = Bench::new(network)?;
    providers(&bench)?;
    passphrase(&bench)?;
    addresses(&mut bench).await?;
    tls(&mut bench).await?;
    peer(&mut bench).await?;
    // none of it has disturbed anybody
    for node in &bench.network.nodes {
        ensure!(!node.log().contains("a member is not talked to"), "node {}: {}", node.number, node.log());
    }
    bench.network.no_panic()?;
    bench.network.stop()
}

fn providers(bench: &Bench) -> Result<()> {
    let other = Anvil::start(&AnvilConfig { chain_id: CHAIN_ID + 1, ..AnvilConfig::default() })?;
    bench.with_provider(&other.url(), &["31338", "31337"])?;
    bench.with_provider("http://127.0.0.1:9", &["does not answer"])?;
    // one that takes connections and says nothing holds up no other check
    let mute = TcpListener::bind("127.0.0.1:0")?;
    let report = bench.with_provider(&format!("http://{}", mute.local_addr()?), &["no answer within"])?;
    let peers = report.checks.iter().filter(|check| check.name == Name::Peer && check.state == State::Ok);
    ensure!(peers.count() == 2, "{report:#?}");
    Ok(())
}

fn passphrase(bench: &Bench) -> Result<()> {
    let file = bench.network.nodes[CHECKED].folder.join("passphrase");
    let (open, closed) = (fs::Permissions::from_mode(0o644), fs::metadata(&file)?.permissions());
    fs::set_permissions(&file, open)?;
    let named = file.display().to_string();
    let found = bench.has(&[(Name::Permissions, &named, State::Failed)], &["644"]);
    fs::set_permissions(&file, closed)?;
    found.map(drop)
}

/// While the node is stopped, others take its addresses.
async fn addresses(bench: &mut Bench) -> Result<()> {
    bench.network.nodes[CHECKED].terminate()?;
    let report = bench.has(&[], &[])?;
    ensure!(report.well && !report.running, "{report:#?}");

    let ports = bench.network.settings.nodes[CHECKED];
    let (api, peers) = (format!("127.0.0.1:{}", ports.api), ports.peers);
    let taken = TcpListener::bind(&api)?;
    bench.has(&[(Name::Address, &format!("api.listen {api}"), State::Failed)], &["another program"])?;
    drop(taken);
    let taken = UdpSocket::bind(("127.0.0.1", peers))?;
    let udp = format!("network.listen /ip4/127.0.0.1/udp/{peers}/quic-v1");
    bench.has(&[(Name::Address, &udp, State::Failed)], &["another program"])?;
    drop(taken);
    let taken = TcpListener::bind(("127.0.0.1", peers))?;
    let tcp = format!("network.listen /ip4/127.0.0.1/tcp/{peers}");
    bench.has(&[(Name::Address, &tcp, State::Failed)], &["another program"])?;
    drop(taken);

    // none of these checks was a start: the others still know this node
    bench.network.nodes[CHECKED].start()?;
    bench.network.wait_ready().await?;
    ensure!(bench.has(&[], &[])?.running, "it runs again");
    Ok(())
}

/// Behind TLS, with a certificate of the name that callers use, the node is found all the same.
async fn tls(bench: &mut Bench) -> Result<()> {
    let before = bench.network.nodes[CHECKED].config()?;
    let folder = bench.network.nodes[CHECKED].folder.clone();
    let CertifiedKey { cert, key_pair } = generate_simple_self_signed(["node.example".to_owned()])?;
    let (certificate, key) = (folder.join("tls.pem"), folder.join("tls.key"));
    fs::write(&certificate, cert.pem())?;
    fs::write(&key, key_pair.serialize_pem())?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let mut config = before.clone();
    config.api.tls = Some(TlsConfig { certificate, key: key.clone() });
    bench.network.nodes[CHECKED].write_config(&config)?;
    bench.network.restart(CHECKED)?;
    while faults(&check(&bench.network.nodes[CHECKED])?) != bench.usual {
        sleep(Duration::from_millis(50)).await;
    }
    ensure!(bench.has(&[], &[])?.running, "it runs");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640))?;
    bench.has(&[(Name::Permissions, &key.display().to_string(), State::Warning)], &["640"])?;
    bench.network.nodes[CHECKED].write_config(&before)?;
    bench.network.restart(CHECKED)?;
    bench.network.wait_ready().await
}

/// One member of three goes: a warning, since two can sign.
async fn peer(bench: &mut Bench) -> Result<()> {
    let gone = bench.network.nodes[GONE].public_key;
    bench.network.nodes[GONE].kill()?;
    let api = bench.network.nodes[CHECKED].api.clone();
    loop {
        let info = bench.network.rpc.network(&api).await?;
        let member = info.members.iter().find(|member| member.public_key == gone).context("a member")?;
        if !member.connected {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    bench.has(&[(Name::Peer, &gone.peer_id(), State::Warning)], &["cannot be reached", "udp", "tcp"])?;
    // before a node runs, its check sees the same
    bench.network.nodes[CHECKED].terminate()?;
    bench.has(&[(Name::Peer, &gone.peer_id(), State::Warning)], &["cannot be reached", "udp", "tcp"])?;
    // and where it should run, that it does not
    let file = config_file(&bench.network.nodes[CHECKED]);
    let arguments =
        ["node".as_ref(), "check".as_ref(), "--running".as_ref(), "--config".as_ref(), file.as_os_str()];
    let output = countersign(arguments)?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(UNWELL), "{}: {said}", output.status);
    ensure!(said.contains("failed   node          it does not run"), "{said}");
    // and with the last of them, too few are left
    let last = bench.network.nodes[1].public_key;
    bench.network.nodes[1].kill()?;
    let both = [(Name::Peer, &*gone.peer_id(), State::Failed), (Name::Peer, &*last.peer_id(), State::Failed)];
    bench.has(&both, &["cannot be reached"])?;
    for node in [CHECKED, 1, GONE] {
        bench.network.nodes[node].start()?;
    }
    bench.network.wait_ready().await
}

/// The fields of a sample's labels, by the name of its metric as it is shown.
fn labels(metrics: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap_or((line, ""));
        let labels = found.entry(name.to_owned()).or_default();
        if line[name.len()..].starts_with('{') {
            let list = rest.rsplit_once('}').map_or("", |(list, _)| list);
            labels.extend(list.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned())));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_shows_and_logs_what_the_documents_say() -> Result<()> {
    let mut network = made(3, 2)?;
    let mut config = network.nodes[CHECKED].config()?;
    let filter = "info,countersign_node=debug,countersign_api=debug,countersign_network=debug".to_owned();
    config.log = LogConfig { format: LogFormat::Json, filter };
    network.nodes[CHECKED].write_config(&config)?;
    network.start().await?;
    let lock = network.time_lock().await?;
    network.signed(CHECKED, &network.open_request(lock)?).await?;
    network.signed(1, &network.open_request(lock)?).await?;
    // counted as it is answered
    network.rpc.get(&format!("{}/v1/network", network.nodes[CHECKED].api)).await?;
    let metrics = network.rpc.get(&format!("{}/metrics", network.nodes[CHECKED].api)).await?.body;
    measured(&metrics)?;
    network.stop()?;
    logged(&network.nodes[CHECKED].log())?;
    network.no_panic()
}

fn measured(metrics: &str) -> Result<()> {
    let types: BTreeMap<&str, &str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let labels = labels(metrics);
    for (name, kind) in &types {
        let measure = MEASURES.iter().find(|measure| measure.name == *name);
        let measure = measure.with_context(|| format!("{name} is shown and nowhere listed"))?;
        ensure!(measure.kind.name() == *kind, "{name} is shown as {kind}");
        let (shown, own) = match measure.kind {
            Kind::Counter | Kind::Gauge => ((*name).to_owned(), None),
            Kind::Histogram => (format!("{name}_bucket"), Some("le")),
        };
        let expected: BTreeSet<String> =
            measure.labels.iter().copied().chain(own).map(str::to_owned).collect();
        ensure!(labels.get(&shown) == Some(&expected), "{shown} has the labels {:?}", labels.get(&shown));
    }
    // what has a label is shown from its first event on, and these have happened
    let happened =
        |name: &str| !["countersign_further_rounds_total", "countersign_http_reads_total"].contains(&name);
    for measure in MEASURES.iter().filter(|measure| measure.labels.is_empty() || happened(measure.name)) {
        ensure!(types.contains_key(measure.name), "{} is listed and not shown: {metrics}", measure.name);
        let help = format!("# HELP {} {}", measure.name, measure.help);
        ensure!(metrics.contains(&help), "{help:?} is missing");
    }
    ensure!(metrics.lines().any(|line| line == "countersign_ready 1"), "{metrics}");
    Ok(())
}

/// Holds every line of our own against the document: it is JSON, and every key and field is explained.
fn logged(log: &str) -> Result<()> {
    let document = include_str!("../../../docs/operators/logs.md");
    let explained = |name: &str| document.contains(&format!("`{name}`"));
    let mut own = 0;
    for line in log.lines().filter(|line| !line.starts_with("listening on ")) {
        let event: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        let event = event.as_object().context("an object")?;
        for key in event.keys() {
            ensure!(explained(key), "{key} is not explained: {line}");
        }
        if !event["target"].as_str().is_some_and(|target| target.starts_with("countersign")) {
            continue;
        }
        own += 1;
        let span = event.get("span").and_then(Value::as_object);
        let fields = event["fields"].as_object().into_iter().chain(span).flat_map(|fields| fields.keys());
        // a span's own name stands with its fields
        for field in fields.filter(|field| !["message", "name"].contains(&field.as_str())) {
            ensure!(document.contains(&format!("| `{field}` |")), "{field} is not explained: {line}");
        }
        let message = event["fields"]["message"].as_str().context("a message")?;
        ensure!(document.contains(&format!("| {message} |")), "{message:?} is not explained");
    }
    ensure!(own > 10, "only {own} lines");
    Ok(())
}
