//! A libp2p peer that does not follow the rules of the crate unless a test makes it.

use std::time::Duration;

use countersign_network::{
    BACKGROUND_PROTOCOL, HELLO_PROTOCOL, Hello, Multiaddr, SIGNING_PROTOCOL, frame, hello, keypair,
};
use countersign_types::{NodeKey, NodePublicKey};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    PeerId, Stream, SwarmBuilder, noise, ping,
    swarm::{
        DialError, NetworkBehaviour, SwarmEvent,
        behaviour::toggle::Toggle,
        dial_opts::{DialOpts, PeerCondition},
    },
    tcp, yamux,
};
use libp2p_stream::{Control, IncomingStreams};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::world::PATIENCE;

#[derive(NetworkBehaviour)]
struct Behaviour {
    ping: Toggle<ping::Behaviour>,
    streams: libp2p_stream::Behaviour,
}

pub(crate) struct Raw {
    control: Control,
    hellos: IncomingStreams,
    lanes: [IncomingStreams; 2],
    dials: mpsc::Sender<(PeerId, Multiaddr, oneshot::Sender<Option<String>>)>,
    /// How many connections there are.
    connections: watch::Receiver<u32>,
    pub(crate) address: Multiaddr,
    task: JoinHandle<()>,
}

/// What a greeted peer holds: its own two lanes, and the node's.
pub(crate) struct Greeted {
    pub(crate) signing: Stream,
    pub(crate) background: Stream,
    pub(crate) incoming: [Stream; 2],
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Raw {
    /// A peer that listens on TCP; it answers heartbeats only if told to.
    pub(crate) async fn start(key: &NodeKey, answers_ping: bool) -> Self {
        let ping = answers_ping.then(ping::Behaviour::default);
        let mut swarm = SwarmBuilder::with_existing_identity(keypair(key))
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("noise")
            .with_quic()
            .with_behaviour(|_| Behaviour { ping: ping.into(), streams: libp2p_stream::Behaviour::new() })
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::MAX))
            .build();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("listens");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let mut control = swarm.behaviour().streams.new_control();
        let hellos = control.accept(HELLO_PROTOCOL).expect("once");
        let lanes = [SIGNING_PROTOCOL, BACKGROUND_PROTOCOL].map(|lane| control.accept(lane).expect("once"));
        let (dials, mut to_dial) = mpsc::channel::<(PeerId, Multiaddr, oneshot::Sender<Option<String>>)>(1);
        let (count, connections) = watch::channel(0);
        #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else matters here")]
        let task = tokio::spawn(async move {
            let mut dialled = None;
            loop {
                tokio::select! {
                    Some((peer, address, done)) = to_dial.recv() => {
                        let dial = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![address]);
                        swarm.dial(dial.build()).expect("can dial");
                        dialled = Some(done);
                    }
                    event = swarm.select_next_some() => match event {
                        SwarmEvent::ConnectionEstablished { endpoint, .. } => {
                            count.send_modify(|count| *count += 1);
                            if let (true, Some(done)) = (endpoint.is_dialer(), dialled.take()) {
                                let _ = done.send(None);
                            }
                        }
                        SwarmEvent::ConnectionClosed { .. } => count.send_modify(|count| *count -= 1),
                        SwarmEvent::OutgoingConnectionError { error, .. } => {
                            if let Some(done) = dialled.take() {
                                let _ = done.send(Some(describe(&error)));
                            }
                        }
                        _ => {}
                    }
                }
            }
        });
        Self { control, hellos, lanes, dials, connections, address, task }
    }

    pub(crate) async fn until_connections(&self, wanted: u32) {
        let mut connections = self.connections.clone();
        let reached = connections.wait_for(|count| *count == wanted);
        timeout(PATIENCE, reached).await.expect("as many connections in time").expect("runs");
    }

    /// Dials; says why it failed.
    pub(crate) async fn dial(&mut self, member: NodePublicKey, address: &Multiaddr) -> Option<String> {
        let (done, failed) = oneshot::channel();
        let peer = member.peer_id().parse().expect("a PeerId");
        self.dials.send((peer, address.clone(), done)).await.expect("runs");
        timeout(PATIENCE, failed).await.expect("a dial ends").expect("runs")
    }

    pub(crate) async fn open(
        &mut self,
        member: NodePublicKey,
        protocol: libp2p::StreamProtocol,
    ) -> Option<Stream> {
        let peer = member.peer_id().parse().expect("a PeerId");
        let opened = self.control.open_stream(peer, protocol);
        timeout(PATIENCE, opened).await.expect("opens or fails").ok()
    }

    /// Greets as a member does, and opens both lanes.
    pub(crate) async fn greet(&mut self, member: NodePublicKey, own: &Hello) -> Greeted {
        let mut said = self.open(member, HELLO_PROTOCOL).await.expect("opens");
        write_frame(&mut said, &own.encode(None)).await;
        let (_, mut heard) = timeout(PATIENCE, self.hellos.next()).await.expect("greeted").expect("runs");
        read_frame(&mut heard).await;
        write_frame(&mut heard, &hello::encode_verdict(Ok(()))).await;
        let verdict = read_frame(&mut said).await;
        assert_eq!(hello::decode_verdict(&verdict), Ok(()));
        let mut signing = self.open(member, SIGNING_PROTOCOL).await.expect("opens");
        signing.flush().await.expect("flushes");
        let mut background = self.open(member, BACKGROUND_PROTOCOL).await.expect("opens");
        background.flush().await.expect("flushes");
        let mut incoming = Vec::new();
        for lane in &mut self.lanes {
            incoming.push(timeout(PATIENCE, lane.next()).await.expect("opened").expect("runs").1);
        }
        let incoming = incoming.try_into().expect("two lanes");
        Greeted { signing, background, incoming }
    }
}

fn describe(error: &DialError) -> String {
    format!("{error:?}")
}

pub(crate) async fn write_frame(stream: &mut Stream, content: &[u8]) {
    let mut bytes = Vec::new();
    frame::append(&mut bytes, content);
    stream.write_all(&bytes).await.expect("writes");
    stream.flush().await.expect("flushes");
}

pub(crate) async fn read_frame(stream: &mut Stream) -> Vec<u8> {
    timeout(PATIENCE, async {
        let mut length = [0; 4];
        stream.read_exact(&mut length).await.expect("a length");
        let mut content = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut content).await.expect("a content");
        content
    })
    .await
    .expect("a frame in time")
}
