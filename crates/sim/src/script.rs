//! The actions of a simulated world: what each node reads for each request, and what follows from it.
//!
//! A script stands where the runtime stands on a node. Its decision is a pure function of the context and of
//! the values that were read, as an action's is.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use countersign_session::{
    Millis,
    participant::{LiveRun, LocalFailure},
};
use countersign_types::{
    Bytes, Context, FailureKind, Identifier, KeySpec, Outcome, Payload, ReadId, Record, RecordEntry,
    RequestDigest, Verdict,
};

/// What a run read, in order: all that a replay needs.
pub(crate) type Values = Vec<Bytes>;

/// What one node's surroundings make of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// It reads what most read, which allows.
    Allow,
    /// It reads a value that refuses.
    Refuse,
    /// Its provider is down.
    Down,
    /// It reads another value at this position.
    Differs(usize),
    /// Its replay fails, for want of memory say.
    ReplayFails,
}

/// What one request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How many reads the action makes.
    pub(crate) reads: usize,
    /// How many payloads it returns.
    pub(crate) payloads: usize,
    /// Whether the payloads depend on the session's time, so that two sessions sign different bytes.
    pub(crate) timed: bool,
    /// How often what is read changes, if it does.
    pub(crate) drifts: Option<Millis>,
    /// What is not as on most nodes.
    pub(crate) conduct: BTreeMap<Identifier, Conduct>,
    /// How long a live run takes, and a replay.
    pub(crate) run_ms: (Millis, Millis),
}

impl Plan {
    /// Every node allows.
    pub(crate) fn allowing() -> Self {
        Self { reads: 2, payloads: 1, timed: false, drifts: None, conduct: BTreeMap::new(), run_ms: (5, 2) }
    }

    pub(crate) fn conduct(&self, node: Identifier) -> Conduct {
        self.conduct.get(&node).copied().unwrap_or(Conduct::Allow)
    }
}

/// Every request's plan.
#[derive(Default)]
pub(crate) struct Script {
    plans: BTreeMap<RequestDigest, (Plan, KeySpec)>,
}

const REFUSES: &[u8] = b"too little";

impl Script {
    pub(crate) fn add(&mut self, request: RequestDigest, plan: Plan, key: KeySpec) {
        self.plans.insert(request, (plan, key));
    }

    pub(crate) fn plan(&self, request: RequestDigest) -> Plan {
        self.plans.get(&request).map_or_else(Plan::allowing, |(plan, _)| plan.clone())
    }

    /// A live run with the eyes of a node.
    pub(crate) fn live(&self, context: &Context, eyes: Conduct, now: Millis) -> LiveRun<Values> {
        let plan = self.plan(context.request);
        let moment = plan.drifts.map_or(0, |every| now / every);
        let mut values: Values = (0..plan.reads)
            .map(|position| match (eyes, position) {
                (Conduct::Refuse, 0) => REFUSES.to_vec().into(),
                (Conduct::Differs(at), position) if at == position => b"another value".to_vec().into(),
                _ => format!("value {moment}").into_bytes().into(),
            })
            .collect();
        if eyes == Conduct::Down {
            values.clear();
            let failure =
                LocalFailure { kind: FailureKind::Unavailable, reason: "the provider is down".into() };
            return LiveRun { end: Err(failure), record: Record::default(), recorded: values };
        }
        let (end, consumed) = self.decide(context, &values, values.len());
        values.truncate(consumed);
        let record = record_of(context.request, &values);
        LiveRun { end, record, recorded: values }
    }

    /// A replay over the first `agreed` of the values. The second part is how many it consumed.
    pub(crate) fn replay(
        &self,
        context: &Context,
        values: &Values,
        agreed: usize,
    ) -> (Result<Outcome, LocalFailure>, usize) {
        self.decide(context, values, agreed)
    }

    fn decide(
        &self,
        context: &Context,
        values: &Values,
        agreed: usize,
    ) -> (Result<Outcome, LocalFailure>, usize) {
        let plan = self.plan(context.request);
        for position in 0..plan.reads {
            if position >= agreed.min(values.len()) {
                let reason = format!("the nodes do not agree on read {position}");
                return (Err(LocalFailure { kind: FailureKind::Disagreement, reason }), position);
            }
            if values[position].as_ref() == REFUSES {
                let reason = "the balance is too little".into();
                return (Ok(Outcome::Refused { reason }), position + 1);
            }
        }
        (self.allow(context, &plan, values), plan.reads)
    }

    fn allow(&self, context: &Context, plan: &Plan, values: &[Bytes]) -> Result<Outcome, LocalFailure> {
        let mut seen: Vec<u8> = context.request.as_bytes().to_vec();
        values.iter().for_each(|value| seen.extend_from_slice(value));
        if plan.timed {
            seen.extend_from_slice(&context.time_ms.to_be_bytes());
        }
        let payload = |index: usize| {
            let content = keccak256([seen.as_slice(), &[u8::try_from(index).unwrap_or(0)]].concat());
            Payload::Bytes(content.to_vec().into())
        };
        let verdict = Verdict::Allow {
            payloads: (0..plan.payloads).map(payload).collect(),
            response: Bytes::from_static(b"done"),
        };
        let Some((_, key)) = self.plans.get(&context.request) else { return Err(unknown()) };
        Outcome::of(verdict, key).map_err(|_| unknown())
    }

    /// Another outcome than the action's, with as many payloads: what a liar would like to see signed.
    pub(crate) fn forged(&self, context: &Context) -> Option<Outcome> {
        let (plan, key) = self.plans.get(&context.request)?;
        let payload = |index: usize| Payload::Bytes(vec![0xbad_u16.to_be_bytes()[1], index as u8].into());
        let payloads = (0..plan.payloads).map(payload).collect();
        Outcome::of(Verdict::Allow { payloads, response: Bytes::new() }, key).ok()
    }
}

fn unknown() -> LocalFailure {
    LocalFailure { kind: FailureKind::Internal, reason: "no such request in this world".into() }
}

fn record_of(request: RequestDigest, values: &[Bytes]) -> Record {
    let entry = |(position, value): (usize, &Bytes)| {
        let read = keccak256([request.as_bytes().as_slice(), &(position as u64).to_be_bytes()].concat());
        RecordEntry::Identical {
            read: ReadId(B256::from(read)),
            value: keccak256(value),
            length: u32::try_from(value.len()).unwrap_or(u32::MAX),
        }
    };
    Record { entries: values.iter().enumerate().map(entry).collect() }
}
