//! Sequences of inputs to the real state machines, from peers that may say anything, in any order.
//!
//! The messages are built from what the machines said before, mostly as an honest peer would and sometimes not, so that
//! inputs get deep; what is asserted holds whatever is said.

mod coordinator;
mod keygen;
mod participant;

pub(crate) use coordinator::coordinator;
pub(crate) use keygen::{honest_messages, keygen};
pub(crate) use participant::participant;

use countersign_threshold::Commitments;
use countersign_types::{
    B256, Bytes, Decimal, FieldRead, Outcome, Payload, ReadId, Record, RecordEntry, Rule, Tolerance, Verdict,
    http::FieldValue,
};

use crate::{choices::Choices, world::Asked};

/// The most inputs of one sequence.
const MAX_STEPS: usize = 96;

/// What a run read: all identical, a number that may differ, nothing, or anything.
fn record(choices: &mut Choices<'_>) -> Record {
    match choices.below(4) {
        0 => identical(),
        1 => Record { entries: vec![quote(100 + choices.below(4) as u64)] },
        2 => Record::default(),
        _ => choices.record(),
    }
}

pub(crate) fn identical() -> Record {
    let entry =
        RecordEntry::Identical { read: ReadId::from([1; 32]), value: B256::repeat_byte(2), length: 32 };
    Record { entries: vec![entry] }
}

/// A number that is agreed within two units.
pub(crate) fn quote(number: u64) -> RecordEntry {
    let field = FieldRead {
        pointer: "/price".into(),
        rule: Rule::Median(Tolerance { bps: 0, abs: Decimal::from(2) }),
        value: FieldValue::Number(number.into()),
    };
    RecordEntry::Fields { read: ReadId::from([3; 32]), fields: vec![field] }
}

/// What a run of a request allows: so many payloads, other ones for another variant.
pub(crate) fn allowed(asked: &Asked, payloads: usize, variant: u8) -> Outcome {
    let payload = |place: usize| {
        let place = u8::try_from(place).unwrap_or(0);
        Payload::Bytes([&asked.request.request().params[..], &[variant, place][..]].concat().into())
    };
    let verdict = Verdict::Allow { payloads: (0..payloads).map(payload).collect(), response: Bytes::new() };
    Outcome::of(verdict, &asked.request.request().key).expect("the key signs bytes")
}

/// What is no commitment of anybody.
fn no_commitments(choices: &mut Choices<'_>) -> Commitments {
    Commitments::try_from(Bytes::copy_from_slice(choices.bytes(66))).expect("at most 66 bytes")
}
