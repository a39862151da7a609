//! Reading JSON bodies: bounded in bytes and time, and every way to get them wrong is a problem.

use std::{error::Error, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Request, rejection::JsonRejection},
    http::{HeaderMap, header},
};
use countersign_types::{
    MAX_CALLERS, MAX_CONFIG_BYTES, MAX_PARAMS_BYTES,
    action::{MAX_COMPONENT_BYTES, MAX_SCRIPT_BYTES},
    failure::FailureKind,
};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use crate::{
    places::Place,
    problem::{Failed, quoted},
};

/// The most bytes of the body of a request for signatures: 512 KiB.
pub const MAX_REQUEST_BODY_BYTES: usize = 512 << 10;
/// The most bytes of the body of a publication: the largest component in hex, the largest script with every
/// character escaped, and 64 KiB for the rest.
pub const MAX_PUBLICATION_BODY_BYTES: usize = 2 * MAX_COMPONENT_BYTES + 6 * MAX_SCRIPT_BYTES + (64 << 10);

// A legal request fits: params and config in hex, and 1 KiB for each caller and its signature.
const _: () =
    assert!(2 * (MAX_PARAMS_BYTES + MAX_CONFIG_BYTES) + MAX_CALLERS * 1024 < MAX_REQUEST_BODY_BYTES);

/// How much of a body that is too large is read and thrown away: a caller that is still sending when the connection
/// closes does not read the answer.
const DRAINED_BYTES: usize = 64 << 20;

/// How much is told of what is wrong with a body.
const MAX_REASON_CHARS: usize = 300;

/// Bodies from this size on are parsed where they hold up nobody else.
const BLOCKING_PARSE_BYTES: usize = 1 << 20;

/// A whole body, with the room that its bytes take.
pub(crate) struct Arrived {
    bytes: Bytes,
    room: Place,
}

/// Reads a body of JSON, of at most `limit` bytes, that arrives `within` the time given. Each byte takes room as it comes, and what
/// is only announced takes none.
pub(crate) async fn arrive(
    request: Request,
    limit: usize,
    within: Duration,
    room: Place,
) -> Result<Arrived, Failed> {
    check_headers(request.headers(), limit)?;
    let arrived = tokio::time::timeout(within, read(request, limit, room)).await.map_err(|_| {
        Failed::new(
            FailureKind::Deadline,
            format!("the body did not arrive within {} ms", within.as_millis()),
        )
    })??;
    if arrived.bytes.is_empty() {
        return Err(invalid("the body is missing: send JSON"));
    }
    Ok(arrived)
}

impl Arrived {
    /// Parses it, and makes room again.
    pub(crate) async fn json<T: DeserializeOwned + Send + 'static>(self) -> Result<T, Failed> {
        if self.bytes.len() < BLOCKING_PARSE_BYTES {
            return self.parsed();
        }
        tokio::task::spawn_blocking(move || self.parsed())
            .await
            .map_err(|_| Failed::new(FailureKind::Internal, "the body could not be parsed"))?
    }

    fn parsed<T: DeserializeOwned>(self) -> Result<T, Failed> {
        let Self { bytes, room } = self;
        let parsed = parse(&bytes);
        drop((bytes, room));
        parsed
    }
}

fn check_headers(headers: &HeaderMap, limit: usize) -> Result<(), Failed> {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("not text"));
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let got = content_type.map_or("none".into(), quoted);
        return Err(invalid(format!("the content type must be application/json, got {got}")));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let most = if headers.contains_key(header::EXPECT) { limit } else { limit + DRAINED_BYTES };
    if announced.is_some_and(|bytes: u64| u64::try_from(most).is_ok_and(|most| bytes > most)) {
        return Err(too_large(limit));
    }
    Ok(())
}

/// Reads to the end, keeping at most `limit` bytes, and those only while there is room.
async fn read(request: Request, limit: usize, room: Place) -> Result<Arrived, Failed> {
    let mut chunks = request.into_body().into_data_stream();
    let mut kept = Ok((Vec::new(), room));
    let mut total = 0usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| invalid(format!("the body could not be read: {error}")))?;
        total = total.saturating_add(chunk.len());
        kept = kept.and_then(|(mut bytes, mut room)| {
            if total > limit {
                return Err(too_large(limit));
            }
            room.grow(chunk.len())?;
            bytes.extend_from_slice(&chunk);
            Ok((bytes, room))
        });
        if total > limit + DRAINED_BYTES {
            break;
        }
    }
    kept.map(|(bytes, room)| Arrived { bytes: bytes.into(), room })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failed> {
    Json::from_bytes(bytes).map(|Json(value)| value).map_err(|rejection| {
        let wrong = if matches!(rejection, JsonRejection::JsonSyntaxError(_)) {
            "is not JSON"
        } else {
            "does not fit"
        };
        invalid(format!("the body {wrong}: {}", reason(&rejection)))
    })
}

/// What is behind a rejection: for JSON the field's path, what was expected, line and column.
fn reason(rejection: &dyn Error) -> String {
    let reason = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
    // a key or value of the body stands in it, of any length
    match reason.char_indices().nth(MAX_REASON_CHARS) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason,
    }
}

fn invalid(detail: impl Into<String>) -> Failed {
    Failed::new(FailureKind::Invalid, detail)
}

fn too_large(limit: usize) -> Failed {
    Failed::new(FailureKind::TooLarge, format!("the body has at most {limit} bytes"))
}
