//! The Solidity structs behind every hash and signature, and the EIP-712 domain.
//!
//! A field's order, name and type is part of the format: the vectors in `crates/types/vectors` pin them.

use alloy_primitives::B256;
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
pub(crate) fn signing_hash<T: SolStruct>(network: NetworkId, value: &T) -> B256 {
    value.eip712_signing_hash(&domain(network))
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
            bytes32 nonce;
            uint64 issuedAt;
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
    use super::*;

    #[test]
    fn the_domain_commits_to_the_network() {
        let (a, b) = (NetworkId::from([1; 32]), NetworkId::from([2; 32]));
        assert_ne!(domain(a).separator(), domain(b).separator());
        assert_eq!(domain(a).salt, Some(a.0));
    }
}
