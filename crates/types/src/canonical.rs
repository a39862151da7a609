//! The Solidity structs behind every hash and signature, and the EIP-712 domain.
//!
//! A field's order, name and type is part of the format: `crates/types/vectors` pins them; of packages
//! `crates/agreement/vectors`, and of what members sign in key generation before they activate `crates/session/vectors`.

use std::{any::TypeId, cell::RefCell, collections::BTreeMap};

use alloy_primitives::{B256, Keccak256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};

use crate::NetworkId;

/// The EIP-712 domain's name.
pub const DOMAIN_NAME: &str = "Countersign";
/// The EIP-712 domain's version.
pub const DOMAIN_VERSION: &str = "1";

/// The EIP-712 domain of a network: name, version and the network id as salt.
pub fn domain(network: NetworkId) -> Eip712Domain {
    Eip712Domain::new(Some(DOMAIN_NAME.into()), Some(DOMAIN_VERSION.into()), None, None, Some(network.0))
}

/// The digest that is signed: EIP-712 over `value` in the domain of `network`.
pub fn signing_hash<T: SolStruct + 'static>(network: NetworkId, value: &T) -> B256 {
    let separator = MEMO.with_borrow_mut(|memo| memo.separator(network));
    let mut signed = [0; 2 + 32 + 32];
    signed[..2].copy_from_slice(&[0x19, 0x01]);
    signed[2..34].copy_from_slice(separator.as_slice());
    signed[34..].copy_from_slice(struct_hash(value).as_slice());
    keccak256(signed)
}

/// EIP-712's `hashStruct`.
pub(crate) fn struct_hash<T: SolStruct + 'static>(value: &T) -> B256 {
    let type_hash = MEMO.with_borrow_mut(|memo| memo.type_hash(value));
    let mut hasher = Keccak256::new();
    hasher.update(type_hash);
    hasher.update(value.eip712_encode_data());
    hasher.finalize()
}

thread_local! {
    static MEMO: RefCell<Memo> = RefCell::default();
}

/// What one hash has in common with the next, and most of the work of a small one. Both follow from what they are looked
/// up by, and from nothing else.
#[derive(Default)]
struct Memo {
    separator: Option<(NetworkId, B256)>,
    types: BTreeMap<TypeId, B256>,
}

impl Memo {
    /// The domain separator of a network.
    fn separator(&mut self, network: NetworkId) -> B256 {
        match self.separator {
            Some((of, separator)) if of == network => separator,
            Some(_) | None => {
                let separator = domain(network).separator();
                self.separator = Some((network, separator));
                separator
            }
        }
    }

    /// The hash of a struct's encoded type.
    fn type_hash<T: SolStruct + 'static>(&mut self, value: &T) -> B256 {
        *self.types.entry(TypeId::of::<T>()).or_insert_with(|| value.eip712_type_hash())
    }
}

/// The structs themselves; the crate's types convert into them.
#[allow(missing_docs, reason = "the types that convert into these document each field")]
pub mod sol_types {
    use super::sol;

