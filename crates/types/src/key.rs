//! What a key is: its spec, its id, and the digest that its derivation adds to the root.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{
    ActionId, KeyId, PublicKey, Scheme, canonical,
    canonical::sol_types::{self, Derivation},
    request::MAX_CONFIG_BYTES,
};

/// A kind of typed payload. A key's spec lists the kinds that it signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PayloadKind {
    /// Bytes signed under a tag with the key's id: never equal to anything else's digest.
    Bytes,
    /// An EIP-191 personal message (the secp256k1 schemes).
    PersonalMessage,
    /// EIP-712 typed data (the secp256k1 schemes).
    TypedData,
    /// Exactly what the action returned: it can be mistaken for anything, so the spec must ask for it.
    Raw,
}

impl PayloadKind {
    /// Every kind, in the order in which specs list them.
    pub const ALL: [Self; 4] = [Self::Bytes, Self::PersonalMessage, Self::TypedData, Self::Raw];

    /// The kind's name in specs, bodies and hashes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::PersonalMessage => "personal-message",
            Self::TypedData => "typed-data",
            Self::Raw => "raw",
        }
    }

    /// Whether it is what Ethereum wallets sign, and so for keys on secp256k1 only.
    pub const fn is_ethereum(self) -> bool {
        match self {
            Self::PersonalMessage | Self::TypedData => true,
            Self::Bytes | Self::Raw => false,
        }
    }
}

impl fmt::Display for PayloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PayloadKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            format!("unknown payload kind {text:?}, expected bytes, personal-message, typed-data or raw")
        })
    }
}

/// Which blocks a key's reads may be pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Finality {
    /// Only blocks that the chain calls final.
    #[default]
    Finalized,
}

impl Finality {
    /// The name in specs and hashes: the Ethereum block tag.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finalized => "finalized",
        }
    }
}

/// The action that decides over a key, and its settings for this key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The action.
    pub action: ActionId,
    /// What the action is told besides the caller's params; fixed for the key's life. At most
    /// [`MAX_CONFIG_BYTES`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexBytes))]
    pub config: Bytes,
}

/// What a key allows beyond the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyOptions {
    /// Whether a read may rest on one node's word. There are no such reads in this version, so it must be false.
    #[serde(default)]
    pub leader_attested: bool,
    /// Which blocks reads may be pinned to.
    #[serde(default)]
    pub finality: Finality,
}

/// What a key is. Its hash is the [`KeyId`]; the key is the scheme's root key plus a multiple of the
/// generator that follows from both. So the address *is* the policy, in every scheme: Ethereum's, Bitcoin's
/// or Solana's. No seed phrase leads to such a key: it is a child of the root by addition, and not one of
/// BIP-32 or SLIP-10.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// The signature scheme.
    pub scheme: Scheme,
    /// Which action decides, and with what settings.
    pub policy: Policy,
    /// The kinds of payload that this key signs: sorted, distinct, at least one.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 4))]
    pub payloads: Vec<PayloadKind>,
    /// Beyond the defaults.
    #[serde(default)]
    pub options: KeyOptions,
    /// Who may ask for signatures; zero: anybody.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexAddress))]
    pub owner: Address,
    /// Free: different salts give different keys.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Hex32))]
    pub salt: B256,
}

/// Why a spec is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySpecError {
    /// Not sorted, not distinct, or empty.
    #[error(
        "payloads must be distinct and in the order bytes, personal-message, typed-data, raw, at least one, got {got:?}"
    )]
    Payloads {
        /// The kinds.
        got: Vec<PayloadKind>,
    },
    /// A kind that keys of this scheme never sign.
    #[error("keys of {scheme} sign no {kind}: that is for keys on secp256k1")]
    Kind {
        /// The scheme.
        scheme: Scheme,
        /// The kind.
        kind: PayloadKind,
    },
    /// Reads on one node's word.
    #[error("options.leader_attested must be false: in this version no read rests on one node's word")]
    LeaderAttested,
    /// Too long a config.
    #[error("the policy's config has at most {MAX_CONFIG_BYTES} bytes, got {got}")]
    Config {
        /// Its length.
        got: usize,
    },
}

