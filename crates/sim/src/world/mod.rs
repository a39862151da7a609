//! The world: virtual time, nodes, clients and faults, from one seed.

mod clients;
mod events;
mod faults;
mod runs;
mod step;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use countersign_session::Millis;
use countersign_types::{FailureKind, Identifier, RequestDigest, Scheme, SessionId};

use crate::{
    Broken, Class, Scenario, Setting, Trace, Violation,
    chance::Chance,
    faults::Faults,
    liar::{Conspiracy, Habits},
    network::Network,
    node::Node,
    queue::Queue,
    roots::Roots,
    script::Script,
    watch::Watch,
};
use clients::Client;
use events::Event;

/// When every world begins, in milliseconds since 1970.
const BEGIN: Millis = 1_700_000_000_000;
/// From the end of faults to the request that must be signed.
const SETTLE_MS: Millis = 5_000;

/// Streams of a seed's randomness.
const WORLD: u64 = 1;
const NETWORK: u64 = 2;
const LIARS: u64 = 3;
const CLIENTS: u64 = 4;
const NONCES: u64 = 1_000;
const ORDERS: u64 = 2_000;

/// A simulated network of nodes.
pub struct World {
    scenario: Scenario,
    seed: u64,
    now: Millis,
    faults_end: Millis,
    faulty: bool,
    crash_rate: u64,
    /// Those that are down from the first to the last.
    down: BTreeSet<Identifier>,
    slow: Option<Identifier>,
    faults: Faults,
    queue: Queue<Event>,
    roots: Arc<Roots>,
    network: Network,
    hosts: BTreeMap<Identifier, Host>,
    /// When a node last learned of a connection.
    noticed: BTreeMap<(Identifier, Identifier), Millis>,
    conspiracy: Conspiracy,
    script: Script,
    /// Who was sent a package with the proposal, in which session.
    eager: BTreeSet<(Identifier, SessionId)>,
    clients: Vec<Client>,
    watch: Watch,
    chance: Chance,
    trace: Trace,
    counts: Counts,
}

/// Where a node runs, across its restarts.
struct Host {
    /// How many times it was started: what belongs to an earlier life is void.
    life: u64,
    node: Option<Node>,
    /// What its clock adds to the true time; its time never runs backwards.
    ahead: Millis,
    first_boot: Millis,
    wake_at: Millis,
    /// Sessions that it coordinates, with what they are for, and since when.
    sessions: BTreeMap<SessionId, (RequestDigest, Millis)>,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    signed: u64,
    failed: BTreeMap<FailureKind, u64>,
    rejected: BTreeMap<FailureKind, u64>,
    crashes: u64,
    further_attempts: u64,
    at_once: u64,
    blamed: u64,
    sessions: Vec<Session>,
}

/// A session of the time of faults, as its coordinator tells its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// How long it took, in milliseconds of the world's time.
    pub took_ms: Millis,
    /// Why there is no signature, if there is none.
    pub failed: Option<FailureKind>,
}

/// What a run without a violation gives.
#[derive(Debug, Clone)]
pub struct Report {
    /// What happened.
    pub trace: Trace,
    /// How many sessions gave a signature.
    pub signed: u64,
    /// How many sessions failed, by kind.
    pub failed: BTreeMap<FailureKind, u64>,
    /// How many requests were turned away at once, by kind.
    pub rejected: BTreeMap<FailureKind, u64>,
    /// How many times a node crashed.
    pub crashes: u64,
    /// How many attempts beyond the first the signatures took.
    pub further_attempts: u64,
    /// How many times a member signed at once, in the one round of its session.
    pub at_once: u64,
    /// How many times a liar was named.
    pub blamed: u64,
    /// How many liars an honest coordinator had proof against, and named, by what they did.
    pub named: BTreeMap<&'static str, u64>,
    /// All sessions that ended, but for the last request's.
    pub sessions: Vec<Session>,
}

