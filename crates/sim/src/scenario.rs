//! What a world is made of: sizes, faults, attackers, and a deliberate defect.

use std::collections::BTreeSet;

use countersign_session::Millis;
#[cfg(countersign_mutants)]
use countersign_types::mutant::Mutant as CoreMutant;

use crate::{Fault, network::Links, setting::fields};

/// A world's ingredients. Rates are the most that a seed draws: each world has its own, from none to these,
/// so that some faults are met alone and some together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// How many members the committee has.
    pub members: u16,
    /// How many sign.
    pub threshold: u16,
    /// How many requests are made while faults go on.
    pub requests: u64,
    /// How long faults go on, in milliseconds.
    pub faults_ms: Millis,
    /// What becomes of messages.
    pub links: Links,
    /// Crashes at each named point, in a thousand.
    pub crashes: u64,
    /// How many crashes fall on random moments.
    pub random_crashes: u64,
    /// How many times links of a pair of nodes are cut, in one direction or in both; or those of one node with all others.
    pub partitions: u64,
    /// How far a node's clock is from the true time at most, in milliseconds.
    pub skew_ms: Millis,
    /// Requests that end after a few seconds, in a thousand.
    pub short_lived: u64,
    /// Nodes that refuse, differ, or cannot run a request, in a thousand.
    pub obstacles: u64,
    /// Requests whose actions read numbers that the nodes agree on, in a thousand.
    pub numbers: u64,
    /// How many members lie, as signers and as coordinators: less than the threshold.
    pub liars: u16,
    /// Sessions in which a lying signer declines every package, in a thousand; in the others it lies in any way.
    pub declining: u64,
    /// Sessions of a lying coordinator that are floods, in a thousand; in the others it lies in any way.
    pub floods: u64,
    /// How many proposals a flood has.
    pub flood: u64,
    /// Requests whose runs leave as much as any may, in a thousand; not where requests are agreeable.
    pub largest: u64,
    /// Requests whose caller also asks for something that it may not, in a thousand.
    pub lying_callers: u64,
    /// Requests that name the node that is asked as the only one that may coordinate them, in a thousand.
    pub named: u64,
    /// How many members are down from the first to the last.
    pub down: u16,
    /// How much longer the messages of one member take, in milliseconds; no client asks that one.
    pub slow_ms: Millis,
    /// Whether nodes ask last, as the real ones do, whoever let a session of theirs wait; else in any order.
    pub remembers_slow: bool,
    /// Whether requests are such that all honest nodes can sign them together.
    pub agreeable: bool,
    /// Whether every request must be signed: where nothing but the network, the nodes' speed and the liars is bad.
    pub all_signed: bool,
    /// Faults that are drawn and do not happen.
    pub left_out: BTreeSet<Fault>,
    /// What is broken on purpose.
    pub mutant: Option<Mutant>,
    /// What is broken in the core on purpose.
    #[cfg(countersign_mutants)]
    pub core: Option<CoreMutant>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            members: 5,
            threshold: 3,
            requests: 5,
            faults_ms: 20_000,
            links: Links::default(),
            crashes: 15,
            random_crashes: 2,
            partitions: 3,
            skew_ms: 1_000,
            short_lived: 150,
            obstacles: 200,
            numbers: 500,
            liars: 2,
            declining: 0,
            floods: 0,
            flood: 20,
            largest: 100,
            lying_callers: 200,
            named: 300,
            down: 0,
            slow_ms: 0,
            remembers_slow: false,
            agreeable: false,
            all_signed: false,
            left_out: BTreeSet::new(),
            mutant: None,
            #[cfg(countersign_mutants)]
            core: None,
        }
    }
}

impl Scenario {
    /// No faults, no liars: what a healthy network does.
    pub fn calm() -> Self {
        Self { links: Links::calm(), ..Self::sluggish() }
    }

    /// A bad network and slow nodes, and nothing worse: every request must be signed.
    pub fn sluggish() -> Self {
        Self {
            crashes: 0,
            random_crashes: 0,
            partitions: 0,
            skew_ms: 0,
            short_lived: 0,
            obstacles: 0,
            liars: 0,
            lying_callers: 0,
            named: 0,
            agreeable: true,
            all_signed: true,
            ..Self::default()
        }
    }

    /// Many requests, so that coordinators learn which of them take one round.
    pub fn busy() -> Self {
        Self { requests: 40, ..Self::default() }
    }

    /// Messages between two members keep their order, as on one stream.
    pub fn in_order() -> Self {
        Self { links: Links { in_order: true, ..Links::default() }, ..Self::default() }
    }

    /// A committee of seven.
    pub fn larger() -> Self {
        Self { members: 7, threshold: 4, liars: 3, ..Self::default() }
    }

