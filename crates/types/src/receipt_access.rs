//! How a caller of a request shows that it is one when it asks for the request's receipt.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::{CallerSignature, NetworkId, RequestDigest, canonical, canonical::sol_types};

/// The longest that a caller's word counts, in milliseconds: ten minutes.
pub const MAX_ACCESS_MS: u64 = 10 * 60 * 1000;

/// A caller asks for a receipt: what it signs, and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
pub struct ReceiptAccess {
    /// Until when the signature counts, in milliseconds since 1970; at most [`MAX_ACCESS_MS`] from now.
    pub expires_at: u64,
    /// By the caller, over [`ReceiptAccess::digest`]: 65 bytes.
    pub signature: CallerSignature,
}

impl ReceiptAccess {
    /// What a caller signs (EIP-712, in the network's domain).
    pub fn digest(network: NetworkId, request: RequestDigest, expires_at: u64) -> B256 {
        let read = sol_types::ReadReceipt { request: request.0, expiresAt: expires_at };
        canonical::signing_hash(network, &read)
    }

    /// Who asks; none where the signature is nobody's, or counts no longer, or for too long.
    pub fn asker(&self, network: NetworkId, request: RequestDigest, now_ms: u64) -> Option<Address> {
        let is_now = now_ms < self.expires_at && self.expires_at <= now_ms.saturating_add(MAX_ACCESS_MS);
        if !is_now {
            return None;
        }
        self.signature.recover(Self::digest(network, request, self.expires_at))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;

    use super::*;
    use crate::NodeKey;

    #[test]
    fn a_callers_word_is_for_one_request_of_one_network_and_for_a_while() {
        let caller = NodeKey::from_bytes([1; 32]).expect("a scalar");
        let (network, request) = (NetworkId::from([1; 32]), RequestDigest::from([2; 32]));
        let signature = caller.sign(ReceiptAccess::digest(network, request, 1_000));
        let signature = CallerSignature(Bytes::copy_from_slice(signature.as_bytes()));
        let access = ReceiptAccess { expires_at: 1_000, signature };
        let me = Some(caller.public_key().address());
        assert_eq!(access.asker(network, request, 999), me);
        assert_eq!(access.asker(network, request, 1_000), None, "it is over");
        assert_ne!(access.asker(network, RequestDigest::from([3; 32]), 999), me);
        assert_ne!(access.asker(NetworkId::from([3; 32]), request, 999), me);
        let longer = ReceiptAccess { expires_at: 2_000, ..access.clone() };
        assert_ne!(longer.asker(network, request, 999), me, "the time is signed");
        let signature = caller.sign(ReceiptAccess::digest(network, request, MAX_ACCESS_MS + 2));
        let signature = CallerSignature(Bytes::copy_from_slice(signature.as_bytes()));
        let eternal = ReceiptAccess { expires_at: MAX_ACCESS_MS + 2, signature };
        assert_eq!(eternal.asker(network, request, 1), None, "too long");
    }
}
