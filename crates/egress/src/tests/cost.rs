//! What a read costs beside a bare request over a new connection.

use std::time::Instant;

use super::{certificates::Valid, *};

const ROUNDS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: cargo test -p countersign-egress cost -- --ignored --nocapture"]
async fn of_a_read() {
    let authority = Authority::new();
    let plain = Server::plain(|_| Say::ok("1.5")).await;
    let secret = Server::tls(authority.server("b.test", Valid::Now), |_| Say::ok("1.5")).await;
    let open = [("a.test", plain.address, true), ("b.test", secret.address, false)];
    let world = World::of(&authority, &open, Vec::new(), Reach::PUBLIC);
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).expect("a root");
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]).pool_max_idle_per_host(0);
    let client = builder.resolve("a.test", plain.address).resolve("b.test", secret.address);
    let client = client.build().expect("a client");
    for (bare, url) in [("http://a.test/", "https://a.test/"), ("https://b.test/", "https://b.test/")] {
        let (mut reads, mut requests) = (Vec::new(), Vec::new());
        // in turns, so that what else this machine does weighs on both
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            world.get(url).await.expect("a response");
            reads.push(begun.elapsed());
            let begun = Instant::now();
            client.get(bare).send().await.expect("a response").bytes().await.expect("a body");
            requests.push(begun.elapsed());
        }
        let (read, request) = (median(reads), median(requests));
        let ratio = read.as_secs_f64() / request.as_secs_f64();
        println!("{bare}: a read {read:?}, a bare request {request:?}, {ratio:.2}");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
