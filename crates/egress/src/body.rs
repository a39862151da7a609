//! From an answer on the wire to a response within its bounds.

use std::io::Read;

use countersign_types::http::HttpResponse;
use flate2::read::MultiGzDecoder;
use reqwest::{
    Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap},
};

use crate::{Fault, causes};

/// What is asked for. Servers that have anything else send bodies as they are.
pub(crate) const ACCEPT_ENCODING: &str = "gzip";
/// By how many bytes a compressed body may exceed the bound on the decompressed one: a short text grows when it is compressed.
const COMPRESSION_OVERHEAD_BYTES: usize = 1024;
/// The longest content type, in bytes.
const MAX_CONTENT_TYPE_BYTES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
}

/// Reads the body, at most `limit` bytes, decompressed, and hardly more compressed.
pub(crate) async fn receive(host: &str, response: Response, limit: u32) -> Result<HttpResponse, Fault> {
    let status = response.status().as_u16();
    let content_type = content_type(host, response.headers())?;
    let coding = coding(host, response.headers())?;
    let most = limit as usize;
    let raw = match coding {
        Coding::Identity => read(host, response, most).await?,
        Coding::Gzip => read(host, response, most + COMPRESSION_OVERHEAD_BYTES).await?,
    };
    let body = raw.and_then(|raw| match coding {
        Coding::Identity => Some(Ok(raw)),
        Coding::Gzip => decompress(&raw, most).transpose(),
    });
    match body {
        Some(Ok(body)) => Ok(HttpResponse { status, content_type, body: body.into() }),
        Some(Err(_)) => Err(Fault::Decompression { host: host.into() }),
        None => Err(Fault::TooLarge { limit }),
    }
}

/// What is sent; none where it is more than `most` bytes, which is known at once where the server says how many come.
async fn read(host: &str, mut response: Response, most: usize) -> Result<Option<Vec<u8>>, Fault> {
    let announced = response.content_length().unwrap_or(0);
    if announced > most as u64 {
        return Ok(None);
    }
    let mut body = Vec::with_capacity(announced as usize);
    while let Some(chunk) = response.chunk().await.map_err(|error| causes::of_body(host, &error))? {
        if body.len() + chunk.len() > most {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// What was compressed; none where it is more than `most` bytes. No more than one byte beyond that is ever made.
fn decompress(raw: &[u8], most: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    // the answer to a request for what has no body may name a coding all the same
    if !raw.is_empty() {
        MultiGzDecoder::new(raw).take(most as u64 + 1).read_to_end(&mut body)?;
    }
    Ok((body.len() <= most).then_some(body))
}

fn coding(host: &str, headers: &HeaderMap) -> Result<Coding, Fault> {
    let unknown = || Fault::Encoding { host: host.into() };
    let mut coding = Coding::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| unknown())?.trim().to_ascii_lowercase();
        coding = match (value.as_str(), coding) {
            ("" | "identity", coding) => coding,
            // RFC 9110, section 8.4.1.3
            ("gzip" | "x-gzip", Coding::Identity) => Coding::Gzip,
            // twice compressed is a bomb, and nobody was asked for it
            _ => return Err(unknown()),
        };
    }
    Ok(coding)
}

fn content_type(host: &str, headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let malformed = |problem: &str| Fault::Protocol { host: host.into(), problem: problem.into() };
    let mut values = headers.get_all(CONTENT_TYPE).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("it has two content types"));
    }
    let value = value.to_str().map_err(|_| malformed("its content type is not printable ASCII"))?;
    if value.len() > MAX_CONTENT_TYPE_BYTES {
        return Err(malformed("its content type is too long"));
    }
    Ok(Some(value.into()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use reqwest::header::HeaderValue;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("a buffer");
        encoder.finish().expect("a buffer")
    }

    #[test]
    fn decompression_ends_at_the_bound() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 16 << 10);
        assert!(matches!(decompress(&bomb, 128 << 10), Ok(None)));
        assert_eq!(decompress(&gzip(b"ten bytes."), 10).expect("valid").expect("short"), b"ten bytes.");
        assert!(matches!(decompress(&gzip(b"ten bytes."), 9), Ok(None)));
        assert_eq!(decompress(b"", 9).expect("valid").expect("short"), b"");
    }

    #[test]
    fn several_members_are_one_body() {
        let both = [gzip(b"one, "), gzip(b"two")].concat();
        assert_eq!(decompress(&both, 100).expect("valid").expect("short"), b"one, two");
    }

    #[test]
    fn a_cut_or_changed_body_is_not_valid() {
        let whole = gzip(b"a text of some bytes, to be cut at each of them");
        for end in 1..whole.len() {
            assert!(decompress(&whole[..end], 1000).is_err(), "cut at {end}");
        }
        let mut changed = whole.clone();
        let crc = changed.len() - 6;
        changed[crc] ^= 1;
        assert!(decompress(&changed, 1000).is_err());
        assert!(decompress(&[&whole[..], b"rest"].concat(), 1000).is_err());
    }

    #[test]
    fn one_coding_is_known() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            coding("a.test", &headers)
        };
        assert_eq!(of(&[]), Ok(Coding::Identity));
        assert_eq!(of(&["identity"]), Ok(Coding::Identity));
        assert_eq!(of(&["GZip"]), Ok(Coding::Gzip));
        assert_eq!(of(&["x-gzip"]), Ok(Coding::Gzip));
        let unknown = Err(Fault::Encoding { host: "a.test".into() });
        for values in
            [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &["identity, gzip"], &["zstd"], &["deflate"]]
        {
            assert_eq!(of(values), unknown, "{values:?}");
        }
    }

    #[test]
    fn a_content_type_is_one_short_text() {
        let of = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_TYPE, HeaderValue::from_bytes(value).expect("a value"));
            }
            content_type("a.test", &headers)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[b"text/plain"]), Ok(Some("text/plain".into())));
        assert!(of(&[b"text/plain", b"text/html"]).is_err());
        assert!(of(&[b"text/\xff"]).is_err());
        assert!(of(&[&[b'a'; MAX_CONTENT_TYPE_BYTES + 1]]).is_err());
    }
}
