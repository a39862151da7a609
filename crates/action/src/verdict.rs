//! From what an action returned to a verdict.

use countersign_types::{Limits, Payload, Verdict, outcome::cut, payload::MAX_PAYLOAD_BYTES, typed_data};

use crate::{
    abort::Abort,
    advice::advised,
    bindings::{
        countersign::action::outcome::{self as wit, Decision, Refusal},
        runner::ScriptEnd,
    },
};

/// The verdict, unless it is beyond the manifest's limits, or the script came to none.
pub(crate) fn from_wit(result: Result<Decision, ScriptEnd>, limits: &Limits) -> Result<Verdict, Abort> {
    match result {
        Err(ScriptEnd::Refused(Refusal { reason })) => Ok(Verdict::Refuse { reason: cut(reason) }),
        Err(ScriptEnd::Failed(text)) => Err(Abort::script(advised(text))),
        Ok(Decision { sign, response }) => {
            if sign.is_empty() {
                return Err(Abort::InvalidResult { reason: "a decision signs at least one payload".into() });
            }
            at_most("payloads", sign.len(), limits.payloads)?;
            at_most("response bytes", response.len(), limits.response_bytes)?;
            let payloads = sign.into_iter().enumerate().map(payload).collect::<Result<_, _>>()?;
            Ok(Verdict::Allow { payloads, response: response.into() })
        }
    }
}

fn payload((index, payload): (usize, wit::Payload)) -> Result<Payload, Abort> {
    let payload = match payload {
        wit::Payload::Bytes(bytes) => Payload::Bytes(bytes.into()),
        wit::Payload::PersonalMessage(bytes) => Payload::PersonalMessage(bytes.into()),
        wit::Payload::TypedData(json) => Payload::TypedData(json),
        wit::Payload::Raw(bytes) => Payload::Raw(bytes.into()),
    };
    let got = payload.content().len();
    if got > MAX_PAYLOAD_BYTES {
        return Err(Abort::Limit { what: "bytes of a payload", got, limit: MAX_PAYLOAD_BYTES });
    }
    if let Payload::TypedData(json) = &payload {
        // Whoever computes the bytes to sign parses them outside of the guest's limits.
        typed_data::check(json).map_err(|reason| Abort::InvalidResult {
            reason: format!("payload {index} is not valid typed data: {reason}"),
        })?;
    }
    Ok(payload)
}

fn at_most(what: &'static str, got: usize, limit: u32) -> Result<(), Abort> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if got > limit { Err(Abort::Limit { what, got, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(payloads: usize, response: usize) -> Result<Verdict, Abort> {
        let decision = Decision {
            sign: (0..payloads).map(|_| wit::Payload::Bytes(vec![1])).collect(),
            response: vec![0; response],
        };
        from_wit(Ok(decision), &Limits { payloads: 2, response_bytes: 10, ..Limits::MAX })
    }

    #[test]
    fn what_is_within_the_limits_is_a_verdict() {
        assert!(matches!(decide(2, 10), Ok(Verdict::Allow { payloads, .. }) if payloads.len() == 2));
    }

    #[test]
    fn a_decision_beyond_a_limit_is_an_abort() {
        assert!(matches!(decide(0, 0), Err(Abort::InvalidResult { .. })));
        assert_eq!(decide(3, 0), Err(Abort::Limit { what: "payloads", got: 3, limit: 2 }));
        assert_eq!(decide(1, 11), Err(Abort::Limit { what: "response bytes", got: 11, limit: 10 }));
        let sign = vec![wit::Payload::Raw(vec![0; MAX_PAYLOAD_BYTES + 1])];
        let end = from_wit(Ok(Decision { sign, response: vec![] }), &Limits::MAX);
        assert!(matches!(end, Err(Abort::Limit { what: "bytes of a payload", .. })));
    }

    #[test]
    fn a_long_reason_is_cut() {
        let refused = ScriptEnd::Refused(Refusal { reason: "x".repeat(100_000) });
        let Ok(Verdict::Refuse { reason }) = from_wit(Err(refused), &Limits::MAX) else {
            panic!("a refusal")
        };
        assert!(reason.len() <= countersign_types::outcome::MAX_REASON_BYTES);
    }

    #[test]
    fn what_a_script_throws_is_no_refusal() {
        let end = from_wit(Err(ScriptEnd::Failed("x is not defined, line 3".into())), &Limits::MAX);
        assert_eq!(end, Err(Abort::Script { text: "x is not defined, line 3".into() }));
    }
}
