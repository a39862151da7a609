//! Deliberate defects of the core, for the simulator: an invariant that none of them breaks proves nothing.
//!
//! They exist only where the compiler is told `--cfg countersign_mutants`. Everywhere else [`broken`] is the constant
//! `false`, and what it guards is no part of the program; their marks are not even text in it.

/// One defect. Each is one idea that a guard of the core is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// Nonces are still there after a share was made with them, and the second line is not there either.
    UsesNoncesTwice,
    /// A further attempt commits to the nonces of the first.
    RepeatsCommitments,
    /// Nonces that were handed out in advance are there again after a restart.
    NoncesSurviveCrash,
    /// Nonces that were handed out in advance are there again after they were taken.
    TakesAdvanceTwice,
    /// Nonces that were handed out in advance outlive the connection of whoever has their commitments.
    KeepsAdvance,
    /// A package may hold another record of this node than the one that it made.
    SkipsOwnRecord,
    /// A package may hold other commitments of this node than those that it made.
    SkipsOwnCommitments,
    /// A package may hold commitments that stood in another one.
    AcceptsSeenCommitments,
    /// Agreed values may lie anywhere.
    SkipsTolerance,
    /// Agreed reads need not stand in every record.
    AcceptsUnmadeReads,
    /// Other members' records need no signature.
    SkipsRecordSignatures,
    /// A package may hold somebody who is no member.
    AcceptsStrangers,
    /// A package may rest on fewer records than a threshold.
    AcceptsSmallBase,
    /// A further attempt may be over another agreed record.
    ChangesAgreedRecord,
    /// Requests do not end.
    SkipsExpiry,
    /// Requests of before the start are taken.
    SkipsBoot,
    /// A nonce serves for any number of requests.
    TakesNoncesAgain,
    /// Requests may be of the future.
    SkipsIssueTime,
    /// Any member may coordinate any request.
    IgnoresCoordinators,
    /// Shares are given for any outcome of a request.
    SignsTwoOutcomes,
    /// A session may be opened again.
    ReopensSessions,
    /// As a coordinator, it takes the first refusal for the answer.
    OneRefusalIsFinal,
    /// As a coordinator, it blames the next member for what one did.
    BlamesTheNext,
    /// As a coordinator, it takes whoever provably lied for one that is slow.
    BlamesNobody,
    /// As a coordinator, it takes votes as they come.
    BelievesVotes,
    /// As a coordinator, it does not know which commitments stood in its earlier packages.
    ForgetsItsPackages,
    /// In key generation, it takes its own view of the broadcasts for everybody's.
    SkipsEcho,
    /// In key generation, polynomials may be of any degree.
    AcceptsAnyLength,
    /// In key generation, it confirms shares that are not stored yet.
    ConfirmsBeforeStoring,
    /// In key generation, it activates without the confirmation of one member.
    ActivatesWithoutAll,
    /// In key generation, it signs an activation that is not stored yet.
    ActivatesBeforeStoring,
    /// In key generation, it may still activate what it confirmed before the latest attempt.
    KeepsEarlierAttempts,
    /// In key generation, it takes part in a further attempt although nobody refused the one that it confirmed.
    JoinsWhileConfirmed,
    /// In key generation, it turns back to a refused attempt when the refuser itself activates it.
    FollowsTheRefuser,
}

#[cfg(not(countersign_mutants))]
/// Whether the core is broken in this way: never.
#[inline(always)]
#[must_use]
pub const fn broken(_: Mutant) -> bool {
    false
}

#[cfg(countersign_mutants)]
pub use chosen::{broken, choose};

#[cfg(countersign_mutants)]
mod chosen {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Whether the core is broken in this way, on this thread.
    #[must_use]
    pub fn broken(mutant: Mutant) -> bool {
        // so that a program that has been built with defects can be told from one that has not
        std::hint::black_box(mutant.marker());
        CHOSEN.get() == Some(mutant)
    }

    /// Breaks the core on this thread, or mends it, until the next call.
    pub fn choose(mutant: Option<Mutant>) {
        CHOSEN.set(mutant);
    }
}

macro_rules! listed {
    ($($mutant:ident)+) => {
        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mutant),+];

            /// What only a program with mutants contains.
            #[cfg(countersign_mutants)]
            pub fn marker(self) -> &'static str {
                match self {
                    $(Self::$mutant => concat!("countersign-mutant:", stringify!($mutant)),)+
                }
            }
        }
    };
}

listed! {
    UsesNoncesTwice RepeatsCommitments NoncesSurviveCrash TakesAdvanceTwice KeepsAdvance SkipsOwnRecord
    SkipsOwnCommitments AcceptsSeenCommitments SkipsTolerance AcceptsUnmadeReads SkipsRecordSignatures
    AcceptsStrangers AcceptsSmallBase ChangesAgreedRecord SkipsExpiry SkipsBoot TakesNoncesAgain
    SkipsIssueTime IgnoresCoordinators
    SignsTwoOutcomes ReopensSessions
    OneRefusalIsFinal BlamesTheNext BlamesNobody BelievesVotes ForgetsItsPackages SkipsEcho AcceptsAnyLength ConfirmsBeforeStoring
    ActivatesWithoutAll ActivatesBeforeStoring KeepsEarlierAttempts JoinsWhileConfirmed FollowsTheRefuser
}
