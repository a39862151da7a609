//! One run: its state, where its reads come from, and what it ends with.

use std::sync::Arc;

use countersign_types::{
    B256, Bytes, Context, Limits, Manifest, Pin, PublicKey, Record, Scheme, Verdict,
    read::RecordedRead,
    record::{MAX_READS, MAX_RECORD_BYTES},
};

use crate::{
    abort::Abort,
    limiter::Limiter,
    logs::{LogLine, Logs},
    reader::Reader,
};

// The budgets keep the number of a run's reads within a record's bound.
const _: () = assert!(Limits::MAX.chain_reads as usize + Limits::MAX.http_reads as usize <= MAX_READS);

/// What the compilation of a script may use: enough for the largest, and nothing that lasts.
pub(crate) const COMPILE_LIMITS: Limits = Limits {
    wall_ms: 5_000,
    fuel: 1_000_000_000,
    memory_bytes: 64 << 20,
    http_reads: 0,
    chain_reads: 0,
    payloads: 0,
    response_bytes: 0,
    log_bytes: 0,
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
        Record { entries: self.reads.iter().map(|read| read.entry().clone()).collect() }
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
        /// What it takes in the record, in bytes: at most [`MAX_RECORD_BYTES`].
        size: usize,
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
        Self::Live { reader, recorded: Vec::new(), size: 0 }
    }

    pub(crate) fn replay(agreed: &[RecordedRead]) -> Self {
        Self::Replay { agreed: agreed.to_vec(), next: 0 }
    }

    /// Moves on past reads: a live run enters them into its record, unless that would grow beyond its bound.
    pub(crate) fn advance(&mut self, reads: Vec<RecordedRead>) -> Result<(), Abort> {
        match self {
            Self::Live { recorded, size, .. } => {
                let got = *size + reads.iter().map(|read| read.entry().size()).sum::<usize>();
                if got > MAX_RECORD_BYTES {
                    return Err(Abort::Limit { what: "bytes of a record", got, limit: MAX_RECORD_BYTES });
                }
                *size = got;
                recorded.extend(reads);
            }
            Self::Replay { next, .. } => *next += reads.len(),
        }
        Ok(())
    }
}

/// What a run may read from. Each sort has a budget of its own; their reads share one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Chains.
    Chain,
    /// Hosts.
    Http,
}

/// How many reads of each sort a run has left.
pub(crate) struct Budget {
    chain: usize,
    http: usize,
}

impl Budget {
    fn new(limits: &Limits) -> Self {
        let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        Self { chain: count(limits.chain_reads), http: count(limits.http_reads) }
    }

    /// Takes reads off; where too few are left, none, and it says how many are.
    pub(crate) fn take(&mut self, sort: Sort, count: usize) -> Result<(), usize> {
        let left = match sort {
            Sort::Chain => &mut self.chain,
            Sort::Http => &mut self.http,
        };
        *left = left.checked_sub(count).ok_or(*left)?;
        Ok(())
    }
}

/// What the store of one run holds.
pub(crate) struct RunState {
    /// The manifest's limits, none above the largest.
    pub(crate) limits: Limits,
    pub(crate) chains: Vec<u64>,
    pub(crate) hosts: Arc<[String]>,
    pub(crate) context: Arc<Context>,
    pub(crate) source: Source,
    pub(crate) logs: Logs,
    pub(crate) limiter: Limiter,
    pub(crate) budget: Budget,
    /// The fuel that was left when the host last let other tasks run.
    pub(crate) fuel_at_yield: u64,
    halted: Option<Abort>,
}

impl RunState {
    pub(crate) fn new(manifest: &Manifest, context: &Context, source: Source) -> Self {
        let limits = clamp(&manifest.limits);
        Self {
            limits,
            chains: manifest.chains.clone(),
            hosts: manifest.hosts.as_slice().into(),
            context: Arc::new(context.clone()),
            source,
            logs: Logs::new(limits.log_bytes),
            limiter: Limiter::new(limits.memory_bytes),
            budget: Budget::new(&limits),
            fuel_at_yield: limits.fuel,
            halted: None,
        }
    }

    /// For the compilation of a script: it reads nothing, is asked by nobody, and has little of everything.
    pub(crate) fn for_compilation() -> Self {
        let manifest = Manifest {
            name: String::new(),
            component: [0; 32].into(),
            script: B256::ZERO,
            hosts: Vec::new(),
            chains: Vec::new(),
            limits: COMPILE_LIMITS,
        };
        let context = Context {
            request: [0; 32].into(),
            session: [0; 32].into(),
            action: [0; 32].into(),
            key: [0; 32].into(),
            scheme: Scheme::SchnorrSecp256k1,
            public_key: PublicKey(Bytes::new()),
            config: Bytes::new(),
            params: Bytes::new(),
            callers: Vec::new(),
            time_ms: 0,
            seed: B256::ZERO,
            pins: Vec::new(),
        };
        Self::new(&manifest, &context, Source::replay(&[]))
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
