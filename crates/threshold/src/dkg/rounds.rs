//! The rounds over one suite. Packages have encodings of their own, of one length each: the coefficients'
//! commitments followed by the proof; and a scalar.

use std::collections::BTreeMap;

use countersign_types::{
    Bytes, Identifier, PublicKey, RootKey,
    mutant::{Mutant, broken},
};
use frost_core::{
    Signature,
    keys::{
        KeyPackage, PublicKeyPackage, SecretShare, SigningShare, VerifiableSecretSharingCommitment,
        dkg::{part1, part2, part3, round1, round2},
    },
};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::{DkgError, PrivatePackage, Rounds2};
use crate::{
    encoding::{FrostIdentifier, frost_identifier, identifiers_among},
    quorum::Quorum,
    root::{Root, RootError},
    share::{RootShares, Share},
    suite::{BySuite, Suite},
};

type Broadcasts<C> = BTreeMap<FrostIdentifier<C>, round1::Package<C>>;

/// After the broadcast was sent.
pub(super) struct First<C: Suite> {
    me: Identifier,
    quorum: Quorum,
    secret: round1::SecretPackage<C>,
}

/// After the private packages were sent.
pub(super) struct Second<C: Suite> {
    me: Identifier,
    quorum: Quorum,
    secret: round2::SecretPackage<C>,
    broadcasts: Broadcasts<C>,
}

