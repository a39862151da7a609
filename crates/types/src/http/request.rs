//! From an action's arguments to a read that can be made: what is refused before anything is sent.

use std::collections::BTreeSet;

use url::{Host, Url};

use super::{
    Agree, Field, Header, HttpRead, MAX_BODY_BYTES, MAX_FIELDS, MAX_POINTER_BYTES, MAX_POINTER_TOKENS,
    MAX_TIMEOUT_MS,
};
use crate::rule::MAX_BPS;

/// The longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 2048;
/// The most headers that an action may add.
pub const MAX_HEADERS: usize = 16;
/// The most bytes of their names and values together.
pub const MAX_HEADER_BYTES: usize = 4096;

/// Headers that belong to the connection or to the host that makes it.
const RESERVED_HEADERS: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why arguments make no read: the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpReadError {
    /// The URL is not one.
    #[error("the URL {got:?} does not parse: {reason}")]
    Url {
        /// The URL, cut after 80 characters.
        got: String,
        /// What the parser says.
        reason: String,
    },
    /// The URL is longer than is sent.
    #[error("a URL has at most {MAX_URL_BYTES} bytes, got {got}")]
    UrlLength {
        /// How many bytes it has.
        got: usize,
    },
    /// The URL is of another sort than is fetched.
    #[error("the URL {got:?} {reason}")]
    UrlForm {
        /// The URL, cut after 80 characters.
        got: String,
        /// What is not allowed in it, and what is.
        reason: &'static str,
    },
    /// The headers are too many or too long.
    #[error(
        "a read has at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes together, got {count} of {bytes}"
    )]
    Headers {
        /// How many there are.
        count: usize,
        /// How many bytes they have together.
        bytes: usize,
    },
    /// A header that is not one, stands there twice, or is not the action's to set.
    #[error("the header {name:?} {reason}")]
    Header {
        /// Its name, cut after 80 characters.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A number beyond its range.
    #[error("{what} is at most {most}, got {got}")]
    Bound {
        /// Which number.
        what: &'static str,
        /// The largest.
        most: u32,
        /// The number.
        got: u32,
    },
    /// No fields, or too many.
    #[error("a read projects 1 to {MAX_FIELDS} fields, got {got}")]
    Fields {
        /// How many there are.
        got: usize,
    },
    /// A pointer that is not one, or stands there twice.
    #[error("the JSON pointer {pointer:?} {reason}")]
    Pointer {
        /// The pointer, cut after 80 characters.
        pointer: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A tolerance out of range.
    #[error(
        "the tolerance of {pointer:?} has at most {MAX_BPS} basis points and an absolute part of at least 0"
    )]
    Tolerance {
        /// The field's pointer, cut after 80 characters.
        pointer: String,
    },
}

impl HttpRead {
    /// A read of these arguments. `max_body` and `timeout_ms` of 0 stand for the largest.
    pub fn new(
        url: &str,
        headers: Vec<Header>,
        max_body: u32,
        timeout_ms: u32,
        agree: Agree,
    ) -> Result<Self, HttpReadError> {
        let (url, host) = check_url(url)?;
        let headers = check_headers(headers)?;
        let max_body = bounded("max-body", max_body, MAX_BODY_BYTES)?;
        let timeout_ms = bounded("timeout-ms", timeout_ms, MAX_TIMEOUT_MS)?;
        if let Agree::Fields(fields) = &agree {
            check_fields(fields)?;
        }
        Ok(Self { url, host, headers, max_body, timeout_ms, agree })
    }
}

/// The host of a URL that actions may fetch: a name. What [`HttpRead::new`] checks of a URL, for redirects too.
pub fn host_of(url: &Url) -> Result<&str, &'static str> {
    if url.scheme() != "https" {
        return Err("is not one of https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or a password: use a header");
    }
    if url.port().is_some() {
        return Err("names a port: only 443 is used");
    }
    match url.host() {
        Some(Host::Domain(host)) => Ok(host),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => Err("names an address: only host names are fetched from"),
        None => Err("names no host"),
    }
}

fn check_url(text: &str) -> Result<(String, String), HttpReadError> {
    if text.len() > MAX_URL_BYTES {
        return Err(HttpReadError::UrlLength { got: text.len() });
    }
    let url =
        Url::parse(text).map_err(|error| HttpReadError::Url { got: cut(text), reason: error.to_string() })?;
    let form = |reason| HttpReadError::UrlForm { got: cut(text), reason };
    let host = host_of(&url).map_err(form)?.to_owned();
    if url.fragment().is_some() {
        return Err(form("holds a fragment, which is never sent"));
    }
    let url = String::from(url);
    // percent-encoding makes it longer
    if url.len() > MAX_URL_BYTES {
        return Err(HttpReadError::UrlLength { got: url.len() });
    }
    Ok((url, host))
}

