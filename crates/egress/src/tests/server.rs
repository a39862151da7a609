//! A server that writes what it is told to, and counts who comes.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::LONG;

/// What a server does with a request.
pub(super) enum Say {
    /// Writes this and closes.
    Bytes(Vec<u8>),
    /// Writes this and waits until the other end closes.
    Hold(Vec<u8>),
    /// Writes this, then the second part again and again.
    Flood(Vec<u8>, Vec<u8>),
    /// The same, slowly.
    Drip(Vec<u8>, Vec<u8>, Duration),
}

impl Say {
    pub(super) fn ok(body: &str) -> Self {
        Self::response("200 OK", "content-type: text/plain\r\n", body.as_bytes())
    }

    pub(super) fn redirect(status: u16, location: &str) -> Self {
        Self::response(&format!("{status} Elsewhere"), &format!("location: {location}\r\n"), b"")
    }

    pub(super) fn response(status: &str, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
        Self::Bytes([head.as_bytes(), body].concat())
    }
}

type Behaviour = Arc<dyn Fn(&str) -> Say + Send + Sync>;

/// Ends when dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
    arrived: Semaphore,
    closed: Semaphore,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Server {
    /// Speaks plain HTTP, on a free port.
    pub(super) async fn plain(behaviour: impl Fn(&str) -> Say + Send + Sync + 'static) -> Self {
        Self::start(listener(super::LOOPBACK, 0).await, None, behaviour)
    }

    /// Speaks TLS, on a free port.
    pub(super) async fn tls(
        config: Arc<ServerConfig>,
        behaviour: impl Fn(&str) -> Say + Send + Sync + 'static,
    ) -> Self {
        Self::start(listener(super::LOOPBACK, 0).await, Some(config), behaviour)
    }

    pub(super) fn start(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        behaviour: impl Fn(&str) -> Say + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let behaviour: Behaviour = Arc::new(behaviour);
        let seen = Arc::new(Seen {
            connections: AtomicUsize::new(0),
            requests: Mutex::default(),
            arrived: Semaphore::new(0),
            closed: Semaphore::new(0),
        });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, tls.map(TlsAcceptor::from), Arc::clone(&seen), behaviour));
        Self { address, seen, _serving: serving }
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests, in lower case.
    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().expect("no panic").clone()
    }

    /// Waits for so many requests.
    pub(super) async fn arrived(&self, count: u32) {
        timeout(LONG, self.seen.arrived.acquire_many(count)).await.expect("requests").expect("open").forget();
    }

    /// Waits until so many connections were closed by the other end.
    pub(super) async fn closed(&self, count: u32) {
        timeout(LONG, self.seen.closed.acquire_many(count)).await.expect("an end").expect("open").forget();
    }
}

pub(super) async fn listener(address: IpAddr, port: u16) -> TcpListener {
    TcpListener::bind((address, port)).await.expect("a free port")
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, seen: Arc<Seen>, behaviour: Behaviour) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(connection(stream, tls.clone(), Arc::clone(&seen), Arc::clone(&behaviour)));
    }
}

async fn connection(tcp: TcpStream, tls: Option<TlsAcceptor>, seen: Arc<Seen>, behaviour: Behaviour) {
    let stream: io::Result<Box<dyn Stream>> = match tls {
        Some(acceptor) => acceptor.accept(tcp).await.map(|stream| Box::new(stream) as Box<dyn Stream>),
        None => Ok(Box::new(tcp)),
    };
    let Ok(mut stream) = stream else { return };
    let Ok(head) = read_head(&mut stream).await else { return };
    seen.requests.lock().expect("no panic").push(head.clone());
    let say = behaviour(&head);
    seen.arrived.add_permits(1);
    let waits = !matches!(say, Say::Bytes(_));
    // an error is the other end's closing
    let _closed = answer(&mut stream, say).await;
    if waits {
        seen.closed.add_permits(1);
    }
}

async fn read_head(stream: &mut Box<dyn Stream>) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).to_lowercase())
}

async fn answer(stream: &mut Box<dyn Stream>, say: Say) -> io::Result<()> {
    match say {
        Say::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Say::Hold(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            while stream.read(&mut [0; 1024]).await? > 0 {}
            Ok(())
        }
        Say::Flood(head, part) => {
            stream.write_all(&head).await?;
            loop {
                stream.write_all(&part).await?;
                stream.flush().await?;
            }
        }
        Say::Drip(head, part, every) => {
            stream.write_all(&head).await?;
            loop {
                stream.write_all(&part).await?;
                stream.flush().await?;
                tokio::time::sleep(every).await;
            }
        }
    }
}
