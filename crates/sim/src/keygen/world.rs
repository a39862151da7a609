//! The world of key generation: members, their disks and links, from one seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use countersign_session::{
    Millis,
    keygen::{Effect, Journal, KeyGen, Message},
};
use countersign_types::{Committee, Identifier, NodeKey, Scheme};

use super::{
    Lie, Mutant, Report, Scenario,
    disk::{Disk, Write},
    events::{Event, short},
    liar::Liar,
    watch::{Watch, shares_sign},
};
use crate::{
    Broken, Class, Setting, Trace, Violation, chance::Chance, faults::Faults, network::Network, queue::Queue,
    roots,
};

const BEGIN: Millis = 1_700_000_000_000;
/// From the end of faults to the latest time by which all must have the key: the rest of an attempt, the
/// longest pause, and some attempts more.
const END_MS: Millis = 300_000;

/// What members generate keys for before they are upgraded: the new scheme comes between the old ones.
const OLD_SCHEMES: [Scheme; 2] = [Scheme::SchnorrSecp256k1, Scheme::Ed25519];

const WORLD: u64 = 11;
const NETWORK: u64 = 12;
const LIAR: u64 = 13;
const SECRETS: u64 = 5_000;

/// Members that generate keys.
pub struct World {
    scenario: Scenario,
    seed: u64,
    now: Millis,
    faults_end: Millis,
    faulty: bool,
    crash_rate: u64,
    faults: Faults,
    queue: Queue<Event>,
    committee: Committee,
    identities: BTreeMap<Identifier, [u8; 32]>,
    network: Network,
    hosts: BTreeMap<Identifier, Host>,
    noticed: BTreeMap<(Identifier, Identifier), Millis>,
    liar: Option<Liar>,
    /// Who lies how, also when the lies are over.
    lie: Option<(Identifier, Lie)>,
    watch: Watch,
    chance: Chance,
    trace: Trace,
    report: Report,
}

struct Host {
    life: u64,
    machine: Option<KeyGen>,
    disk: Disk,
    secrets: Chance,
    wake_at: Millis,
    /// What the version that is installed knows.
    schemes: Vec<Scheme>,
}

