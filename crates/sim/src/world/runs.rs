//! What actions give when they run live, and when they are replayed.

use countersign_agreement::AgreedRecord;
use countersign_session::participant::{LocalFailure, Run};
use countersign_types::{FailureKind, Identifier};

use super::{World, events::Event, faults::CrashPoint};
use crate::{
    Mutant, Violation,
    script::{Conduct, Runtime, Values},
};

impl World {
    pub(super) fn observe(&mut self, me: Identifier, run: Run) -> Result<(), Violation> {
        let plan = self.script.plan(run.request.digest());
        let own = plan.conduct(me);
        let now = self.now;
        // liars do as the others, or nobody would agree with anybody
        let runtime = match self.scenario.mutant {
            Some(Mutant::IgnoresTolerance) => Runtime::IgnoresTolerance,
            Some(_) | None => Runtime::Right,
        };
        let mut live = if self.is_liar(me) {
            let truth = self.script.live(&run.context, me, Conduct::Allow, now, runtime).end.ok();
            self.conspiracy.learns(&run, truth);
            let eyes = self.conspiracy.eyes(me, &run, own);
            let live = self.script.live(&run.context, me, eyes, now, runtime);
            self.conspiracy.live(me, run.session, live)
        } else {
            self.script.live(&run.context, me, own, now, runtime)
        };
        if live.record.entries.is_empty() {
            live.recorded.clear();
        }
        self.watch.ran(me, &run, live.record.hash(), &live.recorded)?;
        let Some(life) = self.hosts.get(&me).map(|host| host.life) else { return Ok(()) };
        let at = now + self.chance.between(1, plan.run_ms.0);
        self.queue.plan(at, Event::Observed { node: me, life, run, live: Box::new(live) });
        self.may_crash(me, CrashPoint::AfterObserve);
        Ok(())
    }

    pub(super) fn replay(
        &mut self,
        me: Identifier,
        run: Run,
        attempt: u32,
        recorded: &Values,
        agreed: &AgreedRecord,
    ) {
        let plan = self.script.plan(run.request.digest());
        let mutant = self.mutant(me);
        let own = plan.agreed_alone(recorded);
        let over = match mutant {
            Some(Mutant::IgnoresWhatIsAgreed) => extended(agreed, &own),
            Some(Mutant::ReplaysItsOwnNumbers) => AgreedRecord {
                entries: own.entries.iter().take(agreed.entries.len()).cloned().collect(),
                ended: None,
            },
            Some(_) | None => agreed.clone(),
        };
        let (mut end, _) = self.script.replay(&run.context, recorded, &over);
        if mutant == Some(Mutant::MakesReadsUp) && end.is_err() {
            end = self.script.made_up(&run.context, me, agreed, self.now);
        }
        if plan.conduct(me) == Conduct::ReplayFails {
            let kind = FailureKind::Internal;
            end = Err(LocalFailure { kind, reason: "out of memory".into() });
        }
        if mutant == Some(Mutant::SignsTheLiveOutcome) && end.is_err() {
            end = self.script.replay(&run.context, recorded, &own).0;
        }
        if mutant == Some(Mutant::SignsWhatItIsTold) && self.is_liar(run.coordinator) {
            end = self.conspiracy.wish(&self.script, run.session).map_or(end, Ok);
        }
        if self.is_liar(me) {
            end = self.conspiracy.replayed(me, &run, &self.script, end);
        }
        let Some(life) = self.hosts.get(&me).map(|host| host.life) else { return };
        let at = self.now + self.chance.between(1, plan.run_ms.1);
        self.queue.plan(at, Event::Replayed { node: me, life, run, attempt, end });
    }
}

/// What is agreed, and beyond it what a node read for itself.
fn extended(agreed: &AgreedRecord, own: &AgreedRecord) -> AgreedRecord {
    let beyond = own.entries.iter().skip(agreed.entries.len());
    AgreedRecord { entries: agreed.entries.iter().chain(beyond).cloned().collect(), ended: None }
}
