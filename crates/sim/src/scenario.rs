//! What a world is made of: sizes, faults, attackers, and a deliberate defect.

use countersign_session::Millis;

use crate::network::Links;

/// A world's ingredients. Rates are the most that a seed draws: each world has its own, from none to these,
/// so that some faults are met alone and some together.
#[derive(Debug, Clone)]
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
    /// How many times a pair of nodes is cut off from each other.
    pub partitions: u64,
    /// How far a node's clock is from the true time at most, in milliseconds.
    pub skew_ms: Millis,
    /// Requests that end after a few seconds, in a thousand.
    pub short_lived: u64,
    /// Nodes that refuse, differ, or cannot run a request, in a thousand.
    pub obstacles: u64,
    /// How many members lie, as signers and as coordinators: less than the threshold.
    pub liars: u16,
    /// Whether every request must be signed: where nothing but the network and the nodes' speed is bad.
    pub all_signed: bool,
    /// What is broken on purpose.
    pub mutant: Option<Mutant>,
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
            liars: 2,
            all_signed: false,
            mutant: None,
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
            all_signed: true,
            ..Self::default()
        }
    }

    /// With a defect.
    pub fn with(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }
}

/// A node that is built wrong around the right state machines. The invariants must see each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// After a restart the generator of nonces begins anew with the same seed, as after a restored snapshot.
    RewoundRandomness,
    /// It signs what the coordinator would like to see signed instead of its own replay's outcome.
    SignsWhatItIsTold,
    /// It keeps its first boot time, so that requests of before a restart are judged again.
    ForgetsItsRestart,
    /// It replays over all that it read, agreed or not.
    IgnoresWhatIsAgreed,
    /// It goes on with the live run's outcome where the replay fails.
    SignsTheLiveOutcome,
    /// It records the widest tolerance in place of the action's.
    IgnoresTolerance,
    /// It takes whatever record a package holds for signed.
    SkipsRecordSignatures,
    /// Its replay makes up what it read, where the nodes agree on no such read.
    MakesReadsUp,
    /// It replays over the numbers that it read itself, where others are agreed.
    ReplaysItsOwnNumbers,
    /// Its clock stands still when it signs.
    StoppedClock,
    /// As a coordinator, it takes the first refusal for the answer.
    OneRefusalIsFinal,
    /// As a coordinator, it believes a message's own word on who sent it.
    TrustsNamedSenders,
    /// As a coordinator, it never looks at the clock.
    NeverTicks,
}
