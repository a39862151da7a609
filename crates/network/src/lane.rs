//! One lane to or from one member: the queue, the task that writes, the task that reads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Lane,
    event::EventSender,
    frame::{self, Decoder},
    handle::Counters,
};

/// The most frames that wait to be sent on one lane to one member.
const MAX_QUEUED_FRAMES: usize = 4096;
/// Waiting frames are written together up to this many bytes.
const BATCH_BYTES: usize = 64 << 10;
/// The most bytes that one read takes.
const READ_BYTES: usize = 16 << 10;

/// The sender's end of a lane's queue.
pub(crate) struct LaneSender {
    frames: mpsc::Sender<Bytes>,
    queued: Arc<AtomicUsize>,
    most: usize,
}

/// Why a frame is not in the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    Full,
    Closed,
}

/// The writer's end.
pub(crate) struct LaneQueue {
    frames: mpsc::Receiver<Bytes>,
    queued: Arc<AtomicUsize>,
}

/// How a lane's task ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LaneEnd {
    /// The writer wrote all that was queued and closed the stream.
    Drained,
    /// The peer closed its writing end after a whole frame.
    PeerClosed,
    /// The peer reads no more.
    PeerStopped,
    /// The connection is of no use.
    Failed {
        /// Why.
        reason: String,
        /// Whether the peer broke the rules.
        violation: bool,
    },
}

/// A queue bounded in frames and bytes.
pub(crate) fn queue(lane: Lane) -> (LaneSender, LaneQueue) {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED_FRAMES);
    let queued = Arc::new(AtomicUsize::new(0));
    let most = lane.max_queued_bytes();
    (LaneSender { frames: sender, queued: Arc::clone(&queued), most }, LaneQueue { frames: receiver, queued })
}

impl LaneSender {
    pub(crate) fn send(&self, frame: Bytes) -> Result<(), Unsent> {
        let length = frame.len();
        if self.queued.fetch_add(length, Ordering::Relaxed) + length > self.most {
            self.queued.fetch_sub(length, Ordering::Relaxed);
            return Err(Unsent::Full);
        }
        self.frames.try_send(frame).map_err(|error| {
            self.queued.fetch_sub(length, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => Unsent::Full,
                mpsc::error::TrySendError::Closed(_) => Unsent::Closed,
            }
        })
    }
}

/// Writes what is queued until the peer stops, a write stalls, or `drain` asks to finish.
pub(crate) async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    lane: Lane,
    stream: S,
    mut queue: LaneQueue,
    drain: CancellationToken,
    stall: Duration,
    counters: Arc<Counters>,
) -> LaneEnd {
    let (mut read, mut write) = stream.split();
    let mut batch = Vec::new();
    let mut draining = false;
    loop {
        let mut unexpected = [0; 1];
        let first = tokio::select! {
            // A one-way stream says nothing, but reading it is how its end is noticed.
            got = read.read(&mut unexpected) => return peer_spoke(lane, got),
            frame = queue.frames.recv() => frame,
            () = drain.cancelled(), if !draining => {
                draining = true;
                queue.frames.close();
                continue;
            }
        };
        let Some(first) = first else {
            return match timeout(stall, write.close()).await {
                Ok(Ok(())) => LaneEnd::Drained,
                Ok(Err(_)) | Err(_) => LaneEnd::PeerStopped,
            };
        };
        let frames = fill(&mut batch, first, &mut queue.frames);
        let payload = batch.len() - frames * frame::HEADER_BYTES;
        let written = timeout(stall, async {
            write.write_all(&batch).await?;
            write.flush().await
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return failed(format!("writing on the {} lane failed: {error}", lane.name())),
            Err(_) => {
                return failed(format!("the peer took nothing from the {} lane for {stall:?}", lane.name()));
            }
        }
        queue.queued.fetch_sub(payload, Ordering::Relaxed);
        counters.sent(frames, payload);
        batch.clear();
        batch.shrink_to(2 * BATCH_BYTES);
    }
}

/// Appends the first frame and others that already wait, up to [`BATCH_BYTES`]; says how many.
fn fill(batch: &mut Vec<u8>, first: Bytes, waiting: &mut mpsc::Receiver<Bytes>) -> usize {
    frame::append(batch, &first);
    let mut frames = 1;
    while batch.len() < BATCH_BYTES {
        let Ok(next) = waiting.try_recv() else { break };
        frame::append(batch, &next);
        frames += 1;
    }
    frames
}

fn peer_spoke(lane: Lane, got: std::io::Result<usize>) -> LaneEnd {
    match got {
        Ok(0) => LaneEnd::PeerStopped,
        Ok(_) => LaneEnd::Failed {
            reason: format!("the peer wrote against the direction of the {} lane", lane.name()),
            violation: true,
        },
        Err(error) => failed(format!("the {} lane failed: {error}", lane.name())),
    }
}

/// Reads frames and queues them as events. Waits where the consumer is slow, which stops the peer.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    lane: Lane,
    mut stream: S,
    events: EventSender,
    counters: Arc<Counters>,
) -> LaneEnd {
    let mut decoder = Decoder::new(lane.max_frame_bytes());
    let mut chunk = vec![0; READ_BYTES];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) if decoder.is_empty() => return LaneEnd::PeerClosed,
            Ok(0) => return failed(format!("the {} lane ended within a frame", lane.name())),
            Ok(got) => decoder.push(&chunk[..got]),
            Err(error) => return failed(format!("reading from the {} lane failed: {error}", lane.name())),
        }
        loop {
            match decoder.take() {
                Ok(Some(bytes)) => {
                    counters.received(bytes.len());
                    if events.frame(lane, bytes).await.is_err() {
                        return failed("nobody receives any more".into());
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let reason = format!("the peer broke the {} lane: {error}", lane.name());
                    return LaneEnd::Failed { reason, violation: true };
                }
            }
        }
    }
}

fn failed(reason: String) -> LaneEnd {
    LaneEnd::Failed { reason, violation: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_bounded_in_bytes_and_in_frames() {
        let (sender, _queue) = queue(Lane::Signing);
        let large = Bytes::from(vec![0; Lane::Signing.max_frame_bytes()]);
        let mut sent = 0;
        while sender.send(large.clone()) == Ok(()) {
            sent += 1;
        }
        assert_eq!(sent, Lane::Signing.max_queued_bytes() / large.len());

        let (sender, _queue) = queue(Lane::Signing);
        let small = Bytes::from_static(b"x");
        let sent = (0..2 * MAX_QUEUED_FRAMES).take_while(|_| sender.send(small.clone()) == Ok(())).count();
        assert_eq!(sent, MAX_QUEUED_FRAMES);
    }

    #[test]
    fn a_frame_that_is_not_taken_takes_no_room() {
        let (sender, _queue) = queue(Lane::Signing);
        let most = Lane::Signing.max_queued_bytes();
        assert_eq!(sender.send(Bytes::from(vec![0; most + 1])), Err(Unsent::Full));
        assert_eq!(sender.send(Bytes::from(vec![0; most])), Ok(()));
    }

    #[test]
    fn a_queue_without_writer_is_closed() {
        let (sender, queue) = queue(Lane::Signing);
        drop(queue);
        assert_eq!(sender.send(Bytes::new()), Err(Unsent::Closed));
    }
}
