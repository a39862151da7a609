//! One connection from its first stream to its end: greet, then serve the lanes.

use std::{sync::Arc, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{
    Multiaddr,
    swarm::{ConnectionId, Stream},
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Boot, Boots, Event, Hello, Lane,
    event::EventSender,
    frame::{self, Decoder},
    handle::Counters,
    hello::{self, MAX_HELLO_BYTES, MAX_VERDICT_BYTES, Refusal},
    lane::{self, LaneEnd},
    peer::{self, Peer},
    streams::{Arrival, Purpose},
};

/// How long two members may take to greet each other.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one end waits for the other to finish what it says last.
const LINGER: Duration = Duration::from_secs(1);

/// Serves one connection.
pub(crate) struct Link {
    pub(crate) peer: Arc<Peer>,
    pub(crate) own: Arc<Hello>,
    pub(crate) boots: Arc<dyn Boots>,
    pub(crate) connection: ConnectionId,
    pub(crate) address: Multiaddr,
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    pub(crate) events: EventSender,
    pub(crate) counters: Arc<Counters>,
    /// How long a write may stall.
    pub(crate) stall: Duration,
    /// Why the driver ends the connection, once it does.
    pub(crate) ended: watch::Receiver<Option<String>>,
    /// Finish what is queued and close.
    pub(crate) stop: CancellationToken,
}

/// The streams of the two lanes.
struct Lanes {
    signing: Way,
    background: Way,
}

/// A lane's two directions.
struct Way {
    out: Stream,
    into: Stream,
}

impl Link {
    /// Runs until the connection is of no use any more. What happened stands in the peer's status and in events.
    pub(crate) async fn run(mut self) {
        let greeted = tokio::select! {
            greeted = greet(&self.peer, &self.own, &self.boots, &mut self.arrivals) => greeted,
            reason = ended(&mut self.ended) => Err(Ungreeted::Failed(reason)),
            () = self.stop.cancelled() => Err(Ungreeted::Failed("this node shuts down".into())),
        };
        match greeted {
            Ok((hello, lanes)) => self.serve(hello, lanes).await,
            Err(Ungreeted::Refused(reason)) => {
                self.counters.refused_hello();
                tracing::warn!(peer = %self.peer.id, %reason, "a member is not talked to");
                self.peer.failed(&reason);
            }
            Err(Ungreeted::Failed(reason)) => self.peer.failed(&reason),
        }
    }

    async fn serve(mut self, hello: Hello, lanes: Lanes) {
        let peer = Arc::clone(&self.peer);
        peer.supersede();
        let _turn = tokio::select! {
            biased;
            _ = ended(&mut self.ended) => return,
            () = self.stop.cancelled() => return,
            turn = peer.turn.lock() => turn,
        };
        let mut tasks = JoinSet::new();
        let signing = self.spawn(&mut tasks, Lane::Signing, lanes.signing);
        let background = self.spawn(&mut tasks, Lane::Background, lanes.background);
        let event = Event::Connected { peer: peer.member, hello: hello.clone() };
        let superseded = CancellationToken::new();
        let link = peer::Link {
            connection: self.connection,
            address: self.address.clone(),
            signing: signing.sender,
            background: background.sender,
            superseded: superseded.clone(),
        };
        // Before the event, so that whoever hears of the connection can use it.
        peer.connected(hello, link);
        // a later boot may have been accepted since this one was
        peer.supersede();
        if self.events.connection(event).await.is_err() {
            peer.disconnected(self.connection, "nobody receives any more");
            return;
        }
        signing.start.cancel();
        background.start.cancel();
        let reason = tokio::select! {
            reason = self.watch(&mut tasks) => reason,
            () = superseded.cancelled() => "the member has started again".into(),
        };
        tasks.shutdown().await;
        peer.disconnected(self.connection, &reason);
        let _ = self.events.connection(Event::Disconnected { peer: peer.member, reason }).await;
    }

    /// Starts a lane's two tasks. The reader waits to be started, so that no frame comes before `Connected`.
    fn spawn(&self, tasks: &mut JoinSet<LaneEnd>, lane: Lane, way: Way) -> Spawned {
        let (sender, queue) = lane::queue(lane);
        let start = CancellationToken::new();
        let (stop, counters) = (self.stop.clone(), Arc::clone(&self.counters));
        tasks.spawn(lane::write(lane, way.out, queue, stop, self.stall, counters));
        let (events, counters) = (self.events.clone(), Arc::clone(&self.counters));
        let started = start.clone();
        tasks.spawn(async move {
            started.cancelled().await;
            lane::read(lane, way.into, events, counters).await
        });
        Spawned { sender, start }
    }

    /// Waits for the end and says why. An end that the peer announces leaves it a moment to say the rest.
    async fn watch(&mut self, tasks: &mut JoinSet<LaneEnd>) -> String {
        let (mut closed, mut drained) = (0, 0);
        let mut linger = None;
        let mut accepting = true;
        let by_peer = || "the peer closed the connection".to_owned();
        loop {
            let end = tokio::select! {
                end = tasks.join_next() => end,
                reason = ended(&mut self.ended) => return reason,
                arrival = self.arrivals.recv(), if accepting => match arrival {
                    Some(_) => Some(Ok(surplus())),
                    None => {
                        accepting = false;
                        continue;
                    }
                },
                () = sleep_until(linger.unwrap_or_else(Instant::now)), if linger.is_some() => None,
            };
            match end {
                Some(Ok(LaneEnd::PeerClosed)) => closed += 1,
                Some(Ok(LaneEnd::PeerStopped)) => {}
                Some(Ok(LaneEnd::Drained)) => drained += 1,
                Some(Ok(LaneEnd::Failed { reason, violation })) => {
                    if violation {
                        self.counters.violation();
                        tracing::warn!(peer = %self.peer.id, %reason, "a member broke the rules");
                    }
                    return if drained > 0 { "this node shuts down".into() } else { reason };
                }
                Some(Err(error)) => return format!("a lane's task failed: {error}"),
                None => return if drained > 0 { "this node shuts down".into() } else { by_peer() },
            }
            if closed == Lane::ALL.len() {
                return if drained > 0 { "this node shuts down".into() } else { by_peer() };
            }
            // The end of our own queues is no reason to hurry while one of them is still being written.
            if drained != 1 || closed > 0 {
                linger.get_or_insert_with(|| Instant::now() + LINGER);
            }
        }
    }
}

fn surplus() -> LaneEnd {
    LaneEnd::Failed { reason: "the peer opened a stream twice".into(), violation: true }
}

struct Spawned {
    sender: lane::LaneSender,
    start: CancellationToken,
}

/// Why the driver ended the connection, when it does.
async fn ended(ended: &mut watch::Receiver<Option<String>>) -> String {
    match ended.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_default(),
        Err(_) => "the connection is gone".into(),
    }
}

