//! What makes an answer one: signatures, votes, and that both are of the request that was asked.

use std::collections::BTreeSet;

use countersign_threshold as threshold;
use countersign_types::{
    Bytes, Committee, Decision, FailureKind, Identifier, KeyId, NodeDecision, Outcome, OutcomeHash, Payload,
    PayloadKind, PublicKey, Request, RequestDigest, SessionId, Verdict,
    api::{SignResponse, SignedPayload},
    outcome::OutcomeError,
};

use countersign_receipt::{Trust, TrustError};

use crate::NodeError;

/// Why an answer is none to the request: whoever gave it is wrong, or lies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It answers another request.
    #[error("it answers request {got}, expected {expected}")]
    Request {
        /// What was asked.
        expected: RequestDigest,
        /// What is answered.
        got: RequestDigest,
    },
    /// It names another key, scheme, action or public key than the request's spec gives.
    #[error("its {field} is {got}, the request's key gives {expected}")]
    Key {
        /// Which field.
        field: &'static str,
        /// What the spec gives.
        expected: String,
        /// What is answered.
        got: String,
    },
    /// The session's id does not follow from request, epoch, engine, time and pins.
    #[error("its session {got} is not of its own terms, which give {expected}")]
    Session {
        /// What the terms give.
        expected: SessionId,
        /// What is answered.
        got: SessionId,
    },
    /// A payload of a kind that does not exist, or whose content is not of its kind.
    #[error("payload {index} is no payload of kind {kind:?}")]
    Payload {
        /// Which payload, from 0.
        index: usize,
        /// The kind that it claims, cut after 80 characters.
        kind: String,
    },
    /// The key signs no such payloads.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// The message is not what the payload gives.
    #[error("the message of payload {index} is {got}, its content gives {expected}")]
    Message {
        /// Which payload, from 0.
        index: usize,
        /// What the content gives.
        expected: Bytes,
        /// What is answered.
        got: Bytes,
    },
    /// A signature is wrong.
    #[error("the signature of payload {index} does not verify")]
    Signature {
        /// Which payload, from 0.
        index: usize,
        /// Why.
        source: threshold::VerifyError,
    },
    /// Too few members stand behind the outcome.
    #[error("{got} members voted for outcome {outcome} of session {session}, expected at least {expected}")]
    Votes {
        /// The threshold.
        expected: u16,
        /// How many distinct members' votes verify for this session and outcome.
        got: usize,
        /// The session.
        session: SessionId,
        /// What payloads and response give.
        outcome: OutcomeHash,
    },
    /// The request's key is none of this network.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Checks that an answer is one to this request.
///
/// It is if its key is the request's, derived from the root; if every message follows from its payload and
/// every signature verifies; and if at least a threshold of distinct members signed votes for the outcome
/// in a session of this request. A signature alone would not do: it may have been made for another request
/// with the same key.
pub fn verify_answer(trust: &Trust, request: &Request, answer: &SignResponse) -> Result<(), VerifyError> {
    let (digest, key_id) = (request.digest(), request.key.key_id());
    if answer.request != digest {
        return Err(VerifyError::Request { expected: digest, got: answer.request });
    }
    let public_key = trust.public_key(request.key.scheme, &key_id)?;
    check_key(request, &key_id, &public_key, answer)?;
    let session = answer.terms().id(trust.network());
    if answer.session != session {
        return Err(VerifyError::Session { expected: session, got: answer.session });
    }
    let outcome = outcome(request, answer)?;
    for (index, (message, signed)) in outcome.messages().iter().zip(&answer.signatures).enumerate() {
        if *message != signed.message {
            let (expected, got) = (message.clone(), signed.message.clone());
            return Err(VerifyError::Message { index, expected, got });
        }
        threshold::verify(request.key.scheme, &public_key, message, &signed.signature)
            .map_err(|source| VerifyError::Signature { index, source })?;
    }
    check_votes(trust, answer, outcome.hash())
}

/// Holds a refusal against the members that it names: where a threshold could still allow, no honest coordinator says refused. It
/// proves nothing, as what members say to each other is not signed.
pub(crate) fn check_refusal(committee: &Committee, error: NodeError) -> NodeError {
    let NodeError::Failure(failure) = &error else { return error };
    if failure.kind != FailureKind::Refused {
        return error;
    }
    let refuse = |peer_id: &str| {
        let said = |node: &&NodeDecision| node.peer_id == peer_id && node.decision == Decision::Refuse;
        failure.nodes.iter().any(|node| said(&node))
    };
    let got = committee.members().iter().filter(|member| refuse(&member.peer_id())).count();
    let expected = usize::from(committee.size() - committee.threshold()) + 1;
    if got < expected { NodeError::Unfounded { expected, got } } else { error }
}

fn check_votes(trust: &Trust, answer: &SignResponse, outcome: OutcomeHash) -> Result<(), VerifyError> {
    let voters: BTreeSet<Identifier> = answer
        .votes
        .iter()
        .filter(|cast| cast.vote.vote.session == answer.session && cast.vote.vote.outcome == outcome)
        .filter_map(|cast| {
            let signer = Identifier::new(cast.signer)?;
            let member = trust.committee().member(signer)?;
            cast.vote.verify(trust.network(), member).is_ok().then_some(signer)
        })
        .collect();
    let (expected, got) = (trust.committee().threshold(), voters.len());
    if got < usize::from(expected) {
        return Err(VerifyError::Votes { expected, got, session: answer.session, outcome });
    }
    Ok(())
}

fn check_key(
    request: &Request,
    key_id: &KeyId,
    public_key: &PublicKey,
    answer: &SignResponse,
) -> Result<(), VerifyError> {
    let check = |field, expected: &dyn ToString, got: &dyn ToString| {
        let (expected, got) = (expected.to_string(), got.to_string());
        if expected == got { Ok(()) } else { Err(VerifyError::Key { field, expected, got }) }
    };
    check("key id", key_id, &answer.key_id)?;
    check("scheme", &request.key.scheme, &answer.scheme)?;
    check("action", &request.key.policy.action, &answer.action_id)?;
    check("public key", public_key, &answer.public_key)
}

/// The outcome that the answer's payloads and response make, by the same code that nodes sign by.
fn outcome(request: &Request, answer: &SignResponse) -> Result<Outcome, VerifyError> {
    let payloads = answer
        .signatures
        .iter()
        .enumerate()
        .map(|(index, signed)| {
            payload(signed).ok_or_else(|| VerifyError::Payload {
                index,
                kind: signed.payload.chars().take(80).collect(),
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Outcome::of(Verdict::Allow { payloads, response: answer.response.clone() }, &request.key)?)
}

fn payload(signed: &SignedPayload) -> Option<Payload> {
    let content = signed.content.clone();
    Some(match signed.payload.parse().ok()? {
        PayloadKind::Bytes => Payload::Bytes(content),
        PayloadKind::PersonalMessage => Payload::PersonalMessage(content),
        PayloadKind::TypedData => Payload::TypedData(String::from_utf8(content.to_vec()).ok()?),
        PayloadKind::Raw => Payload::Raw(content),
    })
}
