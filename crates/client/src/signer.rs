//! Who signs requests and publications.

use countersign_types::{
    Address, B256, Bytes, CallerSignature, IdentityError, NetworkId, NodeKey, PublishAction, Request,
    SignedPublishAction, SignedRequest,
};
use rand_core::{OsRng, RngCore};

/// Why there is no signature of a caller or publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Nobody was given who signs for this account.
    #[error("no signer was given for {account}")]
    Missing {
        /// The account.
        account: Address,
    },
    /// The signer itself failed, or its user declined.
    #[error("the signer of {account} failed: {reason}")]
    Failed {
        /// The signer's account.
        account: Address,
        /// Why.
        reason: String,
    },
}

/// An Ethereum account that signs EIP-712 digests: a key in memory, a wallet, a device.
pub trait RequestSigner {
    /// The account.
    fn address(&self) -> Address;

    /// Signs a digest: 65 bytes, r, s (low) and 27 or 28.
    fn sign(&self, digest: B256) -> Result<CallerSignature, SignerError>;
}

/// A key in this process's memory.
#[derive(Debug)]
pub struct LocalSigner(NodeKey);

impl LocalSigner {
    /// From the 32 bytes of a secp256k1 private key, big-endian.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, IdentityError> {
        NodeKey::from_bytes(bytes).map(Self)
    }

    /// A fresh key from the operating system's randomness.
    pub fn random() -> Self {
        loop {
            let mut bytes = [0; 32];
            OsRng.fill_bytes(&mut bytes);
            // All but a vanishing part of 32-byte strings are private keys.
            if let Ok(signer) = Self::from_bytes(bytes) {
                return signer;
            }
        }
    }
}

impl RequestSigner for LocalSigner {
    fn address(&self) -> Address {
        self.0.public_key().address()
    }

    fn sign(&self, digest: B256) -> Result<CallerSignature, SignerError> {
        Ok(CallerSignature(Bytes::copy_from_slice(self.0.sign(digest).as_bytes())))
    }
}

/// Has every caller of a request sign it, in the callers' order.
pub fn sign_request(request: Request, signers: &[&dyn RequestSigner]) -> Result<SignedRequest, SignerError> {
    let digest = request.digest().0;
    let sign = |account: Address| {
        let signer = signers.iter().find(|signer| signer.address() == account);
        signer.ok_or(SignerError::Missing { account })?.sign(digest)
    };
    let signatures = request.callers.iter().map(|caller| sign(caller.id)).collect::<Result<_, _>>()?;
    Ok(SignedRequest { request, signatures })
}

/// Has the publisher sign a publication for a network.
pub fn sign_publication(
    publish: PublishAction,
    network: NetworkId,
    signer: &dyn RequestSigner,
) -> Result<SignedPublishAction, SignerError> {
    if signer.address() != publish.publisher {
        return Err(SignerError::Missing { account: publish.publisher });
    }
    let signature = signer.sign(publish.digest(network))?;
    Ok(SignedPublishAction { publish, signature })
}

#[cfg(test)]
mod tests {
    use countersign_types::{ActionId, Caller, CallerKind, KeyOptions, KeySpec, PayloadKind, Policy, Scheme};

    use super::*;

    fn request(callers: &[&LocalSigner]) -> Request {
        let mut callers: Vec<Caller> =
            callers.iter().map(|signer| Caller { kind: CallerKind::Eip191, id: signer.address() }).collect();
        callers.sort();
        Request {
            network: NetworkId::from([1; 32]),
            key: KeySpec {
                scheme: Scheme::SchnorrSecp256k1,
                policy: Policy { action: ActionId::from([1; 32]), config: Bytes::new() },
                payloads: vec![PayloadKind::Bytes],
                options: KeyOptions::default(),
                owner: Address::ZERO,
                salt: B256::ZERO,
            },
            params: Bytes::new(),
            callers,
            coordinators: Vec::new(),
            nonce: B256::ZERO,
            issued_at: 1,
            expires_at: 2,
        }
    }

    #[test]
    fn all_callers_sign_in_their_order_whatever_the_signers_order() {
        let (a, b) = (LocalSigner::random(), LocalSigner::random());
        for signers in [[&a as &dyn RequestSigner, &b], [&b, &a]] {
            let signed = sign_request(request(&[&a, &b]), &signers).expect("both sign");
            signed.validate().expect("signed by both");
        }
    }

    #[test]
    fn a_caller_without_a_signer_is_named() {
        let (a, b) = (LocalSigner::random(), LocalSigner::random());
        let error = sign_request(request(&[&a, &b]), &[&a]).expect_err("b does not sign");
        assert_eq!(error, SignerError::Missing { account: b.address() });
    }
}
