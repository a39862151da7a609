//! The rules by which nodes agree on what they read, as an action names them.

use std::fmt;

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

use crate::{Decimal, canonical::sol_types};

/// The most basis points that a tolerance may have: as much again as the own value.
pub const MAX_BPS: u32 = 10_000;

/// How far an agreed number may lie from a node's own: the larger of the two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// In hundredths of a per cent of the own number's size; at most [`MAX_BPS`].
    pub bps: u32,
    /// In the number's own unit; not below zero.
    pub abs: Decimal,
}

impl Tolerance {
    /// Whether a node that read `own` accepts `agreed`: |agreed - own| <= max(abs, bps / 10,000 x |own|), exactly.
    pub fn accepts(&self, agreed: &Decimal, own: &Decimal) -> bool {
        // sizes are below 10^56, factors at most 10^4: nothing overflows 256 bits
        let distance = agreed.distance(own);
        let relative = U256::from(self.bps.min(MAX_BPS)) * own.magnitude();
        distance <= self.abs.magnitude() || distance * U256::from(MAX_BPS) <= relative
    }

    /// Whether there can be a value that two nodes accept both, the one having read `one` and the other `other`.
    pub fn meets(&self, one: &Decimal, other: &Decimal) -> bool {
        let room = |own: &Decimal| {
            let relative = U256::from(self.bps.min(MAX_BPS)) * own.magnitude();
            relative.max(self.abs.magnitude() * U256::from(MAX_BPS))
        };
        one.distance(other) * U256::from(MAX_BPS) <= room(one) + room(other)
    }

    /// Whether both bounds are in their range.
    pub fn is_valid(&self) -> bool {
        self.bps <= MAX_BPS && !self.abs.is_negative()
    }
}

/// How the values that several nodes read become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Every node read the same; no tolerance.
    Identical,
    /// The middle one of the nodes' numbers, the lower of the two where their count is even.
    Median(Tolerance),
    /// The smallest of the nodes' numbers.
    Min(Tolerance),
    /// The largest of the nodes' numbers.
    Max(Tolerance),
    /// The value that most nodes read; a tie is a disagreement, and a node signs only over its own.
    Mode,
}

impl Rule {
    /// The name, as actions and reports have it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Median(_) => "median",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::Mode => "mode",
        }
    }

    /// The tolerance, where the rule is about numbers.
    pub const fn tolerance(&self) -> Option<Tolerance> {
        match self {
            Self::Median(tolerance) | Self::Min(tolerance) | Self::Max(tolerance) => Some(*tolerance),
            Self::Identical | Self::Mode => None,
        }
    }

    pub(crate) fn to_sol(self) -> sol_types::Rule {
        let tolerance = self.tolerance().unwrap_or_default();
        sol_types::Rule { name: self.name().into(), bps: tolerance.bps, abs: tolerance.abs.to_string() }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tolerance() {
            None => f.write_str(self.name()),
            Some(Tolerance { bps, abs }) => write!(f, "{} (bps {bps}, abs {abs})", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a number")
    }

    fn accepts(bps: u32, abs: &str, agreed: &str, own: &str) -> bool {
        Tolerance { bps, abs: decimal(abs) }.accepts(&decimal(agreed), &decimal(own))
    }

    #[test]
    fn the_bound_itself_is_accepted_and_the_next_unit_is_not() {
        assert!(accepts(50, "0", "100.5", "100"));
        assert!(!accepts(50, "0", "100.500000000000000001", "100"));
        assert!(accepts(50, "0", "99.5", "100"));
        assert!(!accepts(50, "0", "99.499999999999999999", "100"));
        assert!(accepts(0, "2", "102", "100"));
        assert!(!accepts(0, "2", "102.000000000000000001", "100"));
    }

    #[test]
    fn the_larger_bound_counts() {
        assert!(accepts(50, "2", "102", "100"));
        assert!(accepts(500, "2", "105", "100"));
        assert!(!accepts(500, "2", "105.1", "100"));
    }

    #[test]
    fn without_tolerance_only_the_own_value_is_accepted() {
        assert!(accepts(0, "0", "7", "7"));
        assert!(!accepts(0, "0", "7.000000000000000001", "7"));
    }

    #[test]
    fn zero_has_no_relative_room() {
        assert!(accepts(MAX_BPS, "0", "0", "0"));
        assert!(!accepts(MAX_BPS, "0", "0.000000000000000001", "0"));
        assert!(accepts(0, "1", "-1", "0"));
    }

    #[test]
    fn below_zero_the_size_counts() {
        assert!(accepts(50, "0", "-100.5", "-100"));
        assert!(!accepts(50, "0", "-100.51", "-100"));
        assert!(!accepts(50, "0", "100", "-100"));
        assert!(accepts(MAX_BPS, "0", "0", "-100"));
    }

    #[test]
    fn two_nodes_meet_where_their_tolerances_do() {
        let meets = |bps, abs: &str, one: &str, other: &str| {
            let tolerance = Tolerance { bps, abs: decimal(abs) };
            let (one, other) = (decimal(one), decimal(other));
            assert_eq!(tolerance.meets(&one, &other), tolerance.meets(&other, &one));
            tolerance.meets(&one, &other)
        };
        assert!(meets(0, "2", "98", "102") && !meets(0, "2", "98", "102.000000000000000001"));
        assert!(meets(100, "0", "100", "102.02") && !meets(100, "0", "100", "102.1"));
        assert!(meets(0, "0", "7", "7") && !meets(0, "0", "7", "8"));
        assert!(meets(100, "0", "-1", "-1.02") && !meets(100, "0", "-1", "1"));
        let largest = "9".repeat(crate::decimal::MAX_DIGITS);
        assert!(meets(MAX_BPS, &largest, &largest, &format!("-{largest}")));
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let largest = "9".repeat(crate::decimal::MAX_DIGITS);
        assert!(accepts(MAX_BPS, &largest, &largest, &largest));
        assert!(!accepts(MAX_BPS, "0", &format!("-{largest}"), &largest));
    }
}
