//! What is sent in pieces, and holds its place until it has left.

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};

use crate::places::Place;

/// The pieces: whoever copies one before it leaves copies no more than that.
const PIECE_BYTES: usize = 64 << 10;

/// An answer that keeps its place until the last of it has left for the client, or its connection ends.
pub(crate) fn download(bytes: Bytes, content_type: &'static str, place: Place) -> Response {
    let headers =
        [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_LENGTH, bytes.len().to_string())];
    (headers, in_pieces(Bytes::from_owner(Kept { bytes, _place: place }))).into_response()
}

/// Bytes with the place that they take: every piece that waits somewhere holds all of them in memory, and so the place.
struct Kept {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn in_pieces(bytes: Bytes) -> Body {
    let pieces = futures::stream::unfold(bytes, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        Some((Ok::<_, std::convert::Infallible>(piece), rest))
    });
    Body::from_stream(pieces)
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::places::{Asker, Places};

    #[tokio::test]
    async fn a_piece_that_has_not_left_holds_the_place() {
        let places = Places::new("things are sent", 1, 1);
        let take = || places.take(Asker::default());
        let bytes = Bytes::from(vec![b'x'; PIECE_BYTES + 1]);
        let response = download(bytes, "text/plain", take().expect("a place"));
        let mut pieces = response.into_body().into_data_stream();
        let first = pieces.next().await.expect("a piece").expect("it cannot fail");
        let last = pieces.next().await.expect("a piece").expect("it cannot fail");
        assert_eq!((first.len(), last.len()), (PIECE_BYTES, 1));
        assert!(pieces.next().await.is_none());
        drop((pieces, first));
        assert!(take().is_err(), "the last piece waits");
        drop(last);
        assert!(take().is_ok());
    }
}
