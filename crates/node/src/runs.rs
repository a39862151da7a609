//! Live runs and replays: each in a task of its own, its result back on the driver's queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use countersign_action::{Abort, Host};
use countersign_agreement::{AgreedEntry, AgreedRecord};
use countersign_session::participant::{LiveRun, LocalFailure, Run};
use countersign_types::{
    ActionId, Failure, FailureKind, Identifier, KeySpec, Manifest, Outcome, Pin, ReadId, Record,
    RequestDigest, SessionId, Verdict, read::RecordedRead,
};
use futures::{FutureExt, future::try_join_all};
use tokio::sync::mpsc;

use crate::{
    causes::with_causes,
    driver::Input,
    heads::Heads,
    library::{Library, Ready},
    outside::Outside,
};

/// Up to so much fuel, another coordinator's run that read nothing but what must be identical everywhere is replayed at once, in
/// the same task: about 10 ms. This node's own session asks the other members first.
const AT_ONCE_FUEL: u64 = 160_000_000;

/// What a replay needs: the action, and this node's own reads.
pub(crate) struct Recorded {
    ready: Option<Arc<Ready>>,
    reads: Vec<RecordedRead>,
    /// What the replay over this node's own reads gave, where it was made at once.
    replayed: Option<Outcome>,
}

impl Recorded {
    /// This node's own values of the agreed reads; where fields were agreed on, the agreed ones.
    fn agreed(&self, agreed: &AgreedRecord) -> Result<Vec<RecordedRead>, String> {
        let reads = self.reads.iter().zip(&agreed.entries).map(|(own, entry)| match entry {
            AgreedEntry::Identical { .. } => Ok(own.clone()),
            AgreedEntry::Fields { fields, .. } => own.with_agreed(fields).map_err(|error| error.to_string()),
        });
        reads.collect()
    }

    /// What a replay over what was agreed gives, where it has been made already: it was made over this node's own reads, so it
    /// counts where exactly these were agreed on.
    pub(crate) fn replayed(&self, agreed: &AgreedRecord) -> Option<&Outcome> {
        let outcome = self.replayed.as_ref()?;
        let own = self.reads.iter().map(|own| AgreedEntry::from(own.entry().clone()));
        own.eq(agreed.entries.iter().cloned()).then_some(outcome)
    }

    /// The manifest of the action that ran; none where none did.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.ready.as_ref().map(|ready| &ready.manifest)
    }

    /// What was read, in order.
    pub(crate) fn reads(&self) -> &[RecordedRead] {
        &self.reads
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.reads.iter().map(RecordedRead::held_bytes).sum::<usize>()
            + self.replayed.as_ref().map_or(0, Outcome::held_bytes)
    }

    /// What was read, in words, by the read's id.
    pub(crate) fn words(&self) -> BTreeMap<ReadId, String> {
        self.reads.iter().map(|recorded| (recorded.entry().read(), recorded.read().to_string())).collect()
    }
}

/// Starts runs.
#[derive(Clone)]
pub(crate) struct Runs {
    me: Identifier,
    library: Arc<Library>,
    host: Host,
    outside: Arc<Outside>,
    heads: Arc<Heads>,
    inputs: mpsc::Sender<Input>,
}

impl Runs {
    pub(crate) fn new(
        me: Identifier,
        library: Arc<Library>,
        host: Host,
        outside: Outside,
        heads: Arc<Heads>,
        inputs: mpsc::Sender<Input>,
    ) -> Self {
        Self { me, library, host, outside: Arc::new(outside), heads, inputs }
    }

    /// Gets the action ready and fixes a block for each of its chains, for a session to be proposed. Returns them where both
    /// are at hand; else they are reported.
    pub(crate) fn prepare(
        &self,
        action: ActionId,
        request: RequestDigest,
    ) -> Option<Result<Vec<Pin>, Failure>> {
        let mut pins = Box::pin(self.clone().pins(action));
        if let Some(pins) = (&mut pins).now_or_never() {
            return Some(pins);
        }
        let this = self.clone();
        tokio::spawn(async move {
            let pins = pins.await;
            this.report(Input::Prepared { request, pins }).await;
        });
        None
    }

