//! The start of nodes, and what befalls them.

use std::{collections::BTreeSet, sync::Arc};

use countersign_session::Millis;
use countersign_types::Identifier;

use super::{BEGIN, Host, NONCES, ORDERS, SETTLE_MS, World, events::Event};
use crate::{
    Class,
    chance::Chance,
    cut::{Cut, Ways},
    node::Node,
    scenario::Mutant,
};

/// How long nodes have been up when the world begins.
const UP_BEFORE_MS: Millis = 60_000;

/// A place at which a node may die.
#[derive(Debug, Clone, Copy)]
pub(super) enum CrashPoint {
    /// It has begun a live run.
    AfterObserve,
    /// A package has arrived and is not looked at.
    BeforePackage,
    /// It has made shares, and they are sent or not.
    AfterShare,
}

impl World {
    /// Starts all nodes and plans what befalls them.
    pub(super) fn found(&mut self) {
        for node in self.roots.members() {
            let ahead = self.chance.between(0, self.scenario.skew_ms);
            let host = Host {
                life: 0,
                node: None,
                ahead,
                first_boot: BEGIN - UP_BEFORE_MS,
                wake_at: Millis::MAX,
                sessions: Default::default(),
            };
            self.hosts.insert(node, host);
        }
        for node in
            self.roots.members().into_iter().filter(|node| !self.down.contains(node)).collect::<Vec<_>>()
        {
            self.start(node);
        }
        self.plan_requests();
        self.plan_faults();
        self.queue.plan(self.faults_end, Event::Calm);
        self.queue.plan(self.faults_end + SETTLE_MS, Event::Probe);
    }

    fn plan_faults(&mut self) {
        let members = self.roots.members();
        for _ in 0..self.chance.between(0, self.scenario.random_crashes) {
            let at = self.now + self.chance.between(0, self.scenario.faults_ms);
            let node = self.chance.pick(&members);
            if let Some(node) = node.filter(|_| self.faults.happens(Class::Crash, true)) {
                self.queue.plan(at, Event::Crash { node });
            }
        }
        for _ in 0..self.chance.between(0, self.scenario.partitions) {
            let from = self.now + self.chance.between(0, self.scenario.faults_ms);
            let until = from + self.chance.between(100, 8_000);
            let mut pair = members.clone();
            self.chance.shuffle(&mut pair);
            // a pair, or one node from all others
            let others = if self.chance.permille(300) { pair.len() - 1 } else { 1 };
            let ways = Ways::draw(&mut self.chance);
            if !self.faults.happens(Class::Cut, true) {
                continue;
            }
            for b in pair.iter().skip(1).take(others) {
                let cut = Cut { a: pair[0], b: *b, ways };
                self.queue.plan(from, Event::Cut(cut));
                self.queue.plan(until, Event::Heal(cut));
            }
        }
    }

    /// Starts a node: with no memory but its keys, and a clock that has not run backwards.
    pub(super) fn start(&mut self, me: Identifier) {
        let connected: BTreeSet<Identifier> = self
            .hosts
            .iter()
            .filter(|(id, host)| {
                let is_up = if self.now == BEGIN { !self.down.contains(id) } else { host.node.is_some() };
                **id != me && is_up && self.network.is_joined(me, **id)
            })
            .map(|(id, _)| *id)
            .collect();
        let local = self.local(me);
        let mutant = self.scenario.mutant.filter(|_| !self.is_liar(me));
        let (seed, roots) = (self.seed, Arc::clone(&self.roots));
        let Some(host) = self.hosts.get_mut(&me) else { return };
        host.life += 1;
        let boot = if host.life == 1 { host.first_boot } else { local };
        let life = if mutant == Some(Mutant::RewoundRandomness) { 1 } else { host.life };
        let stream = u64::from(me.get()) * 100 + life;
        let nonces = Chance::of(seed, NONCES + stream);
        let order = Chance::of(seed, ORDERS + stream);
        let mut node = Node::start(me, &roots, boot, connected.clone(), nonces, order);
        node.remembers_slow = self.scenario.remembers_slow;
        host.node = Some(node);
        host.wake_at = Millis::MAX;
        self.watch.restarted(me);
        if self.now > BEGIN {
            for other in connected {
                self.plan_notice(other, me, true);
            }
        }
        self.plan_wake(me);
    }

    pub(super) fn crash(&mut self, me: Identifier) {
        let Some(host) = self.hosts.get_mut(&me).filter(|host| host.node.is_some()) else { return };
        host.node = None;
        host.sessions.clear();
        self.counts.crashes += 1;
        for other in self.roots.members().into_iter().filter(|id| *id != me) {
            self.plan_notice(other, me, false);
        }
        let down = self.chance.between(0, 6_000);
        let at = self.now + if self.chance.permille(200) { 0 } else { down };
        self.queue.plan(at.min(self.faults_end.max(self.now)), Event::Restart { node: me });
    }

    /// Dies at a named point, if it is its time.
    pub(super) fn may_crash(&mut self, me: Identifier, point: CrashPoint) -> bool {
        let up = self.hosts.get(&me).is_some_and(|host| host.node.is_some());
        let drawn = up && self.faulty && self.chance.permille(self.crash_rate);
        let crashes = self.faults.happens(Class::Crash, drawn);
        if crashes {
            self.note(format_args!("{me} crashes: {point:?}"));
            self.crash(me);
        }
        crashes
    }

    pub(super) fn cut(&mut self, cut: Cut) {
        self.network.cut(cut);
        // a short cut is not noticed
        for (node, about) in cut.noticed(700, &mut self.chance) {
            self.plan_notice(node, about, false);
        }
    }

    pub(super) fn heal(&mut self, cut: Cut) {
        for (node, about) in self.network.heal(cut) {
            self.plan_notice(node, about, true);
        }
    }

    /// Faults are over: links are whole, and everybody learns who is there.
    pub(super) fn calm(&mut self) {
        self.faulty = false;
        self.network.calm();
        let members = self.roots.members();
        for a in &members {
            for b in members.iter().filter(|b| *b != a && !self.down.contains(b)) {
                let at = self.now + SETTLE_MS - 1_000;
                let life = self.hosts.get(a).map_or(0, |host| host.life);
                // whoever restarts later than this learns it from its own start
                self.queue.plan(at, Event::Notice { node: *a, life, about: *b, up: true });
            }
        }
    }

    fn plan_notice(&mut self, node: Identifier, about: Identifier, up: bool) {
        let Some(life) = self.hosts.get(&node).filter(|host| host.node.is_some()).map(|host| host.life)
        else {
            return;
        };
        // connections come and go in one order
        let last = self.noticed.entry((node, about)).or_default();
        let at = (self.now + self.chance.between(1, 500)).max(*last + 1);
        *last = at;
        self.queue.plan(at, Event::Notice { node, life, about, up });
    }
}
