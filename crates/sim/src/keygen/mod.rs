//! Key generation in a world of its own: members with disks, links that fail, and one that may lie.

mod alike;
mod disk;
mod events;
mod liar;
mod watch;
mod withheld;
mod world;

use std::collections::BTreeSet;

use countersign_session::Millis;
#[cfg(countersign_mutants)]
use countersign_types::mutant::Mutant as CoreMutant;
use countersign_types::{Identifier, Scheme};

pub use world::World;

use crate::{Fault, Trace, network::Links, setting::fields};

/// What a world of key generation is made of. Rates are the most that a seed draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// How many members the committee has.
    pub members: u16,
    /// How many sign.
    pub threshold: u16,
    /// What there shall be roots for.
    pub schemes: Vec<Scheme>,
    /// How long faults go on, in milliseconds.
    pub faults_ms: Millis,
    /// What becomes of messages.
    pub links: Links,
    /// Crashes before and after every write to a disk, in a thousand.
    pub crashes: u64,
    /// How many crashes fall on random moments.
    pub random_crashes: u64,
    /// How many times links of a pair of members are cut, in one direction or in both.
    pub partitions: u64,
    /// How one member lies until the faults end; none: all are honest.
    pub lies: Vec<Lie>,
    /// How far members' clocks are apart at most, in milliseconds.
    pub skew_ms: Millis,
    /// Whether the liar goes on when all other faults end. Then the others need not end with keys, but all have got
    /// equally far, and say who keeps them from it.
    pub unrepentant: bool,
    /// Whether the members begin with a version that lacks a scheme, and are upgraded one after the other.
    pub upgrades: bool,
    /// Whether a lie must be named: by all members where all see it, else by one. Where nothing else goes wrong.
    pub named: bool,
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
            members: 4,
            threshold: 3,
            schemes: Scheme::ALL.to_vec(),
            faults_ms: 40_000,
            links: Links { loss: 50, ..Links::default() },
            crashes: 100,
            random_crashes: 2,
            partitions: 2,
            lies: Vec::new(),
            skew_ms: 20_000,
            unrepentant: false,
            upgrades: false,
            named: false,
            left_out: BTreeSet::new(),
            mutant: None,
            #[cfg(countersign_mutants)]
            core: None,
        }
    }
}

impl Scenario {
    /// No faults, and a liar if it is told to lie.
    pub fn calm() -> Self {
        Self {
            links: Links::calm(),
            crashes: 0,
            random_crashes: 0,
            partitions: 0,
            skew_ms: 0,
            ..Self::default()
        }
    }

    /// Messages between two members keep their order, and members crash often.
    pub fn in_order() -> Self {
        let links = Links { in_order: true, ..Self::default().links };
        Self { links, crashes: 300, ..Self::default() }
    }

    /// Three members, and links so bad that an activation may reach nobody.
    pub fn harsh() -> Self {
        let links = Links { loss: 600, ..Links::default() };
        Self { members: 3, threshold: 2, links, crashes: 600, ..Self::default() }
    }

    /// Members are upgraded one after the other.
    pub fn upgrading() -> Self {
        Self { upgrades: true, ..Self::default() }
    }

    /// A member that lies, and nothing else that goes wrong: all members hear the same in the same moment.
    pub fn exposed() -> Self {
        let links = Links { delay_ms: 1, ..Links::calm() };
        Self { faults_ms: 10_000, links, named: true, ..Self::calm() }.lying(&Lie::SEEN_AT_ONCE)
    }

    /// With one member that lies in one of these ways, as the seed draws.
    pub fn lying(self, lies: &[Lie]) -> Self {
        Self { lies: lies.to_vec(), ..self }
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

/// A way in which one member lies in key generation: about one of the schemes, if it is about shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// It deals one member a share that does not match its broadcast.
    BadPrivate,
    /// It shows different, well-formed broadcasts to different members.
    Equivocates,
    /// Its proof of possession is none.
    BadProof,
    /// It broadcasts more coefficients than there should be.
    RaisesThreshold,
    /// It broadcasts nothing for the last of the schemes.
    LeavesOut,
    /// It deals one member nothing for the last of the schemes.
    DealsTooFew,
    /// It echoes packages that nobody sent.
    FalseEcho,
    /// It accuses an honest dealer with that dealer's good package.
    FalseComplaint,
    /// It accuses an honest dealer with a package that the dealer did not sign.
    ForgedComplaint,
    /// It accuses an honest dealer with what that dealer signed, and shows another package than that.
    UnshownComplaint,
    /// It confirms another root.
    FalseConfirmation,
    /// It tells only some that it activates.
    ActivatesForSome,
    /// It keeps its confirmation back, and shows those of all to one member only.
    Withholds,
    /// It shows the confirmations of all to one member, and tells the others, and its own machine, that it never
    /// confirms.
    RefusesForSome,
    /// It says to everybody that it never confirms, and when all have confirmed a later attempt, too, it shows to one
    /// member that all confirmed the first, to another that all confirmed the second.
    RefusesForAll,
    /// It says in the name of another that that one never confirms.
    ForgesRefusal,
    /// It broadcasts fewer coefficients than there should be.
    LowersThreshold,
    /// One of its coefficients is the identity.
    IdentityPoint,
    /// One of its packages is as long as frames may be.
    Oversize,
    /// It echoes more packages than there are members.
    EchoesTooMany,
    /// It broadcasts in an attempt what it signed in an earlier one.
    Relabels,
    /// It says everything again later, in other attempts too.
    Replays,
    /// It starts old attempts again, if starting is its part.
    StaleStarts,
    /// When all have confirmed an attempt, it says to everybody that it never does. When all have confirmed a later one,
    /// it shows that to one member, and at the same moment to the others that all confirmed the first.
    ShowsTwo,
    /// It keeps its confirmation of an attempt back, and at last says to everybody that it never confirms. Of each later
    /// one it keeps one member's shares back, and when others have theirs, it shows that one member that all
    /// confirmed the first.
    TurnsOneBack,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::BadPrivate,
        Self::Equivocates,
        Self::BadProof,
        Self::RaisesThreshold,
        Self::LeavesOut,
        Self::DealsTooFew,
        Self::FalseEcho,
        Self::FalseComplaint,
        Self::ForgedComplaint,
        Self::UnshownComplaint,
        Self::FalseConfirmation,
        Self::ActivatesForSome,
        Self::Withholds,
        Self::RefusesForSome,
        Self::RefusesForAll,
        Self::ForgesRefusal,
        Self::LowersThreshold,
        Self::IdentityPoint,
        Self::Oversize,
        Self::EchoesTooMany,
        Self::Relabels,
        Self::Replays,
        Self::StaleStarts,
        Self::ShowsTwo,
        Self::TurnsOneBack,
    ];

