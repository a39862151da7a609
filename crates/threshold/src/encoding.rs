//! Elements, scalars and identifiers as bytes: one encoding each, every other is refused.

use countersign_types::Identifier;
use frost_core::{Ciphersuite, Element, Field, Group, Scalar};
use zeroize::Zeroizing;

use crate::suite::Suite;

pub(crate) type FieldOf<C> = <<C as Ciphersuite>::Group as Group>::Field;
pub(crate) type FrostIdentifier<C> = frost_core::Identifier<C>;

/// The element with this encoding; none if it is malformed, not canonical or the identity.
pub(crate) fn parse_element<C: Suite>(bytes: &[u8]) -> Option<Element<C>> {
    if !C::is_canonical_element(bytes) {
        return None;
    }
    let encoding = <C::Group as Group>::Serialization::try_from(bytes).ok()?;
    <C::Group as Group>::deserialize(&encoding).ok()
}

/// The encoding of an element; none for the identity, which has none.
pub(crate) fn encode_element<C: Suite>(element: &Element<C>) -> Option<Vec<u8>> {
    Some(<C::Group as Group>::serialize(element).ok()?.as_ref().to_vec())
}

/// The scalar with this encoding; none if it is not below the group's order.
pub(crate) fn parse_scalar<C: Suite>(bytes: &[u8]) -> Option<Scalar<C>> {
    let encoding = <FieldOf<C> as Field>::Serialization::try_from(bytes).ok()?;
    <FieldOf<C> as Field>::deserialize(&encoding).ok()
}

/// The encoding of a scalar, wiped when dropped.
pub(crate) fn encode_scalar<C: Suite>(scalar: &Scalar<C>) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(<FieldOf<C> as Field>::serialize(scalar).as_ref().to_vec())
}

/// A big-endian number modulo the group's order. For public numbers only: its time depends on them.
pub(crate) fn reduce<C: Suite>(number: &[u8]) -> Scalar<C> {
    let (zero, one) = (<FieldOf<C> as Field>::zero(), <FieldOf<C> as Field>::one());
    let bits = number.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
    bits.fold(zero, |sum, set| {
        let doubled = sum + sum;
        if set { doubled + one } else { doubled }
    })
}

/// The identifier as the suite has it: the scalar with the same number.
pub(crate) fn frost_identifier<C: Suite>(identifier: Identifier) -> FrostIdentifier<C> {
    FrostIdentifier::<C>::try_from(identifier.get()).expect("an identifier is not zero")
}

/// Which of the candidates the suite means, in ascending order.
pub(crate) fn identifiers_among<C: Suite>(
    candidates: impl IntoIterator<Item = Identifier>,
    meant: &[FrostIdentifier<C>],
) -> Vec<Identifier> {
    candidates.into_iter().filter(|id| meant.contains(&frost_identifier::<C>(*id))).collect()
}

#[cfg(test)]
mod tests {
    use countersign_types::Scheme;
    use frost_secp256k1::Secp256K1Sha256 as Secp;
    use k256::{
        ProjectivePoint, Scalar, U256,
        elliptic_curve::{group::GroupEncoding, ops::Reduce},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::suite::dispatch;

    #[test]
    fn lengths_are_those_of_the_groups() {
        for scheme in Scheme::ALL {
            dispatch!(scheme, C => {
                let generator = <<C as Ciphersuite>::Group as Group>::generator();
                let encoded = encode_element::<C>(&generator).expect("not the identity");
                assert_eq!(encoded.len(), C::ELEMENT_BYTES);
                assert_eq!(encode_scalar::<C>(&<FieldOf<C> as Field>::one()).len(), C::SCALAR_BYTES);
                assert_eq!(scheme.root_key_len(), C::ELEMENT_BYTES);
                assert_eq!(C::public_key(encoded).len(), scheme.public_key_len());
                assert_eq!(C::SCHEME, scheme);
            });
        }
    }

    #[test]
    fn the_compact_form_and_the_identity_are_no_elements() {
        let mut encoding = ProjectivePoint::GENERATOR.to_bytes();
        assert_eq!(parse_element::<Secp>(&encoding), Some(ProjectivePoint::GENERATOR));
        let accepted = (0..=u8::MAX).filter(|tag| {
            encoding[0] = *tag;
            parse_element::<Secp>(&encoding).is_some()
        });
        assert_eq!(accepted.collect::<Vec<_>>(), [2, 3]);

        encoding[0] = 5;
        let group = <Secp as Ciphersuite>::Group::deserialize(&encoding.into());
        assert!(group.is_ok(), "the check for canonical encodings has nothing to catch");
        assert_eq!(parse_element::<Secp>(&[0; 33]), None);
        assert_eq!(encode_element::<Secp>(&ProjectivePoint::IDENTITY), None);
    }

    #[test]
    fn a_number_beyond_the_order_is_no_scalar() {
        assert_eq!(parse_scalar::<Secp>(&[0xff; 32]), None);
        assert_eq!(parse_scalar::<Secp>(&[0; 31]), None);
        assert_eq!(parse_scalar::<Secp>(&[0; 32]), Some(Scalar::ZERO));
    }

    #[test]
    fn the_largest_number_is_reduced() {
        let largest = <Scalar as Reduce<U256>>::reduce(U256::MAX);
        assert_eq!(reduce::<Secp>(&[0xff; 32]), largest);
    }

    proptest! {
        #[test]
        fn reduction_is_that_of_the_curve(number: [u8; 32]) {
            let expected = <Scalar as Reduce<U256>>::reduce_bytes(&number.into());
            prop_assert_eq!(reduce::<Secp>(&number), expected);
        }

        #[test]
        fn identifiers_keep_their_number(number in 1..=u16::MAX) {
            let identifier = Identifier::new(number).expect("not zero");
            let scalar = parse_scalar::<Secp>(&frost_identifier::<Secp>(identifier).serialize());
            prop_assert_eq!(scalar, Some(Scalar::from(u64::from(number))));
        }

        #[test]
        fn what_parses_is_encoded_the_same(
            scheme in proptest::sample::select(Scheme::ALL.as_slice()),
            tag in 0..8u8,
            bytes in proptest::collection::vec(any::<u8>(), 32),
        ) {
            dispatch!(scheme, C => {
                let mut encoding = [&[tag], &bytes[..]].concat();
                encoding.drain(..33 - C::ELEMENT_BYTES);
                if let Some(element) = parse_element::<C>(&encoding) {
                    prop_assert_eq!(encode_element::<C>(&element), Some(encoding));
                }
            });
        }
    }
}
