//! What an operator may set.

use serde::{Deserialize, Serialize};

/// The most runs that a node may hold slots for.
pub const MAX_SLOTS: u32 = 256;

/// How much the host runs and keeps at once. None of it changes what a run ends with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Live runs at once, 1 to [`MAX_SLOTS`]: they wait for chains, and so hold their slots for long.
    pub concurrent_runs: u32,
    /// Live runs of one action at once, at least 1: an action whose reads are slow leaves the other slots to others.
    pub concurrent_runs_per_action: u32,
    /// Replays at once, 1 to [`MAX_SLOTS`]. Apart from live runs, so that slow reads hold up no signature.
    pub concurrent_replays: u32,
    /// Runs that may wait for a slot, of each sort; one more is told that the host is busy.
    pub queued_runs: u32,
    /// How long a run may wait for a slot, in milliseconds.
    pub queue_ms: u64,
    /// Actions kept ready in memory, at least 1.
    pub cached_actions: u32,
    /// Compilations at once, at least 1.
    pub concurrent_compilations: u32,
    /// Compilations that may wait for their turn; one more is told that the host is busy.
    pub queued_compilations: u32,
    /// Bytes of compiled artefacts kept on disk; the oldest are deleted.
    pub artefact_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrent_runs: 32,
            concurrent_runs_per_action: 12,
            concurrent_replays: 8,
            queued_runs: 256,
            queue_ms: 1_000,
            cached_actions: 64,
            concurrent_compilations: 1,
            queued_compilations: 16,
            artefact_bytes: 2 << 30,
        }
    }
}

impl Config {
    /// Runs of both sorts at once: what the pool must hold. Out-of-range settings are brought into range.
    pub(crate) fn slots(&self) -> u32 {
        self.runs() + self.replays()
    }

    pub(crate) fn runs(&self) -> u32 {
        self.concurrent_runs.clamp(1, MAX_SLOTS)
    }

    pub(crate) fn runs_per_action(&self) -> u32 {
        self.concurrent_runs_per_action.clamp(1, self.runs())
    }

    pub(crate) fn replays(&self) -> u32 {
        self.concurrent_replays.clamp(1, MAX_SLOTS)
    }
}
