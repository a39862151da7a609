//! Where each record lies: the names of files and the encoding of keys.
//!
//! | type | fields of the key | value |
//! |---|---|---|
//! | 1 head | | sealed [`Head`](crate::records::Head) |
//! | 2 identity | | sealed secret key, 32 bytes |
//! | 3 pending shares | epoch 8, attempt 32 | sealed terms, roots and shares |
//! | 4 activation | epoch 8, scheme 1 | sealed attempt and confirmations |
//! | 5 root keys | epoch 8 | sealed `RootKeys` |
//! | 6 action | action id 32 | signed publication and the component's length |
//! | 7 component | digest 32 | the component's bytes |
//! | 8 script | digest 32 | the script's text |
//! | 9 own boot | generation 8 | sealed id, 16 bytes |
//! | 10 peer's boot | public key 33 | sealed generation and id, or that they were forgotten |
//! | 11 joined | epoch 8 | sealed number of the latest attempt, and a note |
//!
//! Sealed values are a nonce of 24 bytes, the ciphertext, and a tag of 16. Structured values are postcard.

use countersign_types::{ActionId, AttemptId, B256, ComponentDigest, NetworkId, NodePublicKey, Scheme};

/// The version of the layout. A store of another version is refused, never guessed at.
///
/// 1: one attempt at key generation for each scheme. 2: one for all schemes that the network lacks.
pub const SCHEMA: u32 = 2;

pub(crate) const HEADER: &str = "header";
pub(crate) const HEADER_COPY: &str = "header.copy";
pub(crate) const WATERMARK: &str = "watermark";
pub(crate) const ROCKSDB: &str = "rocksdb";

/// A record's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Head,
    Identity,
    PendingShares {
        epoch: u64,
        attempt: AttemptId,
    },
    Activation {
        epoch: u64,
        scheme: Scheme,
    },
    RootKeys {
        epoch: u64,
    },
    Action(ActionId),
    Component(ComponentDigest),
    /// By the keccak-256 of its text.
    Script(B256),
    OwnBoot {
        generation: u64,
    },
    PeerBoot(NodePublicKey),
    /// The latest attempt that this node takes part in.
    Joined {
        epoch: u64,
    },
}

/// A record's type: the first byte of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Head = 1,
    Identity = 2,
    PendingShares = 3,
    Activation = 4,
    RootKeys = 5,
    Action = 6,
    Component = 7,
    Script = 8,
    OwnBoot = 9,
    PeerBoot = 10,
    Joined = 11,
}

impl Kind {
    /// What every key of this type starts with.
    pub(crate) fn prefix(self) -> Vec<u8> {
        vec![self as u8]
    }
}

impl Place {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Head => Kind::Head,
            Self::Identity => Kind::Identity,
            Self::PendingShares { .. } => Kind::PendingShares,
            Self::Activation { .. } => Kind::Activation,
            Self::RootKeys { .. } => Kind::RootKeys,
            Self::Action(_) => Kind::Action,
            Self::Component(_) => Kind::Component,
            Self::Script(_) => Kind::Script,
            Self::OwnBoot { .. } => Kind::OwnBoot,
            Self::PeerBoot(_) => Kind::PeerBoot,
            Self::Joined { .. } => Kind::Joined,
        }
    }

    /// The key of the record that lies here.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = self.kind().prefix();
        match self {
            Self::Head | Self::Identity => {}
            Self::PendingShares { epoch, attempt } => {
                key.extend(epoch.to_be_bytes());
                key.extend(attempt.as_bytes());
            }
            Self::Activation { epoch, scheme } => {
                key.extend(epoch.to_be_bytes());
                key.push(code(*scheme));
            }
            Self::RootKeys { epoch } | Self::Joined { epoch } => key.extend(epoch.to_be_bytes()),
            Self::Action(id) => key.extend(id.as_bytes()),
            Self::Component(digest) => key.extend(digest.as_bytes()),
            Self::Script(digest) => key.extend(digest.as_slice()),
            Self::OwnBoot { generation } => key.extend(generation.to_be_bytes()),
            Self::PeerBoot(member) => key.extend(member.as_bytes()),
        }
        key
    }

    /// The place that a key names; none if it names none.
    pub(crate) fn parse(key: &[u8]) -> Option<Self> {
        let (kind, mut fields) = key.split_first()?;
        let fields = &mut fields;
        let place = match *kind {
            1 => Self::Head,
            2 => Self::Identity,
            3 => Self::PendingShares { epoch: number(fields)?, attempt: AttemptId::from(take(fields)?) },
            4 => Self::Activation { epoch: number(fields)?, scheme: scheme(fields)? },
            5 => Self::RootKeys { epoch: number(fields)? },
            6 => Self::Action(ActionId::from(take(fields)?)),
            7 => Self::Component(ComponentDigest::from(take(fields)?)),
            8 => Self::Script(B256::from(take(fields)?)),
            9 => Self::OwnBoot { generation: number(fields)? },
            10 => Self::PeerBoot(NodePublicKey::from_bytes(take(fields)?).ok()?),
            11 => Self::Joined { epoch: number(fields)? },
            _ => return None,
        };
        fields.is_empty().then_some(place)
    }

    /// What the pending shares of every attempt of an epoch start with.
    pub(crate) fn pending_shares(epoch: u64) -> Vec<u8> {
        let mut prefix = Kind::PendingShares.prefix();
        prefix.extend(epoch.to_be_bytes());
        prefix
    }

    /// The associated data of a sealed record: every field has a fixed length up to the key, which is last.
    pub(crate) fn associated_data(&self, network: NetworkId, node: &NodePublicKey) -> Vec<u8> {
        [
            b"countersign-store/record".as_slice(),
            &SCHEMA.to_be_bytes(),
            network.as_bytes(),
            node.as_bytes(),
            &self.key(),
        ]
        .concat()
    }
}

