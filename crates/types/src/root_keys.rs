//! The root keys of a network, and the proof that all its members stand behind them.

use std::collections::BTreeSet;

use alloy_primitives::{B256, Bytes, keccak256};
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
    /// The group public key: a whole point, from which keys are derived.
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

    fn hash(&self) -> B256 {
        self.to_sol().eip712_hash_struct()
    }
}

/// The hash of the roots of one ceremony, as members confirm it: that of the hashes of all.
pub fn roots_hash(roots: &[RootKey]) -> B256 {
    let hashes: Vec<u8> = roots.iter().flat_map(|root| root.hash().0).collect();
    keccak256(hashes)
}

/// What a member signs to activate the roots of an attempt: at most once for a network, epoch and scheme.
pub fn activation_digest(roots: &[RootKey], network: NetworkId, epoch: u64, attempt: AttemptId) -> B256 {
    let roots = roots.iter().map(RootKey::to_sol).collect();
    canonical::signing_hash(network, &sol_types::Activate { epoch, attempt: attempt.0, roots })
}

/// The root keys of one ceremony, with the activations of all members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The roots: at least one, with ascending and distinct schemes.
    pub roots: Vec<RootKey>,
    /// The attempt at key generation that they came from.
    pub attempt: AttemptId,
    /// Every member's signature over [`activation_digest`], in the order of the identifiers.
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
    /// The ceremonies in which they were made: one, and a further one for what a later version adds. No scheme
    /// is in two.
    pub ceremonies: Vec<Activation>,
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
    /// A ceremony's schemes are not in order.
    #[error("a ceremony's root keys must have ascending, distinct schemes, at least one, got {got:?}")]
    Schemes {
        /// The schemes.
        got: Vec<Scheme>,
    },
    /// There are not as many verifying shares as members.
    #[error("the root key for {scheme} needs one verifying share of each of {members} members, got {got}")]
    Shares {
        /// The scheme.
        scheme: Scheme,
        /// How many members there are.
        members: usize,
        /// How many verifying shares.
        got: usize,
    },
    /// There are not as many signatures as members.
    #[error("attempt {attempt} needs the activation of each of {members} members, got {got}")]
    Signatures {
        /// The attempt.
        attempt: AttemptId,
        /// How many members there are.
        members: usize,
        /// How many signatures.
        got: usize,
    },
    /// The public key is not of the scheme's length.
    #[error("the root key for {scheme} is not one of that scheme")]
    PublicKey {
        /// The scheme.
        scheme: Scheme,
    },
    /// A member did not sign.
    #[error("attempt {attempt} is not activated by all members: {source}")]
    Activation {
        /// The attempt.
        attempt: AttemptId,
        /// Which signature is wrong.
        source: IdentityError,
    },
}

impl Activation {
    /// The schemes of the roots, ascending.
    pub fn schemes(&self) -> impl Iterator<Item = Scheme> {
        self.roots.iter().map(|root| root.scheme)
    }

    /// Checks that every member of the committee activated these roots.
    pub fn verify(&self, network: NetworkId, epoch: u64, committee: &Committee) -> Result<(), RootKeysError> {
        let (members, attempt) = (committee.members(), self.attempt);
        if !are_ascending(self.schemes()) {
            return Err(RootKeysError::Schemes { got: self.schemes().take(Scheme::ALL.len() + 1).collect() });
        }
        for root in &self.roots {
            let (scheme, got) = (root.scheme, root.verifying_shares.len());
            if got != members.len() {
                return Err(RootKeysError::Shares { scheme, members: members.len(), got });
            }
            if root.public_key.0.len() != scheme.root_key_len() {
                return Err(RootKeysError::PublicKey { scheme });
            }
        }
        if self.signatures.len() != members.len() {
            let got = self.signatures.len();
            return Err(RootKeysError::Signatures { attempt, members: members.len(), got });
        }
        let digest = activation_digest(&self.roots, network, epoch, attempt);
        for (member, signature) in members.iter().zip(&self.signatures) {
            member
                .verify(digest, signature)
                .map_err(|source| RootKeysError::Activation { attempt, source })?;
        }
        Ok(())
    }
}

/// Whether there is at least one, and each is greater than the one before.
fn are_ascending(schemes: impl Iterator<Item = Scheme>) -> bool {
    let schemes: Vec<Scheme> = schemes.collect();
    !schemes.is_empty() && schemes.is_sorted_by(|a, b| a < b)
}

impl RootKeys {
    /// Checks every ceremony against the network and its committee.
    pub fn verify(&self, network: NetworkId, committee: &Committee) -> Result<(), RootKeysError> {
        if self.network != network {
            return Err(RootKeysError::Network { expected: network, got: self.network });
        }
        let mut seen = BTreeSet::new();
        for ceremony in &self.ceremonies {
            if let Some(scheme) = ceremony.schemes().find(|scheme| seen.contains(scheme)) {
                return Err(RootKeysError::Duplicate { scheme });
            }
            ceremony.verify(network, self.epoch, committee)?;
            seen.extend(ceremony.schemes());
        }
        Ok(())
    }

    /// Every root key.
    pub fn roots(&self) -> impl Iterator<Item = &RootKey> {
        self.ceremonies.iter().flat_map(|ceremony| &ceremony.roots)
    }

    /// The root key of a scheme.
    pub fn root(&self, scheme: Scheme) -> Option<&RootKey> {
        self.roots().find(|root| root.scheme == scheme)
    }
}

