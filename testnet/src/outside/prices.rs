//! A price service, whose answers differ from node to node as those of a real one differ from second to second.

use serde_json::json;

use super::{Page, not_found};
use crate::network::now_ms;

/// Pairs and their prices in hundredths.
const PAIRS: [(&str, u64); 2] = [("BTC-USD", 6_400_000), ("ETH-USD", 300_000)];
/// How far the answers for two neighbouring nodes lie apart, in hundredths of a per cent.
const STEP_BPS: u64 = 2;
/// By how much the price goes up and down with the seconds, in hundredths of a per cent.
const SWING_BPS: u64 = 3;

/// The document for one node, by its place from 0: `/v1/prices/{pair}`.
pub fn drifting(node: usize, path: &str) -> Page {
    let Some(pair) = path.strip_prefix("/v1/prices/") else { return not_found() };
    let Some((pair, cents)) = PAIRS.into_iter().find(|(name, _)| *name == pair) else { return not_found() };
    let now = now_ms() / 1000;
    let bps = 10_000 + STEP_BPS * node as u64 + now % (SWING_BPS + 1);
    price(pair, cents * bps / 10_000, now)
}

/// A document with this price, in hundredths.
pub fn price(pair: &str, cents: u64, at: u64) -> Page {
    Page::json(&json!({
        "pair": pair,
        "price": format!("{}.{:02}", cents / 100, cents % 100),
        "volume": cents / 7,
        "time": at,
    }))
}
