//! Members that start, crash, and see each other come and go.

use std::sync::Arc;

use countersign_session::{
    Millis,
    keygen::{Journal, KeyGen},
};
use countersign_types::{Identifier, NodeKey};

use super::{Event, Mutant, Violation, World};
use crate::{Class, cut::Cut, roots};

impl World {
    pub(super) fn calm(&mut self) {
        self.faulty = false;
        self.network.calm();
        if !self.scenario.unrepentant {
            self.liar = None;
        }
        let members: Vec<Identifier> = self.committee.identifiers().collect();
        for node in &members {
            self.queue.plan(self.now, Event::Restart { node: *node });
            for about in members.iter().filter(|about| *about != node) {
                self.plan_notice(*node, *about, true);
            }
        }
    }

    pub(super) fn start(&mut self, me: Identifier) -> Result<(), Violation> {
        let membership = Arc::new(roots::membership(&self.committee, me));
        let identity = NodeKey::from_bytes(self.identities[&me]).expect("a scalar");
        let mutant = self.mutant(me);
        let Some(host) = self.hosts.get_mut(&me) else { return Ok(()) };
        host.life += 1;
        let mut journal: Journal = host.disk.journal();
        if mutant == Some(Mutant::ForgetsActivation) {
            host.disk.activated.clear();
        }
        if matches!(mutant, Some(Mutant::ForgetsActivation | Mutant::IgnoresActivation)) {
            journal.activated.clear();
        }
        if mutant == Some(Mutant::LosesPendingShares) && host.disk.activated.is_empty() {
            host.disk.pending.clear();
            journal.pending.clear();
        }
        let machine = KeyGen::resume(
            membership,
            Arc::new(identity),
            host.schemes.iter().copied(),
            journal,
            self.now + host.ahead,
        );
        host.machine = Some(machine);
        host.wake_at = Millis::MAX;
        let up: Vec<Identifier> = self
            .hosts
            .iter()
            .filter(|(id, host)| **id != me && host.machine.is_some() && self.network.is_joined(me, **id))
            .map(|(id, _)| *id)
            .collect();
        for other in up {
            self.plan_notice(me, other, true);
            self.plan_notice(other, me, true);
        }
        self.with(me, |_, _, _| Vec::new())
    }

    pub(super) fn cut(&mut self, cut: Cut) {
        self.network.cut(cut);
        for (node, about) in cut.noticed(1_000, &mut self.chance) {
            self.plan_notice(node, about, false);
        }
    }

    pub(super) fn heal(&mut self, cut: Cut) {
        for (node, about) in self.network.heal(cut) {
            self.plan_notice(node, about, true);
        }
    }

    pub(super) fn crash(&mut self, me: Identifier) {
        let Some(host) = self.hosts.get_mut(&me).filter(|host| host.machine.is_some()) else { return };
        host.machine = None;
        self.report.crashes += 1;
        for other in self.committee.identifiers().filter(|id| *id != me).collect::<Vec<_>>() {
            self.plan_notice(other, me, false);
        }
        let at = self.now + self.chance.between(0, 6_000);
        self.queue.plan(at.min(self.faults_end.max(self.now)), Event::Restart { node: me });
    }

    pub(super) fn may_crash(&mut self, me: Identifier, point: &str) -> bool {
        let up = self.hosts.get(&me).is_some_and(|host| host.machine.is_some());
        let drawn = up && self.faulty && self.chance.permille(self.crash_rate);
        let crashes = self.faults.happens(Class::Crash, drawn);
        if crashes {
            self.note(format_args!("{me} crashes {point}"));
            self.crash(me);
        }
        crashes
    }

    pub(super) fn plan_notice(&mut self, node: Identifier, about: Identifier, up: bool) {
        let Some(host) = self.hosts.get(&node).filter(|host| host.machine.is_some()) else { return };
        let life = host.life;
        let last = self.noticed.entry((node, about)).or_default();
        let at = (self.now + self.chance.between(1, 500)).max(*last + 1);
        *last = at;
        self.queue.plan(at, Event::Notice { node, life, about, up });
    }
}
