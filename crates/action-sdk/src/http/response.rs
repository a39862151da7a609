//! What came back, the same on every node.

use crate::{Refusal, bindings::countersign::action::http as host};

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    url: String,
    /// The status: also one that is no success.
    pub status: u16,
    /// The header `content-type`, where there is one. No other header is seen.
    pub content_type: Option<String>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

impl Response {
    pub(super) fn of(url: String, response: host::Response) -> Self {
        let host::Response { status, headers, body } = response;
        let content_type = headers.into_iter().next().map(|header| header.value);
        Self { url, status, content_type, body }
    }

    /// The response if its status is 200 to 299; a refusal that names the status where it is not.
    pub fn success(self) -> Result<Self, Refusal> {
        match self.status {
            200..=299 => Ok(self),
            status => Err(Refusal::new(format!("{} answers with status {status}", self.url))),
        }
    }

    /// The body as text; a refusal where it is not UTF-8.
    pub fn text(&self) -> Result<&str, Refusal> {
        std::str::from_utf8(&self.body)
            .map_err(|error| Refusal::new(format!("the body of {} cannot be used: {error}", self.url)))
    }

    /// The body as JSON; a refusal that says what is wrong with it where it is not what is expected. Take numbers as
    /// texts or [`RawValue`](https://docs.rs/serde_json/latest/serde_json/value/struct.RawValue.html) where they are
    /// not whole: floats lose digits.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Refusal> {
        crate::json::parse(&format!("the body of {}", self.url), &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &[u8]) -> Response {
        let header = host::Header { name: "content-type".into(), value: "text/plain".into() };
        let response = host::Response { status, headers: vec![header], body: body.to_vec() };
        Response::of("https://a.example/".into(), response)
    }

    #[test]
    fn a_response_is_taken_apart() {
        let whole = response(404, b"gone");
        assert_eq!((whole.status, whole.text()), (404, Ok("gone")));
        assert_eq!(whole.content_type.as_deref(), Some("text/plain"));
        let bare = host::Response { status: 200, headers: vec![], body: vec![] };
        assert_eq!(Response::of(String::new(), bare).content_type, None);
    }

    #[test]
    fn only_a_success_is_one() {
        for status in [200, 204, 299] {
            assert!(response(status, b"").success().is_ok(), "{status}");
        }
        for status in [199, 300, 404, 500] {
            let refusal = response(status, b"").success().expect_err("no success");
            assert_eq!(refusal.reason, format!("https://a.example/ answers with status {status}"));
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let refusal = response(200, &[b'a', 0xff]).text().map(str::to_owned).expect_err("no text");
        assert!(refusal.reason.starts_with("the body of https://a.example/ cannot be used"), "{}", refusal.reason);
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_is_parsed_or_refused() {
        assert_eq!(response(200, b"[1,2]").json(), Ok(vec![1, 2]));
        let refusal = response(200, b"<html>").json::<Vec<u8>>().expect_err("no JSON");
        assert!(refusal.reason.starts_with("the body of https://a.example/ cannot be used"), "{}", refusal.reason);
    }
}
