//! The thread that writes receipts, and drops those that are too old or too many.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use countersign_receipt::Receipt;
use countersign_session::Millis;
use countersign_store::{Dropped, NewReceipt, Receipts};
use countersign_types::{Identifier, NetworkId};

use crate::{causes::with_causes, clock::Clock};

/// The most receipts that wait to be written.
const MAX_UNWRITTEN: usize = 256;
/// The most bytes of them.
const MAX_UNWRITTEN_BYTES: usize = 64 << 20;
/// How often old receipts are dropped.
pub(super) const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// How often the log says at most that receipts are displaced, in milliseconds: once an hour.
const SAID_EVERY_MS: Millis = 60 * 60 * 1000;

/// Where receipts wait to be written.
pub(super) struct Queue {
    sender: SyncSender<Unwritten>,
    /// Bytes of what waits.
    bytes: Arc<AtomicUsize>,
}

/// A receipt, and who coordinated its session.
pub(super) struct Unwritten {
    pub(super) coordinator: Identifier,
    pub(super) receipt: Arc<Receipt>,
}

/// Writes what waits.
pub(super) struct Writer {
    store: Arc<Receipts>,
    queue: Receiver<Unwritten>,
    bytes: Arc<AtomicUsize>,
    network: NetworkId,
    clock: Arc<Clock>,
    prune_every: Duration,
    displaced: Displaced,
}

/// Receipts that were displaced, until the log says so.
#[derive(Debug, Default)]
struct Displaced {
    count: usize,
    said: Option<Millis>,
}

impl Queue {
    /// A queue, and its other end.
    pub(super) fn new() -> (Self, Receiver<Unwritten>) {
        let (sender, receiver) = sync_channel(MAX_UNWRITTEN);
        (Self { sender, bytes: Arc::default() }, receiver)
    }

    /// Has a receipt written, unless too many wait already: nobody waits for the disk.
    pub(super) fn put(&self, coordinator: Identifier, receipt: Arc<Receipt>) {
        let bytes = receipt.held_bytes();
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let unwritten = Unwritten { coordinator, receipt };
        if waiting > MAX_UNWRITTEN_BYTES || self.sender.try_send(unwritten).is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            not_stored();
        }
    }
}

impl Writer {
    /// A writer, and where receipts wait for it.
    pub(super) fn new(
        store: Arc<Receipts>,
        network: NetworkId,
        clock: Arc<Clock>,
        prune_every: Duration,
    ) -> (Queue, Self) {
        let (queue, receiver) = Queue::new();
        let bytes = Arc::clone(&queue.bytes);
        (
            queue,
            Self {
                store,
                queue: receiver,
                bytes,
                network,
                clock,
                prune_every,
                displaced: Displaced::default(),
            },
        )
    }

    /// Writes until nobody makes receipts any more. Blocks: for a thread of its own.
    pub(super) fn run(mut self) {
        // at once what has become too old, or too much for another bound, while the node did not run
        let mut prune_at = Instant::now();
        loop {
            // of what waits so much comes first that nothing is lost while a step of dropping goes on
            let first = match self.queue.recv_timeout(prune_at.saturating_duration_since(Instant::now())) {
                Ok(unwritten) => Some(unwritten),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let waiting: Vec<Unwritten> =
                first.into_iter().chain(self.queue.try_iter().take(MAX_UNWRITTEN)).collect();
            let mut done: Vec<Dropped> = waiting.iter().map(|unwritten| self.write(unwritten)).collect();
            if Instant::now() >= prune_at {
                done.push(self.prune());
                prune_at = Instant::now() + self.prune_every;
            }
            self.count(done.iter().map(|done| done.displaced).sum());
            if done.iter().any(|done| done.more) {
                prune_at = Instant::now();
            }
        }
    }

    fn write(&self, Unwritten { coordinator, receipt }: &Unwritten) -> Dropped {
        self.bytes.fetch_sub(receipt.held_bytes(), Ordering::Relaxed);
        let (request, key) = (receipt.terms.request, &receipt.request.request.key);
        let put = |content: Vec<u8>| {
            let new = NewReceipt {
                request,
                coordinator: *coordinator,
                package: receipt.package.hash(self.network),
                action: key.policy.action,
                key: key.key_id(),
                complete: receipt.is_complete(),
                content: &content,
            };
            self.store.put(&new, self.clock.now()).map_err(|error| with_causes(&error))
        };
        match postcard::to_stdvec(receipt.as_ref()).map_err(|error| error.to_string()).and_then(put) {
            Ok(dropped) => {
                metrics::counter!("countersign_receipts_stored_total").increment(1);
                dropped
            }
            Err(error) => {
                not_stored();
                tracing::error!(%request, error, "a receipt is not stored");
                Dropped::default()
            }
        }
    }

    fn prune(&self) -> Dropped {
        self.store.prune(self.clock.now()).unwrap_or_else(|error| {
            tracing::error!(error = with_causes(&error), "old receipts are not dropped");
            Dropped::default()
        })
    }

    fn count(&mut self, displaced: usize) {
        metrics::counter!("countersign_receipts_displaced_total").increment(displaced as u64);
        if let Some(displaced) = self.displaced.tell(displaced, self.clock.now()) {
            let bytes = self.store.stored_bytes();
            tracing::warn!(displaced, bytes, "receipts make room for others before their time");
        }
    }
}

impl Displaced {
    /// Counts some. How many the log is to tell of, where it is to tell now.
    fn tell(&mut self, displaced: usize, now: Millis) -> Option<usize> {
        self.count = self.count.saturating_add(displaced);
        let due = self.said.is_none_or(|said| now >= said.saturating_add(SAID_EVERY_MS));
        if self.count == 0 || !due {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

/// The disk is too slow, or fails.
fn not_stored() {
    metrics::counter!("countersign_receipts_dropped_total").increment(1);
}

#[cfg(test)]
mod tests {
    use countersign_fuzzing::receipts::Case;
    use countersign_types::Scheme;

    use super::*;

    #[test]
    fn a_receipt_does_not_wait_behind_more_bytes_than_the_bound() {
        let receipt = Arc::new(Case::honest(Scheme::Bip340).receipt);
        let (queue, written) = Queue::new();
        queue.bytes.store(MAX_UNWRITTEN_BYTES, Ordering::Relaxed);
        for waits in [1, 0] {
            queue.put(Identifier::new(1).expect("not zero"), Arc::clone(&receipt));
            assert_eq!(written.try_iter().count(), waits);
        }
        let bytes = queue.bytes.load(Ordering::Relaxed);
        assert_eq!(bytes, MAX_UNWRITTEN_BYTES + receipt.held_bytes(), "what was refused does not count");
    }

    #[test]
    fn the_log_tells_once_in_a_while_of_all_that_were_displaced() {
        let mut displaced = Displaced::default();
        assert_eq!(displaced.tell(0, 5), None);
        assert_eq!(displaced.tell(3, 10), Some(3));
        assert_eq!(displaced.tell(4, 11), None);
        assert_eq!(displaced.tell(0, 9 + SAID_EVERY_MS), None);
        assert_eq!(displaced.tell(1, 10 + SAID_EVERY_MS), Some(5));
        assert_eq!(displaced.tell(0, 20 + 2 * SAID_EVERY_MS), None, "there is nothing to tell");
    }
}
