//! What is fetched.

use super::{ReadError, Response};
use crate::bindings::countersign::action::{http as host, types::Agree};

/// A GET whose response must be the same, byte for byte, on every node: status, content type and body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "nothing is fetched before `fetch`"]
pub struct Get {
    pub(super) request: host::Request,
}

/// Starts a GET of an https URL, of a host in the manifest. Without more it may take 10 seconds, and bring 128 KiB.
pub fn get(url: impl Into<String>) -> Get {
    let request = host::Request { url: url.into(), headers: Vec::new(), max_body: 0, timeout_ms: 0 };
    Get { request }
}

impl Get {
    /// Adds a header; at most 16, of 4 KiB together. Everybody can read them: no secrets.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.headers.push(host::Header { name: name.into(), value: value.into() });
        self
    }

    /// The most bytes of the body, 1 to 131,072: a larger one ends the run on the node that gets it.
    pub fn max_body(mut self, bytes: u32) -> Self {
        self.request.max_body = bytes;
        self
    }

    /// The longest that it may take, redirects included, 1 to 10,000 milliseconds.
    pub fn timeout_ms(mut self, timeout: u32) -> Self {
        self.request.timeout_ms = timeout;
        self
    }

    /// Fetches.
    pub fn fetch(self) -> Result<Response, ReadError> {
        fetch(self)
    }
}

/// What can be fetched: [`Get`], and [`GetFields`](super::GetFields).
pub trait Fetch: sealed::Sealed {
    /// What it brings.
    type Answer;

    #[doc(hidden)]
    fn into_host(self) -> (host::Request, Agree);

    #[doc(hidden)]
    fn answer(url: String, response: host::Response) -> Self::Answer;
}

pub(super) mod sealed {
    /// The interface has these two sorts of fetches, and no other.
    pub trait Sealed {}
}

impl sealed::Sealed for Get {}

impl Fetch for Get {
    type Answer = Response;

    fn into_host(self) -> (host::Request, Agree) {
        (self.request, Agree::Identical)
    }

    fn answer(url: String, response: host::Response) -> Response {
        Response::of(url, response)
    }
}

/// Fetches several at once, answered in their order; each costs a read. The nodes fetch them side by side.
pub fn fetch_all<F: Fetch>(fetches: impl IntoIterator<Item = F>) -> Result<Vec<F::Answer>, ReadError> {
    let requests: Vec<_> = fetches.into_iter().map(F::into_host).collect();
    let responses = host::fetch_all(&requests)?;
    Ok(requests.into_iter().zip(responses).map(|((request, _), response)| F::answer(request.url, response)).collect())
}

pub(super) fn fetch<F: Fetch>(fetch: F) -> Result<F::Answer, ReadError> {
    let (request, agree) = fetch.into_host();
    let response = host::fetch(&request, &agree)?;
    Ok(F::answer(request.url, response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_left_to_the_host() {
        let (request, agree) = get("https://a.example/").into_host();
        assert_eq!((request.max_body, request.timeout_ms, request.headers.len()), (0, 0, 0));
        assert_eq!((request.url.as_str(), agree), ("https://a.example/", Agree::Identical));
    }

    #[test]
    fn what_is_set_reaches_the_host() {
        let get = get("https://a.example/").header("a", "1").header("b", "2").max_body(10).timeout_ms(20);
        let (request, _) = get.into_host();
        assert_eq!((request.max_body, request.timeout_ms), (10, 20));
        let headers: Vec<_> = request.headers.iter().map(|h| (h.name.as_str(), h.value.as_str())).collect();
        assert_eq!(headers, [("a", "1"), ("b", "2")]);
    }
}
