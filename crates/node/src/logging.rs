//! What a node logs, as text for people or JSON for programs, on standard error.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Text or JSON.
    pub format: LogFormat,
    /// Which events, as `level` or `target=level,...`; the variable RUST_LOG overrides it.
    pub filter: String,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::default(), filter: "info".into() }
    }
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
#[error("log.filter {filter:?} is not a filter: {reason}")]
pub struct FilterError {
    /// The filter.
    pub filter: String,
    /// What is wrong.
    pub reason: String,
}

impl LogConfig {
    /// Checks the filter. [`start`] does so too.
    pub fn validate(&self) -> Result<(), FilterError> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<EnvFilter, FilterError> {
        EnvFilter::try_new(&self.filter)
            .map_err(|error| FilterError { filter: self.filter.clone(), reason: error.to_string() })
    }
}

/// Starts logging for the whole process; a second call changes nothing.
pub fn start(config: &LogConfig) -> Result<(), FilterError> {
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) => filter,
        Err(_) => config.filter()?,
    };
    let stderr = std::io::stderr;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    // a logger that is set already stays
    let _ = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
