//! What becomes of a message on its way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use countersign_session::Millis;
use countersign_types::Identifier;

use crate::{
    chance::Chance,
    faults::{Class, Faults},
};

/// How bad the links between members are; each world draws its rates up to these, unless they are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Whether each world has exactly these rates.
    pub exact: bool,
}

impl Default for Links {
    fn default() -> Self {
        Self { loss: 150, duplication: 150, delay_ms: 50, stragglers: 50, in_order: false, exact: false }
    }
}

impl Links {
    /// No message is lost, doubled, or late.
    pub fn calm() -> Self {
        Self { loss: 0, duplication: 0, stragglers: 0, ..Self::default() }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { loss, duplication, stragglers, delay_ms, .. } = self;
        write!(
            f,
            "in a thousand messages {loss} are lost, {duplication} come twice, {stragglers} late; the others take up to \
             {delay_ms} ms"
        )
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
    /// A member whose messages take longer by so much.
    slow: Option<(Identifier, Millis)>,
    pub(crate) faults: Faults,
    cut: BTreeSet<(Identifier, Identifier)>,
    last: BTreeMap<(Identifier, Identifier), Millis>,
    chance: Chance,
}

impl Network {
    pub(crate) fn new(links: &Links, faults: Faults, mut chance: Chance) -> Self {
        let mut rate = |least, most| {
            let drawn = chance.between(least, most);
            if links.exact { most } else { drawn }
        };
        let (loss, duplication) = (rate(0, links.loss), rate(0, links.duplication));
        let (delay_ms, stragglers) = (rate(1, links.delay_ms.max(1)), rate(0, links.stragglers));
        Self {
            slow: None,
            faults,
            loss,
            duplication,
            delay_ms,
            stragglers,
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
        if self.is_cut(from, to) || self.befalls(Class::Loss, self.loss) {
            return Vec::new();
        }
        let copies = if self.befalls(Class::Duplicate, self.duplication) { 2 } else { 1 };
        (0..copies).map(|_| self.arrival(from, to, now)).collect()
    }

    /// Whether something befalls a message, so often in a thousand, while there are faults.
    fn befalls(&mut self, class: Class, often: u64) -> bool {
        let drawn = !self.calm && self.chance.permille(often);
        self.faults.happens(class, drawn)
    }

    /// The longest that a message takes that nothing befalls, from this member.
    pub(crate) fn ordinary_ms(&self, from: Identifier) -> Millis {
        self.delay_ms + self.slow.filter(|(slow, _)| *slow == from).map_or(0, |(_, by)| by)
    }

    /// Makes one member slow.
    pub(crate) fn slow_down(&mut self, member: Identifier, by: Millis) {
        self.slow = Some((member, by));
    }

    fn arrival(&mut self, from: Identifier, to: Identifier, now: Millis) -> Millis {
        let mut delay = self.chance.between(1, self.delay_ms);
        let drawn = !self.calm && self.chance.permille(self.stragglers);
        let times = if drawn { self.chance.between(2, 100) } else { 1 };
        if self.faults.happens(Class::Late, drawn) {
            delay = delay.saturating_mul(times);
        }
        delay += self.slow.filter(|(slow, _)| *slow == from).map_or(0, |(_, by)| by);
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
