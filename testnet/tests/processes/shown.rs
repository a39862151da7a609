//! The document that `up --json` prints, as a program reads it that knows nothing but its schema: every field is there, no other is, and
//! each holds what it says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use countersign_testnet::independent;
use countersign_types::{Bytes, Scheme, SignedRequest};
use serde::Deserialize;
use serde_json::Value;

/// The network of the tests that read it.
pub(crate) const NODES: usize = 3;
pub(crate) const THRESHOLD: usize = 2;

const DECISIONS: [&str; 6] = ["allow", "refuse", "abstain", "misbehaved", "no-answer", "not-connected"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: u32,
    ok: bool,
    network: Network,
    chain: Chain,
    demonstrations: Vec<Demonstration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    id: String,
    threshold: usize,
    members: Vec<Member>,
    root_keys: BTreeMap<Scheme, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    peer_id: String,
    address: String,
    api: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    id: u64,
    rpc: String,
    token: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Demonstration {
    name: String,
    scheme: Scheme,
    expected: Expected,
    status: u16,
    action_id: String,
    key_id: String,
    public_key: String,
    request: SignedRequest,
    signatures: Vec<Signed>,
    nodes: Vec<Said>,
    elapsed_ms: f64,
    // null where it is none, and not left out
    #[serde(deserialize_with = "Option::deserialize")]
    problem: Option<Problem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    Signed,
    Refused,
    Disagreement,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    payload: String,
    message: String,
    signature: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    peer_id: String,
    decision: String,
    #[serde(deserialize_with = "Option::deserialize")]
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Problem {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    nodes: Vec<Said>,
    disagreement: Option<Disagreement>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disagreement {
    position: u32,
    what: String,
    pointer: String,
    rule: String,
    reason: String,
    saw: Vec<Saw>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saw {
    peer_id: String,
    read: String,
    value: String,
}

/// The bytes of a text that is 0x and hexadecimal digits.
fn hex(text: &str) -> Result<Bytes> {
    ensure!(text.starts_with("0x"), "{text:?} does not begin with 0x");
    text.parse().with_context(|| format!("{text:?} is not hexadecimal"))
}

/// The same, of so many bytes.
fn sized(text: &str, length: usize) -> Result<Bytes> {
    let bytes = hex(text)?;
    ensure!(bytes.len() == length, "{text} has {} bytes, expected {length}", bytes.len());
    Ok(bytes)
}

/// A point in full, or the half of one that a scheme's verifiers take.
fn point(text: &str, length: usize) -> Result<Bytes> {
    let bytes = sized(text, length)?;
    ensure!(length == 32 || matches!(bytes.first(), Some(2 | 3)), "{text} is no compressed point");
    Ok(bytes)
}

fn read(document: &Value) -> Result<Document> {
    Ok(serde_json::from_value(document.clone())?)
}

/// Checks that this is read strictly: a document that lacks a field, or has one more, is not taken. What was asked is left out, which has
/// a reader of its own.
pub(crate) fn every_field_counts(document: &Value) -> Result<()> {
    let mut objects = vec![String::new()];
    let mut fields = 0;
    while let Some(at) = objects.pop() {
        let value = document.pointer(&at).context("it is there")?;
        let list = value.as_array().map(|list| (0..list.len()).map(|index| index.to_string()).collect());
        let names = value.as_object().map(|object| object.keys().cloned().collect());
        let children: Vec<String> = list.or_else(|| names.clone()).unwrap_or_default();
        objects.extend(children.iter().filter(|name| *name != "request").map(|name| format!("{at}/{name}")));
        // only a disagreement has one
        for name in names.into_iter().flatten().filter(|name| name != "disagreement") {
            let mut less = document.clone();
            object(&mut less, &at)?.remove(&name);
            ensure!(read(&less).is_err() || at == "/network/root_keys", "{at}/{name} may be missing");
            fields += 1;
        }
        if value.is_object() {
            let mut more = document.clone();
            object(&mut more, &at)?.insert("more".into(), Value::Null);
            ensure!(read(&more).is_err(), "{at} may have a field more");
        }
    }
    ensure!(fields > 100, "only {fields} fields");
    Ok(())
}

fn object<'a>(document: &'a mut Value, at: &str) -> Result<&'a mut serde_json::Map<String, Value>> {
    document.pointer_mut(at).and_then(Value::as_object_mut).context("an object")
}

/// Checks a document with what it says itself.
pub(crate) fn check(document: &Value) -> Result<()> {
    let document = read(document)?;
    ensure!(document.schema == 1 && document.ok, "{document:#?}");
    let members = network(&document.network)?;
    chain(&document.chain)?;
    let mut shown: BTreeMap<(Scheme, Expected), usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for demonstration in &document.demonstrations {
        let name = &demonstration.name;
        ensure!(!name.is_empty() && names.insert(name), "{name:?} is there twice");
        let checked = check_demonstration(demonstration, &members);
        checked.with_context(|| format!("{name}: {demonstration:#?}"))?;
        *shown.entry((demonstration.scheme, demonstration.expected)).or_default() += 1;
    }
    for scheme in Scheme::ALL {
        for expected in [Expected::Signed, Expected::Refused] {
            ensure!(shown.contains_key(&(scheme, expected)), "{scheme}: none is {expected:?}");
        }
    }
    let disagreements = shown.iter().filter(|((_, expected), _)| *expected == Expected::Disagreement);
    ensure!(disagreements.map(|(_, count)| count).sum::<usize>() == 1, "{shown:?}");
    Ok(())
}

/// Checks a network; returns its members' names in answers.
fn network(network: &Network) -> Result<BTreeSet<&str>> {
    sized(&network.id, 32)?;
    ensure!(network.threshold == THRESHOLD && network.members.len() == NODES, "{network:#?}");
    let (mut apis, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for member in &network.members {
        addresses.insert(sized(&member.address, 20)?);
        apis.insert(local(&member.api)?);
    }
    let members: BTreeSet<&str> = network.members.iter().map(|member| member.peer_id.as_str()).collect();
    ensure!(members.iter().all(|peer| peer.starts_with("16Uiu2")), "no names of libp2p: {members:?}");
    ensure!([members.len(), addresses.len(), apis.len()] == [NODES; 3], "two members are one: {network:#?}");
    ensure!(network.root_keys.keys().copied().eq(Scheme::ALL), "{:?}", network.root_keys);
    for (scheme, key) in &network.root_keys {
        point(key, scheme.root_key_len())?;
    }
    Ok(members)
}

fn chain(chain: &Chain) -> Result<()> {
    ensure!(chain.id == 31337, "{chain:?}");
    local(&chain.rpc)?;
    sized(&chain.token, 20).map(drop)
}

/// The port of a service on this machine.
fn local(url: &str) -> Result<u16> {
    let port = url.strip_prefix("http://127.0.0.1:").with_context(|| format!("{url} is elsewhere"))?;
    port.parse().with_context(|| format!("{url} is no service"))
}

fn check_demonstration(shown: &Demonstration, members: &BTreeSet<&str>) -> Result<()> {
    let key = &shown.request.request.key;
    ensure!(key.scheme == shown.scheme, "the key is of another scheme");
    ensure!(sized(&shown.action_id, 32)?[..] == key.policy.action.as_bytes()[..], "another action");
    ensure!(sized(&shown.key_id, 32)?[..] == key.key_id().as_bytes()[..], "another key");
    let public_key = point(&shown.public_key, shown.scheme.public_key_len())?;
    ensure!(shown.elapsed_ms.is_finite() && shown.elapsed_ms > 0.0, "it took no time");
    check_said(&shown.nodes, members)?;
    let said = |decision: &str| shown.nodes.iter().filter(|said| said.decision == decision).count();
    let (status, kind) = match shown.expected {
        Expected::Signed => {
            ensure!(shown.status == 200 && shown.problem.is_none(), "signed, and a problem");
            ensure!(said("allow") >= THRESHOLD, "too few allow");
            return check_signatures(shown, &public_key);
        }
        Expected::Refused => (403, "refused"),
        Expected::Disagreement => (409, "disagreement"),
    };
    ensure!(shown.signatures.is_empty(), "signed all the same");
    let problem = shown.problem.as_ref().context("no problem")?;
    ensure!((shown.status, problem.status) == (status, status), "another status");
    ensure!(problem.r#type == format!("urn:countersign:problem:{kind}"), "another problem");
    ensure!(!problem.title.is_empty() && !problem.detail.is_empty(), "it says nothing");
    ensure!(problem.nodes == shown.nodes, "the nodes say two things");
    match (shown.expected, &problem.disagreement) {
        (Expected::Disagreement, Some(disagreement)) => check_disagreement(disagreement, members),
        (Expected::Refused, None) => {
            ensure!(said("refuse") > NODES - THRESHOLD, "so few refuse that others could sign");
            Ok(())
        }
        (Expected::Signed | Expected::Refused | Expected::Disagreement, _) => {
            anyhow::bail!("what the nodes saw goes with a disagreement, and with nothing else")
        }
    }
}

fn check_said(nodes: &[Said], members: &BTreeSet<&str>) -> Result<()> {
    let named: BTreeSet<&str> = nodes.iter().map(|said| said.peer_id.as_str()).collect();
    ensure!(named.len() == nodes.len() && named.len() >= THRESHOLD, "too few nodes, or one twice");
    ensure!(named.is_subset(members), "a stranger");
    for said in nodes {
        ensure!(DECISIONS.contains(&said.decision.as_str()), "{said:?}");
        let explained = said.reason.as_ref().is_some_and(|reason| !reason.is_empty());
        ensure!(explained != (said.decision == "allow"), "{said:?}");
    }
    Ok(())
}

fn check_signatures(shown: &Demonstration, public_key: &[u8]) -> Result<()> {
    ensure!(!shown.signatures.is_empty(), "no signature");
    for signed in &shown.signatures {
        ensure!(signed.payload == "bytes", "{signed:?}");
        let (message, length) = (hex(&signed.message)?, shown.scheme.signature_len());
        independent::verify(shown.scheme, public_key, &message, &sized(&signed.signature, length)?)?;
    }
    Ok(())
}

fn check_disagreement(disagreement: &Disagreement, members: &BTreeSet<&str>) -> Result<()> {
    let Disagreement { position, what, pointer, rule, reason, saw } = disagreement;
    ensure!(*position == 0 && what.starts_with("GET https://"), "of another read");
    ensure!(pointer.starts_with('/') && rule.contains("median") && !reason.is_empty(), "by another rule");
    let named: BTreeSet<&str> = saw.iter().map(|saw| saw.peer_id.as_str()).collect();
    ensure!(named == *members && saw.len() == NODES, "it is not said what each node saw");
    for saw in saw {
        sized(&saw.read, 32)?;
        ensure!(saw.value.parse::<f64>().is_ok_and(|price| price > 0.0), "no price: {saw:?}");
    }
    Ok(())
}
