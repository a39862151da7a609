//! The settings of the HTTP interface.

use std::{net::SocketAddr, time::Duration};

use axum::http::{HeaderValue, Uri};
use serde::{Deserialize, Serialize};

use crate::{Rate, TlsConfig};

/// The longest that a client may have to wait for an answer: 30 seconds.
pub const MAX_DEADLINE_MS: u64 = 30_000;

/// The longest wait for a client's own bytes that an operator may set: ten minutes.
const MAX_READ_TIMEOUT_MS: u64 = 600_000;
/// The most of any count of places that an operator may set.
const MAX_PLACES: usize = 65_536;
/// The most of a rate: so often a minute, or at once.
const MAX_RATE: u64 = 1_000_000;
/// The most origins whose pages may ask.
const MAX_ORIGINS: usize = 64;
/// The origin that stands for all.
const ANY_ORIGIN: &str = "*";

/// The settings, as they stand in the node's configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen. On loopback with a free port unless it is set.
    pub listen: SocketAddr,
    /// How many connections are open at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// How many of them one address has; further ones are closed at once. Behind a proxy all callers have one address.
    pub max_connections_of_address: usize,
    /// How many calls are answered at once, transfers excluded, and of one address a quarter; further ones are answered busy.
    pub max_in_flight: usize,
    /// How many publications are taken at once, and, each apart, how many of the largest components are sent, smaller ones by
    /// their bytes, and how many receipts; of each for one address half. Further ones are answered busy.
    pub max_transfers: usize,
    /// The longest that an answer may take, in milliseconds; at most [`MAX_DEADLINE_MS`].
    pub deadline_ms: u64,
    /// The longest that a client may take to send the headers of its next request, in milliseconds.
    pub header_timeout_ms: u64,
    /// The longest that a client may take to send a body, in milliseconds.
    pub body_timeout_ms: u64,
    /// Certificate and key. Without them the interface speaks plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Web pages of these origins may ask, as `https://app.example`; `*` stands for all. None may unless it is set.
    pub cors_origins: Vec<String>,
    /// How often one address may call. As often as there is room unless it is set. Addresses of IPv6 count by their first 64 bits.
    pub address_rate: Option<Rate>,
    /// How often one caller may ask for signatures, by whichever address. As often as there is room unless it is set.
    pub caller_rate: Option<Rate>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            max_connections: 1_024,
            max_connections_of_address: 128,
            max_in_flight: 256,
            max_transfers: 4,
            deadline_ms: MAX_DEADLINE_MS,
            header_timeout_ms: 30_000,
            body_timeout_ms: 20_000,
            tls: None,
            cors_origins: Vec::new(),
            address_rate: None,
            caller_rate: None,
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number is out of its bounds.
    #[error("{key} must be 1 to {most}, got {got}")]
    Bounds {
        /// The setting's name.
        key: &'static str,
        /// The largest value.
        most: u64,
        /// The value that is set.
        got: u64,
    },
    /// No origin of web pages.
    #[error(
        "cors_origins holds {got:?}: an origin is a scheme and a host, as \"https://app.example\", or \"*\" alone for all"
    )]
    Origin {
        /// What is set.
        got: String,
    },
    /// Too many origins.
    #[error("cors_origins holds {got} origins, at most {MAX_ORIGINS} are taken")]
    Origins {
        /// How many are set.
        got: usize,
    },
}

impl Config {
    /// Checks every bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let places = count(MAX_PLACES);
        [
            ("max_connections", places, count(self.max_connections)),
            ("max_connections_of_address", places, count(self.max_connections_of_address)),
            ("max_in_flight", places, count(self.max_in_flight)),
            ("max_transfers", places, count(self.max_transfers)),
            ("deadline_ms", MAX_DEADLINE_MS, self.deadline_ms),
            ("header_timeout_ms", MAX_READ_TIMEOUT_MS, self.header_timeout_ms),
            ("body_timeout_ms", MAX_READ_TIMEOUT_MS, self.body_timeout_ms),
        ]
        .into_iter()
        .chain(rate_bounds(["caller_rate.per_minute", "caller_rate.burst"], self.caller_rate))
        .chain(rate_bounds(["address_rate.per_minute", "address_rate.burst"], self.address_rate))
        .find(|(_, most, got)| !(1..=*most).contains(got))
        .map_or(Ok(()), |(key, most, got)| Err(ConfigError::Bounds { key, most, got }))?;
        self.origins().map(drop)
    }

    /// The most calls that one address has in flight.
    pub(crate) fn in_flight_of_address(&self) -> usize {
        self.max_in_flight.div_ceil(4)
    }

    /// The most transfers of each kind that one address has.
    pub(crate) fn transfers_of_address(&self) -> usize {
        self.max_transfers.div_ceil(2)
    }

    /// Whose web pages may ask.
    pub(crate) fn origins(&self) -> Result<Origins, ConfigError> {
        let origins = &self.cors_origins;
        if origins.len() > MAX_ORIGINS {
            return Err(ConfigError::Origins { got: origins.len() });
        }
        if let [any] = origins.as_slice()
            && any == ANY_ORIGIN
        {
            return Ok(Origins::Any);
        }
        origins.iter().map(|origin| header_of(origin)).collect::<Result<_, _>>().map(Origins::These)
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(crate) fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}

