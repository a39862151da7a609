//! The terms of a session, and the context that every run in it sees.

use alloy_primitives::{B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};

use crate::{
    ActionId, Caller, EngineId, KeyId, NetworkId, PublicKey, RequestDigest, Scheme, SessionId, ValidRequest,
    canonical, canonical::sol_types,
};

/// A block agreed for a session: the only one that reads of its chain see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The chain, by EIP-155 id.
    pub chain_id: u64,
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Hex32))]
    pub hash: B256,
    /// The block's timestamp, in seconds since 1970.
    pub timestamp: u64,
}

/// What the coordinator fixes before anybody runs the action. The [`SessionId`] is their hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionTerms {
    /// The request.
    pub request: RequestDigest,
    /// The committee's epoch.
    pub epoch: u64,
    /// The engine that every member of the session runs.
    pub engine: EngineId,
    /// The session's time, in milliseconds since 1970.
    pub time_ms: u64,
    /// One block for each chain of the action's manifest, in ascending order of chain.
    pub pins: Vec<Pin>,
}

impl SessionTerms {
    /// The session's id.
    pub fn id(&self, network: NetworkId) -> SessionId {
        let pins = self
            .pins
            .iter()
            .map(|pin| sol_types::Pin {
                chainId: pin.chain_id,
                number: pin.number,
                hash: pin.hash,
                timestamp: pin.timestamp,
            })
            .collect();
        SessionId(canonical::signing_hash(
            network,
            &sol_types::Session {
                request: self.request.0,
                epoch: self.epoch,
                engine: self.engine.0,
                time: self.time_ms,
                pins,
            },
        ))
    }
}

/// What an action sees of the session: the same bytes on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The request's digest.
    pub request: RequestDigest,
    /// The session.
    pub session: SessionId,
    /// The action that runs.
    pub action: ActionId,
    /// The key that is asked to sign.
    pub key: KeyId,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The key's public key.
    pub public_key: PublicKey,
    /// From the key's spec: fixed for the key's life.
    pub config: Bytes,
    /// From the caller: hostile.
    pub params: Bytes,
    /// Who asks, checked.
    pub callers: Vec<Caller>,
    /// The session's time, in milliseconds since 1970.
    pub time_ms: u64,
    /// Public and grindable: never for secrets or lotteries.
    pub seed: B256,
    /// The agreed blocks.
    pub pins: Vec<Pin>,
}

impl Context {
    /// The context of a request in a session.
    pub fn new(request: &ValidRequest, terms: &SessionTerms, public_key: PublicKey) -> Self {
        let asked = request.request();
        let session = terms.id(asked.network);
        let seed = keccak256([b"countersign/seed/v1".as_slice(), session.as_bytes()].concat());
        Self {
            request: request.digest(),
            session,
            action: asked.key.policy.action,
            key: request.key_id(),
            scheme: asked.key.scheme,
            public_key,
            config: asked.key.policy.config.clone(),
            params: asked.params.clone(),
            callers: asked.callers.clone(),
            time_ms: terms.time_ms,
            seed,
            pins: terms.pins.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_id() {
        let network = NetworkId::from([1; 32]);
        let pin = Pin { chain_id: 1, number: 2, hash: B256::repeat_byte(3), timestamp: 4 };
        let terms = SessionTerms {
            request: RequestDigest::from([1; 32]),
            epoch: 1,
            engine: EngineId::from([2; 32]),
            time_ms: 3,
            pins: vec![pin],
        };
        let changes: [fn(&mut SessionTerms); 8] = [
            |t| t.request = RequestDigest::from([9; 32]),
            |t| t.epoch = 2,
            |t| t.engine = EngineId::from([9; 32]),
            |t| t.time_ms = 4,
            |t| t.pins.clear(),
            |t| t.pins[0].chain_id = 2,
            |t| t.pins[0].hash = B256::ZERO,
            |t| t.pins[0].timestamp = 5,
        ];
        for change in changes {
            let mut changed = terms.clone();
            change(&mut changed);
            assert_ne!(changed.id(network), terms.id(network));
        }
        assert_ne!(terms.id(network), terms.id(NetworkId::from([2; 32])));
    }
}
