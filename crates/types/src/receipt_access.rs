//! How a caller of a request shows that it is one when it asks a node for the request's receipt.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{CallerSignature, NetworkId, RequestDigest, canonical, canonical::sol_types};

/// The longest that a caller's word counts, in milliseconds: ten minutes.
pub const MAX_ACCESS_MS: u64 = 10 * 60 * 1000;

/// A caller asks one node for a receipt: what it signs, and its signature.
///
/// It names the node, so that whoever is asked cannot ask another node with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReceiptAccess {
    /// The address of the node that is asked.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexAddress))]
    pub node: Address,
    /// Until when the signature counts, in milliseconds since 1970; at most [`MAX_ACCESS_MS`] from now.
    pub expires_at: u64,
    /// By the caller, over [`ReceiptAccess::digest`]: 65 bytes.
    pub signature: CallerSignature,
}

/// Why a node does not take a caller's word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptAccessError {
    /// It was given to another node.
    #[error("this is signed for node {got}, and this is node {expected}: sign for each node that is asked")]
    OtherNode {
        /// Who is asked.
        expected: Address,
        /// For whom it is signed.
        got: Address,
    },
    /// It counts no longer.
    #[error("this counted until {expires_at}, and it is {now_ms} (milliseconds since 1970): sign anew")]
    Over {
        /// Until when it counted.
        expires_at: u64,
        /// The node's time.
        now_ms: u64,
    },
    /// It would count for too long.
    #[error(
        "this is to count until {expires_at}, at most {} is allowed (milliseconds since 1970)", now_ms.saturating_add(MAX_ACCESS_MS)
    )]
    TooLong {
        /// Until when it is to count.
        expires_at: u64,
        /// The node's time.
        now_ms: u64,
    },
    /// The signature is nobody's.
    #[error("this is no signature: expected 65 bytes, r, s (low) and 27 or 28")]
    Signature,
}

impl ReceiptAccess {
    /// What a caller signs for the node that it asks (EIP-712, in the network's domain).
    pub fn digest(network: NetworkId, node: Address, request: RequestDigest, expires_at: u64) -> B256 {
        let read = sol_types::ReadReceipt { node, request: request.0, expiresAt: expires_at };
        canonical::signing_hash(network, &read)
    }

    /// Who asks `node`, at its time.
    pub fn asker(
        &self,
        network: NetworkId,
        node: Address,
        request: RequestDigest,
        now_ms: u64,
    ) -> Result<Address, ReceiptAccessError> {
        let expires_at = self.expires_at;
        if self.node != node {
            return Err(ReceiptAccessError::OtherNode { expected: node, got: self.node });
        }
        if expires_at <= now_ms {
            return Err(ReceiptAccessError::Over { expires_at, now_ms });
        }
        if expires_at > now_ms.saturating_add(MAX_ACCESS_MS) {
            return Err(ReceiptAccessError::TooLong { expires_at, now_ms });
        }
        let digest = Self::digest(network, node, request, expires_at);
        self.signature.recover(digest).ok_or(ReceiptAccessError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;

    use super::*;
    use crate::NodeKey;

    const NODE: Address = Address::repeat_byte(4);
    const OTHER: Address = Address::repeat_byte(5);

    fn caller() -> NodeKey {
        NodeKey::from_bytes([1; 32]).expect("a scalar")
    }

    fn ids() -> (NetworkId, RequestDigest) {
        (NetworkId::from([1; 32]), RequestDigest::from([2; 32]))
    }

    fn access(node: Address, expires_at: u64) -> ReceiptAccess {
        let (network, request) = ids();
        let signature = caller().sign(ReceiptAccess::digest(network, node, request, expires_at));
        let signature = CallerSignature(Bytes::copy_from_slice(signature.as_bytes()));
        ReceiptAccess { node, expires_at, signature }
    }

    #[test]
    fn a_callers_word_is_for_one_request_of_one_network_and_for_a_while() {
        let (network, request) = ids();
        let access = access(NODE, 1_000);
        let me = Ok(caller().public_key().address());
        assert_eq!(access.asker(network, NODE, request, 999), me);
        let over = Err(ReceiptAccessError::Over { expires_at: 1_000, now_ms: 1_000 });
        assert_eq!(access.asker(network, NODE, request, 1_000), over);
        assert_ne!(access.asker(network, NODE, RequestDigest::from([3; 32]), 999), me);
        assert_ne!(access.asker(NetworkId::from([3; 32]), NODE, request, 999), me);
        let longer = ReceiptAccess { expires_at: 2_000, ..access };
        assert_ne!(longer.asker(network, NODE, request, 999), me, "the time is signed");
        let expires_at = MAX_ACCESS_MS + 2;
        let too_long = Err(ReceiptAccessError::TooLong { expires_at, now_ms: 1 });
        assert_eq!(self::access(NODE, expires_at).asker(network, NODE, request, 1), too_long);
        assert_eq!(self::access(NODE, expires_at).asker(network, NODE, request, 2), me);
    }

    #[test]
    fn a_callers_word_is_for_one_node() {
        let (network, request) = ids();
        let access = access(NODE, 1_000);
        let elsewhere = Err(ReceiptAccessError::OtherNode { expected: OTHER, got: NODE });
        assert_eq!(access.asker(network, OTHER, request, 1), elsewhere);
        let relabelled = ReceiptAccess { node: OTHER, ..access };
        let me = Ok(caller().public_key().address());
        assert_ne!(relabelled.asker(network, OTHER, request, 1), me, "the node is signed");
    }

    #[test]
    fn what_is_no_signature_is_nobodys() {
        let (network, request) = ids();
        let signature = CallerSignature(vec![0; 65].into());
        let access = ReceiptAccess { signature, ..access(NODE, 1_000) };
        assert_eq!(access.asker(network, NODE, request, 1), Err(ReceiptAccessError::Signature));
    }
}
