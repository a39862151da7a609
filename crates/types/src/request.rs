//! What a caller signs: which key, with which params, until when.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::{KeyId, KeySpec, KeySpecError, MAX_MEMBERS, NetworkId, RequestDigest, canonical, ecdsa};

/// The most bytes of a key's config.
pub const MAX_CONFIG_BYTES: usize = 16 * 1024;
/// The most bytes of a request's params.
pub const MAX_PARAMS_BYTES: usize = 64 * 1024;
/// The most callers of one request.
pub const MAX_CALLERS: usize = 8;
/// The most nodes that a request names to coordinate it: no network has more.
pub const MAX_COORDINATORS: usize = MAX_MEMBERS;
/// The longest life of a request: ten minutes, in milliseconds.
pub const MAX_LIFETIME_MS: u64 = 10 * 60 * 1000;

/// How a caller proves who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CallerKind {
    /// An Ethereum account whose key signs the request's EIP-712 digest (an EIP-191 version 1 signature).
    Eip191,
}

impl CallerKind {
    /// The name in bodies, hashes and the action's context.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eip191 => "eip191",
        }
    }
}

/// Somebody who asks: every caller must have signed the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// How they prove it.
    pub kind: CallerKind,
    /// Their 20-byte address.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexAddress))]
    pub id: Address,
}

/// A request for signatures with one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The network that is asked.
    pub network: NetworkId,
    /// The key, whole: there is no registry of keys.
    pub key: KeySpec,
    /// What the action is told by the caller. At most [`MAX_PARAMS_BYTES`].
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::HexBytes))]
    pub params: Bytes,
    /// Who asks: sorted, distinct, one to [`MAX_CALLERS`].
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 8))]
    pub callers: Vec<Caller>,
    /// Which nodes may coordinate it, by their addresses: sorted, distinct; none: every member may. A member that may
    /// coordinate a request can have other bytes signed than whoever was asked would, where they depend on the moment; no other
    /// member can.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::HexAddress>, max_items = 24))]
    pub coordinators: Vec<Address>,
    /// Fresh for each request of these callers.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Hex32))]
    pub nonce: B256,
    /// When it was signed, in milliseconds since 1970.
    pub issued_at: u64,
    /// When it ends, in milliseconds since 1970; at most [`MAX_LIFETIME_MS`] later.
    pub expires_at: u64,
}

/// Why a request is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The key's spec is malformed.
    #[error(transparent)]
    Key(#[from] KeySpecError),
    /// The params are too long.
    #[error("params have at most {MAX_PARAMS_BYTES} bytes, got {got}")]
    Params {
        /// Their length.
        got: usize,
    },
    /// Callers not sorted, not distinct, none or too many.
    #[error("callers must be sorted by kind and id, distinct, 1 to {MAX_CALLERS}, got {got} that are not")]
    Callers {
        /// How many there are.
        got: usize,
    },
    /// Coordinators not sorted, not distinct, or too many.
    #[error("coordinators must be sorted and distinct, at most {MAX_COORDINATORS}, got {got} that are not")]
    Coordinators {
        /// How many there are.
        got: usize,
    },
    /// It lives too long, or not at all.
    #[error(
        "a request ends after it was issued and lives at most {MAX_LIFETIME_MS} ms, got {issued_at} to {expires_at}"
    )]
    Lifetime {
        /// When it was issued.
        issued_at: u64,
        /// When it ends.
        expires_at: u64,
    },
    /// It is another request than the one that is expected.
    #[error("the session is for request {expected}, the request is {got}")]
    Other {
        /// The one that is expected.
        expected: RequestDigest,
        /// What it is.
        got: RequestDigest,
    },
    /// The number of signatures is not the number of callers.
    #[error("every caller signs once, in the callers' order: expected {expected} signatures, got {got}")]
    SignatureCount {
        /// The number of callers.
        expected: usize,
        /// The number of signatures.
        got: usize,
    },
    /// A signature is not by its caller.
    #[error(
        "signature {index} is not by {caller}: sign the request's EIP-712 digest {digest} in the network's domain"
    )]
    Signature {
        /// Which signature, from 0.
        index: usize,
        /// Whose it should be.
        caller: Address,
        /// What it should be over.
        digest: RequestDigest,
    },
    /// The key has an owner, and the owner did not ask.
    #[error("only {owner} may ask for signatures with this key, and is not among the callers")]
    Owner {
        /// The key's owner.
        owner: Address,
    },
}

impl RequestError {
    /// Whether the request is well-formed but by somebody who may not ask.
    pub fn is_unauthorised(&self) -> bool {
        match self {
            Self::Signature { .. } | Self::Owner { .. } | Self::SignatureCount { .. } => true,
            Self::Key(_)
            | Self::Params { .. }
            | Self::Callers { .. }
            | Self::Coordinators { .. }
            | Self::Other { .. }
            | Self::Lifetime { .. } => false,
        }
    }
}

