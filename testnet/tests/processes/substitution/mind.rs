//! What the relay is to do, what it did, and what it has seen.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use countersign_network::Lane;
use countersign_testnet::relay::{Frame, Passage};
use serde_json::Value;

use super::change::{Change, How, Seen, changes, leaves, place};

/// What it is to do to the next message of a kind.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) label: &'static str,
    pub(super) change: Change,
}

/// What it did.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) order: Order,
    pub(super) before: Frame,
    pub(super) after: Frame,
    pub(super) passage: Passage,
}

/// What it has in mind for the messages of a lane, and what passed by there.
pub(super) struct Mind {
    lane: Lane,
    /// In this order, each once.
    pub(super) orders: Vec<Order>,
    pub(super) done: Vec<Done>,
    pub(super) seen: Seen,
    /// A message of each kind. Of those that passed by undisturbed the longest, which has most parts.
    pub(super) samples: BTreeMap<&'static str, Value>,
}

impl Mind {
    /// Nothing yet.
    pub(super) fn of(lane: Lane) -> Self {
        let (orders, done, seen, samples) = Default::default();
        Self { lane, orders, done, seen, samples }
    }

    /// What becomes of a frame.
    pub(super) fn change(&mut self, frame: &Frame, passage: &Passage) -> Option<Frame> {
        if frame.lane() != self.lane {
            return None;
        }
        let (label, value) = (frame.label(), frame.to_value().expect("frames are plain values"));
        let sample = self.samples.entry(label).or_insert_with(|| value.clone());
        let undisturbed = self.orders.is_empty() && self.done.is_empty();
        if undisturbed && value.to_string().len() > sample.to_string().len() {
            *sample = value.clone();
        }
        let changed = match self.orders.first() {
            Some(order) if order.label == label => order.change.apply(&value, &self.seen),
            Some(_) | None => None,
        };
        self.seen.note(&value);
        let after = changed?;
        let order = self.orders.remove(0);
        self.done.push(Done { order, before: frame.clone(), after: after.clone(), passage: *passage });
        Some(after)
    }

    /// Every change of a message of a kind that has passed by. Each part of it gets another value, unless it is one of those
    /// that have none, each with its reason.
    pub(super) fn changes(&self, label: &str, fixed: &[(&str, &str)]) -> Result<Vec<Change>> {
        let sample = self.samples.get(label).with_context(|| format!("no {label} has passed by"))?;
        let found = changes(sample, &self.seen);
        let open = unchanged(sample, found.iter(), fixed);
        ensure!(open.is_empty(), "of {label} nothing changes {open:?}");
        Ok(found)
    }
}

/// The kinds of parts of a message to which none of these changes gives another value.
pub(super) fn unchanged<'a>(
    message: &Value,
    changes: impl Iterator<Item = &'a Change>,
    fixed: &[(&str, &str)],
) -> BTreeSet<String> {
    let changed: BTreeSet<String> =
        changes.filter(|change| change.how == How::Other).map(|change| place(&change.at)).collect();
    let open = leaves(message).into_iter().map(|leaf| place(&leaf));
    open.filter(|leaf| !changed.contains(leaf) && !fixed.iter().any(|(at, _)| *at == leaf.as_str())).collect()
}