/// Why a connection does not serve.
enum Ungreeted {
    /// One of the two does not talk to the other.
    Refused(String),
    /// The connection broke or took too long.
    Failed(String),
}

impl From<std::io::Error> for Ungreeted {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(format!("the greeting failed: {error}"))
    }
}

/// Exchanges hellos and verdicts, and collects the lanes' streams.
async fn greet(
    peer: &Arc<Peer>,
    own: &Arc<Hello>,
    boots: &Arc<dyn Boots>,
    arrivals: &mut mpsc::Receiver<Arrival>,
) -> Result<(Hello, Lanes), Ungreeted> {
    timeout(GREETING_TIMEOUT, async {
        let mut streams = Streams::default();
        streams.wait(arrivals, Streams::all_opened).await?;
        let mut said = streams.opened(Purpose::Hello)?;
        let [mut signing, mut background] =
            [streams.opened(Purpose::Signing)?, streams.opened(Purpose::Background)?];
        // The peer sees a stream only when something is sent on it.
        let (ours, theirs) = futures::join!(
            async {
                write_frame(&mut said, &own.encode(peer.boot())).await?;
                signing.flush().await?;
                background.flush().await?;
                let verdict = read_frame(&mut said, MAX_VERDICT_BYTES).await?;
                said.close().await?;
                Ok::<_, Ungreeted>(hello::decode_verdict(&verdict))
            },
            async {
                streams.wait(arrivals, |streams| streams.accepted[Purpose::Hello as usize].is_some()).await?;
                judge(peer, own, boots, &mut streams.accepted(Purpose::Hello)?).await
            },
        );
        let hello = match (ours, theirs) {
            (Ok(Ok(())), Ok(Ok(hello))) => hello,
            (ours, theirs) => return Err(refused(ours, theirs)),
        };
        accept(peer, hello.boot, boots).await?;
        streams.wait(arrivals, Streams::lanes_accepted).await?;
        let lanes = Lanes {
            signing: Way { out: signing, into: streams.accepted(Purpose::Signing)? },
            background: Way { out: background, into: streams.accepted(Purpose::Background)? },
        };
        Ok((hello, lanes))
    })
    .await
    .unwrap_or_else(|_| Err(Ungreeted::Failed(format!("the peer did not greet within {GREETING_TIMEOUT:?}"))))
}

