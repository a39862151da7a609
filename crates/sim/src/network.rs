//! What becomes of a message on its way.

use std::collections::{BTreeMap, BTreeSet};

use countersign_session::Millis;
use countersign_types::Identifier;

use crate::chance::Chance;

/// How bad the links between members are; each world draws its rates up to these.
#[derive(Debug, Clone, Copy)]
pub struct Links {
    /// Messages lost, in a thousand.
    pub loss: u64,
    /// Messages delivered twice, in a thousand.
    pub duplication: u64,
    /// The longest ordinary delay of a message, in milliseconds.
    pub delay_ms: Millis,
    /// Messages that take up to a hundred times as long, in a thousand.
    pub stragglers: u64,
    /// Whether messages between two members keep their order, as they do on one stream.
    pub in_order: bool,
}

impl Default for Links {
    fn default() -> Self {
        Self { loss: 150, duplication: 150, delay_ms: 50, stragglers: 50, in_order: false }
    }
}

impl Links {
    /// No message is lost, doubled, or late.
    pub fn calm() -> Self {
        Self { loss: 0, duplication: 0, stragglers: 0, ..Self::default() }
    }
}

/// The links of one world, with the rates that its seed drew.
pub(crate) struct Network {
    loss: u64,
    duplication: u64,
    delay_ms: Millis,
    stragglers: u64,
    in_order: bool,
    calm: bool,
    cut: BTreeSet<(Identifier, Identifier)>,
    last: BTreeMap<(Identifier, Identifier), Millis>,
    chance: Chance,
}

impl Network {
    pub(crate) fn new(links: &Links, mut chance: Chance) -> Self {
        Self {
            loss: chance.between(0, links.loss),
            duplication: chance.between(0, links.duplication),
            delay_ms: chance.between(1, links.delay_ms.max(1)),
            stragglers: chance.between(0, links.stragglers),
            in_order: links.in_order,
            calm: false,
            cut: BTreeSet::new(),
            last: BTreeMap::new(),
            chance,
        }
    }

    /// When a message arrives: never, once or twice.
    pub(crate) fn fates(&mut self, from: Identifier, to: Identifier, now: Millis) -> Vec<Millis> {
        if from == to {
            return vec![now];
        }
        if self.is_cut(from, to) || (!self.calm && self.chance.permille(self.loss)) {
            return Vec::new();
        }
        let copies = if !self.calm && self.chance.permille(self.duplication) { 2 } else { 1 };
        (0..copies).map(|_| self.arrival(from, to, now)).collect()
    }

    fn arrival(&mut self, from: Identifier, to: Identifier, now: Millis) -> Millis {
        let mut delay = self.chance.between(1, self.delay_ms);
        if !self.calm && self.chance.permille(self.stragglers) {
            delay = delay.saturating_mul(self.chance.between(2, 100));
        }
        let mut at = now + delay;
        if self.in_order {
            let last = self.last.entry((from, to)).or_default();
            at = at.max(*last);
            *last = at;
        }
        at
    }

    pub(crate) fn is_cut(&self, a: Identifier, b: Identifier) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    pub(crate) fn cut(&mut self, a: Identifier, b: Identifier) {
        self.cut.insert((a.min(b), a.max(b)));
    }

    pub(crate) fn heal(&mut self, a: Identifier, b: Identifier) {
        self.cut.remove(&(a.min(b), a.max(b)));
    }

    /// Faults are over.
    pub(crate) fn calm(&mut self) {
        self.calm = true;
        self.cut.clear();
    }
}
