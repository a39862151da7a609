//! The root keys of a network, and the proof that all its members stand behind them.

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolStruct;
use serde::{Deserialize, Serialize};

use crate::{
    AttemptId, Committee, IdentityError, NetworkId, NodeKey, NodeSignature, PublicKey, Scheme, canonical,
    canonical::sol_types,
};

/// The root key of one scheme and the public image of every member's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RootKey {
    /// The scheme.
    pub scheme: Scheme,
    /// The group public key.
    pub public_key: PublicKey,
    /// The verifying shares, in the order of the identifiers.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::HexBytes>))]
    pub verifying_shares: Vec<Bytes>,
}

impl RootKey {
    fn to_sol(&self) -> sol_types::RootKey {
        sol_types::RootKey {
            scheme: self.scheme.name().into(),
            publicKey: self.public_key.0.clone(),
            verifyingShares: self.verifying_shares.clone(),
        }
    }

    /// The hash of the root key, as members confirm it.
    pub fn hash(&self) -> B256 {
        self.to_sol().eip712_hash_struct()
    }

    /// What a member signs to activate this root: at most once for a network, scheme and epoch.
    pub fn activation_digest(&self, network: NetworkId, epoch: u64, attempt: AttemptId) -> B256 {
        canonical::signing_hash(
            network,
            &sol_types::Activate { epoch, attempt: attempt.0, root: self.to_sol() },
        )
    }
}

/// A root key with the activations of all members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The root.
    pub root: RootKey,
    /// The attempt at key generation that it came from.
    pub attempt: AttemptId,
    /// Every member's signature over [`RootKey::activation_digest`], in the order of the identifiers.
    pub signatures: Vec<NodeSignature>,
}

/// The root keys of an epoch: the file `root-keys.json`. Anybody may hand it on: it counts only with the
/// activations of all members of the genesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RootKeys {
    /// The network.
    pub network: NetworkId,
    /// The committee's epoch.
    pub epoch: u64,
    /// One for each scheme.
    pub keys: Vec<Activation>,
}

/// Why root keys do not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootKeysError {
    /// They belong to another network.
    #[error("the root keys are of network {got}, expected {expected}")]
    Network {
        /// The network that is asked for.
        expected: NetworkId,
        /// The network in the file.
        got: NetworkId,
    },
    /// A scheme twice.
    #[error("there are two root keys for {scheme}")]
    Duplicate {
        /// The scheme.
        scheme: Scheme,
    },
    /// Shares or signatures do not match the members.
    #[error(
        "the root key for {scheme} needs one verifying share and one activation of each of {members} members, got {shares} and {signatures}"
    )]
    Count {
        /// The scheme.
        scheme: Scheme,
        /// How many members there are.
        members: usize,
        /// How many verifying shares.
        shares: usize,
        /// How many activations.
        signatures: usize,
    },
    /// The public key is not of the scheme's length.
    #[error("the root key for {scheme} is not one of that scheme")]
    PublicKey {
        /// The scheme.
        scheme: Scheme,
    },
    /// A member did not sign.
    #[error("the root key for {scheme} is not activated by all members: {source}")]
    Activation {
        /// The scheme.
        scheme: Scheme,
        /// Which signature is wrong.
        source: IdentityError,
    },
}

impl Activation {
    /// Checks that every member of the committee activated this root.
    pub fn verify(&self, network: NetworkId, epoch: u64, committee: &Committee) -> Result<(), RootKeysError> {
        let (members, scheme) = (committee.members(), self.root.scheme);
        let (shares, signatures) = (self.root.verifying_shares.len(), self.signatures.len());
        if shares != members.len() || signatures != members.len() {
            return Err(RootKeysError::Count { scheme, members: members.len(), shares, signatures });
        }
        if self.root.public_key.0.len() != scheme.public_key_len() {
            return Err(RootKeysError::PublicKey { scheme });
        }
        let digest = self.root.activation_digest(network, epoch, self.attempt);
        for (member, signature) in members.iter().zip(&self.signatures) {
            member
                .verify(digest, signature)
                .map_err(|source| RootKeysError::Activation { scheme, source })?;
        }
        Ok(())
    }
}

