//! What arrives, in bounded queues: one for each member and lane, which take turns.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use countersign_types::NodePublicKey;
use futures::{FutureExt, Stream, StreamExt, stream::SelectAll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::DropGuard;

use crate::{Hello, Lane};

/// The most events of one member on one lane that wait for the consumer.
pub(crate) const MAX_QUEUED_EVENTS: usize = 512;
/// How many signing events are handed out in a row while background ones wait.
const SIGNING_IN_A_ROW: u32 = 16;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Frames can be sent to this member. Comes before its first signing frame, and after [`Event::Disconnected`] of an earlier
    /// connection.
    Connected {
        /// The member.
        peer: NodePublicKey,
        /// What it says of itself.
        hello: Hello,
    },
    /// The connection is gone, and with it what was in flight. Background frames that arrived before may still follow.
    Disconnected {
        /// The member.
        peer: NodePublicKey,
        /// Why.
        reason: String,
    },
    /// A frame.
    Frame {
        /// Its sender, authenticated by the connection.
        from: NodePublicKey,
        /// The lane that it came on.
        lane: Lane,
        /// Its content.
        bytes: Bytes,
    },
}

struct Queued {
    event: Event,
    /// Given back when the event is taken.
    _bytes: Option<OwnedSemaphorePermit>,
}

/// The consumer's end. Dropping it shuts the transport down.
///
/// While nobody receives, a member's queue fills, then reading from that member stops, then its own queues fill: a slow
/// consumer costs a bounded amount of memory and loses nothing, until the members' writes time out. Members take turns:
/// one that sends without end delays another's frame by one of its own.
pub struct EventReceiver {
    signing: SelectAll<Waiting>,
    background: SelectAll<Waiting>,
    in_a_row: u32,
    _shutdown: Option<DropGuard>,
}

impl EventReceiver {
    /// The next event; none when the transport has shut down and all were taken. Signing goes before background.
    /// Cancel safe.
    pub async fn recv(&mut self) -> Option<Event> {
        if self.in_a_row >= SIGNING_IN_A_ROW {
            self.in_a_row = 0;
            if let Some(queued) = self.background.next().now_or_never().flatten() {
                return Some(queued.event);
            }
        }
        tokio::select! {
            biased;
            Some(queued) = self.signing.next() => {
                self.in_a_row += 1;
                Some(queued.event)
            }
            Some(queued) = self.background.next() => {
                self.in_a_row = 0;
                Some(queued.event)
            }
            else => None,
        }
    }
}

impl std::fmt::Debug for EventReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventReceiver").finish_non_exhaustive()
    }
}

/// The consumer is gone.
#[derive(Debug)]
pub(crate) struct Gone;

/// Why a frame cannot be queued without waiting.
#[derive(Debug)]
pub(crate) enum Unqueued {
    Full,
    Gone,
}

/// The producers' end of one member's queues.
#[derive(Clone)]
pub(crate) struct EventSender {
    from: NodePublicKey,
    signing: Queue,
    background: Queue,
}

#[derive(Clone)]
struct Queue {
    events: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
}

/// What waits of one member on one lane.
struct Waiting(mpsc::Receiver<Queued>);

impl Stream for Waiting {
    type Item = Queued;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Queued>> {
        self.0.poll_recv(context)
    }
}

/// Queues for each of these members; `shutdown` is triggered when their receiver is dropped.
pub(crate) fn queues(
    members: impl Iterator<Item = NodePublicKey>,
    shutdown: Option<DropGuard>,
) -> (BTreeMap<NodePublicKey, EventSender>, EventReceiver) {
    let (mut signing, mut background) = (SelectAll::new(), SelectAll::new());
    let mut senders = BTreeMap::new();
    for from in members {
        let queue = |lane, all: &mut SelectAll<Waiting>| {
            let (queue, waiting) = Queue::new(lane);
            all.push(waiting);
            queue
        };
        let sender = EventSender {
            from,
            signing: queue(Lane::Signing, &mut signing),
            background: queue(Lane::Background, &mut background),
        };
        senders.insert(from, sender);
    }
    (senders, EventReceiver { signing, background, in_a_row: 0, _shutdown: shutdown })
}

impl Queue {
    fn new(lane: Lane) -> (Self, Waiting) {
        let (events, receiver) = mpsc::channel(MAX_QUEUED_EVENTS);
        (Self { events, bytes: Arc::new(Semaphore::new(lane.max_waiting_bytes())) }, Waiting(receiver))
    }
}

impl EventSender {
    /// Queues a change of a connection, waiting for room. It goes with the signing frames.
    pub(crate) async fn connection(&self, event: Event) -> Result<(), Gone> {
        self.signing.events.send(Queued { event, _bytes: None }).await.map_err(|_| Gone)
    }

