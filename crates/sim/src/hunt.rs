//! Defects of the core, and the seeds that catch them: only with `--cfg countersign_mutants`.
//!
//! A mutant is one build of the core with one guard gone. Each is hunted in scenarios where the guard matters, and must
//! break an invariant within [`MOST`] seeds; the right core passes the seeds around the one that caught it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use countersign_types::{Scheme, mutant::Mutant};

use crate::{Broken, Scenario, Setting, keygen};

/// How many seeds a mutant may survive.
pub const MOST: u64 = 500;
/// How many seeds before the one that caught a mutant the right core must pass too.
const AROUND: u64 = 2;

/// A mutant that was caught.
#[derive(Debug, Clone)]
pub struct Caught {
    /// What is broken.
    pub mutant: Mutant,
    /// The first seed that broke an invariant.
    pub seed: u64,
    /// How.
    pub broken: Box<Broken>,
}

/// A mutant that was not caught, or the right core that was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HuntError {
    /// No seed breaks an invariant: nothing shows that the guard is needed, or it is not.
    #[error("{} is not caught in {MOST} seeds", .mutant.marker())]
    Escaped {
        /// The mutant.
        mutant: Mutant,
    },
    /// The right core breaks an invariant too: what caught the mutant proves nothing.
    #[error("the right core fails where {} was caught: {broken}", .mutant.marker())]
    RightFails {
        /// The mutant.
        mutant: Mutant,
        /// How.
        broken: Box<Broken>,
    },
}

/// Plays a mutant until an invariant breaks.
pub fn hunt(mutant: Mutant) -> Result<Caught, HuntError> {
    let right = ground(mutant);
    let broken = with(right.clone(), mutant);
    let caught = (0..MOST).find_map(|seed| Some((seed, broken.run(seed).err()?)));
    let (seed, broken) = caught.ok_or(HuntError::Escaped { mutant })?;
    for seed in seed.saturating_sub(AROUND)..=seed {
        right.run(seed).map_err(|broken| HuntError::RightFails { mutant, broken })?;
    }
    Ok(Caught { mutant, seed, broken })
}

/// Hunts all mutants on so many threads, and tells of each as soon as it is known.
pub fn hunt_all(
    threads: usize,
    tell: impl Fn(&Result<Caught, HuntError>) + Sync,
) -> BTreeMap<Mutant, Result<Caught, HuntError>> {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let went = hunt(*mutant);
                    tell(&went);
                    all.lock().unwrap_or_else(PoisonError::into_inner).insert(*mutant, went);
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn with(setting: Setting, mutant: Mutant) -> Setting {
    match setting {
        Setting::Signing(scenario) => Setting::Signing(Box::new(scenario.broken(mutant))),
        Setting::KeyGen(scenario) => Setting::KeyGen(Box::new(scenario.broken(mutant))),
    }
}

/// Where a mutant is hunted.
pub fn ground(mutant: Mutant) -> Setting {
    let signing = |scenario| Setting::Signing(Box::new(scenario));
    match mutant {
        Mutant::UsesNoncesTwice
        | Mutant::RepeatsCommitments
        | Mutant::SkipsOwnRecord
        | Mutant::SkipsOwnCommitments
        | Mutant::SkipsTolerance
        | Mutant::SkipsRecordSignatures
        | Mutant::AcceptsStrangers
        | Mutant::AcceptsSmallBase
        | Mutant::ChangesAgreedRecord
        | Mutant::TakesNoncesAgain
        | Mutant::SkipsIssueTime
        | Mutant::IgnoresCoordinators
        | Mutant::SignsTwoOutcomes
        | Mutant::ReopensSessions
        | Mutant::OneRefusalIsFinal
        | Mutant::BlamesTheNext
        | Mutant::BlamesNobody
        | Mutant::BelievesVotes
        | Mutant::AcceptsUnmadeReads => signing(Scenario::default()),
        Mutant::NoncesSurviveCrash | Mutant::KeepsAdvance => {
            signing(Scenario { requests: 20, ..Scenario::crashing() })
        }
        Mutant::TakesAdvanceTwice | Mutant::AcceptsSeenCommitments | Mutant::ForgetsItsPackages => {
            signing(Scenario::busy())
        }
        Mutant::SkipsExpiry => signing(Scenario { short_lived: 900, ..Scenario::default() }),
        Mutant::SkipsBoot => signing(Scenario::crashing()),
        Mutant::SkipsEcho | Mutant::AcceptsAnyLength => {
            let lie = if mutant == Mutant::SkipsEcho {
                keygen::Lie::Equivocates
            } else {
                keygen::Lie::RaisesThreshold
            };
            keygen_of(keygen::Scenario::exposed().lying(&[lie]))
        }
        Mutant::ConfirmsBeforeStoring | Mutant::ActivatesBeforeStoring => {
            keygen_of(keygen::Scenario { crashes: 300, ..keygen::Scenario::default() })
        }
        Mutant::ActivatesWithoutAll => keygen_of(keygen::Scenario::harsh()),
        Mutant::KeepsEarlierAttempts => {
            let scenario = keygen::Scenario::default().lying(&[keygen::Lie::ShowsTwo]);
            keygen_of(keygen::Scenario { crashes: 150, faults_ms: 120_000, ..scenario })
        }
        Mutant::JoinsWhileConfirmed | Mutant::FollowsTheRefuser => {
            keygen_of(keygen::Scenario::calm().lying(&[keygen::Lie::TurnsOneBack]))
        }
    }
}

/// What these members get wrong has nothing to do with how many roots they make, and one is made faster.
fn keygen_of(scenario: keygen::Scenario) -> Setting {
    Setting::KeyGen(Box::new(keygen::Scenario { schemes: vec![Scheme::Ed25519], ..scenario }))
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", self.mutant);
        write!(
            f,
            "{name:<24} | {:>10} | {}: {}",
            self.seed,
            self.broken.violation.name(),
            self.broken.violation
        )
    }
}

/// The heading of a table of [`Caught`].
pub fn heading() -> String {
    format!("{:<24} | {:>10} | violation", "mutant", "first seed")
}