    async fn pins(self, action: ActionId) -> Result<Vec<Pin>, Failure> {
        let ready = self.library.ready(action).await?;
        let heads = &self.heads;
        let heads = ready.manifest.chains.iter().map(|chain| async move {
            heads.to_pin(*chain).await.map_err(|error| {
                let detail = format!(
                    "neither this node nor its peers have a final block of chain {chain}: {}; ask again later",
                    with_causes(&error)
                );
                Failure::new(FailureKind::Unavailable, detail)
            })
        });
        try_join_all(heads).await
    }

    /// Runs the action live, in record mode.
    pub(crate) fn live(&self, run: Run) {
        let this = self.clone();
        tokio::spawn(async move {
            let live = this.run_live(&run).await;
            this.report(Input::Observed { run, live }).await;
        });
    }

    async fn run_live(&self, run: &Run) -> LiveRun<Recorded> {
        let ready = match self.check(run).await {
            Ok(ready) => ready,
            Err(failure) => {
                let end = Err(LocalFailure { kind: failure.kind, reason: failure.detail });
                let recorded = Recorded { ready: None, reads: Vec::new(), replayed: None };
                return LiveRun { end, record: Record::default(), recorded, recorded_bytes: 0 };
            }
        };
        let reader = Arc::clone(&self.outside);
        let Ready { manifest, action, script } = ready.as_ref();
        let live = self.host.run_live(action, script.as_ref(), manifest, &run.context, reader).await;
        metrics::counter!("countersign_live_runs_total").increment(1);
        metrics::histogram!("countersign_live_run_fuel").record(live.fuel as f64);
        log_lines(run.session, &live.logs);
        let record = live.record();
        let end = outcome(live.end, &run.request.request().key);
        let short = matches!(end, Ok(Outcome::Allowed { .. })) && live.fuel <= AT_ONCE_FUEL;
        let replayed = if short && record.is_identical() && run.coordinator != self.me {
            self.replay_at_once(run, &ready, &live.reads).await
        } else {
            None
        };
        let recorded = Recorded { ready: Some(ready), reads: live.reads, replayed };
        let recorded_bytes = recorded.held_bytes();
        LiveRun { end, record, recorded, recorded_bytes }
    }

    /// None where it must wait for its turn, or fails: then it is made when it is asked for.
    async fn replay_at_once(&self, run: &Run, ready: &Ready, reads: &[RecordedRead]) -> Option<Outcome> {
        let Ready { manifest, action, script } = ready;
        let replay = self.host.replay_at_once(action, script.as_ref(), manifest, &run.context, reads).await?;
        metrics::counter!("countersign_replays_total").increment(1);
        outcome(replay.end, &run.request.request().key).ok()
    }

    /// P8: whether this node can run the action in this session: it has the action, and accepts the pins.
    async fn check(&self, run: &Run) -> Result<Arc<Ready>, Failure> {
        let ready = self.library.ready(run.context.action).await?;
        let pinned: BTreeSet<u64> = run.context.pins.iter().map(|pin| pin.chain_id).collect();
        if !pinned.iter().eq(ready.manifest.chains.iter()) {
            let detail =
                format!("the session pins chains {pinned:?}, the action reads {:?}", ready.manifest.chains);
            return Err(Failure::new(FailureKind::Invalid, detail));
        }
        let checks = run.context.pins.iter().map(|pin| async {
            self.outside.chains.check_pin(pin).await.map_err(|error| {
                let detail = format!("chain {}: {}", pin.chain_id, with_causes(&error));
                Failure::new(FailureKind::Unavailable, detail)
            })
        });
        try_join_all(checks).await?;
        Ok(ready)
    }

    /// Replays the action over what was agreed.
    pub(crate) fn replay(&self, run: Run, attempt: u32, recorded: Arc<Recorded>, agreed: Arc<AgreedRecord>) {
        let this = self.clone();
        tokio::spawn(async move {
            let end = this.run_replay(&run, &recorded, &agreed).await;
            this.report(Input::Replayed { run, attempt, end }).await;
        });
    }

