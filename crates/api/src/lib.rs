//! The HTTP interface of a node: routes, bodies, problems and the OpenAPI document.
//!
//! [`serve`] answers HTTP on a listener from a [`Backend`], which a node implements: nothing here knows how a
//! signature comes about. Every failure is a problem (RFC 9457) with a stable type; every place, byte and wait
//! that a client can take has a bound in [`Config`] or in a named constant.

mod backend;
mod body;
mod config;
mod document;
mod download;
mod observe;
mod places;
mod problem;
mod rates;
mod routes;
mod schema;
mod serve;
mod taken;
mod tls;

pub use backend::{Backend, SignAnswer};
pub use body::{MAX_PUBLICATION_BODY_BYTES, MAX_REQUEST_BODY_BYTES};
pub use config::{Config, ConfigError, MAX_DEADLINE_MS};
pub use document::{document, names};
pub use rates::{Rate, Rates, TooOften};
pub use routes::router;
pub use serve::{listen, serve};
pub use tls::{Tls, TlsConfig, TlsError};
