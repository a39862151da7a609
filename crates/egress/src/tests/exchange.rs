//! What a read holds while it lasts, and that nothing of it stays.

use std::sync::Arc;

use super::{certificates::Valid, *};
use crate::{MAX_READS_PER_HOST, TlsProblem};

#[tokio::test]
async fn hosts_outside_of_the_manifest_are_not_asked() {
    let server = Server::plain(|_| Say::ok("yes")).await;
    let world = World::opened(&[("a.test", server.address, true)]);
    for hosts in
        [&[][..], &["b.test"], &["test"], &["A.test"], &["*"], &["*.test"], &["a.test."], &["xa.test"]]
    {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).into()).collect();
        let fault = world.egress.fetch(&hosts, &read("https://a.test/")).await;
        assert_eq!(fault, Err(Fault::NotInManifest { host: "a.test".into() }), "{hosts:?}");
    }
    assert_eq!(server.connections(), 0);
    assert!(world.get("https://a.test/").await.is_ok());
}

#[tokio::test]
async fn a_dropped_read_closes_its_connection() {
    for head in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it"] {
        let server = Server::plain(move |_| Say::Hold(head.to_vec())).await;
        let world = World::opened(&[("a.test", server.address, true)]);
        tokio::select! {
            answer = world.get("https://a.test/") => panic!("{answer:?}"),
            () = server.arrived(1) => {}
        }
        server.closed(1).await;
    }
}

#[tokio::test]
async fn a_finished_read_leaves_no_connection() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = Server::plain(|_| Say::Hold(half.to_vec())).await;
    let world = World::opened(&[("a.test", server.address, true)]);
    for count in 1..=3 {
        assert!(world.get("https://a.test/").await.is_ok());
        server.closed(1).await;
        assert_eq!(server.connections(), count);
    }
}

#[tokio::test]
async fn two_names_of_one_address_share_nothing() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("a.test", Valid::Now), |_| {
        Say::Hold(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec())
    })
    .await;
    let open = [("a.test", server.address, false), ("b.test", server.address, false)];
    let world = World::of(&authority, &open, Vec::new(), Reach::PUBLIC);
    assert!(world.get("https://a.test/").await.is_ok());
    // over a connection of a.test's it would succeed
    let fault = world.get("https://b.test/").await;
    assert_eq!(fault, Err(Fault::Tls { host: "b.test".into(), problem: TlsProblem::OtherName }));
    assert!(world.get("https://a.test/").await.is_ok());
    assert_eq!(server.connections(), 3);
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn reads_of_one_host_are_bounded() {
    let server = Server::plain(|_| Say::Hold(Vec::new())).await;
    let other = Server::plain(|_| Say::ok("yes")).await;
    let world = World::opened(&[("a.test", server.address, true), ("b.test", other.address, true)]);
    let world = Arc::new(world);
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..MAX_READS_PER_HOST {
        let world = Arc::clone(&world);
        reads.spawn(async move { world.get("https://a.test/").await });
    }
    server.arrived(MAX_READS_PER_HOST as u32).await;
    let busy = Fault::HostBusy { host: "a.test".into(), limit: MAX_READS_PER_HOST };
    assert_eq!(world.get("https://a.test/").await, Err(busy));
    assert!(world.get("https://b.test/").await.is_ok());
    reads.shutdown().await;
    let free = world.egress.fetch(&listed(), &bounded("https://a.test/", 0, 100)).await;
    assert_eq!(free, Err(Fault::Timeout { ms: 100 }));
}