/// What one attempt at key generation is; its hash is the [`AttemptId`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptTerms {
    /// The epoch.
    pub epoch: u64,
    /// The schemes whose roots it makes, all or none: ascending, distinct, at least one.
    pub schemes: Vec<Scheme>,
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
                schemes: self.schemes.iter().map(|scheme| scheme.name().into()).collect(),
                attempt: self.number,
                starter: self.starter.get(),
                entropy: self.entropy,
            },
        ))
    }
}

/// Signs the activation of the roots of an attempt.
pub fn activate(
    roots: &[RootKey],
    network: NetworkId,
    epoch: u64,
    attempt: AttemptId,
    key: &NodeKey,
) -> NodeSignature {
    key.sign(activation_digest(roots, network, epoch, attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId(B256::repeat_byte(1));

    fn keys() -> Vec<NodeKey> {
        (1..=3u8).map(|i| NodeKey::from_bytes([i; 32]).expect("a scalar")).collect()
    }

    fn committee() -> Committee {
        Committee::new(keys().iter().map(NodeKey::public_key).collect(), 2).expect("legal")
    }

    fn ceremony(schemes: &[Scheme], attempt: u8) -> Activation {
        let root = |scheme: &Scheme| RootKey {
            scheme: *scheme,
            public_key: PublicKey(vec![2; scheme.root_key_len()].into()),
            verifying_shares: vec![Bytes::new(); 3],
        };
        let (roots, attempt) = (schemes.iter().map(root).collect::<Vec<_>>(), AttemptId::from([attempt; 32]));
        let signatures = committee()
            .members()
            .iter()
            .map(|member| {
                let key = keys().into_iter().find(|key| key.public_key() == *member).expect("a member");
                activate(&roots, NETWORK, 1, attempt, &key)
            })
            .collect();
        Activation { roots, attempt, signatures }
    }

    /// Two schemes, and one that came later.
    fn activated() -> RootKeys {
        let first = ceremony(&[Scheme::SchnorrSecp256k1, Scheme::Ed25519], 5);
        RootKeys { network: NETWORK, epoch: 1, ceremonies: vec![first, ceremony(&[Scheme::Bip340], 6)] }
    }

    #[test]
    fn root_keys_count_with_all_activations_only() {
        let root_keys = activated();
        assert_eq!(root_keys.verify(NETWORK, &committee()), Ok(()));
        assert!(Scheme::ALL.into_iter().all(|scheme| root_keys.root(scheme).is_some()));

        let mut missing = root_keys.clone();
        missing.ceremonies[1].signatures.pop();
        let refused = missing.verify(NETWORK, &committee());
        assert!(matches!(refused, Err(RootKeysError::Signatures { got: 2, .. })), "{refused:?}");
        let mut missing = root_keys.clone();
        missing.ceremonies[0].roots[1].verifying_shares.pop();
        let refused = missing.verify(NETWORK, &committee());
        assert!(matches!(refused, Err(RootKeysError::Shares { scheme: Scheme::Ed25519, .. })), "{refused:?}");

        let mut forged = root_keys.clone();
        forged.ceremonies[0].signatures[2] = forged.ceremonies[0].signatures[1];
        assert!(matches!(forged.verify(NETWORK, &committee()), Err(RootKeysError::Activation { .. })));
    }

    #[test]
    fn other_roots_and_another_network_epoch_or_attempt_are_refused() {
        let changes: [fn(&mut RootKeys); 6] = [
            |r| r.ceremonies[0].roots[1].public_key = PublicKey(vec![3; 32].into()),
            |r| r.ceremonies[0].roots[0].verifying_shares[0] = vec![1].into(),
            |r| drop(r.ceremonies[0].roots.pop()),
            |r| r.epoch = 2,
            |r| r.ceremonies[0].attempt = AttemptId::from([6; 32]),
            |r| r.ceremonies[1].roots[0].scheme = Scheme::SchnorrSecp256k1,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = activated();
            change(&mut changed);
            assert!(changed.verify(NETWORK, &committee()).is_err(), "change {index}");
        }
        let refused = activated().verify(NetworkId::from([2; 32]), &committee());
        assert!(matches!(refused, Err(RootKeysError::Network { .. })));
    }

    #[test]
    fn a_root_is_a_whole_point() {
        let mut short = activated();
        short.ceremonies[1].roots[0].public_key = PublicKey(vec![2; Scheme::Bip340.public_key_len()].into());
        let refused = short.verify(NETWORK, &committee());
        assert_eq!(refused, Err(RootKeysError::PublicKey { scheme: Scheme::Bip340 }));
    }

    #[test]
    fn a_scheme_has_one_root_in_one_ceremony() {
        let verify =
            |ceremonies| RootKeys { network: NETWORK, epoch: 1, ceremonies }.verify(NETWORK, &committee());
        let (all, some) = (ceremony(&Scheme::ALL, 5), ceremony(&[Scheme::Bip340, Scheme::Ed25519], 6));
        assert_eq!(verify(vec![all.clone()]), Ok(()));
        assert_eq!(verify(vec![]), Ok(()));
        assert_eq!(verify(vec![all, some]), Err(RootKeysError::Duplicate { scheme: Scheme::Bip340 }));
        for schemes in [&[][..], &[Scheme::Ed25519, Scheme::Bip340], &[Scheme::Bip340, Scheme::Bip340]] {
            let refused = verify(vec![ceremony(schemes, 5)]);
            assert_eq!(refused, Err(RootKeysError::Schemes { got: schemes.to_vec() }));
        }
    }
}