    /// Those that nobody can be done before they are seen.
    pub const SEEN_AT_ONCE: [Self; 6] = [
        Self::BadPrivate,
        Self::Equivocates,
        Self::BadProof,
        Self::RaisesThreshold,
        Self::LeavesOut,
        Self::FalseEcho,
    ];

    /// Those that every honest member sees for itself, or is shown by a complaint, and so names: what is wrong goes to all, or the echo
    /// shows it to all, or the attempt ends with a complaint that all judge.
    ///
    /// Of the others, [`Self::DealsTooFew`] shows to one member only, which has nothing to show for it. False complaints are judged by
    /// those that are still in the attempt: whoever has stored its shares by then needs nobody's word for them. And where a member
    /// keeps something back, or says it to some only, it proves nothing against itself.
    pub const SEEN_BY_ALL: [Self; 11] = [
        Self::BadPrivate,
        Self::Equivocates,
        Self::BadProof,
        Self::RaisesThreshold,
        Self::LeavesOut,
        Self::FalseEcho,
        Self::FalseConfirmation,
        Self::LowersThreshold,
        Self::IdentityPoint,
        Self::Oversize,
        Self::EchoesTooMany,
    ];

    /// Those that honest members can prove to each other.
    pub const PROVABLE: [Self; 14] = [
        Self::BadPrivate,
        Self::Equivocates,
        Self::BadProof,
        Self::RaisesThreshold,
        Self::LeavesOut,
        Self::FalseEcho,
        Self::FalseComplaint,
        Self::ForgedComplaint,
        Self::UnshownComplaint,
        Self::FalseConfirmation,
        Self::LowersThreshold,
        Self::IdentityPoint,
        Self::Oversize,
        Self::EchoesTooMany,
    ];

    /// Whether it keeps its confirmations back, and others' from its own machine.
    pub(crate) fn withholds(self) -> bool {
        matches!(
            self,
            Self::Withholds
                | Self::RefusesForSome
                | Self::RefusesForAll
                | Self::ShowsTwo
                | Self::TurnsOneBack
        )
    }
}

/// A member whose driver is built wrong around the right machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// It says that the activation is stored before it is.
    ActivatesBeforeStoring,
    /// It says that its part in an attempt is stored before it is.
    JoinsBeforeStoring,
    /// It says that the pending share is stored before it is.
    ConfirmsBeforeStoring,
    /// Its disk loses that it activated.
    ForgetsActivation,
    /// It does not look at what it stored of its activation.
    IgnoresActivation,
    /// It starts without its pending shares.
    LosesPendingShares,
}

impl Mutant {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ActivatesBeforeStoring,
        Self::JoinsBeforeStoring,
        Self::ConfirmsBeforeStoring,
        Self::ForgetsActivation,
        Self::IgnoresActivation,
        Self::LosesPendingShares,
    ];
}

/// What a run without a violation gives.
#[derive(Debug, Clone)]
pub struct Report {
    /// What happened.
    pub trace: Trace,
    /// How many attempts were given up, counted at every member.
    pub given_up: u64,
    /// How many times a member crashed.
    pub crashes: u64,
    /// Who lied.
    pub liar: Option<Identifier>,
    /// Who named a culprit.
    pub accusers: BTreeSet<Identifier>,
    /// When all had the keys, in milliseconds since the start.
    pub complete_ms: Millis,
    /// In how many ceremonies the keys were made.
    pub ceremonies: usize,
}

fields! { Scenario:
    "members" = members,
    "threshold" = threshold,
    "schemes" = schemes,
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
    "lies" = lies,
    "upgrades" = upgrades,
    "named" = named,
    "without" = left_out,
    "mutant" = mutant,
    #[cfg(countersign_mutants)] "core" = core,
}
