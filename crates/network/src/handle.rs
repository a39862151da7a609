//! The handle that a node holds.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use countersign_types::NodePublicKey;
use libp2p::Multiaddr;
use tokio_util::sync::CancellationToken;

use crate::{Lane, PeerStatus, SendError, Stats, Transport, peer::Peer};

/// Sends frames and tells of the members. Cheap to clone; all clones are one transport.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

/// What the handles, the driver and the links share.
pub(crate) struct Shared {
    pub(crate) own: NodePublicKey,
    pub(crate) peers: BTreeMap<NodePublicKey, Arc<Peer>>,
    pub(crate) listening: Mutex<Vec<Multiaddr>>,
    pub(crate) counters: Arc<Counters>,
    /// Asks everything to finish.
    pub(crate) stop: CancellationToken,
    /// Everything has finished.
    pub(crate) stopped: CancellationToken,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Queues a frame for a member and returns at once: see [`Transport::send`].
    pub fn send(&self, to: &NodePublicKey, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        let (got, most) = (frame.len(), lane.max_frame_bytes());
        if got > most {
            return Err(SendError::TooLarge { got, most });
        }
        let sent = self.0.peers.get(to).ok_or(SendError::NotAMember)?.send(lane, frame);
        if sent == Err(SendError::Busy) {
            self.0.counters.busy();
        }
        sent
    }

    /// The other members, by public key.
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.0.peers.values().map(|peer| peer.status()).collect()
    }

    /// The addresses that this node listens on, with the ports that it got.
    pub fn listen_addresses(&self) -> Vec<Multiaddr> {
        self.0.listening().clone()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.0.counters.read()
    }

    /// Sends what is queued, closes all connections and waits for it: about four seconds at most. Later sends fail
    /// with [`SendError::NotConnected`]; the events end.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.stopped.cancelled().await;
    }
}

impl Transport for Handle {
    fn own(&self) -> NodePublicKey {
        self.0.own
    }

    fn send(&self, to: &NodePublicKey, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        Handle::send(self, to, lane, frame)
    }

    fn peers(&self) -> Vec<PeerStatus> {
        Handle::peers(self)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("own", &self.0.own).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn listening(&self) -> MutexGuard<'_, Vec<Multiaddr>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// [`Stats`] as they are counted.
#[derive(Default)]
pub(crate) struct Counters {
    frames_out: AtomicU64,
    bytes_out: AtomicU64,
    frames_in: AtomicU64,
    bytes_in: AtomicU64,
    busy: AtomicU64,
    refused_connections: AtomicU64,
    refused_hellos: AtomicU64,
    violations: AtomicU64,
    failed_dials: AtomicU64,
}

impl Counters {
    pub(crate) fn sent(&self, frames: usize, bytes: usize) {
        add(&self.frames_out, frames);
        add(&self.bytes_out, bytes);
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.frames_in, 1);
        add(&self.bytes_in, bytes);
    }

    pub(crate) fn busy(&self) {
        add(&self.busy, 1);
    }

    pub(crate) fn refused_connection(&self) {
        add(&self.refused_connections, 1);
    }

    pub(crate) fn refused_hello(&self) {
        add(&self.refused_hellos, 1);
    }

    pub(crate) fn violation(&self) {
        add(&self.violations, 1);
    }

    pub(crate) fn failed_dial(&self) {
        add(&self.failed_dials, 1);
    }

    fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            frames_out: get(&self.frames_out),
            bytes_out: get(&self.bytes_out),
            frames_in: get(&self.frames_in),
            bytes_in: get(&self.bytes_in),
            busy: get(&self.busy),
            refused_connections: get(&self.refused_connections),
            refused_hellos: get(&self.refused_hellos),
            violations: get(&self.violations),
            failed_dials: get(&self.failed_dials),
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}
