//! A connection whose orderly end has a bound.
//!
//! Over TCP the last frame of a multiplexer waits for a peer that reads nothing, for as long as its system keeps the
//! connection; until then libp2p counts it as open, and the members could not dial each other again.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::core::{StreamMuxer, muxing::StreamMuxerEvent};
use tokio::time::{Sleep, sleep};

/// How long an orderly end may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A multiplexer that counts as closed once that is over.
pub(crate) struct Closing<M> {
    muxer: M,
    patience: Option<Pin<Box<Sleep>>>,
}

impl<M> Closing<M> {
    pub(crate) fn new(muxer: M) -> Self {
        Self { muxer, patience: None }
    }
}

impl<M: StreamMuxer + Unpin> StreamMuxer for Closing<M> {
    type Substream = M::Substream;
    type Error = M::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.muxer).poll_inbound(cx)
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.muxer).poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if let Poll::Ready(closed) = Pin::new(&mut self.muxer).poll_close(cx) {
            return Poll::Ready(closed);
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIMEOUT)));
        patience.as_mut().poll(cx).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.muxer).poll(cx)
    }
}