/// Reads the peer's hello and tells it our verdict. After a refusal, waits for the peer to have read why.
async fn judge(
    peer: &Arc<Peer>,
    own: &Arc<Hello>,
    boots: &Arc<dyn Boots>,
    stream: &mut Stream,
) -> Result<Result<Hello, Refusal>, Ungreeted> {
    let bytes = read_frame(stream, MAX_HELLO_BYTES).await?;
    let (peer, own, boots) = (Arc::clone(peer), Arc::clone(own), Arc::clone(boots));
    // what is kept of boots is on disk: not on an async thread
    let judged = spawn_blocking(move || {
        let greeting = own.decode(&bytes)?;
        peer.judge(&own, &greeting, boots.as_ref()).map(|()| greeting.hello)
    });
    let judged =
        judged.await.map_err(|error| Ungreeted::Failed(format!("judging the peer failed: {error}")))?;
    let verdict = hello::encode_verdict(judged.as_ref().map(drop));
    write_frame(stream, &verdict).await?;
    if judged.is_err() {
        let _ = timeout(LINGER, stream.read(&mut [0; 1])).await;
    }
    Ok(judged)
}

/// Keeps the boot of a peer, now that both accept each other.
async fn accept(peer: &Arc<Peer>, boot: Boot, boots: &Arc<dyn Boots>) -> Result<(), Ungreeted> {
    let (peer, boots) = (Arc::clone(peer), Arc::clone(boots));
    let kept = spawn_blocking(move || peer.accept(boot, boots.as_ref())).await;
    kept.map_err(|error| Ungreeted::Failed(format!("keeping the peer's boot failed: {error}")))?
        .map_err(|refusal| Ungreeted::Refused(format!("we refuse the peer: {refusal}")))
}

/// What to say of a greeting that did not end well: the refusals, else what broke.
fn refused(
    ours: Result<Result<(), String>, Ungreeted>,
    theirs: Result<Result<Hello, Refusal>, Ungreeted>,
) -> Ungreeted {
    match (ours, theirs) {
        (Ok(Err(said)), Ok(Err(refusal))) => {
            Ungreeted::Refused(format!("we refuse the peer: {refusal}; the peer refuses us: {said}"))
        }
        (_, Ok(Err(refusal))) => Ungreeted::Refused(format!("we refuse the peer: {refusal}")),
        (Ok(Err(said)), _) => Ungreeted::Refused(format!("the peer refuses us: {said}")),
        (Err(error), _) | (_, Err(error)) => error,
        (Ok(Ok(())), Ok(Ok(_))) => Ungreeted::Failed("the greeting ended".into()),
    }
}

/// Streams as they come.
#[derive(Default)]
struct Streams {
    opened: [Option<Stream>; 3],
    accepted: [Option<Stream>; 3],
}

impl Streams {
    fn all_opened(&self) -> bool {
        self.opened.iter().all(Option::is_some)
    }

    fn lanes_accepted(&self) -> bool {
        [Purpose::Signing, Purpose::Background]
            .iter()
            .all(|purpose| self.accepted[*purpose as usize].is_some())
    }

    async fn wait(
        &mut self,
        arrivals: &mut mpsc::Receiver<Arrival>,
        enough: impl Fn(&Self) -> bool,
    ) -> Result<(), Ungreeted> {
        while !enough(self) {
            match arrivals.recv().await {
                Some(Arrival::Opened(purpose, stream)) => self.opened[purpose as usize] = Some(stream),
                Some(Arrival::Accepted(purpose, stream)) => self.accepted[purpose as usize] = Some(stream),
                Some(Arrival::Failed(reason)) => return Err(Ungreeted::Failed(reason)),
                Some(Arrival::Surplus) => {
                    return Err(Ungreeted::Failed("the peer opened a stream twice".into()));
                }
                None => return Err(Ungreeted::Failed("the connection ended".into())),
            }
        }
        Ok(())
    }

    fn opened(&mut self, purpose: Purpose) -> Result<Stream, Ungreeted> {
        self.opened[purpose as usize].take().ok_or_else(|| Ungreeted::Failed("a stream is missing".into()))
    }

    fn accepted(&mut self, purpose: Purpose) -> Result<Stream, Ungreeted> {
        self.accepted[purpose as usize].take().ok_or_else(|| Ungreeted::Failed("a stream is missing".into()))
    }
}

async fn write_frame(stream: &mut Stream, content: &[u8]) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    frame::append(&mut bytes, content);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Reads the one frame that a stream begins with.
async fn read_frame(stream: &mut Stream, most: usize) -> Result<bytes::Bytes, Ungreeted> {
    let mut decoder = Decoder::new(most);
    let mut chunk = [0; MAX_HELLO_BYTES];
    loop {
        let got = stream.read(&mut chunk).await?;
        if got == 0 {
            return Err(Ungreeted::Failed("the peer ended the greeting".into()));
        }
        decoder.push(&chunk[..got]);
        match decoder.take() {
            Ok(Some(content)) => return Ok(content),
            Ok(None) => {}
            Err(error) => return Err(Ungreeted::Failed(format!("the peer broke the greeting: {error}"))),
        }
    }
}
