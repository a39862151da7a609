//! A read whose values differ from node to node: two prices, and whether the market is open.

use std::collections::BTreeMap;

use countersign_types::{Decimal, FieldRead, Identifier, MAX_BPS, Rule, Tolerance, http::FieldValue};

use crate::chance::Chance;

/// What everybody reads, but for the drift.
const PRICE: u64 = 1_000;
/// How far off a node is that is far off.
const FAR: u64 = 1_000_000;

const OPEN: &str = "open";
const CLOSED: &str = "closed";

/// How two nodes' prices become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Middle {
    Median,
    Min,
    Max,
}

/// When an action makes a further read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    Never,
    /// Where the bid is above this.
    Above(u64),
    /// Where ask and bid lie further apart than this: on no node, and between nodes perhaps.
    Apart(u64),
}

/// The read, and what each node sees there.
#[derive(Debug, Clone)]
pub(crate) struct Quotes {
    middles: (Middle, Middle),
    /// How far the agreed prices may lie from a node's own.
    pub(crate) tolerance: u64,
    drift: BTreeMap<Identifier, u64>,
    branch: Branch,
}

/// What is seen there by one node, or agreed by some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) bid: u64,
    pub(crate) ask: u64,
    pub(crate) state: String,
}

impl Quotes {
    /// Quotes over which all nodes can sign together, or such as chance has them.
    pub(crate) fn draw(chance: &mut Chance, members: &[Identifier], all_agree: bool) -> Self {
        let all = [Middle::Median, Middle::Min, Middle::Max];
        let mut middle = || chance.pick(&all).unwrap_or(Middle::Median);
        let middles = (middle(), middle());
        let tolerance = chance.between(1, 20);
        let spread = chance.between(0, if all_agree { tolerance } else { 2 * tolerance });
        let branch = match chance.between(0, 3) {
            _ if all_agree => Branch::Never,
            0 => Branch::Above(PRICE + spread / 2),
            1 => Branch::Apart(spread / 2),
            _ => Branch::Never,
        };
        let middles = if matches!(branch, Branch::Apart(_)) { (Middle::Min, Middle::Max) } else { middles };
        let drift = members.iter().map(|node| (*node, chance.between(0, spread))).collect();
        Self { middles, tolerance, drift, branch }
    }

    pub(crate) fn seen_by(&self, node: Identifier, moment: u64, far_off: bool, differs: bool) -> Seen {
        let drift = self.drift.get(&node).copied().unwrap_or(0);
        let price = PRICE + drift + moment % 2 + if far_off { FAR } else { 0 };
        Seen { bid: price, ask: price, state: if differs { CLOSED } else { OPEN }.into() }
    }

    /// Whether the action makes a further read.
    pub(crate) fn branches(&self, seen: &Seen) -> bool {
        match self.branch {
            Branch::Never => false,
            Branch::Above(level) => seen.bid > level,
            Branch::Apart(room) => seen.ask.saturating_sub(seen.bid) > room,
        }
    }

    /// As it is recorded.
    pub(crate) fn fields(&self, seen: &Seen, without_tolerance: bool) -> Vec<FieldRead> {
        let tolerance = match without_tolerance {
            true => Tolerance { bps: MAX_BPS, abs: Decimal::from(u64::MAX) },
            false => Tolerance { bps: 0, abs: Decimal::from(self.tolerance) },
        };
        let rule = |middle| match middle {
            Middle::Median => Rule::Median(tolerance),
            Middle::Min => Rule::Min(tolerance),
            Middle::Max => Rule::Max(tolerance),
        };
        let field = |pointer: &str, rule, value| FieldRead { pointer: pointer.into(), rule, value };
        vec![
            field("/bid", rule(self.middles.0), FieldValue::Number(seen.bid.into())),
            field("/ask", rule(self.middles.1), FieldValue::Number(seen.ask.into())),
            field("/state", Rule::Mode, FieldValue::Text(seen.state.clone())),
        ]
    }

    /// What so many nodes agree on, computed another way than the machines do.
    pub(crate) fn agreed(&self, all: &[Seen]) -> Option<Seen> {
        let of = |middle, part: fn(&Seen) -> u64| {
            let prices: Vec<u64> = all.iter().map(part).collect();
            prices.iter().copied().find(|price| is_agreed(middle, *price, &prices))
        };
        let count = |state: &str| all.iter().filter(|seen| seen.state == state).count();
        let most = all.iter().max_by_key(|seen| count(&seen.state))?.state.clone();
        Some(Seen {
            bid: of(self.middles.0, |seen| seen.bid)?,
            ask: of(self.middles.1, |seen| seen.ask)?,
            state: most,
        })
    }

    /// Whether a node that saw one thing signs over another.
    pub(crate) fn accepts(&self, own: &Seen, agreed: &Seen) -> bool {
        own.bid.abs_diff(agreed.bid) <= self.tolerance
            && own.ask.abs_diff(agreed.ask) <= self.tolerance
            && own.state == agreed.state
    }
}

/// Whether a price is the smallest, the largest, or has at most so many on either side as the lower middle has.
fn is_agreed(middle: Middle, price: u64, prices: &[u64]) -> bool {
    let below = prices.iter().filter(|other| **other < price).count();
    let above = prices.iter().filter(|other| **other > price).count();
    match middle {
        Middle::Min => below == 0,
        Middle::Max => above == 0,
        Middle::Median => 2 * below < prices.len() && 2 * above <= prices.len(),
    }
}

impl Seen {
    /// From a record; none if it has other fields, or other than whole prices.
    pub(crate) fn of(fields: &[FieldRead]) -> Option<Self> {
        let [bid, ask, state] = fields else { return None };
        let price = |field: &FieldRead| field.value.number()?.to_string().parse::<u64>().ok();
        match &state.value {
            FieldValue::Text(state) => {
                Some(Self { bid: price(bid)?, ask: price(ask)?, state: state.clone() })
            }
            FieldValue::Null | FieldValue::Bool(_) | FieldValue::Number(_) => None,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        format!("{} {} {}", self.bid, self.ask, self.state).into_bytes()
    }
}
