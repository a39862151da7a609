//! Round-trip time of 200-byte frames over the long-lived streams, beside a plain TCP socket on the same runtime.
//!
//! One frame is in flight. The figure to watch is the ratio: what authentication, encryption, multiplexing and queues
//! cost over the floor.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use countersign_network::{
    Boot, BootId, Boots, Config, Event, EventReceiver, Handle, Hello, Lane, Multiaddr, boots::Forgotten,
    start,
};
use countersign_types::{EngineId, NetworkId, NodeKey, NodePublicKey};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const FRAME: usize = 200;
const WARM: usize = 500;
const ROUNDS: usize = 5_000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let floor = median(tcp_rounds().await?);
        println!("raw TCP            p50 {:>7.1} us", micros(floor));
        for (name, listen) in
            [("QUIC streams", "/ip4/127.0.0.1/udp/0/quic-v1"), ("TCP streams", "/ip4/127.0.0.1/tcp/0")]
        {
            let p50 = median(stream_rounds(listen.parse()?).await?);
            let ratio = p50.as_secs_f64() / floor.as_secs_f64();
            println!("{name:<18} p50 {:>7.1} us   {ratio:.2} x raw TCP", micros(p50));
        }
        Ok(())
    })
}

async fn tcp_rounds() -> Outcome<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut frame = [0; FRAME];
        loop {
            stream.read_exact(&mut frame).await?;
            stream.write_all(&frame).await?;
        }
        #[expect(unreachable_code, reason = "gives the loop its error type")]
        Ok::<(), std::io::Error>(())
    });
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut frame = [7; FRAME];
    let mut rounds = Vec::with_capacity(ROUNDS);
    for round in 0..WARM + ROUNDS {
        let begun = Instant::now();
        stream.write_all(&frame).await?;
        stream.read_exact(&mut frame).await?;
        if round >= WARM {
            rounds.push(begun.elapsed());
        }
    }
    echo.abort();
    Ok(rounds)
}

async fn stream_rounds(listen: Multiaddr) -> Outcome<Vec<Duration>> {
    let ((handle, mut events), (echo, mut echoed), to) = pair(listen).await?;
    let echoing = tokio::spawn(async move {
        while let Some(event) = echoed.recv().await {
            if let Event::Frame { from, lane, bytes } = event {
                let _ = echo.send(&from, lane, bytes);
            }
        }
    });
    while !matches!(events.recv().await, Some(Event::Connected { .. })) {}
    let frame = Bytes::from_static(&[7; FRAME]);
    let mut rounds = Vec::with_capacity(ROUNDS);
    for round in 0..WARM + ROUNDS {
        let begun = Instant::now();
        handle.send(&to, Lane::Signing, frame.clone())?;
        while !matches!(events.recv().await.ok_or("shut down")?, Event::Frame { .. }) {}
        if round >= WARM {
            rounds.push(begun.elapsed());
        }
    }
    handle.shutdown().await;
    echoing.abort();
    Ok(rounds)
}

type Side = (Handle, EventReceiver);

/// A member that dials and one that is dialled.
async fn pair(listen: Multiaddr) -> Outcome<(Side, Side, NodePublicKey)> {
    let mut keys = [NodeKey::from_bytes([1; 32])?, NodeKey::from_bytes([2; 32])?];
    keys.sort_by_key(|key| libp2p::PeerId::from_public_key(&countersign_network::keypair(key).public()));
    let members: Vec<_> = keys.iter().map(NodeKey::public_key).collect();
    let hello = Hello {
        network: NetworkId::from([1; 32]),
        protocol: 1,
        engine: EngineId::from([2; 32]),
        boot: Boot { generation: 1, id: BootId([1; 16]) },
        version: "bench".into(),
    };
    let mut config = Config { listen: vec![listen], ..Config::default() };
    let dialled = start(&keys[1], hello.clone(), &members, config.clone(), boots()).await?;
    config.peers.insert(members[1], dialled.0.listen_addresses());
    let dialler = start(&keys[0], hello, &members, config, boots()).await?;
    Ok((dialler, dialled, members[1]))
}

/// Each of the two had one boot.
fn boots() -> Arc<dyn Boots> {
    Arc::new(Forgotten::new(vec![Boot { generation: 1, id: BootId([1; 16]) }]))
}

fn median(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort();
    rounds[rounds.len() / 2]
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
