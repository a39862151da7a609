//! Exact decimals: what nodes compare when they agree on a number. No float is involved anywhere.

use std::{fmt, str::FromStr};

use alloy_primitives::{I256, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The most digits that a decimal has, zeros at either end aside.
pub const MAX_DIGITS: usize = 38;
/// The most of them that stand behind the point.
pub const MAX_PLACES: usize = 18;
/// The longest text that is read as a number, in bytes: more zeros than that are not taken seriously.
pub const MAX_NUMBER_BYTES: usize = 128;

/// A decimal number of at most [`MAX_DIGITS`] digits, at most [`MAX_PLACES`] of them behind the point.
///
/// Equal numbers are equal values, however they were written: `1.50`, `15e-1` and `1.5` are one. In text it has
/// one form, without exponent, plus sign or superfluous zeros; serialised, it is that text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal {
    /// In units of 10^-[`MAX_PLACES`]; below 10^56 in size.
    units: I256,
}

/// Why a text is not a decimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not written as JSON writes numbers.
    #[error("{got:?} is not a decimal number: write it as in JSON, like -12.5")]
    Syntax {
        /// The text, cut after 80 characters.
        got: String,
    },
    /// More digits than are compared.
    #[error("{got:?} has more than {MAX_DIGITS} digits, or more than {MAX_PLACES} behind the point")]
    Digits {
        /// The text, cut after 80 characters.
        got: String,
    },
    /// A number, and not in its one form.
    #[error("{got:?} is not in canonical form, {canonical} is")]
    Form {
        /// The text, cut after 80 characters.
        got: String,
        /// The same number in canonical form.
        canonical: Decimal,
    },
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { units: I256::ZERO };

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.units.is_negative()
    }

    /// Its size, in units of 10^-[`MAX_PLACES`].
    pub(crate) fn magnitude(&self) -> U256 {
        self.units.unsigned_abs()
    }

    /// How far apart two decimals are, in units of 10^-[`MAX_PLACES`].
    pub(crate) fn distance(&self, other: &Self) -> U256 {
        // both are below 10^56 in size: the difference does not overflow
        self.units.wrapping_sub(other.units).unsigned_abs()
    }

    /// A decimal in canonical form only.
    pub fn from_canonical(text: &str) -> Result<Self, DecimalError> {
        let decimal: Self = text.parse()?;
        if decimal.to_string() == text {
            Ok(decimal)
        } else {
            Err(DecimalError::Form { got: cut(text), canonical: decimal })
        }
    }
}

/// A number as JSON writes it, taken apart.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (rest, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let no_leading_zero = whole.len() == 1 || !whole.starts_with('0');
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let well_formed = digits(whole) && no_leading_zero && fraction.is_none_or(digits);
        let exponent = match exponent {
            None => 0,
            Some(text) => {
                let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
                // an exponent that is too long to be read is far beyond every bound
                let size: i64 =
                    if digits(unsigned) { unsigned.parse().unwrap_or(i64::MAX / 4) } else { return None };
                if text.starts_with('-') { -size } else { size }
            }
        };
        well_formed.then_some(Self { negative, whole, fraction: fraction.unwrap_or_default(), exponent })
    }

    /// The digits without zeros at either end, and how many places behind the point the last one stands.
    fn significant(&self) -> (String, i64) {
        let digits = [self.whole, self.fraction].concat();
        let mut places =
            i64::try_from(self.fraction.len()).unwrap_or(i64::MAX / 4).saturating_sub(self.exponent);
        let trimmed = digits.trim_end_matches('0');
        places = places.saturating_sub(i64::try_from(digits.len() - trimmed.len()).unwrap_or(i64::MAX / 4));
        (trimmed.trim_start_matches('0').to_owned(), places)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Reads a number in the grammar of JSON (RFC 8259 section 6), exponents included.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let parts = Parts::of(text)
            .filter(|_| text.len() <= MAX_NUMBER_BYTES)
            .ok_or_else(|| DecimalError::Syntax { got: cut(text) })?;
        let (digits, places) = parts.significant();
        if digits.is_empty() {
            return Ok(Self::ZERO);
        }
        let too_many = || DecimalError::Digits { got: cut(text) };
        // zeros that stand between the last digit and the point count too: 1e40 has 41 digits
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX / 4).saturating_add((-places).max(0));
        if count > MAX_DIGITS as i64 || places > MAX_PLACES as i64 {
            return Err(too_many());
        }
        let shift = usize::try_from(MAX_PLACES as i64 - places).map_err(|_| too_many())?;
        let units = I256::from_dec_str(&format!("{digits}{}", "0".repeat(shift))).map_err(|_| too_many())?;
        Ok(Self { units: if parts.negative { -units } else { units } })
    }
}

