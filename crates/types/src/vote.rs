//! A signer's signed word on one outcome.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    IdentityError, NetworkId, NodeKey, NodePublicKey, NodeSignature, OutcomeHash, PackageHash, RecordHash,
    SessionId, canonical, canonical::sol_types,
};

/// What a signer attests with its shares: that it read this record, was asked with this package, and that
/// its own replay gave this outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// The session.
    pub session: SessionId,
    /// The signer's own record.
    pub record: RecordHash,
    /// What the coordinator asked it to sign.
    pub package: PackageHash,
    /// What its replay gave.
    pub outcome: OutcomeHash,
    /// The keccak-256 of its signature shares, in the order of the payloads.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Hex32))]
    pub shares: B256,
}

impl Vote {
    /// The digest that the signer signs.
    pub fn digest(&self, network: NetworkId) -> B256 {
        canonical::signing_hash(
            network,
            &sol_types::Vote {
                session: self.session.0,
                record: self.record.0,
                package: self.package.0,
                outcome: self.outcome.0,
                shares: self.shares,
            },
        )
    }

    /// Signs with the node's identity key.
    pub fn sign(self, network: NetworkId, key: &NodeKey) -> SignedVote {
        SignedVote { vote: self, signature: key.sign(self.digest(network)) }
    }
}

/// A vote with its signer's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedVote {
    /// What is attested.
    pub vote: Vote,
    /// By the node's identity key.
    pub signature: NodeSignature,
}

impl SignedVote {
    /// Checks that `signer` signed it.
    pub fn verify(&self, network: NetworkId, signer: &NodePublicKey) -> Result<(), IdentityError> {
        signer.verify(self.vote.digest(network), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_bound_to_signer_network_and_content() {
        let network = NetworkId::from([1; 32]);
        let key = NodeKey::from_bytes([1; 32]).expect("a scalar");
        let vote = Vote {
            session: SessionId::from([1; 32]),
            record: RecordHash::from([2; 32]),
            package: PackageHash::from([3; 32]),
            outcome: OutcomeHash::from([4; 32]),
            shares: B256::repeat_byte(5),
        };
        let signed = vote.sign(network, &key);
        assert_eq!(signed.verify(network, &key.public_key()), Ok(()));
        let mut altered = signed;
        altered.vote.outcome = OutcomeHash::from([9; 32]);
        assert!(altered.verify(network, &key.public_key()).is_err());
        assert!(signed.verify(NetworkId::from([2; 32]), &key.public_key()).is_err());
    }
}
