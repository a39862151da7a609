//! Exact decimals, for prices and rates: no float is involved.

use std::{cmp::Ordering, fmt, str::FromStr};

use crate::U256;

/// The most digits that a decimal has, zeros at either end aside.
const MAX_DIGITS: usize = 38;
/// The most of them that stand behind the point.
const MAX_PLACES: usize = 18;

/// A decimal number of at most 38 digits, at most 18 of them behind the point: all that a read can bring.
///
/// Compared exactly, and written in one form: `1.50` and `1.5` are equal, and written `1.5`. In JSON it is a text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Decimal {
    /// Never together with no units: there is one zero.
    negative: bool,
    /// Its size in units of 10^-[`MAX_PLACES`].
    units: U256,
}

/// Why a text is no decimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got:?} is no decimal: digits, at most {MAX_DIGITS}, and perhaps a point with at most {MAX_PLACES} of them behind \
     it, as -12.5"
)]
pub struct DecimalError {
    /// The text, cut after 80 characters.
    pub got: String,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { negative: false, units: U256::ZERO };

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// The number times 10^`places`, as contracts keep it: 1.5 with 6 places is 1,500,000. None if that is not whole,
    /// below zero, or beyond 256 bits.
    pub fn to_base_units(&self, places: u8) -> Option<U256> {
        if self.negative {
            return None;
        }
        let power = |exponent: usize| U256::from(10).checked_pow(U256::from(exponent));
        let places = usize::from(places);
        match places.checked_sub(MAX_PLACES) {
            Some(more) => self.units.checked_mul(power(more)?),
            None => {
                let (whole, rest) = self.units.div_rem(power(MAX_PLACES - places)?);
                rest.is_zero().then_some(whole)
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (number, None),
        };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = whole == "0" || !whole.starts_with('0');
        if !digits(whole) || !canonical || !fraction.is_none_or(digits) {
            return None;
        }
        let fraction = fraction.unwrap_or_default().trim_end_matches('0');
        let significant = whole.trim_start_matches('0').len() + fraction.len();
        if fraction.len() > MAX_PLACES || significant > MAX_DIGITS {
            return None;
        }
        let units = format!("{whole}{fraction:0<MAX_PLACES$}");
        let units = U256::from_str_radix(&units, 10).ok()?;
        Some(Self { negative: negative && !units.is_zero(), units })
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Without exponent, plus sign, separators or superfluous zeros in front.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        Self::parse(text).ok_or_else(|| DecimalError { got: text.chars().take(80).collect() })
    }
}

impl From<u64> for Decimal {
    fn from(whole: u64) -> Self {
        Self { negative: false, units: U256::from(whole) * U256::from(10).pow(U256::from(MAX_PLACES)) }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.units.cmp(&other.units),
            (true, true) => other.units.cmp(&self.units),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.units.to_string(), width = MAX_PLACES + 1);
        let (whole, fraction) = digits.split_at(digits.len() - MAX_PLACES);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.negative { "-" } else { "" };
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect(text)
    }

    #[test]
    fn a_number_is_written_in_one_form() {
        let largest = "9".repeat(MAX_DIGITS);
        let smallest = "0.000000000000000001";
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0"),
            ("1.50", "1.5"),
            ("-0.10", "-0.1"),
            ("100", "100"),
            ("1.000000000000000000000", "1"),
            (smallest, smallest),
            (&largest, &largest),
        ] {
            assert_eq!(decimal(text).to_string(), expected);
        }
        assert_eq!(decimal("18446744073709551615"), Decimal::from(u64::MAX));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let long = "9".repeat(MAX_DIGITS + 1);
        let giant = "9".repeat(100_000);
        for text in [
            "", "-", ".", "1.", ".5", "01", "-01", "00", "+1", "1e3", "1,5", "1 ", "0x1", "١", "1.-5", "--1", "NaN",
            "0.0000000000000000001", &long, &giant,
        ] {
            let error = text.parse::<Decimal>().expect_err(text);
            assert!(error.got.len() <= 80 && error.to_string().contains("is no decimal"), "{error}");
        }
    }

    #[test]
    fn numbers_are_ordered_by_their_size() {
        let ascending = ["-10", "-9.5", "-0.1", "0", "0.000000000000000001", "9.5", "10", "10.1"];
        for pair in ascending.windows(2) {
            assert!(decimal(pair[0]) < decimal(pair[1]), "{pair:?}");
            assert!(decimal(pair[1]) > decimal(pair[0]), "{pair:?}");
        }
        assert_eq!(decimal("9.50").cmp(&decimal("9.5")), Ordering::Equal);
        assert_eq!(decimal("-0"), Decimal::ZERO);
    }

    #[test]
    fn base_units_are_exact_or_none() {
        let units = |text: &str, places| decimal(text).to_base_units(places).map(|units| units.to_string());
        assert_eq!(units("1.5", 6).as_deref(), Some("1500000"));
        assert_eq!(units("1.5", 0), None, "half a unit");
        assert_eq!(units("2", 0).as_deref(), Some("2"));
        assert_eq!(units("0.000000000000000001", 18).as_deref(), Some("1"));
        assert_eq!(units("0.000000000000000001", 17), None);
        assert_eq!(units("1", 20).as_deref(), Some("100000000000000000000"));
        assert_eq!(units("1", u8::MAX), None, "beyond 256 bits");
        assert_eq!(units("0", u8::MAX), None, "the power is beyond 256 bits");
        assert_eq!(units("-1", 6), None);
    }
}
