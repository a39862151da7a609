//! Connections: accepting, bounding and draining them.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use metrics::gauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Backend, Config, ConfigError, Tls, observe,
    places::{Asker, Place, Places},
    routes::router,
    taken::{self, Taken},
};

/// How long one connection is used; a client opens another. It bounds how long a slow reader holds memory.
const MAX_CONNECTION_LIFETIME: Duration = Duration::from_secs(300);
/// How much longer than the deadline a connection may take to end once it should.
const DRAIN_SLACK: Duration = Duration::from_secs(2);
/// The most bytes that are buffered of one connection: headers fit into them.
const MAX_BUFFER_BYTES: usize = 64 << 10;
/// The most headers of one request.
const MAX_HEADERS: usize = 64;
/// How long a greeting by TLS may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when the machine gives no more connections (no file descriptors, no memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// How many bytes wait in the system for a client to take them, about. Left to itself the system lets it grow to megabytes and says
/// that there is room only when a third is free, so that a client looks as if it took nothing for long.
const SEND_BUFFER_BYTES: u32 = 128 << 10;
/// How many connections wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens at an address, with what [`serve`] needs of its connections.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // connections inherit it
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers on `listener`, made by [`listen`], until `shutdown`, then lets the calls in progress end and returns.
///
/// HTTP/1.1 only: one call at a time on each connection, so that the bound on connections bounds everything.
/// After `shutdown` nothing new is accepted; what takes longer than the deadline is cut. With `tls`, which is made of
/// [`Config::tls`], nothing else is spoken. Errors name a setting that cannot be used.
pub async fn serve(
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    config: Config,
    tls: Option<Arc<Tls>>,
    shutdown: CancellationToken,
) -> Result<(), ConfigError> {
    config.validate()?;
    observe::describe();
    let router = router(backend, &config)?;
    let served = Served { router, config, tls, shutdown };
    tokio::select! {
        () = follow(served.tls.clone()) => Ok(()),
        () = accept_all(listener, &served) => Ok(()),
    }
}

/// Keeps the certificate up to date, for ever.
async fn follow(tls: Option<Arc<Tls>>) {
    match tls {
        Some(tls) => tls.follow().await,
        None => std::future::pending().await,
    }
}

/// What each connection needs.
#[derive(Clone)]
struct Served {
    router: Router,
    config: Config,
    tls: Option<Arc<Tls>>,
    shutdown: CancellationToken,
}

async fn accept_all(listener: TcpListener, served: &Served) {
    let mut connections = JoinSet::new();
    let Config { max_connections, max_connections_of_address, .. } = served.config;
    let places = Places::new("connections are open", max_connections, max_connections_of_address);
    loop {
        tokio::select! {
            () = served.shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener), if connections.len() < max_connections => {
                if let Some((stream, from)) = stream {
                    let from = Asker(Some(counted(from.ip())));
                    if let Ok(place) = places.take(from) {
                        connections.spawn(connection(stream, from, place, served.clone()));
                    }
                }
            }
        }
        gauge!(observe::CONNECTIONS).set(u32::try_from(connections.len()).unwrap_or(u32::MAX));
    }
    drop(listener);
    tracing::info!(open = connections.len(), "the HTTP interface stops");
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => {
            tracing::warn!(%error, "no connection can be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::ConnectionAborted || kind == io::ErrorKind::ConnectionReset
}

/// Serves one connection, which has its place until it ends.
async fn connection(stream: TcpStream, from: Asker, _place: Place, served: Served) {
    // A signature is one small answer: waiting to fill a segment only delays it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone");
        return;
    }
    let Some(tls) = &served.tls else {
        return converse(stream, from, served).await;
    };
    let greeted = tokio::select! {
        greeted = timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)) => greeted,
        () = served.shutdown.cancelled() => return,
    };
    match greeted {
        Ok(Ok(stream)) => converse(stream, from, served).await,
        Ok(Err(error)) => tracing::debug!(%error, "a greeting by TLS failed"),
        Err(_) => tracing::debug!("a greeting by TLS took too long"),
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, from: Asker, served: Served) {
    let Served { router, config, shutdown, .. } = served;
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout())
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES);
    let router = router.layer(Extension(from));
    let stream = TokioIo::new(Taken::new(stream, taken::LEAST));
    let mut serving = pin!(builder.serve_connection(stream, TowerToHyperService::new(router)));
    tokio::select! {
        ended = serving.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
            return;
        }
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(MAX_CONNECTION_LIFETIME) => {}
    }
    serving.as_mut().graceful_shutdown();
    if timeout(config.deadline() + DRAIN_SLACK, serving).await.is_err() {
        tracing::debug!("a connection that did not end was cut");
    }
}

/// What an address counts as: whoever has one of IPv6 has at least 2^64.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_subscriber_count_as_one() {
        let counted = |text: &str| counted(text.parse().expect("an address")).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("2001:db8:1:2::1"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(counted("192.0.2.7"), "192.0.2.7");
    }
}
