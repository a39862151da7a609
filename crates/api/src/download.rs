//! What is sent in pieces, and holds its place until the client has nearly all of it.

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};

use crate::places::Place;

/// The pieces, so that a place is held until nearly all has left.
const PIECE_BYTES: usize = 64 << 10;

/// An answer that keeps its place until the client has taken it, or its connection ends.
pub(crate) fn download(bytes: Bytes, content_type: &'static str, place: Place) -> Response {
    let headers =
        [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_LENGTH, bytes.len().to_string())];
    (headers, held(bytes, place)).into_response()
}

fn held(bytes: Bytes, place: Place) -> Body {
    let pieces = futures::stream::unfold((bytes, place), |(mut rest, place)| async move {
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        Some((Ok::<_, std::convert::Infallible>(piece), (rest, place)))
    });
    Body::from_stream(pieces)
}