impl World {
    /// A world from a seed.
    ///
    /// # Panics
    ///
    /// If the scenario has as many liars as the threshold, or sizes that make no committee.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        #[cfg(countersign_mutants)]
        countersign_session::mutant::choose(scenario.core);
        assert!(scenario.liars < scenario.threshold, "fewer liars than the threshold");
        // every scheme in turn
        let scheme = Scheme::ALL[(seed % Scheme::ALL.len() as u64) as usize];
        let roots = Roots::of(scheme, scenario.members, scenario.threshold);
        let mut chance = Chance::of(seed, WORLD);
        let mut members = roots.members();
        chance.shuffle(&mut members);
        let left_out = Arc::new(scenario.left_out.clone());
        let mut faults = Faults::without(&left_out);
        let lying = chance.between(0, scenario.liars.into());
        let mut liars: BTreeSet<Identifier> =
            members.iter().copied().take(usize::try_from(lying).unwrap_or(0)).collect();
        liars.retain(|_| faults.happens(Class::Liar, true));
        let down = members.iter().rev().copied().take(scenario.down.into()).collect();
        let mut network =
            Network::new(&scenario.links, Faults::without(&left_out), Chance::of(seed, NETWORK));
        let slow = members.first().copied().filter(|_| scenario.slow_ms > 0);
        if let Some(slow) = slow {
            network.slow_down(slow, scenario.slow_ms);
        }
        let conspiracy = Conspiracy::new(
            liars.clone(),
            Arc::clone(&roots),
            Habits::of(&scenario),
            Faults::without(&left_out),
            Chance::of(seed, LIARS),
        );
        let faults_end = BEGIN + scenario.faults_ms;
        let mut world = Self {
            seed,
            now: BEGIN,
            faults_end,
            faulty: true,
            crash_rate: chance.between(0, scenario.crashes),
            queue: Queue::default(),
            network,
            down,
            slow,
            faults,
            hosts: BTreeMap::new(),
            noticed: BTreeMap::new(),
            conspiracy,
            script: Script::default(),
            eager: BTreeSet::new(),
            clients: Vec::new(),
            watch: Watch::new(Arc::clone(&roots), liars.clone()),
            trace: Trace::default(),
            counts: Counts::default(),
            chance,
            roots,
            scenario,
        };
        let made = format!(
            "{scheme}, {} of {} sign, liars {}, down {}; {}",
            world.scenario.threshold,
            world.scenario.members,
            names(&liars),
            names(&world.down),
            world.network
        );
        world.note(made);
        world.found();
        world
    }

    /// Lets everything happen, until faults have ended and a last request is answered.
    pub fn run(mut self) -> Result<Report, Box<Broken>> {
        #[cfg(countersign_mutants)]
        countersign_session::mutant::choose(self.scenario.core);
        let end = self.faults_end + SETTLE_MS + 4 * crate::node::DEADLINE_MS;
        while let Some((at, event)) = self.queue.next(end) {
            self.now = at;
            if let Err(violation) = self.step(event) {
                return Err(self.broken(violation));
            }
            if self.is_over() {
                break;
            }
        }
        if let Err(violation) = self.check_probe() {
            return Err(self.broken(violation));
        }
        Ok(self.report())
    }

    fn report(self) -> Report {
        Report {
            trace: self.trace,
            signed: self.counts.signed,
            failed: self.counts.failed,
            rejected: self.counts.rejected,
            crashes: self.counts.crashes,
            further_attempts: self.counts.further_attempts,
            at_once: self.counts.at_once,
            blamed: self.counts.blamed,
            named: self.watch.blame.named,
            sessions: self.counts.sessions,
        }
    }

    /// Lowers a bound of what nodes may hold.
    #[cfg(test)]
    pub(crate) fn lower(&mut self, what: &str, most: usize) {
        self.watch.bounds.lower(what, most);
    }

    fn broken(&mut self, violation: Violation) -> Box<Broken> {
        let parts = [&self.faults, &self.network.faults, &self.conspiracy.faults];
        Box::new(Broken {
            seed: self.seed,
            violation,
            trace: std::mem::take(&mut self.trace),
            setting: Setting::Signing(Box::new(self.scenario.clone())),
            drawn: parts.into_iter().flat_map(Faults::drawn).collect(),
        })
    }

    fn note(&mut self, what: impl fmt::Display) {
        self.trace.note(self.now - BEGIN, what);
    }

    fn is_liar(&self, node: Identifier) -> bool {
        self.conspiracy.members.contains(&node)
    }

    /// A node's own time.
    fn local(&self, node: Identifier) -> Millis {
        self.now + self.hosts.get(&node).map_or(0, |host| host.ahead)
    }
}

fn names(members: &BTreeSet<Identifier>) -> String {
    let names: Vec<String> = members.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none".into() } else { names.join(" ") }
}
