//! The settings of the HTTP interface.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest that a client may have to wait for an answer: 30 seconds.
pub const MAX_DEADLINE_MS: u64 = 30_000;

/// The longest wait for a client's own bytes that an operator may set: ten minutes.
const MAX_READ_TIMEOUT_MS: u64 = 600_000;
/// The most of any count of places that an operator may set.
const MAX_PLACES: usize = 65_536;

/// The settings, as they stand in the node's configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen. On loopback with a free port unless it is set.
    pub listen: SocketAddr,
    /// How many connections are open at once; further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// How many calls are answered at once, transfers excluded; further ones are answered busy.
    pub max_in_flight: usize,
    /// How many components are received or sent at once; further ones are answered busy.
    pub max_transfers: usize,
    /// The longest that an answer may take, in milliseconds; at most [`MAX_DEADLINE_MS`].
    pub deadline_ms: u64,
    /// The longest that a client may take to send the headers of its next request, in milliseconds.
    pub header_timeout_ms: u64,
    /// The longest that a client may take to send a body, in milliseconds.
    pub body_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            max_connections: 1_024,
            max_in_flight: 256,
            max_transfers: 4,
            deadline_ms: MAX_DEADLINE_MS,
            header_timeout_ms: 30_000,
            body_timeout_ms: 20_000,
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} must be 1 to {most}, got {got}")]
pub struct ConfigError {
    /// The setting's name.
    pub key: &'static str,
    /// The largest value.
    pub most: u64,
    /// The value that is set.
    pub got: u64,
}

impl Config {
    /// Checks every bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let places = count(MAX_PLACES);
        [
            ("max_connections", places, count(self.max_connections)),
            ("max_in_flight", places, count(self.max_in_flight)),
            ("max_transfers", places, count(self.max_transfers)),
            ("deadline_ms", MAX_DEADLINE_MS, self.deadline_ms),
            ("header_timeout_ms", MAX_READ_TIMEOUT_MS, self.header_timeout_ms),
            ("body_timeout_ms", MAX_READ_TIMEOUT_MS, self.body_timeout_ms),
        ]
        .into_iter()
        .find(|(_, most, got)| !(1..=*most).contains(got))
        .map_or(Ok(()), |(key, most, got)| Err(ConfigError { key, most, got }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_listen_on_loopback_and_are_legal() {
        assert!(Config::default().listen.ip().is_loopback());
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_bound_that_is_broken_is_named() {
        type Change = fn(&mut Config);
        let changes: [(&str, Change); 4] = [
            ("max_connections", |c| c.max_connections = 0),
            ("max_in_flight", |c| c.max_in_flight = MAX_PLACES + 1),
            ("deadline_ms", |c| c.deadline_ms = MAX_DEADLINE_MS + 1),
            ("body_timeout_ms", |c| c.body_timeout_ms = 0),
        ];
        for (key, change) in changes {
            let mut config = Config::default();
            change(&mut config);
            assert_eq!(config.validate().expect_err("out of bounds").key, key);
        }
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let error = serde_json::from_str::<Config>(r#"{"listn": "127.0.0.1:1"}"#).expect_err("misspelt");
        assert!(error.to_string().contains("listn"), "{error}");
    }
}
