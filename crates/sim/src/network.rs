//! What becomes of a message on its way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use countersign_session::Millis;
use countersign_types::Identifier;

use crate::{
    chance::Chance,
    cut::Cut,
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
    /// Links that are cut, each from its sender to its receiver.
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

    fn is_cut(&self, from: Identifier, to: Identifier) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Whether two members hear each other, so that they can connect.
    pub(crate) fn is_joined(&self, a: Identifier, b: Identifier) -> bool {
        !self.is_cut(a, b) && !self.is_cut(b, a)
    }

    pub(crate) fn cut(&mut self, cut: Cut) {
        self.cut.extend(cut.links());
    }

    /// Mends what a cut has cut. Returns who notices, and of whom; nobody where another cut keeps them apart.
    pub(crate) fn heal(&mut self, cut: Cut) -> Vec<(Identifier, Identifier)> {
        self.cut.retain(|link| cut.links().all(|healed| healed != *link));
        let Cut { a, b, .. } = cut;
        if self.is_joined(a, b) { vec![(a, b), (b, a)] } else { Vec::new() }
    }

    /// Faults are over.
    pub(crate) fn calm(&mut self) {
        self.calm = true;
        self.cut.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::Ways;

    fn id(number: u16) -> Identifier {
        Identifier::new(number).expect("not zero")
    }

    /// Whether each of these messages arrives.
    fn arrive<const N: usize>(network: &mut Network, messages: [(u16, u16); N]) -> [bool; N] {
        messages.map(|(from, to)| !network.fates(id(from), id(to), 0).is_empty())
    }

    #[test]
    fn a_cut_drops_what_goes_its_way_and_nothing_else() {
        let all = [(1, 2), (2, 1), (1, 3), (3, 1), (2, 3), (3, 2)];
        for (ways, out, back) in
            [(Ways::Both, false, false), (Ways::Out, false, true), (Ways::In, true, false)]
        {
            let mut network = Network::new(&Links::calm(), Faults::default(), Chance::of(1, 1));
            let cut = Cut { a: id(1), b: id(2), ways };
            network.cut(cut);
            assert_eq!(arrive(&mut network, all), [out, back, true, true, true, true], "{cut}");
            assert!(!network.is_joined(id(1), id(2)) && !network.is_joined(id(2), id(1)));
            network.heal(cut);
            assert_eq!(arrive(&mut network, all), [true; 6], "{}", cut.healed());
            assert!(network.is_joined(id(1), id(2)));
        }
    }

    #[test]
    fn one_way_of_a_cut_heals_by_itself() {
        let mut network = Network::new(&Links::calm(), Faults::default(), Chance::of(1, 1));
        network.cut(Cut { a: id(1), b: id(2), ways: Ways::Both });
        network.heal(Cut { a: id(2), b: id(1), ways: Ways::Out });
        assert_eq!(arrive(&mut network, [(1, 2), (2, 1)]), [false, true]);
        assert!(!network.is_joined(id(1), id(2)));
    }
}
