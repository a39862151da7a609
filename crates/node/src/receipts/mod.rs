//! Why this node signed, kept for whoever may ask.
//!
//! A share leaves, and with it everything of a receipt but the others' parts is kept in memory ([`Keeper`]). When the coordinator
//! closes the session it brings those; if it never does, what this node has is stored without them. Nothing that a coordinator
//! brings is looked at before somebody asks ([`Shown`]): signing does not wait for it.

mod keeper;
mod shown;

use serde::{Deserialize, Serialize};

pub(crate) use keeper::{Keeper, MAX_UNWRITTEN, write};
pub(crate) use shown::{MAX_LOOKUPS, Shown};

/// Receipts: how many are kept, and who sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiptsConfig {
    /// The most bytes that receipts take on disk; the oldest make room.
    pub total_bytes: u64,
    /// How many days a receipt is kept.
    pub keep_days: u64,
    /// Who sees a receipt.
    pub shown_to: ShownTo,
}

/// Who sees a receipt: it tells what was asked and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShownTo {
    /// The callers of its request.
    Callers,
    /// Everybody who reaches the HTTP interface and knows the request's digest.
    Everybody,
}

impl Default for ReceiptsConfig {
    fn default() -> Self {
        Self { total_bytes: 1 << 30, keep_days: 90, shown_to: ShownTo::Callers }
    }
}

impl ReceiptsConfig {
    pub(crate) fn bounds(&self) -> countersign_store::ReceiptBounds {
        let keep_ms = self.keep_days.saturating_mul(24 * 60 * 60 * 1000);
        countersign_store::ReceiptBounds { total_bytes: self.total_bytes, keep_ms }
    }
}