impl KeySpec {
    /// Checks order and sizes. A spec that is not in canonical form has no id that anybody should use.
    pub fn validate(&self) -> Result<(), KeySpecError> {
        let ordered = self.payloads.windows(2).all(|pair| pair[0] < pair[1]);
        if self.payloads.is_empty() || !ordered {
            return Err(KeySpecError::Payloads { got: self.payloads.iter().take(8).copied().collect() });
        }
        let is_for = |kind: &&PayloadKind| self.scheme.is_secp256k1() || !kind.is_ethereum();
        if let Some(kind) = self.payloads.iter().find(|kind| !is_for(kind)) {
            return Err(KeySpecError::Kind { scheme: self.scheme, kind: *kind });
        }
        if self.options.leader_attested {
            return Err(KeySpecError::LeaderAttested);
        }
        if self.policy.config.len() > MAX_CONFIG_BYTES {
            return Err(KeySpecError::Config { got: self.policy.config.len() });
        }
        Ok(())
    }

    /// The key's id: the hash of this spec.
    pub fn key_id(&self) -> KeyId {
        KeyId(canonical::struct_hash(&self.to_sol()))
    }

    pub(crate) fn to_sol(&self) -> sol_types::KeySpec {
        sol_types::KeySpec {
            scheme: self.scheme.name().into(),
            policy: sol_types::ActionPolicy {
                action: self.policy.action.0,
                config: self.policy.config.clone(),
            },
            payloads: self.payloads.iter().map(|kind| kind.name().into()).collect(),
            options: sol_types::KeyOptions {
                leaderAttested: self.options.leader_attested,
                finality: self.options.finality.name().into(),
            },
            owner: self.owner,
            salt: self.salt,
        }
    }
}

impl KeyId {
    /// What derivation adds to the root, before it is reduced to a scalar: the hash of the root's full
    /// encoding (parity included) and this id, read big-endian modulo the group's order.
    pub fn derivation_digest(&self, root: &PublicKey) -> B256 {
        canonical::struct_hash(&Derivation { root: root.0.clone(), key: self.0 })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spec() -> KeySpec {
        KeySpec {
            scheme: Scheme::SchnorrSecp256k1,
            policy: Policy { action: ActionId::from([1; 32]), config: vec![1, 2].into() },
            payloads: vec![PayloadKind::Bytes, PayloadKind::TypedData],
            options: KeyOptions::default(),
            owner: Address::ZERO,
            salt: B256::ZERO,
        }
    }

    #[test]
    fn every_field_is_in_the_id() {
        let changes: [fn(&mut KeySpec); 6] = [
            |s| s.policy.action = ActionId::from([2; 32]),
            |s| s.policy.config = vec![1].into(),
            |s| s.payloads = vec![PayloadKind::Bytes],
            |s| s.options.leader_attested = true,
            |s| s.owner = Address::repeat_byte(1),
            |s| s.salt = B256::repeat_byte(1),
        ];
        for change in changes {
            let mut changed = spec();
            change(&mut changed);
            assert_ne!(changed.key_id(), spec().key_id());
        }
    }

    #[test]
    fn only_the_canonical_form_is_valid() {
        assert_eq!(spec().validate(), Ok(()));
        for payloads in [
            vec![],
            vec![PayloadKind::Bytes, PayloadKind::Bytes],
            vec![PayloadKind::TypedData, PayloadKind::Bytes],
        ] {
            let spec = KeySpec { payloads, ..spec() };
            assert!(matches!(spec.validate(), Err(KeySpecError::Payloads { .. })));
        }
    }

    #[test]
    fn a_key_whose_reads_would_rest_on_one_node_is_refused() {
        let options = KeyOptions { leader_attested: true, ..KeyOptions::default() };
        assert_eq!(KeySpec { options, ..spec() }.validate(), Err(KeySpecError::LeaderAttested));
    }

    #[test]
    fn keys_of_other_curves_list_no_kinds_of_ethereum() {
        for scheme in Scheme::ALL {
            let kinds = |payloads| KeySpec { scheme, payloads, ..spec() }.validate();
            assert_eq!(kinds(vec![PayloadKind::Bytes, PayloadKind::Raw]), Ok(()));
            for kind in [PayloadKind::PersonalMessage, PayloadKind::TypedData] {
                let refused = Err(KeySpecError::Kind { scheme, kind });
                let expected = if scheme.is_secp256k1() { Ok(()) } else { refused };
                assert_eq!(kinds(vec![PayloadKind::Bytes, kind]), expected);
            }
        }
    }

    #[test]
    fn an_unknown_field_is_named() {
        let mut json = serde_json::to_value(spec()).expect("a spec");
        json["ownr"] = "0x".into();
        let error = serde_json::from_value::<KeySpec>(json).expect_err("misspelt");
        assert!(error.to_string().contains("ownr"), "{error}");
    }
}
