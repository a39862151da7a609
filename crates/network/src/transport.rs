//! What protocols see of a transport.

use std::time::Duration;

use bytes::Bytes;
use countersign_types::NodePublicKey;
use libp2p::Multiaddr;

use crate::Hello;

/// Which of the two streams to a member carries a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Signing sessions: small and urgent.
    Signing,
    /// Key generation, replication: large, and never in the way of signing.
    Background,
}

impl Lane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Signing, Self::Background];

    /// The most bytes of one frame: 256 KiB for signing (a package carries a record of at most 8 KiB from each of at
    /// most 24 members), 1 MiB in the background.
    pub const fn max_frame_bytes(self) -> usize {
        match self {
            Self::Signing => 256 << 10,
            Self::Background => 1 << 20,
        }
    }

    /// The most bytes of one member that have arrived and wait for the consumer: 1 MiB and 2 MiB.
    pub(crate) const fn max_waiting_bytes(self) -> usize {
        match self {
            Self::Signing => 1 << 20,
            Self::Background => 2 << 20,
        }
    }

    /// The most bytes that wait to be sent to one member: 2 MiB and 4 MiB.
    pub const fn max_queued_bytes(self) -> usize {
        match self {
            Self::Signing => 2 << 20,
            Self::Background => 4 << 20,
        }
    }

    /// The lane's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Background => "background",
        }
    }
}

/// Why a frame was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no connection to the member now.
    #[error("the member is not connected")]
    NotConnected,
    /// The queue to the member is full: it, or the way to it, is slower than the sender.
    #[error("the queue to the member is full")]
    Busy,
    /// The frame is too large for its lane.
    #[error("a frame on this lane has at most {most} bytes, got {got}")]
    TooLarge {
        /// The frame's length.
        got: usize,
        /// The lane's bound.
        most: usize,
    },
    /// Not one of the other members.
    #[error("the receiver is not another member")]
    NotAMember,
}

/// What is known of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The member.
    pub member: NodePublicKey,
    /// Whether frames can be sent to it now.
    pub connected: bool,
    /// What it last said of itself; none before the first connection.
    pub hello: Option<Hello>,
    /// The round-trip time that was last measured, while connected.
    pub rtt: Option<Duration>,
    /// The address of its end, while connected.
    pub address: Option<Multiaddr>,
    /// Why it is not connected; none while it is.
    pub last_error: Option<String>,
}

/// Counters since the start, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames written to peers.
    pub frames_out: u64,
    /// Bytes of these frames, without headers.
    pub bytes_out: u64,
    /// Frames read from peers.
    pub frames_in: u64,
    /// Bytes of these frames, without headers.
    pub bytes_in: u64,
    /// Frames that were refused as [`SendError::Busy`].
    pub busy: u64,
    /// Incoming connections that were refused: not a member, or over a limit.
    pub refused_connections: u64,
    /// Members that were refused for their hello.
    pub refused_hellos: u64,
    /// Connections that were closed because the peer broke the rules of this crate.
    pub violations: u64,
    /// Dials that failed.
    pub failed_dials: u64,
}

/// Sends frames to members. Implemented over libp2p by [`crate::Handle`] and in memory by [`crate::memory::Node`].
pub trait Transport: Send + Sync {
    /// This node.
    fn own(&self) -> NodePublicKey;

    /// Queues a frame for a member and returns at once.
    ///
    /// Frames of one lane to one member arrive in order. `Ok` means queued: a connection that breaks loses what is in
    /// flight, and [`crate::Event::Disconnected`] says so.
    fn send(&self, to: &NodePublicKey, lane: Lane, frame: Bytes) -> Result<(), SendError>;

    /// The other members, by public key.
    fn peers(&self) -> Vec<PeerStatus>;
}
