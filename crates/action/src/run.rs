//! One run: its state, where its reads come from, and what it ends with.

use std::sync::Arc;

use countersign_types::{Context, Limits, Manifest, Pin, Record, Verdict, record::MAX_READS};

use crate::{
    abort::Abort,
    limiter::Limiter,
    logs::{LogLine, Logs},
    read::{Reader, RecordedRead},
};

/// What a live run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRun {
    /// The provisional verdict: only the replay decides.
    pub end: Result<Verdict, Abort>,
    /// What was read, in order, up to the end.
    pub reads: Vec<RecordedRead>,
    /// What the action logged.
    pub logs: Vec<LogLine>,
    /// The fuel that was used.
    pub fuel: u64,
}

impl LiveRun {
    /// The record as it travels. Within its bounds: a run ends before it reads more.
    pub fn record(&self) -> Record {
        Record { entries: self.reads.iter().map(|read| read.entry.clone()).collect() }
    }
}

/// What a replay came to: with equal inputs the same on every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The verdict.
    pub end: Result<Verdict, Abort>,
    /// How many of the agreed reads it took: each must stand in every signer's record.
    pub consumed: usize,
    /// What the action logged.
    pub logs: Vec<LogLine>,
    /// The fuel that was used.
    pub fuel: u64,
}

/// Where a run's values come from.
pub(crate) enum Source {
    /// From the world, recorded.
    Live {
        /// Who reads.
        reader: Arc<dyn Reader>,
        /// What was read.
        recorded: Vec<RecordedRead>,
    },
    /// From the agreed record.
    Replay {
        /// The agreed reads.
        agreed: Vec<RecordedRead>,
        /// The next one.
        next: usize,
    },
}

impl Source {
    pub(crate) fn live(reader: Arc<dyn Reader>) -> Self {
        Self::Live { reader, recorded: Vec::new() }
    }

    pub(crate) fn replay(agreed: &[RecordedRead]) -> Self {
        Self::Replay { agreed: agreed.to_vec(), next: 0 }
    }
}

/// What the store of one run holds.
pub(crate) struct RunState {
    /// The manifest's limits, none above the largest.
    pub(crate) limits: Limits,
    pub(crate) chains: Vec<u64>,
    pub(crate) context: Arc<Context>,
    pub(crate) source: Source,
    pub(crate) logs: Logs,
    pub(crate) limiter: Limiter,
    pub(crate) chain_reads_left: usize,
    /// The fuel that was left when the host last let other tasks run.
    pub(crate) fuel_at_yield: u64,
    halted: Option<Abort>,
}

impl RunState {
    pub(crate) fn new(manifest: &Manifest, context: &Context, source: Source) -> Self {
        let limits = clamp(&manifest.limits);
        let chain_reads = usize::try_from(limits.chain_reads).unwrap_or(usize::MAX);
        Self {
            limits,
            chains: manifest.chains.clone(),
            context: Arc::new(context.clone()),
            source,
            logs: Logs::new(limits.log_bytes),
            limiter: Limiter::new(limits.memory_bytes),
            chain_reads_left: chain_reads.min(MAX_READS),
            fuel_at_yield: limits.fuel,
            halted: None,
        }
    }

    /// Ends the run: the error that a host function returns for it. The first reason stands.
    pub(crate) fn halt(&mut self, abort: Abort) -> wasmtime::Error {
        self.halted.get_or_insert(abort);
        wasmtime::Error::msg("the host ended the run")
    }

    /// Why the host ended the run, if it did.
    pub(crate) fn take_halt(&mut self) -> Option<Abort> {
        self.halted.take().or_else(|| self.limiter.refused.take())
    }

    /// The session's block of a chain.
    pub(crate) fn pin(&self, chain_id: u64) -> Option<Pin> {
        self.context.pins.iter().find(|pin| pin.chain_id == chain_id).copied()
    }
}

/// A manifest is validated before its action is stored; whatever comes here, no limit is above the largest.
fn clamp(limits: &Limits) -> Limits {
    let max = Limits::MAX;
    Limits {
        wall_ms: limits.wall_ms.min(max.wall_ms),
        fuel: limits.fuel.min(max.fuel),
        memory_bytes: limits.memory_bytes.min(max.memory_bytes),
        http_reads: limits.http_reads.min(max.http_reads),
        chain_reads: limits.chain_reads.min(max.chain_reads),
        payloads: limits.payloads.min(max.payloads),
        response_bytes: limits.response_bytes.min(max.response_bytes),
        log_bytes: limits.log_bytes.min(max.log_bytes),
    }
}
