//! The suite of secp256k1 over a group in which everybody can take logarithms: for the simulator's longest runs. Only with
//! `--cfg countersign_toy_curves`.
//!
//! The group is the curve's scalars under addition: of the same order, with encodings of the same lengths, in which the
//! identity has none either. FROST's equations hold in every group of prime order, so shares, complaints, culprits and
//! signatures are right or wrong where those of the curve are; only the secrets are none.

use std::hint::black_box;

use frost_core::{Ciphersuite, Field, Group, GroupError};
use frost_secp256k1::{Secp256K1ScalarField as Scalars, Secp256K1Sha256 as Real};

type Scalar = <Scalars as Field>::Scalar;

/// By this a program with toys is told from one without.
const MARK: &str = "countersign-toy-curves";
/// The first byte of each element's encoding: the only tag that there is.
const TAG: u8 = 2;

/// The suite: hashes are the curve's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secp256K1Sha256;

/// The group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Toy;

impl Group for Toy {
    type Field = Scalars;
    type Element = Scalar;
    type Serialization = [u8; 33];

    fn cofactor() -> Scalar {
        Scalar::ONE
    }

    fn identity() -> Scalar {
        Scalar::ZERO
    }

    fn generator() -> Scalar {
        black_box(MARK);
        Scalar::ONE
    }

    fn serialize(element: &Scalar) -> Result<[u8; 33], GroupError> {
        if *element == Self::identity() {
            return Err(GroupError::InvalidIdentityElement);
        }
        let mut encoding = [TAG; 33];
        encoding[1..].copy_from_slice(&Scalars::serialize(element));
        Ok(encoding)
    }

    fn deserialize(encoding: &[u8; 33]) -> Result<Scalar, GroupError> {
        let [TAG, scalar @ ..] = encoding else { return Err(GroupError::MalformedElement) };
        let element = Scalars::deserialize(scalar).map_err(|_| GroupError::MalformedElement)?;
        if element == Self::identity() {
            return Err(GroupError::InvalidIdentityElement);
        }
        Ok(element)
    }
}

impl Ciphersuite for Secp256K1Sha256 {
    const ID: &'static str = MARK;

    type Group = Toy;
    type HashOutput = <Real as Ciphersuite>::HashOutput;
    type SignatureSerialization = <Real as Ciphersuite>::SignatureSerialization;

    fn H1(m: &[u8]) -> Scalar {
        Real::H1(m)
    }

    fn H2(m: &[u8]) -> Scalar {
        Real::H2(m)
    }

    fn H3(m: &[u8]) -> Scalar {
        Real::H3(m)
    }

    fn H4(m: &[u8]) -> Self::HashOutput {
        Real::H4(m)
    }

    fn H5(m: &[u8]) -> Self::HashOutput {
        Real::H5(m)
    }

    fn HDKG(m: &[u8]) -> Option<Scalar> {
        Real::HDKG(m)
    }

    fn HID(m: &[u8]) -> Option<Scalar> {
        Real::HID(m)
    }
}
