//! The streams of a connection: one to greet and one for each lane, in each direction.
//!
//! Every connection opens its three streams and accepts the peer's three, and gives all of them, with their connection
//! known, to whoever serves it. `libp2p-stream` is not used for this: it drops incoming streams silently when two arrive
//! at once, does not say on which of two connections a stream is, and keeps an entry for every connection ever made.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, InboundUpgrade, OutboundUpgrade, UpgradeInfo, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, Stream, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::sync::mpsc;

/// The protocol of the stream that a connection begins with: a hello one way, a verdict back.
pub const HELLO_PROTOCOL: StreamProtocol = StreamProtocol::new("/countersign/hello/1");
/// The protocol of [`crate::Lane::Signing`]: frames, one way.
pub const SIGNING_PROTOCOL: StreamProtocol = StreamProtocol::new("/countersign/signing/1");
/// The protocol of [`crate::Lane::Background`]: frames, one way.
pub const BACKGROUND_PROTOCOL: StreamProtocol = StreamProtocol::new("/countersign/background/1");

/// What comes from one connection at most: three streams each way, and one end.
const MAX_ARRIVALS: usize = 8;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Hello,
    Signing,
    Background,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Hello, Self::Signing, Self::Background];

    fn protocol(self) -> StreamProtocol {
        match self {
            Self::Hello => HELLO_PROTOCOL,
            Self::Signing => SIGNING_PROTOCOL,
            Self::Background => BACKGROUND_PROTOCOL,
        }
    }
}

/// What comes from a connection.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A stream that this node opened.
    Opened(Purpose, Stream),
    /// A stream that the peer opened.
    Accepted(Purpose, Stream),
    /// A stream could not be opened.
    Failed(String),
    /// The peer opened a second stream for one purpose.
    Surplus,
}

/// Gives out the streams of each connection.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// Connections that are made, until somebody takes their streams.
    untaken: BTreeMap<ConnectionId, mpsc::Receiver<Arrival>>,
}

impl Behaviour {
    /// The streams of a new connection, once.
    pub(crate) fn take(&mut self, connection: ConnectionId) -> Option<mpsc::Receiver<Arrival>> {
        self.untaken.remove(&connection)
    }

    fn handler(&mut self, connection: ConnectionId) -> Handler {
        let (arrivals, receiver) = mpsc::channel(MAX_ARRIVALS);
        self.untaken.insert(connection, receiver);
        Handler { arrivals, to_open: Purpose::ALL.to_vec(), accepted: Vec::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(closed) = event {
            self.untaken.remove(&closed.connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// Opens and accepts the streams of one connection.
pub(crate) struct Handler {
    arrivals: mpsc::Sender<Arrival>,
    to_open: Vec<Purpose>,
    accepted: Vec<Purpose>,
}

impl Handler {
    /// Hands over. The queue holds all that a connection can bring; it is full or closed only when nobody serves it.
    fn give(&self, arrival: Arrival) {
        let _ = self.arrivals.try_send(arrival);
    }

    fn accept(&mut self, purpose: Purpose, stream: Stream) {
        if self.accepted.contains(&purpose) {
            self.give(Arrival::Surplus);
        } else {
            self.accepted.push(purpose);
            self.give(Arrival::Accepted(purpose, stream));
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(Upgrade(Purpose::ALL.to_vec()), ())
    }

    /// Connections to members stay.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Upgrade, (), Infallible>> {
        match self.to_open.pop() {
            Some(purpose) => Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(Upgrade(vec![purpose]), ()),
            }),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "libp2p's enum is open, and the rest is not about streams"
    )]
    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Upgrade, Upgrade>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (purpose, stream),
                ..
            }) => self.accept(purpose, stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (purpose, stream),
                ..
            }) => self.give(Arrival::Opened(purpose, stream)),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.give(Arrival::Failed(reason(error)));
            }
            _ => {}
        }
    }
}

fn reason(error: StreamUpgradeError<Infallible>) -> String {
    match error {
        StreamUpgradeError::Timeout => "opening a stream took too long".into(),
        StreamUpgradeError::NegotiationFailed => "the peer does not speak this protocol".into(),
        StreamUpgradeError::Io(error) => format!("opening a stream failed: {error}"),
        StreamUpgradeError::Apply(never) => match never {},
    }
}

/// Negotiates the protocols of some purposes; the stream is then ready as it is.
pub(crate) struct Upgrade(Vec<Purpose>);

/// A purpose under its protocol's name.
#[derive(Clone)]
pub(crate) struct Named(Purpose, StreamProtocol);

impl AsRef<str> for Named {
    fn as_ref(&self) -> &str {
        self.1.as_ref()
    }
}

impl UpgradeInfo for Upgrade {
    type Info = Named;
    type InfoIter = std::vec::IntoIter<Named>;

    fn protocol_info(&self) -> Self::InfoIter {
        let named: Vec<_> = self.0.iter().map(|purpose| Named(*purpose, purpose.protocol())).collect();
        named.into_iter()
    }
}

impl InboundUpgrade<Stream> for Upgrade {
    type Output = (Purpose, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, named: Named) -> Self::Future {
        ready(Ok((named.0, stream)))
    }
}

impl OutboundUpgrade<Stream> for Upgrade {
    type Output = (Purpose, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, named: Named) -> Self::Future {
        ready(Ok((named.0, stream)))
    }
}