fn check_headers(headers: Vec<Header>) -> Result<Vec<Header>, HttpReadError> {
    let bytes = headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(HttpReadError::Headers { count: headers.len(), bytes });
    }
    let mut seen = BTreeSet::new();
    headers
        .into_iter()
        .map(|Header { name, value }| {
            let wrong = |reason| HttpReadError::Header { name: cut(&name), reason };
            let lower = name.to_ascii_lowercase();
            if lower.is_empty() || !lower.bytes().all(is_token) {
                return Err(wrong("is no header name"));
            }
            if RESERVED_HEADERS.contains(&lower.as_str()) {
                return Err(wrong("is set by the host"));
            }
            let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if !printable || value.trim() != value {
                return Err(wrong("has a value that is not printable ASCII without spaces at its ends"));
            }
            if !seen.insert(lower.clone()) {
                return Err(wrong("is there twice"));
            }
            Ok(Header { name: lower, value })
        })
        .collect()
}

/// Characters of a token (RFC 9110 section 5.6.2), in lower case.
fn is_token(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn bounded(what: &'static str, got: u32, most: u32) -> Result<u32, HttpReadError> {
    match got {
        0 => Ok(most),
        got if got <= most => Ok(got),
        got => Err(HttpReadError::Bound { what, most, got }),
    }
}

fn check_fields(fields: &[Field]) -> Result<(), HttpReadError> {
    if !(1..=MAX_FIELDS).contains(&fields.len()) {
        return Err(HttpReadError::Fields { got: fields.len() });
    }
    let mut seen = BTreeSet::new();
    for Field { pointer, rule } in fields {
        let wrong = |reason| HttpReadError::Pointer { pointer: cut(pointer), reason };
        if pointer.len() > MAX_POINTER_BYTES {
            return Err(wrong("has more than 256 bytes"));
        }
        if pointer.matches('/').count() > MAX_POINTER_TOKENS {
            return Err(wrong("leads more than 16 values deep"));
        }
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(wrong("does not begin with a slash (RFC 6901)"));
        }
        let escapes = pointer.split('~').skip(1);
        if !escapes.into_iter().all(|rest| rest.starts_with(['0', '1'])) {
            return Err(wrong("has a ~ that is neither ~0 nor ~1 (RFC 6901)"));
        }
        if !seen.insert(pointer) {
            return Err(wrong("is there twice"));
        }
        if !rule.tolerance().is_none_or(|tolerance| tolerance.is_valid()) {
            return Err(HttpReadError::Tolerance { pointer: cut(pointer) });
        }
    }
    Ok(())
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decimal, Rule, Tolerance};

    fn url(text: &str) -> Result<HttpRead, HttpReadError> {
        HttpRead::new(text, Vec::new(), 0, 0, Agree::Identical)
    }

    #[test]
    fn a_url_has_one_form() {
        let read = url("HTTPS://Prices.Example:443/a b?q=ü").expect("a URL");
        assert_eq!((read.url(), read.host()), ("https://prices.example/a%20b?q=%C3%BC", "prices.example"));
        assert_eq!((read.max_body(), read.timeout_ms()), (MAX_BODY_BYTES, MAX_TIMEOUT_MS));
    }

    #[test]
    fn only_https_to_a_name_on_its_own_port_is_fetched() {
        for (text, reason) in [
            ("http://a.example/", "https"),
            ("file:///etc/passwd", "https"),
            ("https://user@a.example/", "user name"),
            ("https://:secret@a.example/", "user name"),
            ("https://a.example:8443/", "port"),
            ("https://a.example/#part", "fragment"),
            ("https://127.0.0.1/", "address"),
            ("https://0x7f.1/", "address"),
            ("https://2130706433/", "address"),
            ("https://[::1]/", "address"),
        ] {
            let error = url(text).expect_err(text);
            assert!(
                matches!(&error, HttpReadError::UrlForm { reason: got, .. } if got.contains(reason)),
                "{text}: {error}"
            );
        }
        assert!(matches!(url("a.example"), Err(HttpReadError::Url { .. })));
        assert!(matches!(url("https://a b/"), Err(HttpReadError::Url { .. })));
        let long = format!("https://a.example/{}", "ü".repeat(MAX_URL_BYTES / 4));
        assert!(matches!(url(&long), Err(HttpReadError::UrlLength { .. })));
    }

    #[test]
    fn headers_are_tokens_and_not_the_hosts() {
        let with = |name: &str, value: &str| {
            let header = Header { name: name.into(), value: value.into() };
            HttpRead::new("https://a.example/", vec![header], 0, 0, Agree::Identical)
        };
        let read = with("X-Api-Key", "abc").expect("a header");
        assert_eq!(read.headers(), [Header { name: "x-api-key".into(), value: "abc".into() }]);
        for (name, value) in [
            ("", "a"),
            ("a b", "a"),
            ("Host", "a"),
            ("accept-encoding", "gzip"),
            ("a", "b\r\nc: d"),
            ("a", "ü"),
            ("a", " b"),
        ] {
            assert!(matches!(with(name, value), Err(HttpReadError::Header { .. })), "{name:?}: {value:?}");
        }
        let header = |name: &str| Header { name: name.into(), value: String::new() };
        let many = |headers| HttpRead::new("https://a.example/", headers, 0, 0, Agree::Identical);
        assert!(matches!(many(vec![header("a"), header("A")]), Err(HttpReadError::Header { .. })));
        let seventeen = (0..=MAX_HEADERS).map(|i| header(&format!("a{i}"))).collect();
        assert!(matches!(many(seventeen), Err(HttpReadError::Headers { .. })));
        let two =
            |bytes| ["a", "b"].map(|name| Header { name: name.into(), value: "c".repeat(bytes) }).to_vec();
        assert!(many(two(MAX_HEADER_BYTES / 2 - 1)).is_ok());
        assert!(matches!(many(two(MAX_HEADER_BYTES / 2)), Err(HttpReadError::Headers { count: 2, .. })));
    }

    #[test]
    fn bodies_and_times_are_bounded() {
        let with = |max_body, timeout| {
            HttpRead::new("https://a.example/", Vec::new(), max_body, timeout, Agree::Identical)
        };
        assert!(with(MAX_BODY_BYTES, MAX_TIMEOUT_MS).is_ok());
        assert!(matches!(with(MAX_BODY_BYTES + 1, 0), Err(HttpReadError::Bound { what: "max-body", .. })));
        assert!(matches!(with(0, MAX_TIMEOUT_MS + 1), Err(HttpReadError::Bound { what: "timeout-ms", .. })));
    }

    #[test]
    fn fields_have_distinct_pointers_and_sane_tolerances() {
        let with = |fields: Vec<(&str, Rule)>| {
            let fields =
                fields.into_iter().map(|(pointer, rule)| Field { pointer: pointer.into(), rule }).collect();
            HttpRead::new("https://a.example/", Vec::new(), 0, 0, Agree::Fields(fields))
        };
        assert!(with(vec![("", Rule::Mode), ("/a~1b/0", Rule::Identical)]).is_ok());
        assert!(matches!(with(vec![]), Err(HttpReadError::Fields { got: 0 })));
        let pointers: Vec<String> = (0..=MAX_FIELDS).map(|number| format!("/{number}")).collect();
        let first =
            |count| pointers.iter().take(count).map(|pointer| (pointer.as_str(), Rule::Mode)).collect();
        assert!(with(first(MAX_FIELDS)).is_ok());
        assert!(matches!(with(first(MAX_FIELDS + 1)), Err(HttpReadError::Fields { got: 33 })));
        let long = format!("/{}", "a".repeat(MAX_POINTER_BYTES - 1));
        assert!(with(vec![(&long, Rule::Mode)]).is_ok());
        let longer = format!("{long}a");
        assert!(matches!(with(vec![(&longer, Rule::Mode)]), Err(HttpReadError::Pointer { .. })));
        let deep = "/a".repeat(MAX_POINTER_TOKENS);
        assert!(with(vec![(&deep, Rule::Mode)]).is_ok());
        let deeper = "/a".repeat(MAX_POINTER_TOKENS + 1);
        assert!(matches!(with(vec![(&deeper, Rule::Mode)]), Err(HttpReadError::Pointer { .. })));
        for pointer in ["a", "/~", "/~2", "/a~"] {
            assert!(
                matches!(with(vec![(pointer, Rule::Mode)]), Err(HttpReadError::Pointer { .. })),
                "{pointer}"
            );
        }
        assert!(matches!(
            with(vec![("/a", Rule::Mode), ("/a", Rule::Identical)]),
            Err(HttpReadError::Pointer { .. })
        ));
        let negative = Tolerance { bps: 0, abs: "-1".parse().expect("a number") };
        let wide = Tolerance { bps: MAX_BPS + 1, abs: Decimal::ZERO };
        for tolerance in [negative, wide] {
            assert!(matches!(with(vec![("/a", Rule::Max(tolerance))]), Err(HttpReadError::Tolerance { .. })));
        }
    }
}
