//! Real connections: slow clients, bounds, and draining.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use countersign_api::{Config, ConfigError, Tls, listen, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::fake::{Fake, request_body};

/// Long enough for anything that happens on an overloaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) backend: Arc<Fake>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ConfigError>>,
}

pub(crate) async fn served(backend: Fake, config: Config) -> Served {
    let tls = config.tls.clone().map(|files| Arc::new(Tls::load(files).expect("a certificate")));
    let listener = listen(config.listen).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (backend, shutdown) = (Arc::new(backend), CancellationToken::new());
    let task = tokio::spawn(serve(listener, backend.clone(), config, tls, shutdown.clone()));
    Served { address, backend, shutdown, task }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.task).await.expect("it stops").expect("no panic").expect("legal settings");
    }
}

/// Everything until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("it is closed").expect("a clean end");
    String::from_utf8(bytes).expect("text")
}

fn post(body: &str) -> String {
    format!(
        "POST /v1/requests HTTP/1.1\r\nhost: node\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_call_in_progress_is_answered_after_the_shutdown_and_nothing_new_is() {
    let served = served(Fake::gated(), Config::default()).await;
    // Connections are accepted in their order: the idle one is when the call of the other arrives.
    let (mut idle, mut busy) = (served.connect().await, served.connect().await);
    busy.write_all(post(&request_body()).as_bytes()).await.expect("sent");
    served.backend.reached(1).await;

    served.shutdown.cancel();
    assert_eq!(rest(&mut idle).await, "", "an idle connection ends at once");
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
    assert!(!served.task.is_finished());

    served.backend.open();
    assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200 OK\r\n"));
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_headers_is_cut_off() {
    let config = Config { header_timeout_ms: 100, ..Config::default() };
    let served = served(Fake::default(), config).await;
    let (mut silent, mut slow) = (served.connect().await, served.connect().await);
    slow.write_all(b"GET /healthz HTTP/1.1\r\nx-slow: ").await.expect("sent");
    assert!(!rest(&mut silent).await.contains("200 OK"));
    assert!(!rest(&mut slow).await.contains("200 OK"));
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_keeps_a_connection_without_using_it_is_cut_off() {
    let config = Config { header_timeout_ms: 300, ..Config::default() };
    let served = served(Fake::default(), config).await;
    let mut kept = served.connect().await;
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: node\r\n\r\n").await.expect("sent");
    assert!(rest(&mut kept).await.starts_with("HTTP/1.1 200 OK\r\n"));
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_body_is_answered_and_cut_off() {
    let config = Config { body_timeout_ms: 100, ..Config::default() };
    let served = served(Fake::default(), config).await;
    let mut slow = served.connect().await;
    let whole = post(&request_body());
    slow.write_all(&whole.as_bytes()[..whole.len() - 1]).await.expect("sent");
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_for_its_turn() {
    let config = Config { max_connections: 1, ..Config::default() };
    let served = served(Fake::default(), config).await;
    let health = b"GET /healthz HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";
    let mut first = served.connect().await;
    // The first is accepted once it has an answer on a connection that it keeps.
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: node\r\n\r\n").await.expect("sent");
    let mut byte = [0];
    timeout(PATIENCE, first.read_exact(&mut byte)).await.expect("in time").expect("an answer");

    let mut second = served.connect().await;
    second.write_all(health).await.expect("sent");
    let early = timeout(Duration::from_millis(300), second.read_exact(&mut byte)).await;
    assert!(early.is_err(), "the second is not served beside the first");
    drop(first);
    assert!(rest(&mut second).await.ends_with("ok\n"));
    served.stop().await;
}

#[tokio::test]
async fn headers_that_are_too_many_or_too_long_are_refused() {
    let served = served(Fake::default(), Config::default()).await;
    let many: String = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(200_000));
    for headers in [many, long] {
        let mut stream = served.connect().await;
        let request = format!("GET /healthz HTTP/1.1\r\nhost: node\r\n{headers}\r\n");
        // The server may close before all is sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    served.stop().await;
}

/// The system's own buffers grow to megabytes, and a client that takes them looks for half a minute as if it took nothing.
#[tokio::test]
async fn little_waits_in_the_system_for_a_client() {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (accepted, _) = accepted.expect("a connection");
    let accepted = TcpSocket::from_std_stream(accepted.into_std().expect("a socket"));
    // Linux keeps twice as much for its own books
    let size = accepted.send_buffer_size().expect("a size");
    assert!((64 << 10..=512 << 10).contains(&size), "{size}");
    drop(client);
}

#[tokio::test]
async fn settings_out_of_bounds_are_named() {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let config = Config { max_in_flight: 0, ..Config::default() };
    let error = serve(listener, Arc::new(Fake::default()), config, None, CancellationToken::new()).await;
    assert_eq!(error.expect_err("out of bounds").to_string(), "max_in_flight must be 1 to 65536, got 0");
}
