//! What a run ends with: a decision or a refusal, and the bytes that follow from it.

use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    KeySpec, MAX_PAYLOADS, OutcomeHash, Payload, PayloadError, canonical,
    canonical::sol_types::{AllowedOutcome, RefusedOutcome, SignedPayload},
};

/// The most bytes of a refusal's reason; longer ones are cut at a character boundary.
pub const MAX_REASON_BYTES: usize = 1024;

/// The most bytes of payloads and response together: a verdict fits one frame between nodes.
pub const MAX_VERDICT_BYTES: usize = 128 << 10;

/// What the action returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verdict {
    /// The action allows: these payloads are to be signed with the request's key.
    Allow {
        /// What to sign, at least one.
        payloads: Vec<Payload>,
        /// What the caller is told.
        response: Bytes,
    },
    /// The action refuses.
    Refuse {
        /// For the caller: which condition failed and what would satisfy it.
        reason: String,
    },
}

impl Verdict {
    /// About how many bytes of memory it takes to keep it.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Allow { payloads, response } => {
                    response.len() + payloads.iter().map(|payload| payload.content().len()).sum::<usize>()
                }
                Self::Refuse { reason } => reason.len(),
            }
    }
}

/// A verdict with the bytes that it makes the network sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// To be signed.
    Allowed {
        /// The payloads, each with its bytes.
        payloads: Vec<(Payload, Bytes)>,
        /// What the caller is told.
        response: Bytes,
    },
    /// Refused by the action.
    Refused {
        /// Why.
        reason: String,
    },
}

/// Why a verdict makes no outcome: the action is at fault, and the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeError {
    /// Nothing, or too much, to sign.
    #[error("a decision signs 1 to {MAX_PAYLOADS} payloads, the action returned {got}")]
    Count {
        /// How many payloads there are.
        got: usize,
    },
    /// Payloads and response are too long.
    #[error(
        "payloads and response have at most {MAX_VERDICT_BYTES} bytes together, the action returned {got}"
    )]
    Length {
        /// How many bytes they have.
        got: usize,
    },
    /// A payload that the key does not sign.
    #[error("payload {index} of the action's decision cannot be signed: {source}")]
    Payload {
        /// Which payload, from 0.
        index: usize,
        /// Why.
        source: PayloadError,
    },
}

impl Outcome {
    /// The verdict behind this outcome.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Allowed { payloads, response } => Verdict::Allow {
                payloads: payloads.iter().map(|(payload, _)| payload.clone()).collect(),
                response: response.clone(),
            },
            Self::Refused { reason } => Verdict::Refuse { reason: reason.clone() },
        }
    }

    /// Computes the bytes to sign with `key` from what the action returned.
    pub fn of(verdict: Verdict, key: &KeySpec) -> Result<Self, OutcomeError> {
        match verdict {
            Verdict::Refuse { reason } => Ok(Self::Refused { reason: cut(reason) }),
            Verdict::Allow { payloads, response } => {
                if !(1..=MAX_PAYLOADS).contains(&payloads.len()) {
                    return Err(OutcomeError::Count { got: payloads.len() });
                }
                let got = response.len() + payloads.iter().map(|p| p.content().len()).sum::<usize>();
                if got > MAX_VERDICT_BYTES {
                    return Err(OutcomeError::Length { got });
                }
                let signed = payloads
                    .into_iter()
                    .enumerate()
                    .map(|(index, payload)| match payload.signed_bytes(key) {
                        Ok(bytes) => Ok((payload, bytes)),
                        Err(source) => Err(OutcomeError::Payload { index, source }),
                    })
                    .collect::<Result<_, _>>()?;
                Ok(Self::Allowed { payloads: signed, response })
            }
        }
    }

    /// The bytes to sign, in order; none where refused.
    pub fn messages(&self) -> Vec<Bytes> {
        match self {
            Self::Allowed { payloads, .. } => payloads.iter().map(|(_, bytes)| bytes.clone()).collect(),
            Self::Refused { .. } => Vec::new(),
        }
    }

    /// About how many bytes of memory it takes to keep it.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Allowed { payloads, response } => {
                let payloads = payloads.iter().map(|(payload, bytes)| payload.content().len() + bytes.len());
                size_of::<Self>() + response.len() + payloads.sum::<usize>()
            }
            Self::Refused { reason } => size_of::<Self>() + reason.len(),
        }
    }

    /// The outcome's hash, as it stands in a vote.
    pub fn hash(&self) -> OutcomeHash {
        OutcomeHash(match self {
            Self::Allowed { payloads, response } => canonical::struct_hash(&AllowedOutcome {
                payloads: payloads
                    .iter()
                    .map(|(payload, bytes)| SignedPayload {
                        kind: payload.kind().name().into(),
                        content: Bytes::copy_from_slice(payload.content()),
                        message: bytes.clone(),
                    })
                    .collect(),
                response: response.clone(),
            }),
            Self::Refused { reason } => canonical::struct_hash(&RefusedOutcome { reason: reason.clone() }),
        })
    }
}

/// Cuts a reason to [`MAX_REASON_BYTES`].
pub fn cut(mut reason: String) -> String {
    if reason.len() > MAX_REASON_BYTES {
        let end = (0..=MAX_REASON_BYTES).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        reason.truncate(end);
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::spec;

    fn allow(payloads: Vec<Payload>) -> Result<Outcome, OutcomeError> {
        Outcome::of(Verdict::Allow { payloads, response: Bytes::new() }, &spec())
    }

    #[test]
    fn a_decision_signs_one_to_eight_payloads() {
        let payload = || Payload::Bytes(vec![1].into());
        assert!(matches!(allow(vec![]), Err(OutcomeError::Count { got: 0 })));
        assert!(allow(vec![payload(); MAX_PAYLOADS]).is_ok());
        assert!(matches!(allow(vec![payload(); MAX_PAYLOADS + 1]), Err(OutcomeError::Count { got: 9 })));
    }

    #[test]
    fn a_payload_that_the_key_does_not_sign_names_its_place() {
        let error = allow(vec![Payload::Bytes(vec![1].into()), Payload::Raw(vec![0; 32].into())]);
        assert!(matches!(error, Err(OutcomeError::Payload { index: 1, .. })));
    }

    #[test]
    fn payloads_and_response_are_in_the_hash() {
        let one = allow(vec![Payload::Bytes(vec![1].into())]).expect("listed");
        let two = allow(vec![Payload::Bytes(vec![2].into())]).expect("listed");
        let refused = Outcome::Refused { reason: "no".into() };
        assert_ne!(one.hash(), two.hash());
        assert_ne!(one.hash(), refused.hash());
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = cut("é".repeat(MAX_REASON_BYTES));
        assert_eq!(reason.len(), MAX_REASON_BYTES);
        assert_eq!(cut(format!("a{}", "é".repeat(MAX_REASON_BYTES))).len(), MAX_REASON_BYTES - 1);
    }
}
