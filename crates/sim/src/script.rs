//! The actions of a simulated world: what each node reads for each request, and what follows from it.
//!
//! A script stands where the runtime stands on a node. Its decision is a pure function of the context and of
//! the values that were read, as an action's is.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use countersign_agreement::{AgreedEntry, AgreedRecord, agree};
use countersign_session::{
    Millis,
    participant::{LiveRun, LocalFailure},
};
use countersign_types::{
    Bytes, Context, FailureKind, Identifier, KeySpec, Limits, Outcome, Payload, ReadId, Record, RecordEntry,
    RequestDigest, Verdict, evm::MAX_VALUE_BYTES, http::MAX_BODY_BYTES,
};

use crate::quotes::{Quotes, Seen};

/// What a run read, in order: all that a replay needs.
pub(crate) type Values = Vec<Read>;

/// One read of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) id: ReadId,
    pub(crate) value: Value,
}

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// The same on all nodes, or there is no agreement.
    Bytes(Bytes),
    /// Agreed field by field.
    Quotes(Seen),
}

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
    /// The numbers that it reads are far from the others'.
    FarOff,
    /// Its replay fails, for want of memory say.
    ReplayFails,
}

/// What one request asks for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The read that comes first and differs from node to node, if there is one.
    pub(crate) quotes: Option<Quotes>,
    /// How many reads the action makes besides.
    pub(crate) reads: usize,
    /// How many payloads it returns.
    pub(crate) payloads: usize,
    /// Whether the payloads depend on the session's time, so that two sessions sign different bytes.
    pub(crate) timed: bool,
    /// How often what is read changes, if it does.
    pub(crate) drifts: Option<Millis>,
    /// How many bytes a run leaves for the replay.
    pub(crate) leaves: usize,
    /// What is not as on most nodes.
    pub(crate) conduct: BTreeMap<Identifier, Conduct>,
    /// How long a live run takes, and a replay.
    pub(crate) run_ms: (Millis, Millis),
}

impl Plan {
    /// Every node allows.
    pub(crate) fn allowing() -> Self {
        Self {
            quotes: None,
            reads: 2,
            payloads: 1,
            timed: false,
            drifts: None,
            leaves: 0,
            conduct: BTreeMap::new(),
            run_ms: (5, 2),
        }
    }

    pub(crate) fn conduct(&self, node: Identifier) -> Conduct {
        self.conduct.get(&node).copied().unwrap_or(Conduct::Allow)
    }
}

/// How a node's runtime is built wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// It is not.
    Right,
    /// It records the widest tolerance in place of the action's.
    IgnoresTolerance,
}

/// The most bytes that a run may leave for the replay.
pub(crate) const MOST_LEFT: usize = Limits::MAX.chain_reads as usize * MAX_VALUE_BYTES
    + Limits::MAX.http_reads as usize * MAX_BODY_BYTES as usize;

/// Every request's plan.
#[derive(Default)]
pub(crate) struct Script {
    plans: BTreeMap<RequestDigest, (Plan, KeySpec)>,
}

const REFUSES: &[u8] = b"too little";

/// What an action asks for: its place in the run, and which of the action's reads it is.
#[derive(Debug, Clone, Copy)]
struct Question {
    position: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Quotes,
    /// Quotes again, which are read only where the first say so.
    Further,
    Plain(usize),
}

impl Script {
    pub(crate) fn add(&mut self, request: RequestDigest, plan: Plan, key: KeySpec) {
        self.plans.insert(request, (plan, key));
    }

    pub(crate) fn plan(&self, request: RequestDigest) -> Plan {
        self.plans.get(&request).map_or_else(Plan::allowing, |(plan, _)| plan.clone())
    }

    /// A live run of a node with such eyes.
    pub(crate) fn live(
        &self,
        context: &Context,
        node: Identifier,
        eyes: Conduct,
        now: Millis,
        runtime: Runtime,
    ) -> LiveRun<Values> {
        let plan = self.plan(context.request);
        let mut values = Values::new();
        if eyes == Conduct::Down {
            let failure =
                LocalFailure { kind: FailureKind::Unavailable, reason: "the provider is down".into() };
            return LiveRun {
                end: Err(failure),
                record: Record::default(),
                recorded: values,
                recorded_bytes: 0,
            };
        }
        let end = self.decide(context, |question| {
            let value = plan.reads_there(question, node, eyes, now);
            values.push(Read { id: read_id(context.request, question.kind), value: value.clone() });
            Ok(value)
        });
        let record = record_of(&plan, &values, runtime);
        LiveRun { end, record, recorded: values, recorded_bytes: plan.leaves }
    }

    /// A replay over what is agreed. The second part is how many reads it consumed.
    pub(crate) fn replay(
        &self,
        context: &Context,
        values: &Values,
        agreed: &AgreedRecord,
    ) -> (Result<Outcome, LocalFailure>, usize) {
        let mut consumed = 0;
        let end = self.decide(context, |Question { position, kind }| {
            let id = read_id(context.request, kind);
            let entry = agreed.entries.get(position).filter(|entry| entry.read() == id);
            let value = match (entry, values.get(position)) {
                (Some(AgreedEntry::Fields { fields, .. }), _) => Seen::of(fields).map(Value::Quotes),
                (Some(AgreedEntry::Identical { .. }), Some(own)) if own.id == id => Some(own.value.clone()),
                (Some(AgreedEntry::Identical { .. }) | None, _) => None,
            };
            consumed = position + 1;
            value.ok_or_else(|| LocalFailure {
                kind: FailureKind::Disagreement,
                reason: format!("the nodes do not agree on read {position}"),
            })
        });
        (end, consumed)
    }