    /// Crashes every few seconds.
    pub fn crashing() -> Self {
        Self { crashes: 100, random_crashes: 4, ..Self::default() }
    }

    /// As many liars as leave a threshold of honest members, and callers that name the honest node that they ask: every request must
    /// be signed, whatever the liars do. But for numbers: a liar within everybody's tolerance can have one agreed on that some do not
    /// accept without it.
    pub fn besieged() -> Self {
        Self { liars: 2, named: 1_000, numbers: 0, ..Self::calm() }
    }

    /// The same in a committee of seven.
    pub fn besieged_larger() -> Self {
        Self { members: 7, threshold: 4, liars: 3, ..Self::besieged() }
    }

    /// The same in a committee of eight with threshold six, where liars often decline what is good: each set of signers but one has a
    /// liar.
    pub fn besieged_six_of_eight() -> Self {
        Self { members: 8, threshold: 6, declining: 500, ..Self::besieged() }
    }

    /// Clocks that are up to 29 of the 30 s apart that they may be: what is one second on its way still counts.
    pub fn skewed() -> Self {
        Self { skew_ms: 29_000, short_lived: 0, ..Self::default() }
    }

    /// Lying coordinators that take as much room on others as they are given.
    pub fn flooded() -> Self {
        Self {
            requests: 4,
            crashes: 0,
            random_crashes: 0,
            // else a liar has the last request signed over another moment first
            named: 1,
            floods: 800,
            flood: 320,
            largest: 500,
            ..Self::in_order()
        }
    }

    /// A healthy network under load, for figures to be held against.
    pub fn clean() -> Self {
        Self {
            requests: 400,
            faults_ms: 60_000,
            links: Links { exact: true, ..Links::calm() },
            remembers_slow: true,
            all_signed: false,
            ..Self::sluggish()
        }
    }

    /// The same with one member whose messages take half a second longer.
    pub fn one_slow() -> Self {
        Self { slow_ms: 500, ..Self::clean() }
    }

    /// Just a threshold of members is up, and 15 % of their messages are lost.
    pub fn barely() -> Self {
        let links = Links { loss: 150, exact: true, ..Links::calm() };
        Self { links, down: 2, ..Self::clean() }
    }

    /// With a defect.
    pub fn with(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    /// With a defect of the core.
    #[cfg(countersign_mutants)]
    pub fn broken(self, mutant: CoreMutant) -> Self {
        Self { core: Some(mutant), ..self }
    }
}

/// A node that is built wrong around the right state machines. The invariants must see each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// After a restart the generator of nonces begins anew with the same seed, as after a restored snapshot.
    RewoundRandomness,
    /// It signs what the coordinator would like to see signed instead of its own replay's outcome.
    SignsWhatItIsTold,
    /// It replays over all that it read, agreed or not.
    IgnoresWhatIsAgreed,
    /// It goes on with the live run's outcome where the replay fails.
    SignsTheLiveOutcome,
    /// It records the widest tolerance in place of the action's.
    IgnoresTolerance,
    /// Its replay makes up what it read, where the nodes agree on no such read.
    MakesReadsUp,
    /// It replays over the numbers that it read itself, where others are agreed.
    ReplaysItsOwnNumbers,
    /// As a coordinator, it believes a message's own word on who sent it.
    TrustsNamedSenders,
    /// As a coordinator, it never looks at the clock.
    NeverTicks,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::RewoundRandomness,
        Self::SignsWhatItIsTold,
        Self::IgnoresWhatIsAgreed,
        Self::SignsTheLiveOutcome,
        Self::IgnoresTolerance,
        Self::MakesReadsUp,
        Self::ReplaysItsOwnNumbers,
        Self::TrustsNamedSenders,
        Self::NeverTicks,
    ];
}

fields! { Scenario:
    "members" = members,
    "threshold" = threshold,
    "requests" = requests,
    "faults-ms" = faults_ms,
    "loss" = links.loss,
    "duplication" = links.duplication,
    "delay-ms" = links.delay_ms,
    "stragglers" = links.stragglers,
    "in-order" = links.in_order,
    "exact" = links.exact,
    "crashes" = crashes,
    "random-crashes" = random_crashes,
    "partitions" = partitions,
    "skew-ms" = skew_ms,
    "short-lived" = short_lived,
    "obstacles" = obstacles,
    "numbers" = numbers,
    "liars" = liars,
    "declining" = declining,
    "floods" = floods,
    "flood" = flood,
    "largest" = largest,
    "lying-callers" = lying_callers,
    "named" = named,
    "down" = down,
    "slow-ms" = slow_ms,
    "remembers-slow" = remembers_slow,
    "agreeable" = agreeable,
    "all-signed" = all_signed,
    "without" = left_out,
    "mutant" = mutant,
    #[cfg(countersign_mutants)] "core" = core,
}
