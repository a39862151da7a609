//! The bodies of the HTTP interface. Bytes are 0x-hex, times milliseconds since 1970.

use alloy_primitives::{Address, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    ActionId, EngineId, Failure, Genesis, KeyId, Manifest, NetworkId, NodeDecision, NodePublicKey, Pin,
    PublicKey, RequestDigest, RootKeys, Scheme, SessionId, SessionTerms, Signature, SignedVote,
    failure::{Disagreement, FailureKind},
};

/// `GET /v1/network`: what a client must know, and how the network is from this node's view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NetworkInfo {
    /// The network.
    pub network: NetworkId,
    /// The genesis: its hash is the network id.
    pub genesis: Genesis,
    /// The epoch of the committee.
    pub epoch: u64,
    /// The root keys with all activations, once key generation is done.
    pub root_keys: Option<RootKeys>,
    /// The members, in the order of their identifiers.
    pub members: Vec<MemberInfo>,
    /// The node that answers.
    pub node: NodePublicKey,
    /// Its software version.
    pub version: String,
    /// Its engine.
    pub engine: EngineId,
    /// Whether it can sign now.
    pub ready: bool,
    /// Why not, where it cannot.
    pub not_ready: Option<String>,
}

/// A member, from the answering node's view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemberInfo {
    /// The identifier, from 1.
    pub identifier: u16,
    /// The identity key.
    pub public_key: NodePublicKey,
    /// The libp2p PeerId.
    pub peer_id: String,
    /// The Ethereum address.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexAddress))]
    pub address: Address,
    /// Whether it is connected, with equal protocol and engine.
    pub connected: bool,
    /// Its software version, as it last said; none before its first connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its engine, as it last said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineId>,
}

/// `GET /v1/actions`: what the node stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionList {
    /// In ascending order of id.
    pub actions: Vec<ActionInfo>,
}

/// `GET /v1/actions/{id}`, and the answer to a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionInfo {
    /// The action.
    pub action_id: ActionId,
    /// What it is and may do.
    pub manifest: Manifest,
    /// Who published it here.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexAddress))]
    pub publisher: Address,
    /// The component's length in bytes.
    pub component_bytes: u64,
    /// The script's length in bytes; 0 where there is none.
    #[serde(default)]
    pub script_bytes: u64,
}

/// `POST /v1/requests`, and `GET /v1/requests/{digest}`: the signatures, and who stands behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignResponse {
    /// The request.
    pub request: RequestDigest,
    /// The session that signed it.
    pub session: SessionId,
    /// The epoch of the committee that signed.
    pub epoch: u64,
    /// The engine of the session's nodes.
    pub engine: EngineId,
    /// The session's time.
    pub time_ms: u64,
    /// The blocks that reads were pinned to.
    pub pins: Vec<Pin>,
    /// The action that decided.
    pub action_id: ActionId,
    /// The key.
    pub key_id: KeyId,
    /// Its scheme.
    pub scheme: Scheme,
    /// Its public key.
    pub public_key: PublicKey,
    /// One for each payload.
    pub signatures: Vec<SignedPayload>,
    /// What the action tells the caller.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexBytes))]
    pub response: Bytes,
    /// What each node said.
    pub nodes: Vec<NodeDecision>,
    /// The signers' votes.
    pub votes: Vec<SignerVote>,
}

impl SignResponse {
    /// The terms that the response claims; they hold if their id is [`SignResponse::session`].
    pub fn terms(&self) -> SessionTerms {
        SessionTerms {
            request: self.request,
            epoch: self.epoch,
            engine: self.engine,
            time_ms: self.time_ms,
            pins: self.pins.clone(),
        }
    }
}

/// A payload and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedPayload {
    /// The kind, by name.
    pub payload: String,
    /// What the action returned; typed data as the UTF-8 of their JSON.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexBytes))]
    pub content: Bytes,
    /// Exactly the bytes that the scheme's verifier takes.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexBytes))]
    pub message: Bytes,
    /// The signature in the scheme's own encoding.
    pub signature: Signature,
}

/// A vote and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignerVote {
    /// The signer's identifier.
    pub signer: u16,
    /// What it attests.
    #[serde(flatten)]
    pub vote: SignedVote,
}

/// What every problem's type starts with.
pub const PROBLEM_PREFIX: &str = "urn:countersign:problem:";

/// Problem details (RFC 9457), with what each node said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:countersign:problem:` and the failure's stable name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, with facts, and what to do.
    pub detail: String,
    /// What each node said, where nodes were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeDecision>,
    /// Where the nodes disagree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<Box<Disagreement>>,
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self {
            kind: format!("{PROBLEM_PREFIX}{}", failure.kind.name()),
            title: failure.kind.title().into(),
            status: failure.kind.status(),
            detail: failure.detail,
            nodes: failure.nodes,
            disagreement: failure.disagreement,
        }
    }
}

impl Problem {
    /// The failure that this problem tells of; none if its type is unknown.
    pub fn into_failure(self) -> Option<Failure> {
        let kind = FailureKind::from_name(self.kind.strip_prefix(PROBLEM_PREFIX)?)?;
        let Self { detail, nodes, disagreement, .. } = self;
        Some(Failure { kind, detail, nodes, disagreement, retry_after: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_tells_the_whole_failure() {
        for kind in FailureKind::ALL {
            let nodes = vec![NodeDecision {
                peer_id: "16Uiu2".into(),
                decision: crate::Decision::Refuse,
                reason: Some("too little".into()),
            }];
            let disagreement = Some(Box::new(Disagreement {
                position: 1,
                what: Some("GET https://a.example/".into()),
                pointer: Some("/price".into()),
                rule: "identical".into(),
                reason: "the nodes read different values".into(),
                saw: Vec::new(),
            }));
            let failure = Failure { kind, detail: "why".into(), nodes, disagreement, retry_after: None };
            let json = serde_json::to_string(&Problem::from(failure.clone())).expect("a problem");
            let problem: Problem = serde_json::from_str(&json).expect("a problem");
            assert_eq!(problem.status, kind.status());
            assert_eq!(problem.into_failure(), Some(failure));
        }
    }
}