impl World {
    /// A world from a seed.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        #[cfg(countersign_mutants)]
        countersign_session::mutant::choose(scenario.core);
        let (committee, identities) = roots::identities(scenario.members, scenario.threshold);
        let mut chance = Chance::of(seed, WORLD);
        let lie = chance.pick(&scenario.lies);
        let members: Vec<Identifier> = committee.identifiers().collect();
        let liar = chance.pick(&members).zip(lie).map(|(me, lie)| {
            let identity = NodeKey::from_bytes(identities[&me]).expect("a scalar");
            Liar::new(me, lie, committee.clone(), identity, Chance::of(seed, LIAR))
        });
        let left_out = Arc::new(scenario.left_out.clone());
        let report = Report {
            trace: Trace::default(),
            given_up: 0,
            crashes: 0,
            liar: liar.as_ref().map(|liar| liar.me),
            accusers: BTreeSet::new(),
            complete_ms: 0,
            ceremonies: 0,
        };
        let mut world = Self {
            seed,
            now: BEGIN,
            faults_end: BEGIN + scenario.faults_ms,
            faulty: true,
            crash_rate: chance.between(0, scenario.crashes),
            queue: Queue::default(),
            network: Network::new(&scenario.links, Faults::without(&left_out), Chance::of(seed, NETWORK)),
            faults: Faults::without(&left_out),
            hosts: BTreeMap::new(),
            noticed: BTreeMap::new(),
            watch: Watch::new(liar.is_none()),
            lie: liar.as_ref().map(|liar| (liar.me, liar.lie)),
            liar,
            trace: Trace::default(),
            chance,
            committee,
            identities,
            scenario,
            report,
        };
        if let Some(liar) = &world.liar {
            let note = format!("{} lies: {:?}", liar.me, liar.lie);
            world.note(note);
        }
        world.found(&members);
        world
    }

    /// Lets everything happen until all have the keys.
    pub fn run(mut self) -> Result<Report, Box<Broken>> {
        #[cfg(countersign_mutants)]
        countersign_session::mutant::choose(self.scenario.core);
        let end = self.faults_end + END_MS;
        while let Some((at, event)) = self.queue.next(end) {
            self.now = at;
            if let Err(violation) = self.step(event) {
                return Err(self.broken(violation));
            }
            if self.hosts.values().all(|host| host.disk.is_complete(&self.scenario.schemes)) {
                return self.finish();
            }
        }
        let states: Vec<String> = self
            .hosts
            .iter()
            .map(|(id, host)| {
                format!("{id}: {}", host.machine.as_ref().map_or("down".into(), KeyGen::describe))
            })
            .collect();
        Err(self.broken(Violation::Incomplete { why: states.join("; ") }))
    }

    fn finish(mut self) -> Result<Report, Box<Broken>> {
        let first = self.hosts.values().next().map(|host| host.disk.complete.clone()).unwrap_or_default();
        if let Some((node, _)) = self.hosts.iter().find(|(_, host)| host.disk.complete != first) {
            let node = *node;
            return Err(self.broken(Violation::TwoRoots { node }));
        }
        for scheme in self.scenario.schemes.clone() {
            if let Err(violation) = self.check_shares(scheme) {
                return Err(self.broken(violation));
            }
        }
        if let Some((liar, lie)) = self.lie.filter(|_| self.scenario.named && self.report.accusers.is_empty())
        {
            return Err(self.broken(Violation::Unnamed { liar, lie }));
        }
        self.report.ceremonies = first.len();
        self.report.complete_ms = self.now - BEGIN;
        self.report.trace = self.trace;
        Ok(self.report)
    }

    fn check_shares(&mut self, scheme: Scheme) -> Result<(), Violation> {
        let shares: BTreeMap<Identifier, _> =
            self.hosts.iter().filter_map(|(id, host)| Some((*id, host.disk.share(scheme)?))).collect();
        if shares.len() != usize::from(self.scenario.members) {
            let why = format!("{} of {} shares for {scheme} are there", shares.len(), self.scenario.members);
            return Err(Violation::Incomplete { why });
        }
        shares_sign(&shares, self.scenario.threshold, &mut self.chance)
    }

    fn broken(&mut self, violation: Violation) -> Box<Broken> {
        Box::new(Broken {
            seed: self.seed,
            violation,
            trace: std::mem::take(&mut self.trace),
            setting: Setting::KeyGen(Box::new(self.scenario.clone())),
            drawn: self.faults.drawn().chain(self.network.faults.drawn()).collect(),
        })
    }

    fn note(&mut self, what: impl fmt::Display) {
        self.trace.note(self.now - BEGIN, what);
    }

    fn found(&mut self, members: &[Identifier]) {
        for me in members {
            let stream = SECRETS + u64::from(me.get());
            let host = Host {
                life: 0,
                machine: None,
                disk: Disk::default(),
                secrets: Chance::of(self.seed, stream),
                wake_at: Millis::MAX,
                schemes: if self.scenario.upgrades {
                    OLD_SCHEMES.to_vec()
                } else {
                    self.scenario.schemes.clone()
                },
            };
            self.hosts.insert(*me, host);
        }
        for me in members {
            // nodes do not start all at once
            let at = self.now + self.chance.between(0, 2_000);
            self.queue.plan(at, Event::Restart { node: *me });
        }
        if self.scenario.upgrades {
            // some worlds are done with the old schemes by then, some are in the middle of it
            let first = self.chance.between(0, self.scenario.faults_ms);
            for node in members {
                let at = self.now + self.chance.between(first, self.scenario.faults_ms);
                self.queue.plan(at, Event::Upgrade { node: *node });
            }
        }
        for _ in 0..self.chance.between(0, self.scenario.random_crashes) {
            let at = self.now + self.chance.between(0, self.scenario.faults_ms);
            let node = self.chance.pick(members);
            if let Some(node) = node.filter(|_| self.faults.happens(Class::Crash, true)) {
                self.queue.plan(at, Event::Crash { node });
            }
        }
        for _ in 0..self.chance.between(0, self.scenario.partitions) {
            let from = self.now + self.chance.between(0, self.scenario.faults_ms);
            let until = from + self.chance.between(100, 8_000);
            let mut pair = members.to_vec();
            self.chance.shuffle(&mut pair);
            if !self.faults.happens(Class::Cut, true) {
                continue;
            }
            self.queue.plan(from, Event::Cut { a: pair[0], b: pair[1] });
            self.queue.plan(until, Event::Heal { a: pair[0], b: pair[1] });
        }
        self.queue.plan(self.faults_end, Event::Calm);
    }

    fn is_void(&self, event: &Event) -> bool {
        let gone = |node: &Identifier, life: &u64| {
            self.hosts.get(node).is_none_or(|host| host.machine.is_none() || host.life != *life)
        };
        match event {
            // a connection does not outlive either of its ends
            Event::Deliver { from, to, lives, .. } => {
                gone(to, &lives.1) || self.hosts.get(from).is_none_or(|host| host.life != lives.0)
            }
            Event::Write { node, life, .. } | Event::Notice { node, life, .. } => gone(node, life),
            Event::Wake { node, life } => {
                gone(node, life) || self.hosts.get(node).is_none_or(|host| host.wake_at != self.now)
            }
            Event::Crash { node } => self.hosts.get(node).is_none_or(|host| host.machine.is_none()),
            Event::Restart { node } => self.hosts.get(node).is_none_or(|host| host.machine.is_some()),
            Event::Cut { .. } => !self.faulty,
            Event::Heal { .. } | Event::Upgrade { .. } | Event::Calm => false,
        }
    }

    fn step(&mut self, event: Event) -> Result<(), Violation> {
        if self.is_void(&event) {
            return Ok(());
        }
        self.note(&event);
        match event {
            Event::Deliver { from, to, message, .. } => {
                if let Some(liar) = self.liar.as_mut().filter(|liar| liar.me == to) {
                    liar.hears(from, &message);
                }
                self.with(to, |machine, now, secrets| machine.receive(from, *message, now, &mut secrets.0))
            }
            Event::Write { node, write, .. } => self.write(node, *write),
            Event::Wake { node, .. } => {
                self.with(node, |machine, now, secrets| machine.tick(now, &mut secrets.0))?;
                let host = self.hosts.get(&node).and_then(|host| host.machine.as_ref());
                if host.is_some_and(|machine| machine.next_timeout() <= self.now) {
                    return Err(Violation::Spins { node });
                }
                Ok(())
            }
            Event::Crash { node } => {
                self.crash(node);
                Ok(())
            }
            Event::Restart { node } => self.start(node),
            Event::Upgrade { node } => {
                if let Some(host) = self.hosts.get_mut(&node) {
                    host.schemes = self.scenario.schemes.clone();
                }
                self.crash(node);
                Ok(())
            }
            Event::Cut { a, b } => {
                self.network.cut(a, b);
                self.plan_notice(a, b, false);
                self.plan_notice(b, a, false);
                Ok(())
            }
            Event::Heal { a, b } => {
                self.network.heal(a, b);
                self.plan_notice(a, b, true);
                self.plan_notice(b, a, true);
                Ok(())
            }
            Event::Notice { node, about, up, .. } => self.with(node, |machine, now, _| match up {
                true => machine.connected(about),
                false => machine.disconnected(about, now),
            }),
            Event::Calm => {
                self.calm();
                Ok(())
            }
        }
    }

    fn calm(&mut self) {
        self.faulty = false;
        self.network.calm();
        self.liar = None;
        let members: Vec<Identifier> = self.committee.identifiers().collect();
        for node in &members {
            self.queue.plan(self.now, Event::Restart { node: *node });
            for about in members.iter().filter(|about| *about != node) {
                self.plan_notice(*node, *about, true);
            }
        }
    }

    fn start(&mut self, me: Identifier) -> Result<(), Violation> {
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
        let machine =
            KeyGen::resume(membership, Arc::new(identity), host.schemes.iter().copied(), journal, self.now);
        host.machine = Some(machine);
        host.wake_at = Millis::MAX;
        let up: Vec<Identifier> = self
            .hosts
            .iter()
            .filter(|(id, host)| **id != me && host.machine.is_some() && !self.network.is_cut(me, **id))
            .map(|(id, _)| *id)
            .collect();
        for other in up {
            self.plan_notice(me, other, true);
            self.plan_notice(other, me, true);
        }
        self.with(me, |_, _, _| Vec::new())
    }

    fn crash(&mut self, me: Identifier) {
        let Some(host) = self.hosts.get_mut(&me).filter(|host| host.machine.is_some()) else { return };
        host.machine = None;
        self.report.crashes += 1;
        for other in self.committee.identifiers().filter(|id| *id != me).collect::<Vec<_>>() {
            self.plan_notice(other, me, false);
        }
        let at = self.now + self.chance.between(0, 6_000);
        self.queue.plan(at.min(self.faults_end.max(self.now)), Event::Restart { node: me });
    }

    fn may_crash(&mut self, me: Identifier, point: &str) -> bool {
        let up = self.hosts.get(&me).is_some_and(|host| host.machine.is_some());
        let drawn = up && self.faulty && self.chance.permille(self.crash_rate);
        let crashes = self.faults.happens(Class::Crash, drawn);
        if crashes {
            self.note(format_args!("{me} crashes {point}"));
            self.crash(me);
        }
        crashes
    }

    fn plan_notice(&mut self, node: Identifier, about: Identifier, up: bool) {
        let Some(host) = self.hosts.get(&node).filter(|host| host.machine.is_some()) else { return };
        let life = host.life;
        let last = self.noticed.entry((node, about)).or_default();
        let at = (self.now + self.chance.between(1, 500)).max(*last + 1);
        *last = at;
        self.queue.plan(at, Event::Notice { node, life, about, up });
    }

    fn with(
        &mut self,
        me: Identifier,
        act: impl FnOnce(&mut KeyGen, Millis, &mut Chance) -> Vec<Effect>,
    ) -> Result<(), Violation> {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&me) else { return Ok(()) };
        let Some(machine) = host.machine.as_mut() else { return Ok(()) };
        let effects = act(machine, now, &mut host.secrets);
        for effect in effects {
            self.carry_out(me, effect)?;
        }
        self.plan_wake(me);
        Ok(())
    }

    fn carry_out(&mut self, me: Identifier, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Send { to, message } => self.send(me, to, message),
            Effect::StorePending { pending, shares } => {
                let shares = shares.iter().map(|share| share.to_bytes().to_vec()).collect();
                self.store(me, Write::Pending { pending, shares })
            }
            Effect::StoreActivation { attempt, confirmations } => {
                self.store(me, Write::Activation { attempt, confirmations })
            }
            Effect::Completed(activation) => {
                if !self.lies(me) {
                    self.watch.completes(me, &activation, &self.committee)?;
                }
                self.note(format_args!("{me} has the keys of {}", short(activation.attempt)));
                self.store(me, Write::Complete(activation))
            }
            Effect::GivenUp { attempt, reason, culprits } => {
                let named: Vec<String> = culprits.iter().map(ToString::to_string).collect();
                self.note(format_args!("{me} gives {} up: {reason} [{}]", short(attempt), named.join(" ")));
                self.given_up(me, reason, &culprits)
            }
        }
    }

    fn given_up(&mut self, me: Identifier, reason: String, culprits: &[Identifier]) -> Result<(), Violation> {
        if self.lies(me) {
            return Ok(());
        }
        self.report.given_up += 1;
        if !culprits.is_empty() {
            self.report.accusers.insert(me);
        }
        match culprits.iter().find(|id| self.report.liar != Some(**id)) {
            Some(node) => Err(Violation::Accused { by: me, node: *node, reason }),
            None => Ok(()),
        }
    }

    fn send(&mut self, me: Identifier, to: Identifier, message: Message) -> Result<(), Violation> {
        let messages = match self.liar.as_mut().filter(|liar| liar.me == me) {
            Some(liar) => liar.twist(to, message),
            None => {
                if self.report.liar != Some(me) {
                    let host = &self.hosts[&me];
                    self.watch.sends(me, &message, &host.disk)?;
                }
                vec![message]
            }
        };
        let life = |id: &Identifier| self.hosts.get(id).map_or(0, |host| host.life);
        let lives = (life(&me), life(&to));
        for message in messages {
            for at in self.network.fates(me, to, self.now) {
                let message = Box::new(message.clone());
                self.queue.plan(at, Event::Deliver { from: me, to, lives, message });
            }
        }
        Ok(())
    }

    /// Hands something to the disk, which takes its time.
    fn store(&mut self, me: Identifier, write: Write) -> Result<(), Violation> {
        if self.may_crash(me, "before it stores") {
            return Ok(());
        }
        let Some(host) = self.hosts.get(&me) else { return Ok(()) };
        let life = host.life;
        let early = match (self.mutant(me), &write) {
            (Some(Mutant::ActivatesBeforeStoring), Write::Activation { attempt, .. }) => {
                Some((*attempt, false))
            }
            (Some(Mutant::ConfirmsBeforeStoring), Write::Pending { pending, .. }) => {
                Some((pending.terms.id(roots::NETWORK), true))
            }
            _ => None,
        };
        let at = self.now + self.chance.between(1, 50);
        self.queue.plan(at, Event::Write { node: me, life, write: Box::new(write) });
        match early {
            Some((attempt, true)) => self.with(me, |machine, _, _| machine.stored_pending(attempt)),
            Some((attempt, false)) => self.with(me, |machine, _, _| machine.stored_activation(attempt)),
            None => Ok(()),
        }
    }

    fn write(&mut self, me: Identifier, write: Write) -> Result<(), Violation> {
        let stored = match &write {
            Write::Pending { pending, .. } => Some((pending.terms.id(roots::NETWORK), true)),
            Write::Activation { attempt, .. } => Some((*attempt, false)),
            Write::Complete(_) => None,
        };
        let Some(host) = self.hosts.get_mut(&me) else { return Ok(()) };
        if !host.disk.write(write) || self.may_crash(me, "after it stored") {
            return Ok(());
        }
        match stored {
            Some((attempt, true)) => self.with(me, |machine, _, _| machine.stored_pending(attempt)),
            Some((attempt, false)) => self.with(me, |machine, _, _| machine.stored_activation(attempt)),
            None => Ok(()),
        }
    }

    fn plan_wake(&mut self, me: Identifier) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&me) else { return };
        let Some(machine) = &host.machine else { return };
        let at = machine.next_timeout();
        if at == Millis::MAX || at.max(now) == host.wake_at {
            return;
        }
        host.wake_at = at.max(now);
        self.queue.plan(host.wake_at, Event::Wake { node: me, life: host.life });
    }

    fn lies(&self, me: Identifier) -> bool {
        self.liar.as_ref().is_some_and(|liar| liar.me == me)
    }

    fn mutant(&self, me: Identifier) -> Option<Mutant> {
        self.scenario.mutant.filter(|_| self.report.liar != Some(me))
    }
}
