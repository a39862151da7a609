//! Reads of the world beyond the chains: GET over HTTPS. Every node fetches for itself; then the nodes agree on what
//! they read.
//!
//! Where all nodes must see the same bytes, a response is one value. Where they may see slightly different ones, a
//! price for example, the action asks for fields of a JSON body, each with the rule by which the nodes' values become
//! one, and sees these agreed values and nothing else:
//!
//! ```no_run
//! use countersign_action_sdk::{Decimal, Refusal, http};
//! use countersign_action_sdk::http::{Rule, Tolerance};
//!
//! # fn price() -> Result<Decimal, Refusal> {
//! let fields = http::get("https://prices.example/v1/eth-usd")
//!     .header("accept", "application/json")
//!     .timeout_ms(3_000)
//!     .fields([("/price", Rule::Median(Tolerance::bps(50))), ("/symbol", Rule::Identical)])
//!     .fetch()?;
//! if fields.text("/symbol")? != "ETH-USD" {
//!     return Err(Refusal::new("the source tells the price of something else"));
//! }
//! let price = fields.decimal("/price")?;
//! # Ok(price)
//! # }
//! ```
//!
//! The manifest lists the hosts (`hosts`), and each read costs one of its `http_reads`. Arguments must not depend on
//! anything but the context and values that are identical everywhere. A node whose source does not answer, or
//! answers without the fields, ends its run; the action never sees it.

mod fields;
mod request;
mod response;

pub use crate::{
    bindings::countersign::action::types::{Rule, Tolerance},
    read::ReadError,
};
#[cfg(feature = "json")]
pub use fields::{FieldError, Fields, GetFields};
pub use request::{Fetch, Get, fetch_all, get};
pub use response::Response;

use crate::Decimal;

impl Tolerance {
    /// So many hundredths of a per cent of a node's own number, at most 10,000.
    pub fn bps(bps: u32) -> Self {
        Self { bps, abs: "0".into() }
    }

    /// So much in the number's own unit, at least 0.
    pub fn abs(abs: Decimal) -> Self {
        Self { bps: 0, abs: abs.to_string() }
    }

    /// So much in the number's own unit, where that is more.
    pub fn or_abs(self, abs: Decimal) -> Self {
        Self { abs: abs.to_string(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_has_two_bounds() {
        let abs: Decimal = "0.50".parse().expect("a number");
        assert_eq!(Tolerance::bps(50), Tolerance { bps: 50, abs: "0".into() });
        assert_eq!(Tolerance::abs(abs), Tolerance { bps: 0, abs: "0.5".into() });
        assert_eq!(Tolerance::bps(50).or_abs(abs), Tolerance { bps: 50, abs: "0.5".into() });
    }
}
