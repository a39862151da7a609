//! The coordinator's part (RFC 9591 section 5.3): shares to a signature, and who cheated if it is none.

use std::collections::BTreeMap;

use countersign_types::{Identifier, Signature};
use frost_core::CheaterDetection;

use crate::{
    derive::{DerivedPublic, PublicChild},
    encoding::{frost_identifier, identifiers_among},
    signing::{FrostShares, PackageError, SignatureShare, SigningPackage},
    suite::{Suite, dispatch},
    verify::{VerifyError, verify_with},
};

/// Why shares make no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// The package is none for this key.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The shares are not those of the package's signers.
    #[error(
        "expected the shares of the package's signers, {missing:?} are missing and {unexpected:?} too many"
    )]
    Signers {
        /// Signers without a share.
        missing: Vec<Identifier>,
        /// Shares without a signer.
        unexpected: Vec<Identifier>,
    },
    /// Some shares are wrong. These are all of them, and everybody else's is right.
    #[error("the signature shares of {culprits:?} are wrong")]
    BadShares {
        /// Whose they are, ascending.
        culprits: Vec<Identifier>,
    },
    /// The suite refuses, for example because the nonces of all signers cancel out.
    #[error("the suite refuses to aggregate: {reason}")]
    Suite {
        /// What it says.
        reason: String,
    },
}

impl DerivedPublic {
    /// The signature. It is verified before it is returned; only if that fails is every share looked at.
    ///
    /// Shares and commitments must come from the signer that they are filed under: otherwise an honest
    /// signer is blamed.
    pub fn aggregate(
        &self,
        package: &SigningPackage,
        shares: &BTreeMap<Identifier, SignatureShare>,
    ) -> Result<Signature, AggregateError> {
        dispatch!(in &self.0, derived => derived.aggregate(package, shares))
    }

    /// Verifies a signature of this key.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), VerifyError> {
        dispatch!(in &self.0, derived => verify_with(derived.verifying_key(), message, signature))
    }
}

impl<C: Suite> PublicChild<C> {
    fn aggregate(
        &self,
        package: &SigningPackage,
        shares: &BTreeMap<Identifier, SignatureShare>,
    ) -> Result<Signature, AggregateError> {
        let quorum = self.root().quorum;
        let parsed = package.parse::<C>(quorum.threshold(), quorum.size())?;
        check_signers(package, shares)?;
        let shares = parse_shares::<C>(shares);
        let quick = CheaterDetection::Disabled;
        match frost_core::aggregate_custom(&parsed, &shares, &self.package([]), quick) {
            Ok(signature) => encode(&signature),
            Err(_) => Err(self.blame(&parsed, &shares)),
        }
    }

    /// Why there is no signature: everybody whose share is wrong.
    fn blame(&self, package: &frost_core::SigningPackage<C>, shares: &FrostShares<C>) -> AggregateError {
        let members = || self.root().quorum.identifiers();
        let keys = self.package(members());
        let all = CheaterDetection::AllCheaters;
        let Err(error) = frost_core::aggregate_custom(package, shares, &keys, all) else {
            return AggregateError::Suite {
                reason: "it aggregates only when cheaters are looked for".into(),
            };
        };
        let culprits = identifiers_among::<C>(members(), &error.culprits());
        if culprits.is_empty() {
            AggregateError::Suite { reason: error.to_string() }
        } else {
            AggregateError::BadShares { culprits }
        }
    }
}

fn check_signers(
    package: &SigningPackage,
    shares: &BTreeMap<Identifier, SignatureShare>,
) -> Result<(), AggregateError> {
    let signers = &package.commitments;
    let missing: Vec<_> = signers.keys().filter(|id| !shares.contains_key(id)).copied().collect();
    let unexpected: Vec<_> = shares.keys().filter(|id| !signers.contains_key(id)).copied().collect();
    if missing.is_empty() && unexpected.is_empty() {
        Ok(())
    } else {
        Err(AggregateError::Signers { missing, unexpected })
    }
}

/// The shares as the suite has them. In place of one that is no scalar stands zero, which is as wrong: its
/// signer is blamed, and the others can still be told apart.
fn parse_shares<C: Suite>(shares: &BTreeMap<Identifier, SignatureShare>) -> FrostShares<C> {
    let zero = || {
        let encoding = vec![0; C::SCALAR_BYTES];
        frost_core::round2::SignatureShare::deserialize(&encoding).expect("zero is a scalar")
    };
    let parse = |share: &SignatureShare| share.parse::<C>().unwrap_or_else(zero);
    shares.iter().map(|(&signer, share)| (frost_identifier::<C>(signer), parse(share))).collect()
}

fn encode<C: Suite>(signature: &frost_core::Signature<C>) -> Result<Signature, AggregateError> {
    match signature.serialize() {
        Ok(bytes) => Ok(Signature(bytes.into())),
        Err(error) => Err(AggregateError::Suite { reason: error.to_string() }),
    }
}
