//! Reads of the world beyond the chains: what is fetched, how the nodes agree on it, and the canonical bytes.
//!
//! Arguments and values are ABI-encoded, so that a TypeScript program can compute a read's id and a value's digest too.

mod projection;
mod request;

use std::fmt;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

use crate::{Decimal, ReadId, Rule, canonical, canonical::sol_types};

pub use projection::{ProjectionError, project, to_json};
pub use request::{HttpReadError, MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES, host_of};

/// The most bytes of a body, decompressed: 128 KiB.
pub const MAX_BODY_BYTES: u32 = 128 << 10;
/// The longest that one read may take, in milliseconds.
pub const MAX_TIMEOUT_MS: u32 = 10_000;
/// The most fields that one read may project.
pub const MAX_FIELDS: usize = 32;
/// The longest JSON pointer, in bytes.
pub const MAX_POINTER_BYTES: usize = 256;
/// The most tokens of a JSON pointer: how deep into a body it leads.
pub const MAX_POINTER_TOKENS: usize = 16;
/// The longest text that a field may hold, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The name, in lower case.
    pub name: String,
    /// The value: printable ASCII.
    pub value: String,
}

/// One field of a JSON body, and the rule by which the nodes agree on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Where it is (RFC 6901).
    pub pointer: String,
    /// How the nodes' values become one.
    pub rule: Rule,
}

/// How the nodes agree on a response.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agree {
    /// Status, content type and body, byte for byte.
    Identical,
    /// Field by field; the action sees nothing else of the response. 1 to [`MAX_FIELDS`], by distinct pointers.
    Fields(Vec<Field>),
}

/// One GET over HTTPS, checked: only [`HttpRead::new`] makes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Arguments", into = "Arguments")]
pub struct HttpRead {
    url: String,
    host: String,
    headers: Vec<Header>,
    max_body: u32,
    timeout_ms: u32,
    agree: Agree,
}

/// The arguments of a read, in the order of the action's interface, as they are kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    url: String,
    headers: Vec<Header>,
    max_body: u32,
    timeout_ms: u32,
    agree: Agree,
}

impl From<HttpRead> for Arguments {
    fn from(read: HttpRead) -> Self {
        let HttpRead { url, host: _, headers, max_body, timeout_ms, agree } = read;
        Self { url, headers, max_body, timeout_ms, agree }
    }
}

impl TryFrom<Arguments> for HttpRead {
    type Error = HttpReadError;

    fn try_from(arguments: Arguments) -> Result<Self, HttpReadError> {
        let Arguments { url, headers, max_body, timeout_ms, agree } = arguments;
        Self::new(&url, headers, max_body, timeout_ms, agree)
    }
}

impl HttpRead {
    /// The URL in its normal form (the URL standard's serialisation).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The host: a name, never an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The headers that the action adds.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The most bytes of the body, decompressed: 1 to [`MAX_BODY_BYTES`].
    pub fn max_body(&self) -> u32 {
        self.max_body
    }

    /// How long it may take, redirects included, in milliseconds: 1 to [`MAX_TIMEOUT_MS`].
    pub fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    /// How the nodes agree on the response.
    pub fn agree(&self) -> &Agree {
        &self.agree
    }

    /// The read's id: the hash of import and arguments, rules and tolerances included.
    pub fn id(&self) -> ReadId {
        let read = sol_types::Read { import: "http.fetch".into(), arguments: self.arguments().into() };
        ReadId(canonical::struct_hash(&read))
    }

    /// The arguments, ABI-encoded in the order of the fields.
    pub fn arguments(&self) -> Vec<u8> {
        let headers: Vec<(String, String)> =
            self.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
        let (identical, fields) = match &self.agree {
            Agree::Identical => (true, Vec::new()),
            Agree::Fields(fields) => (false, fields.iter().map(Field::tuple).collect()),
        };
        (self.url.clone(), headers, self.max_body, self.timeout_ms, identical, fields).abi_encode_params()
    }
}

impl Field {
    fn tuple(&self) -> (String, String, u32, String) {
        let sol_types::Rule { name, bps, abs } = self.rule.to_sol();
        (self.pointer.clone(), name, bps, abs)
    }
}

/// What a GET brought: all of it that an action can ever see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The header `content-type`, where there is one.
    pub content_type: Option<String>,
    /// The body, decompressed.
    pub body: Bytes,
}

impl HttpResponse {
    /// The response, ABI-encoded: status, whether there is a content type, the content type, the body.
    pub fn encode(&self) -> Vec<u8> {
        let content_type = self.content_type.clone();
        let present = content_type.is_some();
        (self.status, present, content_type.unwrap_or_default(), self.body.clone()).abi_encode_params()
    }

    /// The keccak-256 and the length of the encoded response: how an identical read travels.
    pub fn digest(&self) -> (B256, u32) {
        let encoded = self.encode();
        (keccak256(&encoded), u32::try_from(encoded.len()).unwrap_or(u32::MAX))
    }
}

/// The value of one field: a JSON scalar.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldValue {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, exact. Under a rule about numbers a text that writes one is a number too.
    Number(Decimal),
    /// A text of at most [`MAX_TEXT_BYTES`].
    Text(String),
}

impl FieldValue {
    /// The number, if it is one.
    pub const fn number(&self) -> Option<&Decimal> {
        match self {
            Self::Number(number) => Some(number),
            Self::Null | Self::Bool(_) | Self::Text(_) => None,
        }
    }

    pub(crate) fn to_sol(&self) -> (String, String) {
        let (kind, value) = match self {
            Self::Null => ("null", String::new()),
            Self::Bool(value) => ("bool", value.to_string()),
            Self::Number(number) => ("number", number.to_string()),
            Self::Text(text) => ("text", text.clone()),
        };
        (kind.into(), value)
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tolerance;

    fn read(url: &str, max_body: u32, agree: Agree) -> HttpRead {
        HttpRead::new(url, Vec::new(), max_body, 1_000, agree).expect("a read")
    }

    #[test]
    fn every_argument_is_in_the_id() {
        let field = |pointer: &str, rule| Agree::Fields(vec![Field { pointer: pointer.into(), rule }]);
        let median = |bps| Rule::Median(Tolerance { bps, abs: Decimal::ZERO });
        let url = "https://a.example/";
        let header = Header { name: "accept".into(), value: "text/plain".into() };
        let reads = [
            read(url, 10, Agree::Identical),
            read("https://b.example/", 10, Agree::Identical),
            read(url, 11, Agree::Identical),
            HttpRead::new(url, vec![header], 10, 1_000, Agree::Identical).expect("a read"),
            HttpRead::new(url, Vec::new(), 10, 1_001, Agree::Identical).expect("a read"),
            read(url, 10, field("/a", Rule::Mode)),
            read(url, 10, field("/b", Rule::Mode)),
            read(url, 10, field("/a", Rule::Identical)),
            read(url, 10, field("/a", median(1))),
            read(url, 10, field("/a", median(2))),
        ];
        let ids: std::collections::BTreeSet<_> = reads.iter().map(HttpRead::id).collect();
        assert_eq!(ids.len(), reads.len());
    }

    #[test]
    fn status_type_and_body_are_in_the_digest() {
        let response = HttpResponse { status: 200, content_type: Some(String::new()), body: Bytes::new() };
        let others = [
            HttpResponse { status: 204, ..response.clone() },
            HttpResponse { content_type: None, ..response.clone() },
            HttpResponse { body: vec![0].into(), ..response.clone() },
        ];
        for other in others {
            assert_ne!(other.digest(), response.digest());
        }
    }
}
