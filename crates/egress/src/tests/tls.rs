//! With whom TLS is spoken, and what is said when it is not.

use std::time::Instant;

use axum::{Router, http::Version, routing::get, serve::Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{certificates::Valid, server::listener, *};
use crate::TlsProblem;

/// What happens with a server that has this configuration at the place of `a.test`.
async fn problem(config: impl FnOnce(&Authority) -> std::sync::Arc<rustls::ServerConfig>) -> Fault {
    let authority = Authority::new();
    let server = Server::tls(config(&authority), |_| Say::ok("not for us")).await;
    let world = World::of(&authority, &[("a.test", server.address, false)], Vec::new(), Reach::PUBLIC);
    let fault = world.get("https://a.test/?key=secret").await.expect_err("a fault");
    assert_eq!(server.requests(), Vec::<String>::new(), "nothing is said to a stranger");
    assert!(!format!("{fault} {fault:?}").contains("secret"), "{fault:?}");
    fault
}

fn tls(problem: TlsProblem) -> Fault {
    Fault::Tls { host: "a.test".into(), problem }
}

#[tokio::test]
async fn only_who_has_a_certificate_for_the_name_is_asked() {
    let other = problem(|authority| authority.server("b.test", Valid::Now)).await;
    assert_eq!(other, tls(TlsProblem::OtherName));
    let address = problem(|authority| authority.server("127.0.0.1", Valid::Now)).await;
    assert_eq!(address, tls(TlsProblem::OtherName));
    let expired = problem(|authority| authority.server("a.test", Valid::Past)).await;
    assert_eq!(expired, tls(TlsProblem::Expired));
    let early = problem(|authority| authority.server("a.test", Valid::Future)).await;
    assert_eq!(early, tls(TlsProblem::NotYetValid));
    let own = problem(|_| Authority::self_signed("a.test")).await;
    assert_eq!(own, tls(TlsProblem::UnknownIssuer));
    let unknown = problem(|_| Authority::named("another").server("a.test", Valid::Now)).await;
    assert_eq!(unknown, tls(TlsProblem::UnknownIssuer));
    let impostor = problem(|_| Authority::new().server("a.test", Valid::Now)).await;
    assert_eq!(impostor, tls(TlsProblem::Other("invalid peer certificate: BadSignature".into())));
    assert_eq!(
        unknown.to_string(),
        "no TLS with a.test: its certificate is of an issuer that this node does not trust"
    );
}

#[tokio::test]
async fn a_configured_root_is_trusted() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("a.test", Valid::Now), |_| Say::ok("yes")).await;
    let world = World::of(&authority, &[("a.test", server.address, false)], Vec::new(), Reach::PUBLIC);
    let response = world.get("https://a.test/").await.expect("a response");
    assert_eq!((response.status, text(&response)), (200, "yes"));
    assert_eq!(response.content_type.as_deref(), Some("text/plain"));
}

#[tokio::test]
async fn plain_text_and_tls_are_told_apart() {
    let plain = Server::plain(|_| Say::ok("not for us")).await;
    let world = World::opened(&[("a.test", plain.address, false)]);
    // the server waits for a request's end, so it is the client that must not
    let talker = listener(LOOPBACK, 0).await;
    let address = talker.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = talker.accept().await {
            let _ =
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            while tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
        }
    });
    let talking = World::opened(&[("a.test", address, false)]);
    assert_eq!(talking.get("https://a.test/").await, Err(tls(TlsProblem::NotTls)));
    let read = bounded("https://a.test/", 0, 300);
    assert_eq!(world.egress.fetch(&listed(), &read).await, Err(Fault::Timeout { ms: 300 }));

    let secret = Server::tls(Authority::self_signed("a.test"), |_| Say::ok("not for us")).await;
    let world = World::opened(&[("a.test", secret.address, true)]);
    let fault = world.get("https://a.test/").await.expect_err("a fault");
    assert!(matches!(fault, Fault::Protocol { .. }), "{fault}");
}

#[tokio::test]
async fn refused_broken_and_silent_connections_are_told_apart() {
    let gone = listener(LOOPBACK, 0).await.local_addr().expect("an address");
    let world = World::opened(&[("a.test", gone, false)]);
    let fault = world.get("https://a.test/").await.expect_err("a fault");
    assert_eq!(fault, Fault::Connect { host: "a.test".into(), problem: "connection refused".into() });

    let closing = listener(LOOPBACK, 0).await;
    let address = closing.local_addr().expect("an address");
    tokio::spawn(async move { while closing.accept().await.is_ok() {} });
    let world = World::opened(&[("a.test", address, false)]);
    let fault = world.get("https://a.test/").await.expect_err("a fault");
    assert!(matches!(&fault, Fault::Connect { host, .. } if host == "a.test"), "{fault}");

    let silent = listener(LOOPBACK, 0).await;
    let world = World::opened(&[("a.test", silent.local_addr().expect("an address"), false)]);
    let begun = Instant::now();
    let fault = world.egress.fetch(&listed(), &bounded("https://a.test/", 0, 300)).await;
    assert_eq!(fault, Err(Fault::Timeout { ms: 300 }));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

/// Hands TLS streams to axum, which speaks HTTP/2 where that was agreed on.
struct TlsListener(TcpListener, TlsAcceptor);

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.0.accept().await else { continue };
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    for (protocols, version) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1")] {
        let authority = Authority::new();
        let config = authority.server_of("a.test", Valid::Now, protocols);
        let listener = listener(LOOPBACK, 0).await;
        let address = listener.local_addr().expect("an address");
        let routes = Router::new()
            .route("/", get(|version: Version| async move { format!("{version:?}") }))
            .route("/large", get(|| async { "x".repeat(200_000) }))
            .route("/long", get(|| async { ([("x-long", "x".repeat(40_000))], "short") }));
        tokio::spawn(axum::serve(TlsListener(listener, config.into()), routes).into_future());
        let world = World::of(&authority, &[("a.test", address, false)], Vec::new(), Reach::PUBLIC);
        let response = world.get("https://a.test/").await.expect("a response");
        assert_eq!(text(&response), version);
        let large = world.get("https://a.test/large").await;
        assert_eq!(large, Err(Fault::TooLarge { limit: 128 << 10 }));
        let long = world.get("https://a.test/long").await;
        match version {
            "HTTP/2.0" => assert!(matches!(long, Err(Fault::Protocol { .. })), "{long:?}"),
            _ => assert_eq!(text(&long.expect("within hyper's buffer")), "short"),
        }
    }
}
