//! Ways to a member that are not as they should be, and who else uses them.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use socket2::SockRef;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::world::PATIENCE;

/// A way to a member over sockets that hold little.
pub(crate) struct Narrow(TcpListener);

impl Narrow {
    /// The most bytes of a segment, and what waits here: the dialler's system sizes what it holds for a connection by them.
    const SEGMENT: u32 = 536;
    const WAITING: u32 = 4096;

    pub(crate) fn listen() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(Self::WAITING).expect("a size");
        SockRef::from(&socket).set_tcp_mss(Self::SEGMENT).expect("a segment's size");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("binds");
        Self(socket.listen(8).expect("listens"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// Takes the next connection, and passes what it carries on.
    pub(crate) async fn pass(&self, to: u16) -> Passing {
        let accepted = timeout(PATIENCE, self.0.accept()).await.expect("it dials in time");
        let (mut dialled, _) = accepted.expect("a connection");
        let mut onwards = TcpStream::connect(("127.0.0.1", to)).await.expect("it listens");
        let (freeze, mut frozen) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = copy_bidirectional(&mut dialled, &mut onwards) => {}
                _ = &mut frozen => {}
            }
            (dialled, onwards)
        });
        Passing { freeze, task }
    }
}

pub(crate) struct Passing {
    freeze: oneshot::Sender<()>,
    task: JoinHandle<(TcpStream, TcpStream)>,
}

impl Passing {
    /// Passes nothing on any more; both connections are open for as long as they are held.
    pub(crate) async fn freeze(self) -> (TcpStream, TcpStream) {
        self.freeze.send(()).expect("it passes");
        self.task.await.expect("no panic")
    }
}

/// Opens TCP connections from another address, without a word, and keeps the last few hundred.
pub(crate) struct Flood(JoinHandle<()>);

impl Flood {
    const HELD: usize = 256;
    const PAUSE: Duration = Duration::from_millis(2);

    pub(crate) fn start(to: SocketAddr) -> Self {
        Self(tokio::spawn(async move {
            let mut held = VecDeque::new();
            loop {
                if let Ok(stream) = connect(Ipv4Addr::new(127, 0, 0, 2), to).await {
                    held.push_back(stream);
                }
                if held.len() > Self::HELD {
                    held.pop_front();
                }
                tokio::time::sleep(Self::PAUSE).await;
            }
        }))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens TCP connections without a word, each from an address of its own.
pub(crate) async fn strangers(count: u8, to: SocketAddr) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for number in 0..count {
        held.push(connect(Ipv4Addr::new(127, 0, 1, number), to).await.expect("it listens"));
    }
    held
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((from, 0))).expect("binds");
    socket.connect(to).await
}

pub(crate) fn free_tcp_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("bound").port()
}

pub(crate) fn tcp(port: u16) -> Multiaddr {
    format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address")
}

pub(crate) fn tcp_port(addresses: &[Multiaddr]) -> u16 {
    let tcp = |part| if let Protocol::Tcp(port) = part { Some(port) } else { None };
    addresses.iter().flatten().find_map(tcp).expect("listens on TCP")
}

/// Passes datagrams on for one client, while it is open.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) open: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(behind: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let back = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let address = front.local_addr().expect("bound");
        let open = Arc::new(AtomicBool::new(true));
        let passes = Arc::clone(&open);
        let task = tokio::spawn(async move {
            let (mut there, mut here) = (vec![0; 65_536], vec![0; 65_536]);
            let mut client = address;
            loop {
                tokio::select! {
                    Ok((got, from)) = front.recv_from(&mut there) => {
                        client = from;
                        if passes.load(Ordering::Relaxed) {
                            let _ = back.send_to(&there[..got], behind).await;
                        }
                    }
                    Ok((got, _)) = back.recv_from(&mut here) => {
                        if passes.load(Ordering::Relaxed) {
                            let _ = front.send_to(&here[..got], client).await;
                        }
                    }
                }
            }
        });
        Self { address, open, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn quic(socket: SocketAddr) -> Multiaddr {
    format!("/ip4/{}/udp/{}/quic-v1", socket.ip(), socket.port()).parse().expect("an address")
}

pub(crate) fn udp_socket(addresses: &[Multiaddr]) -> SocketAddr {
    let udp = |part| if let Protocol::Udp(port) = part { Some(port) } else { None };
    let port = addresses.iter().flatten().find_map(udp).expect("listens on UDP");
    SocketAddr::from(([127, 0, 0, 1], port))
}