impl Request {
    /// The digest that callers sign, and the idempotency key.
    pub fn digest(&self) -> RequestDigest {
        RequestDigest(canonical::signing_hash(self.network, &self.to_sol()))
    }

    fn to_sol(&self) -> canonical::sol_types::Request {
        canonical::sol_types::Request {
            key: self.key.to_sol(),
            params: self.params.clone(),
            callers: self
                .callers
                .iter()
                .map(|caller| canonical::sol_types::Caller {
                    kind: caller.kind.name().into(),
                    id: Bytes::copy_from_slice(caller.id.as_slice()),
                })
                .collect(),
            coordinators: self.coordinators.clone(),
            nonce: self.nonce,
            issuedAt: self.issued_at,
            expiresAt: self.expires_at,
        }
    }

    /// Whether its callers let the node with this address coordinate it.
    pub fn may_coordinate(&self, node: Address) -> bool {
        self.coordinators.is_empty() || self.coordinators.contains(&node)
    }

    fn validate(&self) -> Result<(), RequestError> {
        self.key.validate()?;
        if self.params.len() > MAX_PARAMS_BYTES {
            return Err(RequestError::Params { got: self.params.len() });
        }
        let ordered = self.callers.windows(2).all(|pair| pair[0] < pair[1]);
        if self.callers.is_empty() || self.callers.len() > MAX_CALLERS || !ordered {
            return Err(RequestError::Callers { got: self.callers.len() });
        }
        let ordered = self.coordinators.windows(2).all(|pair| pair[0] < pair[1]);
        if self.coordinators.len() > MAX_COORDINATORS || !ordered {
            return Err(RequestError::Coordinators { got: self.coordinators.len() });
        }
        let lifetime = self.expires_at.checked_sub(self.issued_at);
        if !lifetime.is_some_and(|ms| (1..=MAX_LIFETIME_MS).contains(&ms)) {
            return Err(RequestError::Lifetime { issued_at: self.issued_at, expires_at: self.expires_at });
        }
        Ok(())
    }
}

/// A caller's 65-byte signature over the request's digest: r, s and 27 or 28.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, pattern = "^0x[0-9a-fA-F]{130}$"))]
#[serde(transparent)]
pub struct CallerSignature(pub Bytes);

impl CallerSignature {
    /// The account that signed a digest; none if the bytes are no signature, or a malleable one.
    pub fn recover(&self, digest: B256) -> Option<Address> {
        let bytes: &[u8; 65] = self.0.as_ref().try_into().ok()?;
        ecdsa::recover(digest, bytes).map(|key| ecdsa::address(&key))
    }
}

/// A request with its callers' signatures, in the callers' order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedRequest {
    /// What is asked.
    pub request: Request,
    /// One signature for each caller.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 8))]
    pub signatures: Vec<CallerSignature>,
}

impl SignedRequest {
    /// Checks form, signatures and owner. Network and times are for whoever has a clock to check.
    pub fn validate(self) -> Result<ValidRequest, RequestError> {
        let digest = self.request.digest();
        self.with_digest(digest)
    }

    /// As [`SignedRequest::validate`], for the one request that has this digest. Any other one costs no signature check.
    pub fn validate_as(self, expected: &RequestDigest) -> Result<ValidRequest, RequestError> {
        let got = self.request.digest();
        if got != *expected {
            return Err(RequestError::Other { expected: *expected, got });
        }
        self.with_digest(got)
    }

    fn with_digest(self, digest: RequestDigest) -> Result<ValidRequest, RequestError> {
        self.request.validate()?;
        let callers = &self.request.callers;
        if self.signatures.len() != callers.len() {
            return Err(RequestError::SignatureCount { expected: callers.len(), got: self.signatures.len() });
        }
        for (index, (caller, signature)) in callers.iter().zip(&self.signatures).enumerate() {
            if signature.recover(digest.0) != Some(caller.id) {
                return Err(RequestError::Signature { index, caller: caller.id, digest });
            }
        }
        let owner = self.request.key.owner;
        if owner != Address::ZERO && !callers.iter().any(|caller| caller.id == owner) {
            return Err(RequestError::Owner { owner });
        }
        let key_id = self.request.key.key_id();
        Ok(ValidRequest { signed: self, digest, key_id })
    }
}

/// A request that is well-formed, signed by all its callers, the key's owner among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidRequest {
    signed: SignedRequest,
    digest: RequestDigest,
    key_id: KeyId,
}

impl ValidRequest {
    /// What is asked.
    pub fn request(&self) -> &Request {
        &self.signed.request
    }

    /// With signatures, as it travels.
    pub fn signed(&self) -> &SignedRequest {
        &self.signed
    }

    /// The idempotency key.
    pub fn digest(&self) -> RequestDigest {
        self.digest
    }

