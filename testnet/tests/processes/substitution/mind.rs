//! What the relay is to do, what it did, and what it has seen.

use std::collections::BTreeMap;

use countersign_testnet::relay::Frame;
use countersign_types::NodePublicKey;
use serde_json::Value;

use super::change::{Change, Seen};

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
    /// The member to which the message went, or from which it came.
    pub(super) member: NodePublicKey,
}

/// What it has in mind, and what passed by.
#[derive(Default)]
pub(super) struct Mind {
    /// In this order, each once.
    pub(super) orders: Vec<Order>,
    pub(super) done: Vec<Done>,
    pub(super) seen: Seen,
    /// A message of each kind. Of those that passed by undisturbed the longest, which has most parts.
    pub(super) samples: BTreeMap<&'static str, Value>,
}

impl Mind {
    /// What becomes of a frame from or to a member.
    pub(super) fn change(&mut self, frame: &Frame, member: NodePublicKey) -> Option<Frame> {
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
        self.done.push(Done { order, before: frame.clone(), after: after.clone(), member });
        Some(after)
    }
}