impl From<u64> for Decimal {
    fn from(whole: u64) -> Self {
        let units = U256::from(whole) * U256::from(10).pow(U256::from(MAX_PLACES));
        Self { units: I256::from_raw(units) }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.magnitude().to_string(), width = MAX_PLACES + 1);
        let (whole, fraction) = digits.split_at(digits.len() - MAX_PLACES);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.is_negative() { "-" } else { "" };
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    /// From the canonical form only, so that a decimal has one encoding.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_canonical(&text).map_err(D::Error::custom)
    }
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        text.parse::<Decimal>().map_or_else(|error| format!("{error:?}"), |decimal| decimal.to_string())
    }

    #[test]
    fn a_number_has_one_form() {
        for (text, expected) in [
            ("1.50", "1.5"),
            ("1e0", "1"),
            ("1.0", "1"),
            ("15e-1", "1.5"),
            ("1.5E+1", "15"),
            ("-0", "0"),
            ("-0.00", "0"),
            ("0e99", "0"),
            ("-0.10", "-0.1"),
            ("100", "100"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
            ("1e37", "10000000000000000000000000000000000000"),
            ("1000000000000000000000000e-24", "1"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn what_json_does_not_write_is_no_number() {
        for text in [
            "", "-", "+1", "01", "-01", ".5", "5.", "1e", "1e+", "0x10", "1_000", " 1", "1 ", "NaN",
            "Infinity", "1,5", "١",
        ] {
            assert!(matches!(text.parse::<Decimal>(), Err(DecimalError::Syntax { .. })), "{text:?}");
        }
        assert!(matches!(
            "0".repeat(MAX_NUMBER_BYTES + 1).parse::<Decimal>(),
            Err(DecimalError::Syntax { .. })
        ));
    }

    #[test]
    fn more_digits_than_are_compared_are_refused() {
        for text in [
            "1e38",
            "0.0000000000000000001",
            "123456789012345678901234567890123456789",
            "123456789012345678901.123456789012345678",
            "1e999999999999999999999999",
            "1e-999999999999999999999999",
        ] {
            assert!(matches!(text.parse::<Decimal>(), Err(DecimalError::Digits { .. })), "{text}");
        }
    }

    #[test]
    fn order_is_that_of_numbers() {
        let numbers = ["-10", "-9.5", "-0.000000000000000001", "0", "0.1", "9.5", "10"];
        let decimals: Vec<Decimal> = numbers.iter().map(|text| text.parse().expect("a number")).collect();
        assert!(decimals.is_sorted());
    }

    #[test]
    fn only_the_canonical_form_is_deserialised() {
        let read = |text: &str| serde_json::from_str::<Decimal>(&format!("{text:?}"));
        assert_eq!(read("1.5").expect("canonical"), "1.50".parse().expect("a number"));
        for text in ["1.50", "1e1", "-0", "x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_largest_are_apart_by_their_sum() {
        let largest: Decimal = "9".repeat(MAX_DIGITS).parse().expect("38 digits");
        let smallest: Decimal = format!("-{}", "9".repeat(MAX_DIGITS)).parse().expect("38 digits");
        assert_eq!(largest.distance(&smallest), largest.magnitude() + smallest.magnitude());
    }

    #[test]
    fn whole_numbers_are_decimals() {
        assert_eq!(Decimal::from(u64::MAX).to_string(), u64::MAX.to_string());
    }
}