    /// The id of the key that is asked to sign.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeKey, key::tests::spec};

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes([byte; 32]).expect("a scalar")
    }

    fn request(signers: &[u8]) -> Request {
        let mut callers: Vec<Caller> = signers
            .iter()
            .map(|byte| Caller { kind: CallerKind::Eip191, id: key(*byte).public_key().address() })
            .collect();
        callers.sort();
        Request {
            network: NetworkId::from([3; 32]),
            key: spec(),
            params: Bytes::new(),
            callers,
            nonce: B256::repeat_byte(4),
            coordinators: Vec::new(),
            issued_at: 1_000,
            expires_at: 2_000,
        }
    }

    fn sign(request: Request, signers: &[u8]) -> SignedRequest {
        let digest = request.digest().0;
        let signatures = request
            .callers
            .iter()
            .map(|caller| {
                let signer = signers.iter().find(|byte| key(**byte).public_key().address() == caller.id);
                let signer = signer.copied().unwrap_or(99);
                CallerSignature(Bytes::copy_from_slice(key(signer).sign(digest).as_bytes()))
            })
            .collect();
        SignedRequest { request, signatures }
    }

    #[test]
    fn a_request_signed_by_all_callers_is_valid() {
        let valid = sign(request(&[1, 2]), &[1, 2]).validate().expect("signed by both");
        assert_eq!(valid.digest(), request(&[1, 2]).digest());
    }

    #[test]
    fn somebody_elses_signature_is_refused() {
        let error = sign(request(&[1]), &[]).validate().expect_err("signed by 99");
        assert!(matches!(error, RequestError::Signature { index: 0, .. }));
        assert!(error.is_unauthorised());
    }

    #[test]
    fn every_caller_signs_once() {
        let both = sign(request(&[1, 2]), &[1, 2]);
        let [first, second] = both.signatures.as_slice() else { panic!("{both:?}") };
        for signatures in [vec![], vec![first.clone()], vec![first.clone(), second.clone(), second.clone()]] {
            let got = signatures.len();
            let error = SignedRequest { signatures, ..both.clone() }.validate().expect_err("not one of each");
            assert_eq!(error, RequestError::SignatureCount { expected: 2, got });
        }
    }

    #[test]
    fn a_changed_field_breaks_the_signature() {
        let changes: [fn(&mut Request); 7] = [
            |r| r.coordinators = vec![Address::ZERO],
            |r| r.network = NetworkId::from([9; 32]),
            |r| r.key.policy.config = vec![9].into(),
            |r| r.params = vec![9].into(),
            |r| r.nonce = B256::ZERO,
            |r| r.issued_at = 1_001,
            |r| r.expires_at = 2_001,
        ];
        for change in changes {
            let mut signed = sign(request(&[1]), &[1]);
            change(&mut signed.request);
            assert!(matches!(signed.validate(), Err(RequestError::Signature { .. })));
        }
    }

    #[test]
    fn the_owner_must_be_among_the_callers() {
        let mut owned = request(&[1]);
        owned.key.owner = key(2).public_key().address();
        let error = sign(owned.clone(), &[1]).validate().expect_err("not the owner");
        assert!(matches!(error, RequestError::Owner { .. }));
        owned.callers = request(&[1, 2]).callers;
        assert!(sign(owned, &[1, 2]).validate().is_ok());
    }

    #[test]
    fn whoever_is_named_may_coordinate_and_where_nobody_is_everybody() {
        let (named, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let mut request = request(&[1]);
        assert!(request.may_coordinate(named) && request.may_coordinate(other));
        request.coordinators = vec![named];
        assert!(request.may_coordinate(named) && !request.may_coordinate(other));
        assert!(sign(request, &[1]).validate().is_ok());
    }

    #[test]
    fn malformed_requests_are_refused() {
        let caller = |byte| Caller { kind: CallerKind::Eip191, id: Address::repeat_byte(byte) };
        let mut crowded = request(&[1]);
        crowded.callers = (0..=8).map(caller).collect();
        assert_eq!(sign(crowded, &[]).validate(), Err(RequestError::Callers { got: MAX_CALLERS + 1 }));
        let changes: [fn(&mut Request); 8] = [
            |r| r.callers.clear(),
            |r| r.callers.push(r.callers[0]),
            |r| r.expires_at = r.issued_at,
            |r| r.expires_at = r.issued_at + MAX_LIFETIME_MS + 1,
            |r| r.params = vec![0; MAX_PARAMS_BYTES + 1].into(),
            |r| r.coordinators = vec![Address::repeat_byte(1); 2],
            |r| r.coordinators = vec![Address::repeat_byte(2), Address::repeat_byte(1)],
            |r| r.coordinators = (0..=24).map(Address::repeat_byte).collect(),
        ];
        for change in changes {
            let mut changed = request(&[1]);
            change(&mut changed);
            let error = sign(changed, &[1]).validate().expect_err("malformed");
            assert!(!error.is_unauthorised(), "{error}");
        }
    }
}