/// What is set of a rate, with its bounds.
fn rate_bounds(
    keys: [&'static str; 2],
    rate: Option<Rate>,
) -> impl Iterator<Item = (&'static str, u64, u64)> {
    let values = rate.map(|rate| [rate.per_minute, rate.burst].map(|value| u64::from(value.get())));
    values
        .into_iter()
        .flat_map(move |values| keys.into_iter().zip(values).map(|(key, value)| (key, MAX_RATE, value)))
}

/// Whose web pages may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origins {
    /// Everybody's.
    Any,
    /// Those of these origins.
    These(Vec<HeaderValue>),
}

/// An origin as browsers send it (RFC 6454, section 6.2): with nothing behind host and port.
fn header_of(origin: &str) -> Result<HeaderValue, ConfigError> {
    let invalid = || ConfigError::Origin { got: origin.into() };
    let uri: Uri = origin.parse().map_err(|_| invalid())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority().ok_or_else(invalid)?);
    if !is_web
        || authority.as_str().contains('@')
        || origin != format!("{scheme}://{authority}").to_lowercase()
    {
        return Err(invalid());
    }
    HeaderValue::from_str(origin).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn the_defaults_listen_on_loopback_and_are_legal() {
        assert!(Config::default().listen.ip().is_loopback());
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_bound_that_is_broken_is_named() {
        type Change = fn(&mut Config);
        let changes: [(&str, Change); 6] = [
            ("max_connections", |c| c.max_connections = 0),
            ("max_in_flight", |c| c.max_in_flight = MAX_PLACES + 1),
            ("deadline_ms", |c| c.deadline_ms = MAX_DEADLINE_MS + 1),
            ("body_timeout_ms", |c| c.body_timeout_ms = 0),
            ("max_connections_of_address", |c| c.max_connections_of_address = 0),
            ("caller_rate.burst", |c| {
                c.caller_rate = Some(Rate { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MAX });
            }),
        ];
        for (key, change) in changes {
            let mut config = Config::default();
            change(&mut config);
            let error = config.validate().expect_err("out of bounds");
            assert!(matches!(error, ConfigError::Bounds { key: named, .. } if named == key), "{error}");
        }
    }

    #[test]
    fn one_address_has_a_part_of_every_bound() {
        for places in [1, 2, 64, 256] {
            let config = Config { max_in_flight: places, max_transfers: places, ..Config::default() };
            assert_eq!(config.validate(), Ok(()), "a network of one's own may be as small as that");
            assert!(config.in_flight_of_address() <= places.div_ceil(4), "{places}");
            assert!(config.transfers_of_address() <= places.div_ceil(2), "{places}");
        }
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        let origins = |set: &[&str]| {
            let cors_origins = set.iter().map(ToString::to_string).collect();
            Config { cors_origins, ..Config::default() }.origins()
        };
        let two = ["https://app.example", "http://localhost:3000"];
        assert_eq!(origins(&two), Ok(Origins::These(two.map(HeaderValue::from_static).to_vec())));
        assert_eq!(origins(&["*"]), Ok(Origins::Any));
        assert_eq!(origins(&[]), Ok(Origins::These(Vec::new())));
        let wrong = [
            "app.example",
            "https://app.example/",
            "https://app.example/page",
            "https://App.example",
            "https://user@app.example",
            "ftp://app.example",
            "https://",
            "null",
            "",
        ];
        for wrong in wrong {
            assert_eq!(origins(&[wrong]), Err(ConfigError::Origin { got: wrong.into() }));
        }
        assert_eq!(origins(&["*", two[0]]), Err(ConfigError::Origin { got: "*".into() }));
        assert_eq!(origins(&[two[0]; 65]), Err(ConfigError::Origins { got: 65 }));
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let error = serde_json::from_str::<Config>(r#"{"listn": "127.0.0.1:1"}"#).expect_err("misspelt");
        assert!(error.to_string().contains("listn"), "{error}");
    }
}
