//! Why this node signed, kept for whoever may ask.
//!
//! A share leaves, and with it everything of a receipt but the others' parts is kept in memory ([`Keeper`]). When the coordinator
//! closes the session it brings those; if it never does, what this node has is stored without them. Nothing that a coordinator
//! brings is looked at before somebody asks ([`Shown`]): signing does not wait for it.

mod keeper;
mod shown;
mod writer;

use std::{path::PathBuf, sync::Arc};

use countersign_session::Membership;
use countersign_store::{ReceiptBounds, Receipts};
use countersign_types::Genesis;
use serde::{Deserialize, Deserializer, Serialize, de};
use tokio::{sync::Semaphore, task::spawn_blocking};

use self::{
    shown::MAX_LOOKUPS,
    writer::{PRUNE_EVERY, Writer},
};
use crate::{NodeError, clock::Clock};

pub(crate) use keeper::Keeper;
pub(crate) use shown::Shown;

/// The least that makes sense for the bytes of all receipts, 16 MiB: twice the largest.
const MIN_TOTAL_BYTES: u64 = 16 << 20;
/// The longest that a receipt is kept: a hundred years.
const MAX_KEEP_DAYS: u64 = 36_500;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Receipts: how many are kept, and who sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiptsConfig {
    /// The most bytes that receipts take on disk, at least 16 MiB. Where there are more, the oldest make room of the action, and
    /// of its key, that have the most.
    #[serde(deserialize_with = "total_bytes")]
    pub total_bytes: u64,
    /// How many days a receipt is kept, at least one.
    #[serde(deserialize_with = "keep_days")]
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
    fn bounds(&self) -> ReceiptBounds {
        ReceiptBounds { total_bytes: self.total_bytes, keep_ms: self.keep_days.saturating_mul(DAY_MS) }
    }
}

fn total_bytes<'de, D: Deserializer<'de>>(value: D) -> Result<u64, D::Error> {
    let bytes = u64::deserialize(value)?;
    if bytes >= MIN_TOTAL_BYTES {
        return Ok(bytes);
    }
    Err(de::Error::custom(format!(
        "receipts.total_bytes is {bytes}, so few that receipts would go as soon as they are stored: set at least {MIN_TOTAL_BYTES}, \
         or remove the line for the default"
    )))
}

fn keep_days<'de, D: Deserializer<'de>>(value: D) -> Result<u64, D::Error> {
    let days = u64::deserialize(value)?;
    if (1..=MAX_KEEP_DAYS).contains(&days) {
        return Ok(days);
    }
    Err(de::Error::custom(format!(
        "receipts.keep_days is {days}: set 1 to {MAX_KEEP_DAYS}, or remove the line for the default"
    )))
}

/// Opens the receipts' database, in this folder, and starts the thread that writes it until nobody keeps receipts any more.
pub(crate) async fn start(
    config: &ReceiptsConfig,
    folder: PathBuf,
    genesis: &Genesis,
    membership: &Arc<Membership>,
    clock: &Arc<Clock>,
) -> Result<(Keeper, Arc<Shown>), NodeError> {
    let bounds = config.bounds();
    let opened = spawn_blocking(move || Receipts::open(&folder, bounds)).await;
    let store = Arc::new(opened.map_err(|error| NodeError::Task(error.to_string()))??);
    let (queue, writer) = Writer::new(Arc::clone(&store), membership.network, Arc::clone(clock), PRUNE_EVERY);
    spawn_blocking(move || writer.run());
    let shown = Shown {
        store,
        shown_to: config.shown_to,
        membership: Arc::clone(membership),
        genesis: genesis.clone(),
        clock: Arc::clone(clock),
        places: Arc::new(Semaphore::new(MAX_LOOKUPS)),
    };
    Ok((Keeper::new(Arc::clone(membership), queue), Arc::new(shown)))
}

#[cfg(test)]
mod tests;
