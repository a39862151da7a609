//! What one run of an action may use.

use serde::{Deserialize, Serialize};

use crate::MAX_PAYLOADS;

/// What one run may use. Every limit is at most its value in [`Limits::MAX`], which is also the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Wall-clock time, in milliseconds. Local to a node: reaching it ends the run there.
    pub wall_ms: u32,
    /// Wasmtime fuel, in units: about one per instruction, and what host calls charge.
    pub fuel: u64,
    /// Linear memory, in bytes, over all memories of the component.
    pub memory_bytes: u32,
    /// HTTP reads.
    pub http_reads: u32,
    /// Reads of chain state.
    pub chain_reads: u32,
    /// Payloads to sign.
    pub payloads: u32,
    /// The response, in bytes.
    pub response_bytes: u32,
    /// Log text, in bytes.
    pub log_bytes: u32,
}

impl Limits {
    /// The largest that a manifest may ask for.
    pub const MAX: Self = Self {
        wall_ms: 10_000,
        fuel: 5_000_000_000,
        memory_bytes: 64 << 20,
        http_reads: 8,
        chain_reads: 32,
        payloads: MAX_PAYLOADS as u32,
        response_bytes: 64 << 10,
        log_bytes: 64 << 10,
    };

    /// The first limit that is above [`Limits::MAX`], by name.
    pub(super) fn excess(&self) -> Option<(&'static str, u64, u64)> {
        let (got, max) = (self, &Self::MAX);
        [
            ("wall_ms", u64::from(got.wall_ms), u64::from(max.wall_ms)),
            ("fuel", got.fuel, max.fuel),
            ("memory_bytes", got.memory_bytes.into(), max.memory_bytes.into()),
            ("http_reads", got.http_reads.into(), max.http_reads.into()),
            ("chain_reads", got.chain_reads.into(), max.chain_reads.into()),
            ("payloads", got.payloads.into(), max.payloads.into()),
            ("response_bytes", got.response_bytes.into(), max.response_bytes.into()),
            ("log_bytes", got.log_bytes.into(), max.log_bytes.into()),
        ]
        .into_iter()
        .find(|(_, got, max)| got > max)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::MAX
    }
}
