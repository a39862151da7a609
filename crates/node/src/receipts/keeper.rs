//! From shares that left to receipts on disk.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use countersign_agreement::agree;
use countersign_receipt::{RECEIPT_VERSION, Reading, Receipt};
use countersign_session::{
    Membership, Millis,
    message::Completion,
    participant::{Given, SESSION_MS},
};
use countersign_store::Receipts;
use countersign_types::{B256, Identifier, NetworkId, SessionId, SessionTerms};
use tokio::sync::mpsc;

use crate::{causes::with_causes, clock::Clock, runs::Recorded};

/// The most bytes that wait for their sessions to be closed, over all coordinators; each has an equal part.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// The most receipts that wait to be written.
pub(crate) const MAX_UNWRITTEN: usize = 256;
/// The most bytes of them.
const MAX_UNWRITTEN_BYTES: usize = 64 << 20;
/// What a waiting part takes besides what it holds, in bytes.
const OVERHEAD: usize = 4 << 10;

/// What this node gave in sessions that are not closed yet.
pub(crate) struct Keeper {
    membership: Arc<Membership>,
    waiting: BTreeMap<(Identifier, SessionId), Waiting>,
    writer: mpsc::Sender<Arc<Receipt>>,
    /// Bytes of what waits to be written.
    unwritten: Arc<AtomicUsize>,
}

struct Waiting {
    given: Box<Given<Recorded>>,
    bytes: usize,
    ends: Millis,
}

impl Keeper {
    pub(crate) fn new(
        membership: Arc<Membership>,
        writer: mpsc::Sender<Arc<Receipt>>,
        unwritten: Arc<AtomicUsize>,
    ) -> Self {
        Self { membership, waiting: BTreeMap::new(), writer, unwritten }
    }

    /// Shares leave. What was given in an earlier attempt is written without the others' parts: its coordinator may have used it.
    pub(crate) fn keep(&mut self, given: Box<Given<Recorded>>, now: Millis) {
        let place = (given.run.coordinator, given.run.session);
        self.close(place.0, place.1, None);
        let bytes = OVERHEAD
            + given.package.records.values().map(|record| record.size()).sum::<usize>()
            + given.outcome.held_bytes()
            + given.recorded.held_bytes()
            + given.run.request.request().params.len();
        let most = MAX_WAITING_BYTES / usize::from(self.membership.committee.size());
        let held: usize = self.of(given.run.coordinator).map(|waiting| waiting.bytes).sum();
        if held > 0 && held.saturating_add(bytes) > most {
            // no room to wait for the others' parts: this node's own is written now
            let receipt = self.receipt(*given, None);
            return receipt.into_iter().for_each(|receipt| self.write(Arc::new(receipt)));
        }
        let ends = now.saturating_add(SESSION_MS);
        self.waiting.insert(place, Waiting { given, bytes, ends });
    }

    fn of(&self, coordinator: Identifier) -> impl Iterator<Item = &Waiting> {
        let (first, last) = (SessionId(B256::ZERO), SessionId(B256::repeat_byte(0xff)));
        self.waiting.range((coordinator, first)..=(coordinator, last)).map(|(_, waiting)| waiting)
    }

    /// A coordinator has closed a session: the receipt is written, and given back.
    pub(crate) fn close(
        &mut self,
        coordinator: Identifier,
        session: SessionId,
        signed: Option<Completion>,
    ) -> Option<Arc<Receipt>> {
        let Waiting { given, .. } = self.waiting.remove(&(coordinator, session))?;
        let receipt = Arc::new(self.receipt(*given, signed)?);
        self.write(Arc::clone(&receipt));
        Some(receipt)
    }

    /// Sessions that no coordinator closes any more: this node's own part is written.
    pub(crate) fn expire(&mut self, now: Millis) {
        let gone: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| waiting.ends <= now).map(|(place, _)| *place).collect();
        for (coordinator, session) in gone {
            self.close(coordinator, session, None);
        }
    }

    /// None where this node has nothing to replay, and so gave no shares.
    fn receipt(&self, given: Given<Recorded>, signed: Option<Completion>) -> Option<Receipt> {
        let Given { run, package, outcome, part, recorded } = given;
        let agreed = agree(&package.base_records()).entries.len();
        let (mut signers, mut signatures) = (BTreeMap::from([(self.membership.me, part)]), Vec::new());
        if let Some(signed) = signed.filter(|signed| signed.attempt == package.attempt) {
            let own = signers.clone();
            signers = signed.signers;
            signatures = signed.signatures;
            // whatever the coordinator says, this node knows what it gave
            signers.extend(own);
        }
        Some(Receipt {
            version: RECEIPT_VERSION,
            request: run.request.signed().clone(),
            manifest: recorded.manifest()?.clone(),
            terms: SessionTerms {
                request: run.request.digest(),
                epoch: self.membership.epoch,
                engine: self.membership.engine,
                time_ms: run.context.time_ms,
                pins: run.context.pins.clone(),
            },
            reads: recorded.reads().iter().take(agreed).map(Reading::of).collect(),
            package,
            verdict: outcome.verdict(),
            signers,
            signatures,
        })
    }

    fn write(&self, receipt: Arc<Receipt>) {
        let bytes = receipt.held_bytes();
        let waiting = self.unwritten.fetch_add(bytes, Ordering::Relaxed);
        if waiting > MAX_UNWRITTEN_BYTES || self.writer.try_send(receipt).is_err() {
            self.unwritten.fetch_sub(bytes, Ordering::Relaxed);
            dropped();
        }
    }
}

/// The disk is too slow, or fails.
fn dropped() {
    metrics::counter!("countersign_receipts_dropped_total").increment(1);
}

/// Writes receipts until nobody makes any more. Blocks: for a thread of its own.
pub(crate) fn write(
    store: &Receipts,
    mut queue: mpsc::Receiver<Arc<Receipt>>,
    unwritten: &AtomicUsize,
    network: NetworkId,
    clock: &Clock,
) {
    while let Some(receipt) = queue.blocking_recv() {
        unwritten.fetch_sub(receipt.held_bytes(), Ordering::Relaxed);
        let (request, package) = (receipt.terms.request, receipt.package.hash(network));
        let written =
            postcard::to_stdvec(receipt.as_ref()).map_err(|error| error.to_string()).and_then(|bytes| {
                store.put(request, package, clock.now(), &bytes).map_err(|error| with_causes(&error))
            });
        match written {
            Ok(()) => metrics::counter!("countersign_receipts_stored_total").increment(1),
            Err(error) => {
                dropped();
                tracing::error!(%request, error, "a receipt is not stored");
            }
        }
    }
}
