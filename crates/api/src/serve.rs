//! Connections: accepting, bounding and draining them.

use std::{
    collections::BTreeMap,
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
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Backend, Config, ConfigError, Tls, observe,
    routes::{Asker, router},
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

/// Answers on `listener` until `shutdown`, then lets the calls in progress end and returns.
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
    let mut of_address = OfAddress::default();
    loop {
        tokio::select! {
            () = served.shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => of_address.ended(ended),
            stream = accept(&listener), if connections.len() < served.config.max_connections => {
                if let Some((stream, from)) = stream {
                    let from = counted(from.ip());
                    if of_address.takes(from, served.config.max_connections_of_address) {
                        connections.spawn(connection(stream, from, served.clone()));
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

/// How many connections each address has.
#[derive(Default)]
struct OfAddress(BTreeMap<IpAddr, usize>);

impl OfAddress {
    /// Counts one more, unless there are as many as may be.
    fn takes(&mut self, address: IpAddr, most: usize) -> bool {
        let open = self.0.entry(address).or_default();
        let takes = *open < most;
        if takes {
            *open += 1;
        }
        takes
    }

    fn ended(&mut self, ended: Result<IpAddr, JoinError>) {
        // no connection is aborted, and none panics: what would be lost is one place of an address
        let Ok(address) = ended else { return };
        if let Some(open) = self.0.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                self.0.remove(&address);
            }
        }
    }
}

/// Serves one connection; returns its address.
async fn connection(stream: TcpStream, from: IpAddr, served: Served) -> IpAddr {
    // A signature is one small answer: waiting to fill a segment only delays it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone");
        return from;
    }
    let Some(tls) = &served.tls else {
        converse(stream, from, served).await;
        return from;
    };
    let greeted = tokio::select! {
        greeted = timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream)) => greeted,
        () = served.shutdown.cancelled() => return from,
    };
    match greeted {
        Ok(Ok(stream)) => converse(stream, from, served).await,
        Ok(Err(error)) => tracing::debug!(%error, "a greeting by TLS failed"),
        Err(_) => tracing::debug!("a greeting by TLS took too long"),
    }
    from
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: IpAddr,
    served: Served,
) {
    let Served { router, config, shutdown, .. } = served;
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout())
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES);
    let router = router.layer(Extension(Asker(from)));
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
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
    fn one_address_has_so_many_connections_and_others_have_theirs() {
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut open = OfAddress::default();
        assert_eq!([one, one, one, other].map(|from| open.takes(from, 2)), [true, true, false, true]);
        open.ended(Ok(one));
        assert!(open.takes(one, 2));
        [one, one, other].into_iter().for_each(|from| open.ended(Ok(from)));
        assert!(open.0.is_empty(), "what has ended is remembered");
    }

    #[test]
    fn addresses_of_one_subscriber_count_as_one() {
        let counted = |text: &str| counted(text.parse().expect("an address")).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("2001:db8:1:2::1"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(counted("192.0.2.7"), "192.0.2.7");
    }
}
