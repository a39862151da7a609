//! From shares that left to receipts on disk.

use std::{collections::BTreeMap, sync::Arc};

use countersign_agreement::agree;
use countersign_receipt::{RECEIPT_VERSION, Reading, Receipt};
use countersign_session::{
    Membership, Millis,
    message::Completion,
    participant::{Given, SESSION_MS},
};
use countersign_types::{B256, Identifier, Manifest, SessionId, SessionTerms, read::RecordedRead};

use super::writer::Queue;
use crate::runs::Recorded;

/// The most bytes that wait for their sessions to be closed, over all coordinators; each has an equal part.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// What a waiting part takes besides what it holds, in bytes.
const OVERHEAD: usize = 4 << 10;

/// What a receipt tells of a live run.
pub(crate) trait Told {
    /// The manifest of the action that ran; none where none did.
    fn manifest(&self) -> Option<&Manifest>;
    /// What was read, in order.
    fn reads(&self) -> &[RecordedRead];
    /// About how many bytes of memory it takes.
    fn held_bytes(&self) -> usize;
}

impl Told for Recorded {
    fn manifest(&self) -> Option<&Manifest> {
        self.manifest()
    }

    fn reads(&self) -> &[RecordedRead] {
        self.reads()
    }

    fn held_bytes(&self) -> usize {
        self.held_bytes()
    }
}

/// What this node gave in sessions that are not closed yet.
pub(crate) struct Keeper<R = Recorded> {
    membership: Arc<Membership>,
    waiting: BTreeMap<(Identifier, SessionId), Waiting<R>>,
    queue: Queue,
}

struct Waiting<R> {
    given: Box<Given<R>>,
    bytes: usize,
    ends: Millis,
}

impl<R: Told> Keeper<R> {
    pub(super) fn new(membership: Arc<Membership>, queue: Queue) -> Self {
        Self { membership, waiting: BTreeMap::new(), queue }
    }

    /// Shares leave. What was given in an earlier attempt is written without the others' parts: its coordinator may have used it.
    pub(crate) fn keep(&mut self, given: Box<Given<R>>, now: Millis) {
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
            return receipt.into_iter().for_each(|receipt| self.queue.put(place.0, Arc::new(receipt)));
        }
        let ends = now.saturating_add(SESSION_MS);
        self.waiting.insert(place, Waiting { given, bytes, ends });
    }

    fn of(&self, coordinator: Identifier) -> impl Iterator<Item = &Waiting<R>> {
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
        self.queue.put(coordinator, Arc::clone(&receipt));
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
    fn receipt(&self, given: Given<R>, signed: Option<Completion>) -> Option<Receipt> {
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
}
