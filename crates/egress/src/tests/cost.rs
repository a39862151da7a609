//! What a read costs beside a bare request.

use std::time::Instant;

use super::{certificates::Valid, *};

const ROUNDS: u32 = 200;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: cargo test -p countersign-egress cost -- --ignored --nocapture"]
async fn of_a_read() {
    let plain = Server::plain(|_| Say::ok("1.5")).await;
    let authority = Authority::new();
    let secret = Server::tls(authority.server("b.test", Valid::Now), |_| Say::ok("1.5")).await;
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).expect("a root");
    let open = [("a.test", plain.address, true), ("b.test", secret.address, false)];
    let world = World::of(&authority, &open, Vec::new(), Reach::PUBLIC);
    for (name, url, address) in
        [("a.test", "http://a.test/", plain.address), ("b.test", "https://b.test/", secret.address)]
    {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            world.get(&format!("https://{name}/")).await.expect("a response");
        }
        let reads = begun.elapsed() / ROUNDS;
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([root.clone()])
            .resolve(name, address)
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            client.get(url).send().await.expect("a response").bytes().await.expect("a body");
        }
        let bare = begun.elapsed() / ROUNDS;
        println!(
            "{url}: read {reads:?}, bare request {bare:?}, {:.2}",
            reads.as_secs_f64() / bare.as_secs_f64()
        );
    }
}
