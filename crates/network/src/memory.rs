//! A transport in memory: members in one process, the same events, no sockets.
//!
//! For tests of what runs above a transport. Everybody is connected at first; [`Node::cut`] and [`Node::join`] change it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use countersign_types::NodePublicKey;

use crate::{
    Event, EventReceiver, Hello, Lane, PeerStatus, SendError, Transport,
    event::{self, EventSender, Unqueued},
};

/// One member's end of a mesh. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    own: NodePublicKey,
    mesh: Arc<Mesh>,
}

struct Mesh {
    members: BTreeMap<NodePublicKey, Member>,
    /// Pairs without a connection, each with the lower key first.
    cut: Mutex<BTreeSet<(NodePublicKey, NodePublicKey)>>,
}

struct Member {
    hello: Hello,
    /// Its queues, by whom they are of.
    events: BTreeMap<NodePublicKey, EventSender>,
}

/// Connects members with each other. The n-th node is that of the n-th member; each finds [`Event::Connected`] for every
/// other in its queue. A member that is listed twice is one.
pub async fn mesh(members: &[(NodePublicKey, Hello)]) -> Vec<(Node, EventReceiver)> {
    let mut receivers = Vec::new();
    let mut table = BTreeMap::new();
    for (member, hello) in members {
        let others = members.iter().map(|(other, _)| *other).filter(|other| other != member);
        let (events, receiver) = event::queues(others, None);
        if table.insert(*member, Member { hello: hello.clone(), events }).is_none() {
            receivers.push((*member, receiver));
        }
    }
    let mesh = Arc::new(Mesh { members: table, cut: Mutex::default() });
    let node = |own| Node { own, mesh: Arc::clone(&mesh) };
    for (own, _) in &receivers {
        for other in mesh.members.keys().filter(|other| *other != own) {
            mesh.tell_connected(own, other).await;
        }
    }
    receivers.into_iter().map(|(own, receiver)| (node(own), receiver)).collect()
}

impl Node {
    /// Breaks the connection with a member; both hear of it. Nothing happens where there is none.
    pub async fn cut(&self, other: &NodePublicKey, reason: &str) {
        if self.mesh.members.contains_key(other) && self.mesh.cut().insert(pair(self.own, *other)) {
            for (at, gone) in [(self.own, *other), (*other, self.own)] {
                let event = Event::Disconnected { peer: gone, reason: reason.into() };
                self.mesh.tell(&at, &gone, event).await;
            }
        }
    }

    /// Makes the connection with a member again; both hear of it.
    pub async fn join(&self, other: &NodePublicKey) {
        let was_cut = self.mesh.cut().remove(&pair(self.own, *other));
        if was_cut {
            self.mesh.tell_connected(&self.own, other).await;
            self.mesh.tell_connected(other, &self.own).await;
        }
    }
}

impl Transport for Node {
    fn own(&self) -> NodePublicKey {
        self.own
    }

    fn send(&self, to: &NodePublicKey, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        let (got, most) = (frame.len(), lane.max_frame_bytes());
        if got > most {
            return Err(SendError::TooLarge { got, most });
        }
        let other = self.mesh.members.get(to).filter(|_| *to != self.own).ok_or(SendError::NotAMember)?;
        if self.mesh.cut().contains(&pair(self.own, *to)) {
            return Err(SendError::NotConnected);
        }
        let events = other.events.get(&self.own).ok_or(SendError::NotAMember)?;
        events.try_frame(lane, frame).map_err(|unqueued| match unqueued {
            Unqueued::Full => SendError::Busy,
            Unqueued::Gone => SendError::NotConnected,
        })
    }

    fn peers(&self) -> Vec<PeerStatus> {
        let cut = self.mesh.cut();
        let others = self.mesh.members.iter().filter(|(member, _)| **member != self.own);
        others
            .map(|(member, state)| {
                let connected = !cut.contains(&pair(self.own, *member));
                PeerStatus {
                    member: *member,
                    connected,
                    hello: Some(state.hello.clone()),
                    rtt: None,
                    address: None,
                    last_error: (!connected).then(|| "cut".into()),
                }
            })
            .collect()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Mesh {
    fn cut(&self) -> MutexGuard<'_, BTreeSet<(NodePublicKey, NodePublicKey)>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell_connected(&self, at: &NodePublicKey, peer: &NodePublicKey) {
        if let Some(member) = self.members.get(peer) {
            self.tell(at, peer, Event::Connected { peer: *peer, hello: member.hello.clone() }).await;
        }
    }

    async fn tell(&self, at: &NodePublicKey, of: &NodePublicKey, event: Event) {
        if let Some(events) = self.members.get(at).and_then(|member| member.events.get(of)) {
            // A member that nobody listens to any more hears nothing.
            let _ = events.connection(event).await;
        }
    }
}

fn pair(one: NodePublicKey, other: NodePublicKey) -> (NodePublicKey, NodePublicKey) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use countersign_types::{EngineId, NetworkId, NodeKey};

    use super::*;
    use crate::event::MAX_QUEUED_EVENTS;

    fn members(count: u8) -> Vec<(NodePublicKey, Hello)> {
        let hello = Hello {
            network: NetworkId::from([1; 32]),
            protocol: 1,
            engine: EngineId::from([2; 32]),
            boot: crate::Boot { generation: 1, id: crate::BootId([1; 16]) },
            version: "test".into(),
        };
        let key = |byte| NodeKey::from_bytes([byte; 32]).expect("a scalar").public_key();
        (1..=count).map(|byte| (key(byte), hello.clone())).collect()
    }

    #[tokio::test]
    async fn frames_follow_the_connection_and_name_their_sender() {
        let mut nodes = mesh(&members(3)).await;
        let (one, two) = (nodes[0].0.clone(), nodes[1].0.clone());
        for _ in 0..2 {
            assert!(matches!(nodes[1].1.recv().await, Some(Event::Connected { .. })));
        }
        one.send(&two.own(), Lane::Signing, Bytes::from_static(b"a")).expect("connected");
        let frame = Event::Frame { from: one.own(), lane: Lane::Signing, bytes: Bytes::from_static(b"a") };
        assert_eq!(nodes[1].1.recv().await, Some(frame));

        two.cut(&one.own(), "test").await;
        assert_eq!(one.send(&two.own(), Lane::Signing, Bytes::new()), Err(SendError::NotConnected));
        let gone = Event::Disconnected { peer: one.own(), reason: "test".into() };
        assert_eq!(nodes[1].1.recv().await, Some(gone));
        one.join(&two.own()).await;
        assert!(matches!(nodes[1].1.recv().await, Some(Event::Connected { peer, .. }) if peer == one.own()));
        assert!(one.peers().iter().all(|peer| peer.connected));
    }

    #[tokio::test]
    async fn the_bounds_are_those_of_the_real_transport() {
        let nodes = mesh(&members(2)).await;
        let (one, two) = (&nodes[0].0, nodes[1].0.own());
        let most = Lane::Signing.max_frame_bytes();
        let large = Bytes::from(vec![0; most + 1]);
        assert_eq!(one.send(&two, Lane::Signing, large), Err(SendError::TooLarge { got: most + 1, most }));
        assert_eq!(one.send(&one.own(), Lane::Signing, Bytes::new()), Err(SendError::NotAMember));
        let sent = (0..2 * MAX_QUEUED_EVENTS)
            .take_while(|_| one.send(&two, Lane::Background, Bytes::new()).is_ok())
            .count();
        assert_eq!(sent, MAX_QUEUED_EVENTS);
        assert_eq!(one.send(&two, Lane::Background, Bytes::new()), Err(SendError::Busy));
    }
}