    /// What a replay gives that takes what it would read for what was agreed, where nothing was.
    pub(crate) fn made_up(
        &self,
        context: &Context,
        node: Identifier,
        agreed: &AgreedRecord,
        now: Millis,
    ) -> Result<Outcome, LocalFailure> {
        let plan = self.plan(context.request);
        self.decide(context, |question| {
            let id = read_id(context.request, question.kind);
            let entry = agreed.entries.get(question.position).filter(|entry| entry.read() == id);
            Ok(match entry {
                Some(AgreedEntry::Fields { fields, .. }) => Seen::of(fields).map(Value::Quotes),
                Some(AgreedEntry::Identical { .. }) | None => None,
            }
            .unwrap_or_else(|| plan.reads_there(question, node, Conduct::Allow, now)))
        })
    }

    fn decide(
        &self,
        context: &Context,
        mut read: impl FnMut(Question) -> Result<Value, LocalFailure>,
    ) -> Result<Outcome, LocalFailure> {
        let plan = self.plan(context.request);
        let mut kinds: Vec<Kind> = (0..plan.reads).rev().map(Kind::Plain).collect();
        if plan.quotes.is_some() {
            kinds.push(Kind::Quotes);
        }
        let mut seen: Vec<u8> = context.request.as_bytes().to_vec();
        let mut position = 0;
        while let Some(kind) = kinds.pop() {
            let value = read(Question { position, kind })?;
            position += 1;
            match value {
                Value::Bytes(bytes) if bytes.as_ref() == REFUSES => {
                    return Ok(Outcome::Refused { reason: "the balance is too little".into() });
                }
                Value::Bytes(bytes) => seen.extend_from_slice(&bytes),
                Value::Quotes(quotes) => {
                    seen.extend(quotes.to_bytes());
                    let first = kind == Kind::Quotes;
                    if first && plan.quotes.as_ref().is_some_and(|plan| plan.branches(&quotes)) {
                        kinds.push(Kind::Further);
                    }
                }
            }
        }
        self.allow(context, &plan, seen)
    }

    fn allow(&self, context: &Context, plan: &Plan, mut seen: Vec<u8>) -> Result<Outcome, LocalFailure> {
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

impl Plan {
    /// What a node's values are to it alone.
    pub(crate) fn agreed_alone(&self, values: &Values) -> AgreedRecord {
        let record = record_of(self, values, Runtime::Right);
        agree(&Identifier::new(1).map(|alone| (alone, &record)).into_iter().collect())
    }

    /// What a node reads.
    fn reads_there(&self, question: Question, node: Identifier, eyes: Conduct, now: Millis) -> Value {
        let moment = self.drifts.map_or(0, |every| now / every);
        match (question.kind, &self.quotes) {
            (Kind::Quotes | Kind::Further, Some(quotes)) => {
                let (far_off, differs) =
                    (eyes == Conduct::FarOff, eyes == Conduct::Differs(question.position));
                Value::Quotes(quotes.seen_by(node, moment, far_off, differs))
            }
            (Kind::Quotes | Kind::Further | Kind::Plain(_), _) => Value::Bytes(match eyes {
                Conduct::Refuse if question.kind == Kind::Plain(0) => REFUSES.to_vec().into(),
                Conduct::Differs(at) if at == question.position => b"another value".to_vec().into(),
                Conduct::Allow
                | Conduct::Refuse
                | Conduct::Down
                | Conduct::Differs(_)
                | Conduct::FarOff
                | Conduct::ReplayFails => format!("value {moment}").into_bytes().into(),
            }),
        }
    }
}

fn read_id(request: RequestDigest, kind: Kind) -> ReadId {
    let number: u64 = match kind {
        Kind::Quotes => 1_000,
        Kind::Further => 1_001,
        Kind::Plain(number) => number as u64,
    };
    ReadId(B256::from(keccak256([request.as_bytes().as_slice(), &number.to_be_bytes()].concat())))
}

fn record_of(plan: &Plan, values: &[Read], runtime: Runtime) -> Record {
    let entry = |read: &Read| match (&read.value, &plan.quotes) {
        (Value::Quotes(seen), Some(quotes)) => RecordEntry::Fields {
            read: read.id,
            fields: quotes.fields(seen, runtime == Runtime::IgnoresTolerance),
        },
        (Value::Quotes(_), None) => RecordEntry::Fields { read: read.id, fields: Vec::new() },
        (Value::Bytes(value), _) => RecordEntry::Identical {
            read: read.id,
            value: keccak256(value),
            length: u32::try_from(value.len()).unwrap_or(u32::MAX),
        },
    };
    Record { entries: values.iter().map(entry).collect() }
}