    sol! {
        struct Genesis {
            bytes32 nonce;
            bytes[] members;
            uint16 threshold;
            uint64[] chains;
        }

        struct ActionPolicy {
            bytes32 action;
            bytes config;
        }

        struct KeyOptions {
            bool leaderAttested;
            string finality;
        }

        struct KeySpec {
            string scheme;
            ActionPolicy policy;
            string[] payloads;
            KeyOptions options;
            address owner;
            bytes32 salt;
        }

        struct Derivation {
            bytes root;
            bytes32 key;
        }

        struct Caller {
            string kind;
            bytes id;
        }

        struct Request {
            KeySpec key;
            bytes params;
            Caller[] callers;
            address[] coordinators;
            bytes32 nonce;
            uint64 issuedAt;
            uint64 expiresAt;
        }

        struct ReadReceipt {
            address node;
            bytes32 request;
            uint64 expiresAt;
        }

        struct Limits {
            uint32 wallMs;
            uint64 fuel;
            uint32 memoryBytes;
            uint32 httpReads;
            uint32 chainReads;
            uint32 payloads;
            uint32 responseBytes;
            uint32 logBytes;
        }

        struct Manifest {
            string name;
            bytes32 component;
            bytes32 script;
            string[] hosts;
            uint64[] chains;
            Limits limits;
        }

        struct PublishAction {
            Manifest manifest;
            address publisher;
            uint64 issuedAt;
        }

        struct Pin {
            uint64 chainId;
            uint64 number;
            bytes32 hash;
            uint64 timestamp;
        }

        struct Session {
            bytes32 request;
            uint64 epoch;
            bytes32 engine;
            uint64 time;
            Pin[] pins;
        }

        struct Read {
            string import;
            bytes arguments;
        }

        struct Rule {
            string name;
            uint32 bps;
            string abs;
        }

        struct FieldRead {
            string pointer;
            Rule rule;
            string kind;
            string value;
        }

        struct RecordedRead {
            bytes32 read;
            bytes32 value;
            uint32 length;
            FieldRead[] fields;
        }

        struct Record {
            RecordedRead[] reads;
        }

        struct Observed {
            bytes32 session;
            bytes32 record;
        }

        struct SignedPayload {
            string kind;
            bytes content;
            bytes message;
        }

        struct AllowedOutcome {
            SignedPayload[] payloads;
            bytes response;
        }

        struct RefusedOutcome {
            string reason;
        }

        struct SignerCommitments {
            uint16 signer;
            bytes[] commitments;
        }

        struct SignerRecord {
            uint16 signer;
            bytes32 record;
        }

        struct Package {
            bytes32 session;
            uint32 attempt;
            uint16[] base;
            SignerRecord[] records;
            SignerCommitments[] signers;
        }

        struct Vote {
            bytes32 session;
            bytes32 record;
            bytes32 package;
            bytes32 outcome;
            bytes32 shares;
        }

        struct KeyGeneration {
            uint64 epoch;
            string[] schemes;
            uint64 attempt;
            uint16 starter;
            bytes32 entropy;
        }

        struct KeyGenerationPackage {
            bytes32 attempt;
            uint8 round;
            uint16 from;
            uint16 to;
            bytes32 content;
        }

        struct Confirm {
            bytes32 attempt;
            bytes32 roots;
        }

        struct Refuse {
            bytes32 attempt;
        }

        struct RootKey {
            string scheme;
            bytes publicKey;
            bytes[] verifyingShares;
        }

        struct Activate {
            uint64 epoch;
            bytes32 attempt;
            RootKey[] roots;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        sol_types::{Confirm, Observed, Refuse, Session},
        *,
    };

    #[test]
    fn a_remembered_hash_is_the_one_of_eip_712_whatever_came_before() {
        let word = B256::repeat_byte;
        let networks = [1, 2, 1, 1, 2].map(|byte| NetworkId::from([byte; 32]));
        for network in networks {
            let domain = domain(network);
            let refuse = Refuse { attempt: word(3) };
            let observed = Observed { session: word(4), record: word(5) };
            let confirm = Confirm { attempt: word(3), roots: word(9) };
            let pins = vec![sol_types::Pin { chainId: 1, number: 2, hash: word(6), timestamp: 3 }];
            let session = Session { request: word(7), epoch: 1, engine: word(8), time: 9, pins };
            assert_eq!(signing_hash(network, &refuse), refuse.eip712_signing_hash(&domain));
            assert_eq!(signing_hash(network, &observed), observed.eip712_signing_hash(&domain));
            assert_eq!(signing_hash(network, &confirm), confirm.eip712_signing_hash(&domain));
            assert_eq!(signing_hash(network, &session), session.eip712_signing_hash(&domain));
            assert_eq!(struct_hash(&session), session.eip712_hash_struct());
        }
    }

    #[test]
    fn the_domain_commits_to_the_network() {
        let (a, b) = (NetworkId::from([1; 32]), NetworkId::from([2; 32]));
        assert_ne!(domain(a).separator(), domain(b).separator());
        assert_eq!(domain(a).salt, Some(a.0));
    }
}