impl<C: Suite> First<C> {
    pub(super) fn start(
        me: Identifier,
        size: u16,
        threshold: u16,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(Self, Bytes), DkgError> {
        let quorum = Quorum::new(threshold, size)?;
        if !quorum.contains(me) {
            return Err(DkgError::Identifier { me, size });
        }
        let (secret, package) = part1(frost_identifier::<C>(me), size, threshold, rng).map_err(refused)?;
        let package = encode_broadcast(&package).map_err(refused)?;
        Ok((Self { me, quorum, secret }, package))
    }

    pub(super) fn receive(
        self,
        packages: &BTreeMap<Identifier, Bytes>,
    ) -> Result<(BySuite<Rounds2>, BTreeMap<Identifier, PrivatePackage>), DkgError> {
        let Self { me, quorum, secret } = self;
        check_senders(quorum, me, packages)?;
        let broadcasts = packages
            .iter()
            .map(|(&sender, bytes)| {
                let package = parse_broadcast::<C>(quorum.threshold(), sender, bytes)?;
                Ok((frost_identifier::<C>(sender), package))
            })
            .collect::<Result<Broadcasts<C>, DkgError>>()?;
        let (secret, mut dealt) = part2(secret, &broadcasts)
            .map_err(|error| blame(quorum, error, |culprit| DkgError::Proof { culprit }))?;
        let mut private = BTreeMap::new();
        for &recipient in packages.keys() {
            if let Some(package) = dealt.remove(&frost_identifier::<C>(recipient)) {
                let bytes = Zeroizing::new(package.signing_share().serialize());
                private.insert(recipient, PrivatePackage(bytes));
            }
        }
        Ok((C::wrap(Second { me, quorum, secret, broadcasts }), private))
    }
}

impl<C: Suite> Second<C> {
    pub(super) fn finish<B: AsRef<[u8]>>(
        self,
        packages: &BTreeMap<Identifier, B>,
    ) -> Result<BySuite<RootShares>, DkgError> {
        let Self { me, quorum, secret, broadcasts } = self;
        check_senders(quorum, me, packages)?;
        let dealt = packages
            .iter()
            .map(|(&culprit, bytes)| {
                let share =
                    SigningShare::deserialize(bytes.as_ref()).map_err(|_| DkgError::Malformed { culprit })?;
                Ok((frost_identifier::<C>(culprit), round2::Package::new(share)))
            })
            .collect::<Result<BTreeMap<_, _>, DkgError>>()?;
        let (key, public) = part3(&secret, &broadcasts, &dealt)
            .map_err(|error| blame(quorum, error, |culprit| DkgError::Share { culprit }))?;
        share(me, quorum, &key, &public)
    }
}

/// The share of the root that the protocol ends with, through the same checks as one from a disk.
fn share<C: Suite>(
    me: Identifier,
    quorum: Quorum,
    key: &KeyPackage<C>,
    public: &PublicKeyPackage<C>,
) -> Result<BySuite<RootShares>, DkgError> {
    let verifying_shares =
        public.verifying_shares().values().zip(quorum.identifiers()).map(|(share, member)| {
            let bytes =
                share.serialize().map_err(|_| RootError::VerifyingShare { scheme: C::SCHEME, member })?;
            Ok(bytes.into())
        });
    let root = RootKey {
        scheme: C::SCHEME,
        public_key: PublicKey(public.verifying_key().serialize().map_err(refused)?.into()),
        verifying_shares: verifying_shares.collect::<Result<_, RootError>>()?,
    };
    let root = Root::parse(&root, quorum.threshold())?;
    let secret = Zeroizing::new(key.signing_share().serialize());
    Ok(C::wrap(Share::<C>::new(me, &secret, root).map_err(DkgError::Sum)?))
}

fn check_senders<T>(
    quorum: Quorum,
    me: Identifier,
    packages: &BTreeMap<Identifier, T>,
) -> Result<(), DkgError> {
    let is_other = |id: Identifier| id != me && quorum.contains(id);
    let missing: Vec<_> =
        quorum.identifiers().filter(|&id| is_other(id) && !packages.contains_key(&id)).collect();
    let unexpected: Vec<_> = packages.keys().copied().filter(|&id| !is_other(id)).collect();
    if missing.is_empty() && unexpected.is_empty() {
        Ok(())
    } else {
        Err(DkgError::Senders { missing, unexpected })
    }
}

/// The length of a broadcast package of a polynomial with so many coefficients, in bytes.
pub(super) fn broadcast_len<C: Suite>(threshold: u16) -> usize {
    usize::from(threshold) * C::ELEMENT_BYTES + C::SCHEME.signature_len()
}

fn encode_broadcast<C: Suite>(package: &round1::Package<C>) -> Result<Bytes, frost_core::Error<C>> {
    let mut bytes = package.commitment().serialize_whole()?;
    bytes.extend(package.proof_of_knowledge().serialize()?);
    Ok(bytes.into())
}

fn parse_broadcast<C: Suite>(
    threshold: u16,
    culprit: Identifier,
    bytes: &[u8],
) -> Result<round1::Package<C>, DkgError> {
    check_length::<C>(threshold, culprit, bytes.len())?;
    let malformed = || DkgError::Malformed { culprit };
    let (coefficients, proof) = bytes.split_at(bytes.len() - C::SCHEME.signature_len());
    let coefficients = coefficients.chunks_exact(C::ELEMENT_BYTES);
    if !coefficients.clone().all(C::is_canonical_element) || !C::is_canonical_signature(proof) {
        return Err(malformed());
    }
    let commitment =
        VerifiableSecretSharingCommitment::<C>::deserialize(coefficients).map_err(|_| malformed())?;
    let proof = Signature::<C>::deserialize(proof).map_err(|_| malformed())?;
    Ok(round1::Package::new(commitment, proof))
}

fn check_length<C: Suite>(threshold: u16, culprit: Identifier, got: usize) -> Result<(), DkgError> {
    match got.checked_sub(C::SCHEME.signature_len()) {
        Some(coefficients) if coefficients % C::ELEMENT_BYTES == 0 => {
            let (expected, got) = (threshold, coefficients / C::ELEMENT_BYTES);
            if got == usize::from(expected) || broken(Mutant::AcceptsAnyLength) {
                Ok(())
            } else {
                Err(DkgError::CommitmentLength { culprit, expected, got })
            }
        }
        Some(_) | None => Err(DkgError::Malformed { culprit }),
    }
}

pub(super) fn check_private<C: Suite>(
    threshold: u16,
    sender: Identifier,
    broadcast: &[u8],
    recipient: Identifier,
    package: &[u8],
) -> Result<(), DkgError> {
    let broadcast = parse_broadcast::<C>(threshold, sender, broadcast)?;
    let dealt = SigningShare::deserialize(package).map_err(|_| DkgError::Malformed { culprit: sender })?;
    let share = SecretShare::new(frost_identifier::<C>(recipient), dealt, broadcast.commitment().clone());
    share.verify().map(drop).map_err(|_| DkgError::Share { culprit: sender })
}

/// The member that the suite names, or why nobody is.
fn blame<C: Suite>(
    quorum: Quorum,
    error: frost_core::Error<C>,
    named: impl Fn(Identifier) -> DkgError,
) -> DkgError {
    match identifiers_among::<C>(quorum.identifiers(), &error.culprits()).first() {
        Some(culprit) => named(*culprit),
        None => refused(error),
    }
}

fn refused<C: Suite>(error: frost_core::Error<C>) -> DkgError {
    DkgError::Suite { reason: error.to_string() }
}