    async fn run_replay(
        &self,
        run: &Run,
        recorded: &Recorded,
        agreed: &AgreedRecord,
    ) -> Result<Outcome, LocalFailure> {
        let Some(ready) = &recorded.ready else {
            let reason = "the live run gave nothing to replay".into();
            return Err(LocalFailure { kind: FailureKind::Internal, reason });
        };
        let reads = recorded.agreed(agreed).map_err(|reason| {
            // the session has checked that what was agreed stands in this node's record
            LocalFailure { kind: FailureKind::Internal, reason }
        })?;
        let Ready { manifest, action, script } = ready.as_ref();
        let replay = self.host.replay(action, script.as_ref(), manifest, &run.context, &reads).await;
        metrics::counter!("countersign_replays_total").increment(1);
        outcome(replay.end, &run.request.request().key)
    }

    async fn report(&self, input: Input) {
        // the driver stops before its runs: then nobody waits for the result
        let _ = self.inputs.send(input).await;
    }
}

fn outcome(end: Result<Verdict, Abort>, key: &KeySpec) -> Result<Outcome, LocalFailure> {
    let verdict =
        end.map_err(|abort| LocalFailure { kind: obstacle(&abort), reason: with_causes(&abort) })?;
    Outcome::of(verdict, key)
        .map_err(|error| LocalFailure { kind: FailureKind::Invalid, reason: error.to_string() })
}

/// What kind of obstacle a run without a verdict is.
fn obstacle(abort: &Abort) -> FailureKind {
    match abort {
        Abort::Busy => FailureKind::Busy,
        Abort::Read { failure, .. } if failure.answered => FailureKind::UnusableSource,
        Abort::Time { .. } | Abort::Read { .. } | Abort::Host { .. } | Abort::NoPin { .. } => {
            FailureKind::Unavailable
        }
        Abort::Diverged { .. } | Abort::NotAgreed { .. } => FailureKind::Disagreement,
        // the same everywhere: to ask again, or elsewhere, does not help
        Abort::Fuel { .. }
        | Abort::Stack
        | Abort::Memory { .. }
        | Abort::Trap { .. }
        | Abort::Limit { .. }
        | Abort::Script { .. }
        | Abort::InvalidResult { .. } => FailureKind::ActionFailed,
    }
}

fn log_lines(session: SessionId, lines: &[countersign_action::LogLine]) {
    for line in lines {
        tracing::debug!(%session, level = ?line.level, text = line.text, "the action says");
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::{
        Address,
        evm::{EvmRead, EvmValue},
    };

    use super::*;

    fn nonce(value: u64) -> RecordedRead {
        let read = EvmRead::Nonce { chain_id: 1, address: Address::ZERO };
        RecordedRead::evm(read, EvmValue::Nonce(value)).expect("a nonce")
    }

    fn agreed(reads: &[RecordedRead]) -> AgreedRecord {
        let record = Record { entries: reads.iter().map(|read| read.entry().clone()).collect() };
        let members = [Identifier::new(1), Identifier::new(2)].into_iter().flatten();
        countersign_agreement::agree(&members.map(|member| (member, &record)).collect())
    }

    #[test]
    fn a_replay_that_was_made_at_once_counts_for_exactly_its_reads() {
        let outcome = Outcome::Refused { reason: "something to tell it by".into() };
        let reads = vec![nonce(1), nonce(2)];
        let recorded = Recorded { ready: None, reads: reads.clone(), replayed: Some(outcome.clone()) };
        assert_eq!(recorded.replayed(&agreed(&reads)), Some(&outcome));
        let others = [vec![nonce(1)], vec![nonce(1), nonce(3)], vec![nonce(1), nonce(2), nonce(2)], vec![]];
        for other in others {
            assert_eq!(recorded.replayed(&agreed(&other)), None, "{other:?}");
        }
        let without = Recorded { ready: None, reads: reads.clone(), replayed: None };
        assert_eq!(without.replayed(&agreed(&reads)), None);
    }
}
