//! What is told at the end: a table for people, a document for programs.

use std::fmt::Write;

use anyhow::Result;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use countersign_types::{Decision, RootKeys, api::NetworkInfo, failure::Disagreement};
use serde_json::{Value, json};

use crate::{
    Network,
    demonstrations::{Demonstration, Expected},
    settings::CHAIN_ID,
};

/// How many different reasons of nodes the table shows.
const SHOWN_REASONS: usize = 2;
/// The version of the JSON document.
const SCHEMA: u32 = 1;

/// The document for programs.
pub fn document(network: &Network, info: &NetworkInfo, shown: &[Demonstration]) -> Result<Value> {
    let members: Vec<Value> = info
        .members
        .iter()
        .map(|member| {
            let api = network.nodes.iter().find(|node| node.public_key == member.public_key);
            json!({
                "peer_id": member.peer_id,
                "address": member.address,
                "api": api.map(|node| node.api.as_str()),
            })
        })
        .collect();
    let root_keys: serde_json::Map<String, Value> = info
        .root_keys
        .iter()
        .flat_map(RootKeys::roots)
        .map(|root| (root.scheme.name().to_owned(), json!(root.public_key)))
        .collect();
    Ok(json!({
        "schema": SCHEMA,
        "ok": true,
        "network": {
            "id": info.network,
            "threshold": info.genesis.threshold,
            "members": members,
            "root_keys": root_keys,
        },
        "chain": { "id": CHAIN_ID, "rpc": network.chain_url(), "token": network.token()? },
        "demonstrations": shown,
    }))
}

/// The document where something went wrong.
pub fn failed(error: &anyhow::Error) -> Value {
    json!({ "schema": SCHEMA, "ok": false, "error": format!("{error:#}") })
}

/// The table for people.
pub fn text(network: &Network, info: &NetworkInfo, shown: &[Demonstration]) -> Result<String> {
    let mut out = String::new();
    writeln!(out, "\n  Network {}", info.network)?;
    writeln!(out, "  {} of {} nodes sign", info.genesis.threshold, info.members.len())?;
    for root in info.root_keys.iter().flat_map(RootKeys::roots) {
        writeln!(out, "  root key {} {}", root.scheme, root.public_key)?;
    }
    writeln!(out, "  dev chain {CHAIN_ID} at {}, token {}\n", network.chain_url(), network.token()?)?;
    writeln!(out, "{}\n", nodes_table(network))?;
    writeln!(out, "{}\n", demonstrations_table(network, shown))?;
    Ok(out)
}

fn nodes_table(network: &Network) -> Table {
    let mut table = new_table(&["node", "HTTP interface", "PeerId", "address"]);
    for node in &network.nodes {
        table.add_row([
            node.number.to_string(),
            node.api.clone(),
            short(&node.public_key.peer_id()),
            node.public_key.address().to_string(),
        ]);
    }
    table
}

fn demonstrations_table(network: &Network, shown: &[Demonstration]) -> Table {
    let mut table = new_table(&["what was asked", "answer", "what each node said", "time"]);
    for demonstration in shown {
        let answer = match demonstration.expected {
            Expected::Signed => format!(
                "SIGNED\nkey {}\n{}",
                short(&demonstration.public_key.to_string()),
                demonstration
                    .signatures
                    .iter()
                    .map(|signed| format!("signature {}", short(&signed.signature.0.to_string())))
                    .collect::<Vec<_>>()
                    .join("\n")
            ),
            Expected::Refused => format!("REFUSED ({})", demonstration.status),
            Expected::Disagreement => format!("NO AGREEMENT ({})", demonstration.status),
        };
        table.add_row([
            demonstration.name.clone(),
            answer,
            said(network, demonstration),
            format!("{:.1} ms", demonstration.elapsed_ms),
        ]);
    }
    table
}

fn said(network: &Network, demonstration: &Demonstration) -> String {
    let said = network.nodes.iter().filter_map(|node| {
        let peer_id = node.public_key.peer_id();
        let said = demonstration.nodes.iter().find(|said| said.peer_id == peer_id)?;
        let word = match (demonstration.expected, said.decision) {
            // each would sign over what it read, and that is not the same
            (Expected::Disagreement, Decision::Allow) => "would sign over its own values",
            (Expected::Signed | Expected::Refused | Expected::Disagreement, decision) => word(decision),
        };
        Some(format!("node {} {word}", node.number))
    });
    let mut lines: Vec<String> = said.collect();
    if let Some(disagreement) =
        demonstration.problem.as_ref().and_then(|problem| problem.disagreement.as_ref())
    {
        lines.extend(saw(network, disagreement));
    }
    let reasons: std::collections::BTreeSet<&String> =
        demonstration.nodes.iter().filter_map(|node| node.reason.as_ref()).collect();
    let more = reasons.len().saturating_sub(SHOWN_REASONS);
    lines.extend(reasons.into_iter().take(SHOWN_REASONS).map(|reason| format!("\"{reason}\"")));
    if more > 0 {
        lines.push(format!("and {more} more like these"));
    }
    lines.join("\n")
}

/// What each node saw, where they disagree.
fn saw(network: &Network, disagreement: &Disagreement) -> Vec<String> {
    let what = disagreement.what.as_deref().unwrap_or("a read");
    let head = format!("{what}, by {}: {}", disagreement.rule, disagreement.reason);
    let saw = network.nodes.iter().filter_map(|node| {
        let peer_id = node.public_key.peer_id();
        let saw = disagreement.saw.iter().find(|saw| saw.peer_id == peer_id)?;
        Some(format!("node {} saw {}", node.number, saw.value.as_deref().unwrap_or("nothing")))
    });
    std::iter::once(head).chain(saw).collect()
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allows",
        Decision::Refuse => "refuses",
        Decision::Abstain => "abstains",
        Decision::Misbehaved => "misbehaves",
        Decision::NoAnswer => "does not answer",
        Decision::NotConnected => "is not connected",
    }
}

/// How to go on.
pub fn next_steps(network: &Network, shown: &[Demonstration]) -> String {
    let Some(first) = shown.first() else { return String::new() };
    let node = &network.nodes[0].api;
    let (program, folder) = (network.plan.program.display(), network.plan.folder.display());
    let config = String::from_utf8_lossy(&first.request.request.key.policy.config).into_owned();
    format!(
        "Ask for a signature yourself:\n\n  \
         {program} sign \\\n    --node {node} --genesis {folder}/genesis.json \\\n    \
         --action {} \\\n    --config 'text:{config}' \\\n    \
         --params text:anything --caller-key {folder}/keys/alice.key\n\n\
         With less to type:    eval \"$(./testnet/status --env)\"\n\
         How the network is:   ./testnet/status\n\
         To stop it:           ./testnet/down\n\
         The HTTP interface:   curl -s {node}/v1/openapi.json\n\
         Logs:                 {folder}/logs\n",
        first.action_id
    )
}

fn new_table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(120);
    }
    table.set_header(head.iter().map(Cell::new));
    table
}

fn short(text: &str) -> String {
    if text.chars().count() <= 22 {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let (head, tail): (String, String) =
        (chars[..12].iter().collect(), chars[chars.len() - 6..].iter().collect());
    format!("{head}…{tail}")
}