impl RootKeys {
    /// Checks every root against the network and its committee.
    pub fn verify(&self, network: NetworkId, committee: &Committee) -> Result<(), RootKeysError> {
        if self.network != network {
            return Err(RootKeysError::Network { expected: network, got: self.network });
        }
        for (index, key) in self.keys.iter().enumerate() {
            let scheme = key.root.scheme;
            if self.keys[..index].iter().any(|earlier| earlier.root.scheme == scheme) {
                return Err(RootKeysError::Duplicate { scheme });
            }
            key.verify(network, self.epoch, committee)?;
        }
        Ok(())
    }

    /// The root key of a scheme.
    pub fn root(&self, scheme: Scheme) -> Option<&RootKey> {
        self.keys.iter().map(|key| &key.root).find(|root| root.scheme == scheme)
    }
}

/// What one attempt at key generation is; its hash is the [`AttemptId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptTerms {
    /// The epoch.
    pub epoch: u64,
    /// The scheme.
    pub scheme: Scheme,
    /// When it began, in milliseconds since 1970 by its starter's clock: greater than that of every earlier
    /// attempt of its starter.
    pub number: u64,
    /// Who started it, by identifier.
    pub starter: crate::Identifier,
    /// Fresh for each attempt.
    pub entropy: B256,
}

impl AttemptTerms {
    /// The attempt's id.
    pub fn id(&self, network: NetworkId) -> AttemptId {
        AttemptId(canonical::signing_hash(
            network,
            &sol_types::KeyGeneration {
                epoch: self.epoch,
                scheme: self.scheme.name().into(),
                attempt: self.number,
                starter: self.starter.get(),
                entropy: self.entropy,
            },
        ))
    }
}

/// Signs the activation of a root.
pub fn activate(
    root: &RootKey,
    network: NetworkId,
    epoch: u64,
    attempt: AttemptId,
    key: &NodeKey,
) -> NodeSignature {
    key.sign(root.activation_digest(network, epoch, attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<NodeKey> {
        (1..=3u8).map(|i| NodeKey::from_bytes([i; 32]).expect("a scalar")).collect()
    }

    fn activated() -> (RootKeys, NetworkId, Committee) {
        let network = NetworkId::from([1; 32]);
        let committee = Committee::new(keys().iter().map(NodeKey::public_key).collect(), 2).expect("legal");
        let public_key = PublicKey(vec![2; 33].into());
        let verifying_shares = vec![Bytes::new(); 3];
        let root = RootKey { scheme: Scheme::SchnorrSecp256k1, public_key, verifying_shares };
        let attempt = AttemptId::from([5; 32]);
        let signatures = committee
            .members()
            .iter()
            .map(|member| {
                let key = keys().into_iter().find(|key| key.public_key() == *member).expect("a member");
                activate(&root, network, 1, attempt, &key)
            })
            .collect();
        let keys = vec![Activation { root, attempt, signatures }];
        (RootKeys { network, epoch: 1, keys }, network, committee)
    }

    #[test]
    fn root_keys_count_with_all_activations_only() {
        let (root_keys, network, committee) = activated();
        assert_eq!(root_keys.verify(network, &committee), Ok(()));

        let mut missing = root_keys.clone();
        missing.keys[0].signatures.pop();
        assert!(matches!(missing.verify(network, &committee), Err(RootKeysError::Count { .. })));

        let mut forged = root_keys.clone();
        forged.keys[0].signatures[2] = forged.keys[0].signatures[1];
        assert!(matches!(forged.verify(network, &committee), Err(RootKeysError::Activation { .. })));
    }

    #[test]
    fn another_root_network_epoch_or_attempt_is_refused() {
        let (root_keys, network, committee) = activated();
        let changes: [fn(&mut RootKeys); 4] = [
            |r| r.keys[0].root.public_key = PublicKey(vec![3; 33].into()),
            |r| r.keys[0].root.verifying_shares[0] = vec![1].into(),
            |r| r.epoch = 2,
            |r| r.keys[0].attempt = AttemptId::from([6; 32]),
        ];
        for change in changes {
            let mut changed = root_keys.clone();
            change(&mut changed);
            assert!(matches!(changed.verify(network, &committee), Err(RootKeysError::Activation { .. })));
        }
        let other = NetworkId::from([2; 32]);
        assert!(matches!(root_keys.verify(other, &committee), Err(RootKeysError::Network { .. })));
    }

    #[test]
    fn a_scheme_has_one_root() {
        let (mut root_keys, network, committee) = activated();
        root_keys.keys.push(root_keys.keys[0].clone());
        assert!(matches!(root_keys.verify(network, &committee), Err(RootKeysError::Duplicate { .. })));
    }
}