    /// Queues a frame, waiting for room: this is where a slow consumer stops the reading.
    pub(crate) async fn frame(&self, lane: Lane, bytes: Bytes) -> Result<(), Gone> {
        let queue = self.lane(lane);
        let weight = weight(&bytes, lane);
        let permit = Arc::clone(&queue.bytes).acquire_many_owned(weight).await.map_err(|_| Gone)?;
        let event = Event::Frame { from: self.from, lane, bytes };
        queue.events.send(Queued { event, _bytes: Some(permit) }).await.map_err(|_| Gone)
    }

    /// Queues a frame if there is room.
    pub(crate) fn try_frame(&self, lane: Lane, bytes: Bytes) -> Result<(), Unqueued> {
        let queue = self.lane(lane);
        let weight = weight(&bytes, lane);
        let permit = Arc::clone(&queue.bytes).try_acquire_many_owned(weight).map_err(|_| Unqueued::Full)?;
        let event = Event::Frame { from: self.from, lane, bytes };
        queue.events.try_send(Queued { event, _bytes: Some(permit) }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unqueued::Full,
            mpsc::error::TrySendError::Closed(_) => Unqueued::Gone,
        })
    }

    fn lane(&self, lane: Lane) -> &Queue {
        match lane {
            Lane::Signing => &self.signing,
            Lane::Background => &self.background,
        }
    }
}

/// A frame's permits; the largest frame fits.
fn weight(bytes: &Bytes, lane: Lane) -> u32 {
    u32::try_from(bytes.len().min(lane.max_waiting_bytes())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use countersign_types::NodeKey;

    use super::*;

    fn member(number: u8) -> NodePublicKey {
        NodeKey::from_bytes([number; 32]).expect("a scalar").public_key()
    }

    /// The queues of some members.
    fn few(count: u8) -> (Vec<EventSender>, EventReceiver) {
        let (senders, receiver) = queues((1..=count).map(member), None);
        (senders.into_values().collect(), receiver)
    }

    fn frame_of(event: Option<Event>) -> Option<(NodePublicKey, Lane)> {
        match event {
            Some(Event::Frame { from, lane, .. }) => Some((from, lane)),
            Some(Event::Connected { .. } | Event::Disconnected { .. }) | None => None,
        }
    }

    #[tokio::test]
    async fn signing_goes_first_but_does_not_starve_the_background() {
        let (senders, mut receiver) = few(1);
        for lane in Lane::ALL {
            for _ in 0..40 {
                senders[0].try_frame(lane, Bytes::from_static(b"x")).expect("room");
            }
        }
        let mut order = Vec::new();
        for _ in 0..34 {
            order.push(frame_of(receiver.recv().await).expect("a frame").1);
        }
        let background: Vec<_> = (0..order.len()).filter(|i| order[*i] == Lane::Background).collect();
        assert_eq!(background, [16, 33]);
    }

    #[tokio::test]
    async fn whoever_sends_without_end_delays_another_by_one_frame() {
        for lane in Lane::ALL {
            let (senders, mut receiver) = few(3);
            let (loud, quiet) = (&senders[0], &senders[1..]);
            for _ in 0..50 {
                // as much as there is room for, again and again
                while loud.try_frame(lane, Bytes::from_static(b"x")).is_ok() {}
                for sender in quiet {
                    sender.try_frame(lane, Bytes::from_static(b"y")).expect("nobody else takes its room");
                }
                let mut heard = Vec::new();
                for _ in 0..3 {
                    heard.push(frame_of(receiver.recv().await).expect("a frame").0);
                }
                heard.sort();
                let all: Vec<_> = senders.iter().map(|sender| sender.from).collect();
                assert_eq!(heard, all, "each has its turn in three");
            }
        }
    }

    #[tokio::test]
    async fn bytes_are_bounded_for_each_member_and_given_back() {
        let (senders, mut receiver) = few(2);
        let lane = Lane::Background;
        let frame = Bytes::from(vec![0; lane.max_frame_bytes()]);
        let mut queued = 0;
        while senders[0].try_frame(lane, frame.clone()).is_ok() {
            queued += 1;
        }
        assert_eq!(queued, lane.max_waiting_bytes() / frame.len());
        assert!(senders[1].try_frame(lane, frame.clone()).is_ok(), "another's room is its own");
        let waiting = tokio::spawn({
            let (sender, frame) = (senders[0].clone(), frame.clone());
            async move { sender.frame(lane, frame).await }
        });
        for _ in 0..2 {
            assert_eq!(frame_of(receiver.recv().await).expect("a frame").1, lane);
        }
        assert!(waiting.await.expect("ran").is_ok());
        let signing = Bytes::from(vec![0; Lane::Signing.max_frame_bytes()]);
        assert!(senders[0].try_frame(Lane::Signing, signing).is_ok());
    }

    #[tokio::test]
    async fn the_end_comes_after_the_last_event() {
        let (senders, mut receiver) = few(2);
        senders[0].try_frame(Lane::Background, Bytes::new()).expect("room");
        drop(senders);
        assert_eq!(frame_of(receiver.recv().await).expect("a frame").1, Lane::Background);
        assert_eq!(receiver.recv().await, None);
    }
}