/// A scheme's byte in keys. Never reuse one.
fn code(scheme: Scheme) -> u8 {
    match scheme {
        Scheme::SchnorrSecp256k1 => 1,
        Scheme::Bip340 => 2,
        Scheme::Ed25519 => 3,
    }
}

fn take<const N: usize>(fields: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = fields.split_first_chunk::<N>()?;
    *fields = rest;
    Some(*field)
}

fn number(fields: &mut &[u8]) -> Option<u64> {
    take(fields).map(u64::from_be_bytes)
}

fn scheme(fields: &mut &[u8]) -> Option<Scheme> {
    let [byte] = take(fields)?;
    Scheme::ALL.into_iter().find(|scheme| code(*scheme) == byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Place> {
        let scheme = || proptest::sample::select(Scheme::ALL.as_slice());
        let epoch = || prop_oneof![any::<u64>(), 0..4u64];
        prop_oneof![
            Just(Place::Head),
            Just(Place::Identity),
            (epoch(), any::<[u8; 32]>())
                .prop_map(|(epoch, attempt)| { Place::PendingShares { epoch, attempt: attempt.into() } }),
            (epoch(), scheme()).prop_map(|(epoch, scheme)| Place::Activation { epoch, scheme }),
            epoch().prop_map(|epoch| Place::RootKeys { epoch }),
            epoch().prop_map(|epoch| Place::Joined { epoch }),
            any::<[u8; 32]>().prop_map(|id| Place::Action(id.into())),
            any::<[u8; 32]>().prop_map(|digest| Place::Component(digest.into())),
            epoch().prop_map(|generation| Place::OwnBoot { generation }),
            (1..=254u8).prop_map(|byte| {
                let key = countersign_types::NodeKey::from_bytes([byte; 32]).expect("a scalar");
                Place::PeerBoot(key.public_key())
            }),
        ]
    }

    proptest! {
        #[test]
        fn a_place_is_read_back_from_its_key(place in place()) {
            prop_assert_eq!(Place::parse(&place.key()), Some(place));
        }

        #[test]
        fn two_places_have_two_keys_and_neither_is_a_prefix_of_the_other(a in place(), b in place()) {
            prop_assert_eq!(a == b, a.key() == b.key());
            prop_assert!(a == b || !a.key().starts_with(&b.key()));
        }

        #[test]
        fn shares_sort_by_epoch_then_by_attempt(a in any::<(u64, [u8; 32])>(), b in any::<(u64, [u8; 32])>()) {
            let key = |(epoch, attempt): (u64, [u8; 32])| {
                Place::PendingShares { epoch, attempt: attempt.into() }.key()
            };
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        }

        #[test]
        fn only_the_shares_of_an_epoch_start_with_its_prefix(place in place(), epoch in 0..4u64) {
            let inside = matches!(place, Place::PendingShares { epoch: own, .. } if own == epoch);
            let prefix = Place::pending_shares(epoch);
            prop_assert_eq!(place.key().starts_with(&prefix), inside);
        }

        #[test]
        fn arbitrary_bytes_are_a_place_or_nothing(key in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(place) = Place::parse(&key) {
                prop_assert_eq!(place.key(), key);
            }
        }

        #[test]
        fn associated_data_tells_owners_and_places_apart(a in place(), b in place()) {
            let node = |byte| {
                countersign_types::NodeKey::from_bytes([byte; 32]).expect("a scalar").public_key()
            };
            let data = |place: Place, network: u8, byte| {
                place.associated_data(NetworkId::from([network; 32]), &node(byte))
            };
            prop_assert_eq!(a == b, data(a, 1, 1) == data(b, 1, 1));
            prop_assert_ne!(data(a, 1, 1), data(a, 2, 1));
            prop_assert_ne!(data(a, 1, 1), data(a, 1, 2));
        }
    }
}
