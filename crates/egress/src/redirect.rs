//! Where an answer sends us, followed by hand: every hop is checked as the first one was.

use countersign_types::http::{MAX_URL_BYTES, host_of};
use reqwest::{Response, header::LOCATION};
use url::Url;

use crate::Fault;

/// The most redirects that are followed.
pub const MAX_REDIRECTS: usize = 3;

/// The URL that the answer of `host` to a request for `url` redirects to; none where the answer is the response.
pub(crate) fn target(url: &Url, host: &str, response: &Response) -> Result<Option<Url>, Fault> {
    let status = response.status().as_u16();
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).map(|location| location.as_bytes());
    next(url, location).map(Some).map_err(|reason| Fault::Redirect { host: host.into(), status, reason })
}

fn next(url: &Url, location: Option<&[u8]>) -> Result<Url, &'static str> {
    let location = location.ok_or("is missing")?;
    let location = std::str::from_utf8(location).map_err(|_| "is no text")?;
    if location.len() > MAX_URL_BYTES {
        return Err("is longer than 2048 bytes");
    }
    let mut next = url.join(location).map_err(|_| "does not parse")?;
    next.set_fragment(None);
    if next.as_str().len() > MAX_URL_BYTES {
        return Err("is longer than 2048 bytes");
    }
    host_of(&next)?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(location: &str) -> Result<String, &'static str> {
        let url = Url::parse("https://a.test/one/two?q=1").expect("a URL");
        next(&url, Some(location.as_bytes())).map(String::from)
    }

    #[test]
    fn a_location_is_relative_to_the_url() {
        for (location, target) in [
            ("three", "https://a.test/one/three"),
            ("/three?q=2#part", "https://a.test/three?q=2"),
            ("//b.test", "https://b.test/"),
            ("HTTPS://B.Test:443/x", "https://b.test/x"),
            ("", "https://a.test/one/two?q=1"),
        ] {
            assert_eq!(from(location).as_deref(), Ok(target), "{location}");
        }
    }

    #[test]
    fn a_hop_is_checked_as_the_first_url_was() {
        for (location, reason) in [
            ("http://a.test/", "is not one of https"),
            ("ftp://a.test/", "is not one of https"),
            ("file:///etc/passwd", "is not one of https"),
            ("https://a.test:8443/", "names a port"),
            ("https://u:p@a.test/", "holds a user name"),
            ("https://127.0.0.1/", "names an address"),
            ("//127.0.0.1/", "names an address"),
            ("https://0x7f000001/", "names an address"),
            ("https://127.1/", "names an address"),
            ("https://127.0.0.1./", "names an address"),
            ("https://１２７.0.0.1/", "names an address"),
            ("https://[::ffff:127.0.0.1]/", "names an address"),
            ("https://", "does not parse"),
        ] {
            let got = from(location).expect_err(location);
            assert!(got.starts_with(reason), "{location}: {got}");
        }
        assert_eq!(from(&"a".repeat(MAX_URL_BYTES + 1)), Err("is longer than 2048 bytes"));
        assert_eq!(from(&"ü".repeat(MAX_URL_BYTES / 3)), Err("is longer than 2048 bytes"));
        let url = Url::parse("https://a.test/").expect("a URL");
        assert_eq!(next(&url, None), Err("is missing"));
        assert_eq!(next(&url, Some(b"/\xff")), Err("is no text"));
    }
}
