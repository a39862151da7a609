//! Redirects: each hop is checked as the first URL was.

use std::sync::Arc;

use super::{
    certificates::Valid,
    dns::{Answer, NameServer},
    *,
};
use crate::{MAX_REDIRECTS, address::is_public};

fn path(head: &str) -> &str {
    head.split(' ').nth(1).expect("a request line")
}

/// Two hosts, the second over TLS, that answer by path.
async fn hosts(says: impl Fn(&str) -> Say + Send + Sync + 'static) -> (Server, Server, World) {
    let says = Arc::new(says);
    let authority = Authority::new();
    let first = Arc::clone(&says);
    let a = Server::plain(move |head| first(path(head))).await;
    let b = Server::tls(authority.server("b.test", Valid::Now), move |head| says(path(head))).await;
    let open = [("a.test", a.address, true), ("b.test", b.address, false)];
    let world = World::of(&authority, &open, Vec::new(), Reach::PUBLIC);
    (a, b, world)
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed_three_times_and_not_more() {
    for status in [301, 302, 303, 307, 308] {
        let (a, _b, world) = hosts(move |path| match path.len() {
            6 => Say::ok("the end"),
            _ => Say::redirect(status, &format!("{path}+")),
        })
        .await;
        // from `/++` it takes three redirects to six characters, from `/+` four
        let response = world.get("https://a.test/++").await.expect("a response");
        assert_eq!((response.status, text(&response)), (200, "the end"));
        assert_eq!(a.connections(), MAX_REDIRECTS + 1);
        let fault = world.get("https://a.test/+").await.expect_err("a fault");
        assert_eq!(fault, Fault::Redirects { host: "a.test".into(), status, limit: MAX_REDIRECTS });
    }
}

#[tokio::test]
async fn an_endless_chain_ends() {
    let (a, b, world) = hosts(|path| match path {
        "/a" => Say::redirect(302, "https://b.test/b"),
        _ => Say::redirect(307, "https://a.test/a"),
    })
    .await;
    let fault = world.get("https://a.test/a").await.expect_err("a fault");
    assert_eq!(fault, Fault::Redirects { host: "b.test".into(), status: 307, limit: MAX_REDIRECTS });
    assert_eq!((a.connections(), b.connections()), (2, 2));
}

#[tokio::test]
async fn other_statuses_of_the_300s_are_responses() {
    for status in [300, 304, 305, 306] {
        let (_a, _b, world) = hosts(move |_| Say::redirect(status, "https://b.test/")).await;
        assert_eq!(world.get("https://a.test/").await.expect("a response").status, status);
    }
}

#[tokio::test]
async fn the_actions_headers_go_to_the_first_host_only() {
    let (a, b, world) = hosts(|path| match path {
        "/start" => Say::redirect(302, "/here"),
        "/here" => Say::redirect(302, "https://b.test/there"),
        "/there" => Say::redirect(302, "https://a.test/back"),
        _ => Say::ok("the end"),
    })
    .await;
    let headers = [("authorization", "Bearer one"), ("cookie", "two=2"), ("x-api-key", "three")];
    let read = with_headers("https://a.test/start", &headers);
    let response = world.egress.fetch(&listed(), &read).await.expect("a response");
    assert_eq!(text(&response), "the end");
    let sent = |head: &str| headers.iter().filter(|(name, _)| head.contains(&format!("\r\n{name}:"))).count();
    let [start, here, back] = &a.requests()[..] else { panic!("{:?}", a.requests()) };
    let [there] = &b.requests()[..] else { panic!("{:?}", b.requests()) };
    assert_eq!((sent(start), sent(here)), (3, 3), "at the first host");
    assert_eq!((sent(there), sent(back)), (0, 0), "elsewhere, and back from there");
    for head in [start, here, there, back] {
        assert!(!head.contains("referer"), "{head}");
        assert!(
            head.contains(&format!("user-agent: countersign/{}\r\n", env!("CARGO_PKG_VERSION"))),
            "{head}"
        );
        assert!(head.contains("accept-encoding: gzip\r\n"), "{head}");
    }
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let (a, _b, world) = hosts(|path| match path {
        "/start" => Say::response("302 Found", "location: /end\r\nset-cookie: a=1; path=/\r\n", b""),
        _ => Say::ok("the end"),
    })
    .await;
    world.get("https://a.test/start").await.expect("a response");
    world.get("https://a.test/end").await.expect("a response");
    assert!(a.requests().iter().all(|head| !head.contains("cookie")), "{:?}", a.requests());
}

#[tokio::test]
async fn a_redirect_leads_to_nothing_that_a_url_could_not_name() {
    let inside = Server::plain(|_| Say::ok("a secret")).await;
    let port = inside.address.port();
    for (location, reason) in [
        (format!("http://127.0.0.1:{port}/"), "is not one of https"),
        ("http://b.test/".into(), "is not one of https"),
        ("file:///etc/passwd".into(), "is not one of https"),
        (format!("https://127.0.0.1:{port}/"), "names a port: only 443 is used"),
        ("https://127.0.0.1/".into(), "names an address: only host names are fetched from"),
        ("https://2130706433/".into(), "names an address: only host names are fetched from"),
        ("https://[::ffff:127.0.0.1]/".into(), "names an address: only host names are fetched from"),
        (format!("https://b.test:{port}/"), "names a port: only 443 is used"),
        ("https://me:secret@b.test/".into(), "holds a user name or a password: use a header"),
    ] {
        let (_a, b, world) = hosts(move |_| Say::redirect(302, &location)).await;
        let fault = world.get("https://a.test/").await.expect_err("a fault");
        assert_eq!(fault, Fault::Redirect { host: "a.test".into(), status: 302, reason });
        assert!(!fault.to_string().contains("secret"), "{fault}");
        assert_eq!((b.connections(), inside.connections()), (0, 0));
    }
    let (_a, _b, world) = hosts(|_| Say::response("302 Found", "", b"")).await;
    let fault = world.get("https://a.test/").await.expect_err("a fault");
    assert_eq!(fault, Fault::Redirect { host: "a.test".into(), status: 302, reason: "is missing" });
}

#[tokio::test]
async fn a_redirect_leads_to_hosts_of_the_manifest_only() {
    let (_a, b, world) = hosts(|_| Say::redirect(302, "https://b.test/?key=secret")).await;
    let only_a = ["a.test".to_owned()];
    let fault = world.egress.fetch(&only_a, &read("https://a.test/")).await.expect_err("a fault");
    assert_eq!(fault, Fault::NotInManifest { host: "b.test".into() });
    assert_eq!(b.connections(), 0);
    assert_eq!(fault.to_string(), "the action's manifest does not list the host b.test");
}

#[tokio::test]
async fn a_redirect_does_not_lead_inside() {
    for (accepts, reached) in [(is_public as fn(IpAddr) -> bool, 0), (|_: IpAddr| true, 1)] {
        let inside = Server::tls(Authority::self_signed("inside.test"), |_| Say::ok("a secret")).await;
        let dns = NameServer::start(|_, _| Answer::Addresses(vec![LOOPBACK])).await;
        let a = Server::plain(|_| Say::redirect(302, "https://inside.test/")).await;
        let reach = Reach { accepts, port: inside.address.port() };
        let world = World::new(&[("a.test", a.address, true)], vec![dns.address], reach);
        let fault = world.get("https://a.test/").await.expect_err("a fault");
        let expected = Fault::NotPublic { host: "inside.test".into(), address: LOOPBACK };
        assert_eq!(fault == expected, reached == 0, "{fault}");
        assert_eq!(inside.connections(), reached, "{fault}");
    }
}
