//! The event loop: drives the swarm, dials, and keeps one connection with each member.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use countersign_types::NodePublicKey;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::ConnectedPoint,
    ping,
    swarm::{
        ConnectionId, DialError, ListenError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use rand_core::{OsRng, RngCore};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Boots, Config, Hello, address,
    backoff::Backoff,
    dial::{Addresses, Failed, describe},
    event::EventSender,
    handle::Shared,
    link::Link,
    peer::{self, Candidate, Peer},
    swarm::{Behaviour, BehaviourEvent},
};

/// How long a shutdown may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the ports may take to be free after that, and how often to look.
const PORTS_TIMEOUT: Duration = Duration::from_secs(1);
const PORTS_INTERVAL: Duration = Duration::from_millis(10);
/// Links that have ended and wait to be noticed.
const MAX_ENDED: usize = 64;
/// How long after its start the member with the higher PeerId leaves the dialling to the other.
const HEAD_START: Duration = Duration::from_millis(300);
/// How long the loop sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(60);

/// What the driver holds for its whole life.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    shared: Arc<Shared>,
    own: Arc<Hello>,
    boots: Arc<dyn Boots>,
    config: Config,
    members: BTreeMap<PeerId, Member>,
    ended: mpsc::Sender<(PeerId, ConnectionId)>,
    ended_links: mpsc::Receiver<(PeerId, ConnectionId)>,
    /// When to give up on an orderly end, once it began.
    deadline: Option<Instant>,
}

/// A member as the driver sees it.
struct Member {
    peer: Arc<Peer>,
    /// Where what it sends is queued.
    events: EventSender,
    addresses: Addresses,
    backoff: Backoff,
    next_dial: Option<Instant>,
    /// In the order of their making.
    connections: Vec<Connection>,
}

struct Connection {
    id: ConnectionId,
    by_lower: bool,
    made: Instant,
    heard: Instant,
    end: watch::Sender<Option<String>>,
}

impl Driver {
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        mut events: BTreeMap<NodePublicKey, EventSender>,
        own: Hello,
        boots: Arc<dyn Boots>,
        config: Config,
    ) -> Self {
        let own_id = *swarm.local_peer_id();
        let members = shared.peers.values().filter_map(|peer| {
            let events = events.remove(&peer.member)?;
            Some((peer.id, Member::new(Arc::clone(peer), events, own_id, &config)))
        });
        let (ended, ended_links) = mpsc::channel(MAX_ENDED);
        Self {
            members: members.collect(),
            swarm,
            shared,
            own: Arc::new(own),
            boots,
            config,
            ended,
            ended_links,
            deadline: None,
        }
    }

    /// Runs until it is stopped.
    pub(crate) async fn run(mut self) {
        let stop = self.shared.stop.clone();
        loop {
            let due = self.due();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                Some((peer, connection)) = self.ended_links.recv() => self.on_link_end(peer, connection),
                () = stop.cancelled(), if self.deadline.is_none() => self.begin_stop(),
                () = sleep_until(due) => {}
            }
            let now = Instant::now();
            match self.deadline {
                None => {
                    self.end_silent(now);
                    self.dial_due(now);
                }
                Some(deadline) => {
                    let connected = self.members.values().any(|member| !member.connections.is_empty());
                    if !connected || now >= deadline {
                        break;
                    }
                }
            }
        }
        drop(self.swarm);
        let listening = self.shared.listening().clone();
        await_free_ports(&listening).await;
        self.shared.stopped.cancel();
    }

    /// The links finish by themselves; connections without one are closed when it ends.
    fn begin_stop(&mut self) {
        self.deadline = Some(Instant::now() + SHUTDOWN_TIMEOUT);
    }

    /// When something must be done next.
    fn due(&self) -> Instant {
        let silence = self.config.silence();
        let dials = self.members.values().filter_map(|member| member.next_dial);
        let silences =
            self.members.values().flat_map(|member| member.connections.iter().map(|c| c.heard + silence));
        let idle = Instant::now() + IDLE;
        match self.deadline {
            Some(deadline) => deadline,
            None => dials.chain(silences).min().unwrap_or(idle),
        }
    }

    fn dial_due(&mut self, now: Instant) {
        for (id, member) in &mut self.members {
            if member.next_dial.is_none_or(|at| at > now) {
                continue;
            }
            member.next_dial = None;
            let Some(address) = member.addresses.next() else { continue };
            let dial = DialOpts::peer_id(*id)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .allocate_new_port()
                .addresses(vec![address.clone()])
                .build();
            let connection = dial.connection_id();
            let dialled = self.swarm.dial(dial);
            if matches!(dialled, Err(DialError::DialPeerConditionFalse(_))) {
                // an earlier dial is still under way, whose end says when to go on, or has just made a connection
                continue;
            }
            member.addresses.dialled(connection);
            if let Err(error) = dialled {
                self.shared.counters.failed_dial();
                member.failed_dial(connection, &error);
            }
        }
    }

    fn end_silent(&mut self, now: Instant) {
        let silence = self.config.silence();
        for member in self.members.values_mut() {
            for connection in &mut member.connections {
                if connection.heard + silence <= now {
                    connection.heard = now;
                    connection.end.send_replace(Some(format!("the peer was silent for {silence:?}")));
                    self.swarm.close_connection(connection.id);
                }
            }
        }
    }

    fn on_link_end(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(member) = self.members.get(&peer) else { return };
        if let Some(open) = member.connections.iter().find(|open| open.id == connection) {
            open.ends("its link ended".into());
            self.swarm.close_connection(connection);
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "libp2p's enum is open, and the rest asks for nothing"
    )]
    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connection(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                let reason = cause.map_or("the connection was closed".into(), |cause| cause.to_string());
                self.on_closed(peer_id, connection_id, reason);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), connection_id, error } => {
                self.shared.counters.failed_dial();
                if let Some(member) = self.members.get_mut(&peer) {
                    member.failed_dial(connection_id, &error);
                }
            }
            SwarmEvent::IncomingConnectionError { error, peer_id, send_back_addr, .. } => {
                if matches!(error, ListenError::Denied { .. }) {
                    self.shared.counters.refused_connection();
                }
                tracing::debug!(peer = ?peer_id, address = %send_back_addr, %error, "refused a connection");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::NewListenAddr { address, .. } => self.shared.listening().push(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.shared.listening().retain(|listening| *listening != address);
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(?addresses, ?reason, "a listener closed");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener failed"),
            _ => {}
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        let Some(member) = self.members.get_mut(&event.peer) else { return };
        // A failed ping needs no answer: what counts is how long ago the last one succeeded.
        let Ok(rtt) = event.result else { return };
        member.peer.measured(event.connection, rtt);
        if let Some(connection) = member.connections.iter_mut().find(|c| c.id == event.connection) {
            connection.heard = Instant::now();
        }
    }

    fn on_connection(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let arrivals = self.swarm.behaviour_mut().streams.take(connection);
        let we_are_lower = *self.swarm.local_peer_id() < id;
        let (Some(member), Some(arrivals), None) = (self.members.get_mut(&id), arrivals, self.deadline)
        else {
            self.swarm.close_connection(connection);
            return;
        };
        let (end, ended) = watch::channel(None);
        let now = Instant::now();
        let by_lower = endpoint.is_dialer() == we_are_lower;
        member.next_dial = None;
        member.connections.push(Connection { id: connection, by_lower, made: now, heard: now, end });
        let surplus = peer::surplus(&member.candidates(), member.peer.serving(), we_are_lower);
        for other in member.connections.iter().filter(|open| surplus.contains(&open.id)) {
            other.ends("replaced by another connection".into());
            self.swarm.close_connection(other.id);
        }
        if surplus.contains(&connection) {
            return;
        }
        let link = Link {
            peer: Arc::clone(&member.peer),
            own: Arc::clone(&self.own),
            boots: Arc::clone(&self.boots),
            connection,
            address: endpoint.get_remote_address().clone(),
            arrivals,
            events: member.events.clone(),
            counters: Arc::clone(&self.shared.counters),
            stall: self.config.write_timeout(),
            ended,
            stop: self.shared.stop.clone(),
        };
        let report = self.ended.clone();
        tokio::spawn(async move {
            link.run().await;
            let _ = report.send((id, connection)).await;
        });
    }

    fn on_closed(&mut self, id: PeerId, connection: ConnectionId, reason: String) {
        let (_, longest) = self.config.reconnect();
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(at) = member.connections.iter().position(|open| open.id == connection) else { return };
        let closed = member.connections.remove(at);
        closed.ends(reason);
        if closed.made.elapsed() >= longest {
            member.backoff.reset();
        }
        if member.connections.is_empty() {
            member.schedule();
        }
    }
}

