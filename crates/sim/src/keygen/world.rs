//! The world of key generation: members, their disks and links, from one seed.

mod effects;
mod lives;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use countersign_session::{Millis, keygen::KeyGen};
use countersign_types::{Committee, Identifier, NodeKey, Scheme};

use super::{
    Lie, Mutant, Report, Scenario,
    alike::Alike,
    disk::{Disk, Write},
    events::{Event, short},
    liar::Liar,
    watch::{Watch, shares_sign},
};
use crate::{
    Broken, Class, Setting, Trace, Violation,
    chance::Chance,
    cut::{Cut, Ways},
    faults::Faults,
    network::Network,
    queue::Queue,
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
    alike: Alike,
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
    /// How far its clock is ahead of the world's.
    ahead: Millis,
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
            watch: Watch::default(),
            alike: Alike::default(),
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
            if let Err(violation) = self.step(event).and_then(|()| self.are_alike()) {
                return Err(self.broken(violation));
            }
            let mut hosts = self.hosts.iter().filter(|(id, _)| self.counts(**id));
            if hosts.all(|(_, host)| host.disk.is_complete(&self.scenario.schemes)) {
                return self.finish();
            }
        }
        if self.names_the_liar() {
            self.report.trace = self.trace;
            return Ok(self.report);
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

    /// Whether honest members have the same, once faults are over.
    fn are_alike(&mut self) -> Result<(), Violation> {
        let honest = self.hosts.iter().filter(|(id, _)| self.report.liar != Some(**id));
        let disks: BTreeMap<Identifier, &Disk> = honest.map(|(id, host)| (*id, &host.disk)).collect();
        self.alike.check(&disks, self.now, self.faults_end)
    }

    /// Whether a member must end with the keys: not one that lies to the end.
    fn counts(&self, id: Identifier) -> bool {
        !(self.scenario.unrepentant && self.report.liar == Some(id))
    }

    /// Whether key generation that a liar holds up for ever is blamed on it: proven, or by an
    /// honest member's word on whom it waits for.
    fn names_the_liar(&self) -> bool {
        let Some(liar) = self.report.liar.filter(|_| self.scenario.unrepentant) else { return false };
        let mut honest = self.hosts.iter().filter(|(id, _)| **id != liar);
        let blames =
            |host: &Host| host.machine.as_ref().is_some_and(|machine| machine.held_up_by().contains(&liar));
        !self.report.accusers.is_empty() || honest.any(|(_, host)| blames(host))
    }

    fn finish(mut self) -> Result<Report, Box<Broken>> {
        let honest = || self.hosts.iter().filter(|(id, _)| self.counts(**id));
        let first = honest().next().map(|(_, host)| host.disk.complete.clone()).unwrap_or_default();
        if let Some((node, _)) = honest().find(|(_, host)| host.disk.complete != first) {
            let node = *node;
            return Err(self.broken(Violation::TwoRoots { node }));
        }
        for scheme in self.scenario.schemes.clone() {
            if let Err(violation) = self.check_shares(scheme) {
                return Err(self.broken(violation));
            }
        }
        if let Some(unnamed) = self.unnamed().filter(|_| self.scenario.named) {
            return Err(self.broken(unnamed));
        }
        self.report.ceremonies = first.len();
        self.report.complete_ms = self.now - BEGIN;
        self.report.trace = self.trace;
        Ok(self.report)
    }

    /// An honest member that should have named the liar: one that does not where all must, or any where nobody does.
    fn unnamed(&self) -> Option<Violation> {
        let (liar, lie) = self.lie?;
        let accusers = &self.report.accusers;
        let all_must = Lie::SEEN_BY_ALL.contains(&lie);
        let mut silent = self.hosts.keys().filter(|id| **id != liar && !accusers.contains(id));
        let by = *silent.next().filter(|_| all_must || accusers.is_empty())?;
        Some(Violation::Unnamed { liar, lie, by })
    }

    fn check_shares(&mut self, scheme: Scheme) -> Result<(), Violation> {
        let members: Vec<Identifier> = self.hosts.keys().copied().filter(|id| self.counts(*id)).collect();
        let share = |id: &Identifier| Some((*id, self.hosts[id].disk.share(scheme)?));
        let shares: BTreeMap<Identifier, _> = members.iter().filter_map(share).collect();
        if shares.len() != members.len() {
            let why = format!("{} of {} shares for {scheme} are there", shares.len(), members.len());
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
            let ahead = self.chance.between(0, self.scenario.skew_ms);
            let host = Host {
                life: 0,
                machine: None,
                disk: Disk::default(),
                secrets: Chance::of(self.seed, stream),
                wake_at: Millis::MAX,
                ahead,
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
            let ways = Ways::draw(&mut self.chance);
            if !self.faults.happens(Class::Cut, true) {
                continue;
            }
            let cut = Cut { a: pair[0], b: pair[1], ways };
            self.queue.plan(from, Event::Cut(cut));
            self.queue.plan(until, Event::Heal(cut));
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
            Event::Write { node, life, .. }
            | Event::Notice { node, life, .. }
            | Event::Tell { node, life, .. } => gone(node, life),
            Event::Wake { node, life } => {
                gone(node, life) || self.hosts.get(node).is_none_or(|host| host.wake_at != self.now)
            }
            Event::Crash { node } => self.hosts.get(node).is_none_or(|host| host.machine.is_none()),
            Event::Restart { node } => self.hosts.get(node).is_none_or(|host| host.machine.is_some()),
            Event::Cut(_) => !self.faulty,
            Event::Heal(_) | Event::Upgrade { .. } | Event::Calm => false,
        }
    }

    fn step(&mut self, event: Event) -> Result<(), Violation> {
        if self.is_void(&event) {
            return Ok(());
        }
        self.note(&event);
        match event {
            Event::Deliver { from, to, message, .. } => {
                let is_heard = |liar: &mut Liar| liar.me != to || liar.hears(from, &message);
                if !self.liar.as_mut().is_none_or(is_heard) {
                    let answers = self.liar.as_mut().map(|liar| liar.answers(from)).unwrap_or_default();
                    answers.iter().for_each(|(asker, answer)| self.post(to, *asker, answer));
                    return Ok(());
                }
                self.with(to, |machine, now, secrets| machine.receive(from, *message, now, &mut secrets.0))
            }
            Event::Tell { node, from, message, .. } => {
                self.with(node, |machine, now, secrets| machine.receive(from, *message, now, &mut secrets.0))
            }
            Event::Write { node, write, .. } => self.write(node, *write),
            Event::Wake { node, .. } => {
                self.with(node, |machine, now, secrets| machine.tick(now, &mut secrets.0))?;
                let host = self.hosts.get(&node);
                let timeout = |host: &Host| Some(host.machine.as_ref()?.next_timeout());
                if host.is_some_and(|host| timeout(host).is_some_and(|at| at <= self.now + host.ahead)) {
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
            Event::Cut(cut) => {
                self.cut(cut);
                Ok(())
            }
            Event::Heal(cut) => {
                self.heal(cut);
                Ok(())
            }
            Event::Notice { node, about, up, .. } => self.with(node, |machine, now, _| match up {
                true => machine.connected(about, now),
                false => machine.disconnected(about, now),
            }),
            Event::Calm => {
                self.calm();
                Ok(())
            }
        }
    }

    fn lies(&self, me: Identifier) -> bool {
        self.liar.as_ref().is_some_and(|liar| liar.me == me)
    }

    fn mutant(&self, me: Identifier) -> Option<Mutant> {
        self.scenario.mutant.filter(|_| self.report.liar != Some(me))
    }
}
