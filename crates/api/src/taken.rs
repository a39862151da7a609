//! A connection that ends where its client does not take what it is sent.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How fast a client takes what waits for it, at the least.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// So long it may take nothing.
    pub(crate) grace: Duration,
    /// And beyond that only as long as what it takes takes at this rate: bytes a second.
    pub(crate) rate: u32,
}

/// The pace that is asked of clients: 64 KiB a second after ten seconds. The largest component takes less than a connection lives at
/// that.
pub(crate) const LEAST: Pace = Pace { grace: Duration::from_secs(10), rate: 64 << 10 };

/// A connection whose client keeps a pace: of whatever it is sent, all has been waited for after the grace and the time that as many
/// bytes take. No time runs while nothing waits to be sent, and what is written in between does not start it anew.
pub(crate) struct Taken<S> {
    inner: S,
    pace: Pace,
    /// How long the client may still be waited for. What it takes earns time, up to the grace.
    left: Duration,
    /// What runs while something waits.
    wait: Option<Wait>,
}

struct Wait {
    since: Instant,
    over: Pin<Box<Sleep>>,
}

impl<S> Taken<S> {
    pub(crate) fn new(inner: S, pace: Pace) -> Self {
        Self { inner, pace, left: pace.grace, wait: None }
    }

    fn wrote(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.took(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.waits(context).map(Err),
        }
    }

    /// The client has taken so many bytes: what it was waited for is spent, and what it took earned.
    fn took(&mut self, count: usize) {
        if let Some(wait) = self.wait.take() {
            self.left = self.left.saturating_sub(wait.since.elapsed());
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(count.into()) / self.pace.rate;
        self.left = self.left.saturating_add(earned).min(self.pace.grace);
    }

    /// Something waits to be sent: ready once it has waited for too long.
    fn waits(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let left = self.left;
        let begin = || Wait { since: Instant::now(), over: Box::pin(sleep(left)) };
        ready!(self.wait.get_or_insert_with(begin).over.as_mut().poll(context));
        let error = io::Error::new(io::ErrorKind::TimedOut, "the client does not take what it is sent");
        Poll::Ready(error)
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
                self.took(0);
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// What fits between the two ends without being read.
    const BETWEEN: usize = 1 << 10;
    /// What a client must take in a second.
    const SECOND: usize = 8 << 10;
    const PACE: Pace = Pace { grace: Duration::from_secs(2), rate: 8 << 10 };
    const FIFTH: Duration = Duration::from_millis(200);

    /// A client that takes so many bytes at once, and pauses.
    async fn reads(mut client: DuplexStream, at_once: usize, pause: Duration) {
        let mut bytes = vec![0; at_once];
        while client.read_exact(&mut bytes).await.is_ok() {
            sleep(pause).await;
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (node, _client) = duplex(BETWEEN);
        let begun = Instant::now();
        let error = Taken::new(node, PACE).write_all(&[0; 2 * BETWEEN]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= PACE.grace, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_client_that_takes_next_to_nothing_is_given_up() {
        let (node, client) = duplex(BETWEEN);
        tokio::spawn(reads(client, SECOND / 32, FIFTH));
        let all = vec![0; 10 * SECOND];
        let error = Taken::new(node, PACE).write_all(&all).await.expect_err("too slow");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// As one that reads a large answer through the buffers of the system, each of which it empties in time.
    #[tokio::test]
    async fn a_client_that_takes_each_part_in_time_and_the_whole_too_slowly_is_given_up() {
        let (node, client) = duplex(BETWEEN);
        tokio::spawn(reads(client, SECOND, Duration::from_millis(1_700)));
        let mut node = Taken::new(node, PACE);
        let all = async {
            for _ in 0..80 {
                node.write_all(&[0; SECOND / 8]).await?;
                node.flush().await?;
            }
            io::Result::Ok(())
        };
        assert_eq!(all.await.expect_err("too slow").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_client_has_the_time_that_it_needs() {
        let (node, client) = duplex(BETWEEN);
        tokio::spawn(reads(client, SECOND / 2, FIFTH));
        let begun = Instant::now();
        Taken::new(node, PACE).write_all(&vec![0; 12 * SECOND]).await.expect("fast enough");
        assert!(begun.elapsed() > 2 * PACE.grace, "{:?}", begun.elapsed());
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
            sleep(PACE.grace + Duration::from_millis(100)).await;
        }
    }
}
