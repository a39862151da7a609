//! A connection that ends where its client does not take what it is sent.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// How fast a client takes what waits for it, at the least.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// So many bytes, or as many as wait where those are fewer.
    pub(crate) bytes: usize,
    /// Within this time.
    pub(crate) within: Duration,
}

/// The pace that is asked of clients: 64 KiB in ten seconds. The largest component takes longer than a connection lives at that.
pub(crate) const LEAST: Pace = Pace { bytes: 64 << 10, within: Duration::from_secs(10) };

/// A connection whose client keeps a pace. No time runs while nothing waits to be sent.
pub(crate) struct Taken<S> {
    inner: S,
    pace: Pace,
    /// What was taken since the time runs.
    bytes: usize,
    /// When the time is over; none while nothing waits.
    over: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    pub(crate) fn new(inner: S, pace: Pace) -> Self {
        Self { inner, pace, bytes: 0, over: None }
    }

    fn wrote(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.bytes = self.bytes.saturating_add(count);
                if self.bytes >= self.pace.bytes {
                    self.over = None;
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.waits(context).map(Err),
        }
    }

    /// Something waits to be sent: ready once it has waited for too long.
    fn waits(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.over.is_none() {
            self.bytes = 0;
        }
        let within = self.pace.within;
        let over = self.over.get_or_insert_with(|| Box::pin(sleep(within)));
        over.as_mut()
            .poll(context)
            .map(|()| io::Error::new(io::ErrorKind::TimedOut, "the client does not take what it is sent"))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.wrote(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.wrote(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(context) {
            Poll::Ready(flushed) => {
                self.over = None;
                Poll::Ready(flushed)
            }
            Poll::Pending => self.waits(context).map(Err),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;

    /// What fits between the two ends without being read.
    const BETWEEN: usize = 1 << 10;
    const PACE: Pace = Pace { bytes: 8 << 10, within: Duration::from_secs(2) };

    /// A client that takes so many bytes five times a second.
    async fn reads(mut client: DuplexStream, at_once: usize) {
        let mut bytes = vec![0; at_once];
        while client.read_exact(&mut bytes).await.is_ok() {
            sleep(Duration::from_millis(200)).await;
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (node, _client) = duplex(BETWEEN);
        let begun = Instant::now();
        let error = Taken::new(node, PACE).write_all(&[0; 2 * BETWEEN]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= PACE.within, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_client_that_takes_next_to_nothing_is_given_up() {
        let (node, client) = duplex(BETWEEN);
        tokio::spawn(reads(client, PACE.bytes / 32));
        let all = vec![0; 10 * PACE.bytes];
        let error = Taken::new(node, PACE).write_all(&all).await.expect_err("too slow");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_client_has_the_time_that_it_needs() {
        let (node, client) = duplex(BETWEEN);
        tokio::spawn(reads(client, PACE.bytes / 2));
        let begun = Instant::now();
        Taken::new(node, PACE).write_all(&vec![0; 12 * PACE.bytes]).await.expect("fast enough");
        assert!(begun.elapsed() > 2 * PACE.within, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn no_time_runs_while_nothing_waits() {
        let (node, mut client) = duplex(BETWEEN);
        let mut node = Taken::new(node, PACE);
        for _ in 0..2 {
            let read = tokio::spawn(async move {
                sleep(Duration::from_millis(100)).await;
                let mut bytes = vec![0; 2 * BETWEEN];
                client.read_exact(&mut bytes).await.expect("whole");
                client
            });
            node.write_all(&[0; 2 * BETWEEN]).await.expect("taken");
            node.flush().await.expect("taken");
            client = read.await.expect("no panic");
            sleep(PACE.within + Duration::from_millis(100)).await;
        }
    }
}
