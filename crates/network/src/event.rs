//! What arrives, on a bounded queue.

use std::sync::Arc;

use bytes::Bytes;
use countersign_types::NodePublicKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::DropGuard;

use crate::{Hello, Lane};

/// The most events of one lane that wait for the consumer.
pub(crate) const MAX_QUEUED_EVENTS: usize = 1024;
/// The most bytes of one lane's frames that wait for the consumer, over all members.
const MAX_QUEUED_BYTES: u32 = 8 << 20;
/// How many signing events are handed out in a row while background ones wait.
const SIGNING_IN_A_ROW: u32 = 16;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Frames can be sent to this member. Comes before its first frame, and after [`Event::Disconnected`] of an earlier
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
/// While nobody receives, the queue fills, then reading from the peers stops, then their queues fill: a slow consumer
/// costs a bounded amount of memory and loses nothing, until the peers' writes time out.
pub struct EventReceiver {
    signing: mpsc::Receiver<Queued>,
    background: mpsc::Receiver<Queued>,
    in_a_row: u32,
    _shutdown: Option<DropGuard>,
}

impl EventReceiver {
    /// The next event; none when the transport has shut down and all were taken. Signing goes before background.
    /// Cancel safe.
    pub async fn recv(&mut self) -> Option<Event> {
        if self.in_a_row >= SIGNING_IN_A_ROW {
            self.in_a_row = 0;
            if let Ok(queued) = self.background.try_recv() {
                return Some(queued.event);
            }
        }
        tokio::select! {
            biased;
            Some(queued) = self.signing.recv() => {
                self.in_a_row += 1;
                Some(queued.event)
            }
            Some(queued) = self.background.recv() => {
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

/// The producers' end.
#[derive(Clone)]
pub(crate) struct EventSender {
    signing: Queue,
    background: Queue,
}

#[derive(Clone)]
struct Queue {
    events: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
}

/// A queue of events; `shutdown` is triggered when its receiver is dropped.
pub(crate) fn queue(shutdown: Option<DropGuard>) -> (EventSender, EventReceiver) {
    let (signing, signing_events) = Queue::new();
    let (background, background_events) = Queue::new();
    let receiver = EventReceiver {
        signing: signing_events,
        background: background_events,
        in_a_row: 0,
        _shutdown: shutdown,
    };
    (EventSender { signing, background }, receiver)
}

impl Queue {
    fn new() -> (Self, mpsc::Receiver<Queued>) {
        let (events, receiver) = mpsc::channel(MAX_QUEUED_EVENTS);
        (Self { events, bytes: Arc::new(Semaphore::new(MAX_QUEUED_BYTES as usize)) }, receiver)
    }
}

impl EventSender {
    /// Queues a change of a connection, waiting for room. It goes with the signing frames.
    pub(crate) async fn connection(&self, event: Event) -> Result<(), Gone> {
        self.signing.events.send(Queued { event, _bytes: None }).await.map_err(|_| Gone)
    }

    /// Queues a frame, waiting for room: this is where a slow consumer stops the reading.
    pub(crate) async fn frame(&self, from: NodePublicKey, lane: Lane, bytes: Bytes) -> Result<(), Gone> {
        let queue = self.lane(lane);
        let permit = Arc::clone(&queue.bytes).acquire_many_owned(weight(&bytes)).await.map_err(|_| Gone)?;
        let event = Event::Frame { from, lane, bytes };
        queue.events.send(Queued { event, _bytes: Some(permit) }).await.map_err(|_| Gone)
    }

    /// Queues a frame if there is room.
    pub(crate) fn try_frame(&self, from: NodePublicKey, lane: Lane, bytes: Bytes) -> Result<(), Unqueued> {
        let queue = self.lane(lane);
        let permit =
            Arc::clone(&queue.bytes).try_acquire_many_owned(weight(&bytes)).map_err(|_| Unqueued::Full)?;
        let event = Event::Frame { from, lane, bytes };
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

fn weight(bytes: &Bytes) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(MAX_QUEUED_BYTES).min(MAX_QUEUED_BYTES)
}

#[cfg(test)]
mod tests {
    use countersign_types::NodeKey;

    use super::*;

    fn member() -> NodePublicKey {
        NodeKey::from_bytes([1; 32]).expect("a scalar").public_key()
    }

    fn lane_of(event: Option<Event>) -> Option<Lane> {
        match event {
            Some(Event::Frame { lane, .. }) => Some(lane),
            Some(Event::Connected { .. } | Event::Disconnected { .. }) | None => None,
        }
    }

    #[tokio::test]
    async fn signing_goes_first_but_does_not_starve_the_background() {
        let (sender, mut receiver) = queue(None);
        for lane in Lane::ALL {
            for _ in 0..40 {
                sender.try_frame(member(), lane, Bytes::from_static(b"x")).expect("room");
            }
        }
        let mut order = Vec::new();
        for _ in 0..34 {
            order.push(lane_of(receiver.recv().await));
        }
        let background: Vec<_> = (0..order.len()).filter(|i| order[*i] == Some(Lane::Background)).collect();
        assert_eq!(background, [16, 33]);
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_given_back() {
        let (sender, mut receiver) = queue(None);
        let frame = Bytes::from(vec![0; 1 << 20]);
        let mut queued = 0;
        while sender.try_frame(member(), Lane::Background, frame.clone()).is_ok() {
            queued += 1;
        }
        assert_eq!(queued, MAX_QUEUED_BYTES >> 20);
        let waiting = tokio::spawn({
            let (sender, frame) = (sender.clone(), frame.clone());
            async move { sender.frame(member(), Lane::Background, frame).await }
        });
        assert_eq!(lane_of(receiver.recv().await), Some(Lane::Background));
        assert!(waiting.await.expect("ran").is_ok());
        assert!(sender.try_frame(member(), Lane::Signing, frame).is_ok());
    }

    #[tokio::test]
    async fn the_end_comes_after_the_last_event() {
        let (sender, mut receiver) = queue(None);
        sender.try_frame(member(), Lane::Background, Bytes::new()).expect("room");
        drop(sender);
        assert_eq!(lane_of(receiver.recv().await), Some(Lane::Background));
        assert_eq!(receiver.recv().await, None);
    }
}