impl Connection {
    /// Tells the link that it ends, and why, unless it was told before.
    fn ends(&self, reason: String) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            end.get_or_insert(reason);
            first
        });
    }
}

impl Member {
    fn new(peer: Arc<Peer>, events: EventSender, own: PeerId, config: &Config) -> Self {
        let configured = config.peers.get(&peer.member).map(Vec::as_slice).unwrap_or_default();
        let addresses = Addresses::new(address::in_dialling_order(configured));
        let head_start = if own < peer.id { Duration::ZERO } else { HEAD_START };
        let next_dial = addresses.next().map(|_| Instant::now() + head_start);
        if next_dial.is_none() {
            peer.failed("not connected: it has not dialled this node, which has no address of it");
        }
        let (shortest, longest) = config.reconnect();
        Self {
            peer,
            events,
            addresses,
            backoff: Backoff::new(shortest, longest),
            next_dial,
            connections: Vec::new(),
        }
    }

    /// The connections that are not about to close.
    fn candidates(&self) -> Vec<Candidate> {
        let candidate =
            |open: &Connection| Candidate { connection: open.id, by_lower: open.by_lower, made: open.made };
        self.connections.iter().filter(|open| open.end.borrow().is_none()).map(candidate).collect()
    }

    fn failed_dial(&mut self, dial: ConnectionId, error: &DialError) {
        let reason = describe(error);
        tracing::debug!(peer = %self.peer.id, %reason, "dialling failed");
        let failed = self.addresses.failed(dial, reason);
        if let Failed::All(reason) = &failed {
            self.peer.failed(reason);
        }
        if !self.connections.is_empty() {
            return;
        }
        match failed {
            Failed::All(_) => self.schedule(),
            Failed::One => self.next_dial = Some(Instant::now()),
            // what was due meanwhile was not dialled because of it
            Failed::Earlier => self.next_dial = self.next_dial.or_else(|| Some(Instant::now())),
        }
    }

    /// Dials again after a while, from its first address on, where one is known.
    fn schedule(&mut self) {
        self.addresses.restart();
        if self.addresses.next().is_some() {
            self.next_dial = Some(Instant::now() + self.backoff.wait(OsRng.next_u32()));
        }
    }
}

/// Waits until the carriers have given their ports back, so that a restart in the same process finds them free. QUIC's
/// does so only when the closed connections have run out.
async fn await_free_ports(listening: &[Multiaddr]) {
    let deadline = Instant::now() + PORTS_TIMEOUT;
    while Instant::now() < deadline && listening.iter().any(|address| address::probe(address).is_err()) {
        sleep(PORTS_INTERVAL).await;
    }
}
