//! Connections: accepting, bounding and draining them.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use metrics::gauge;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{Backend, Config, ConfigError, observe, routes::router};

/// How long one connection is used; a client opens another. It bounds how long a slow reader holds memory.
const MAX_CONNECTION_LIFETIME: Duration = Duration::from_secs(300);
/// How much longer than the deadline a connection may take to end once it should.
const DRAIN_SLACK: Duration = Duration::from_secs(2);
/// The most bytes that are buffered of one connection: headers fit into them.
const MAX_BUFFER_BYTES: usize = 64 << 10;
/// The most headers of one request.
const MAX_HEADERS: usize = 64;
/// How long to wait when the machine gives no more connections (no file descriptors, no memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Answers on `listener` until `shutdown`, then lets the calls in progress end and returns.
///
/// HTTP/1.1 only: one call at a time on each connection, so that the bound on connections bounds everything.
/// After `shutdown` nothing new is accepted; what takes longer than the deadline is cut. Errors name a setting
/// that is out of its bounds.
pub async fn serve(
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    config: Config,
    shutdown: CancellationToken,
) -> Result<(), ConfigError> {
    config.validate()?;
    observe::describe();
    let router = router(backend, &config);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener), if connections.len() < config.max_connections => {
                if let Some(stream) = stream {
                    connections.spawn(connection(stream, router.clone(), config.clone(), shutdown.clone()));
                }
            }
        }
        gauge!(observe::CONNECTIONS).set(u32::try_from(connections.len()).unwrap_or(u32::MAX));
    }
    drop(listener);
    tracing::info!(open = connections.len(), "the HTTP interface stops");
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
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

async fn connection(stream: TcpStream, router: Router, config: Config, shutdown: CancellationToken) {
    // A signature is one small answer: waiting to fill a segment only delays it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection is gone");
        return;
    }
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout())
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES);
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
