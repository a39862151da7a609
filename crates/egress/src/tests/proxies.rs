//! Variables that name a proxy: they count for other programs.

use std::{env, process::Command};

use super::*;

const TARGET: &str = "COUNTERSIGN_TEST_TARGET";
const HOW: &str = "COUNTERSIGN_TEST_CLIENT";

/// Runs [`a_child_reads`] in a process whose environment names a proxy for everything.
async fn run_child(how: &str) -> (Server, Server) {
    let proxy = Server::plain(|_| Say::ok("from the proxy")).await;
    let target = Server::plain(|_| Say::ok("from the target")).await;
    let mut child = Command::new(env::current_exe().expect("this program"));
    child.args(["--exact", "tests::proxies::a_child_reads", "--ignored", "--nocapture"]);
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        let url = format!("http://{}", proxy.address);
        child.env(variable, &url).env(variable.to_lowercase(), &url);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy").env_remove("REQUEST_METHOD");
    child.env(TARGET, target.address.to_string()).env(HOW, how);
    let output = tokio::task::spawn_blocking(move || child.output());
    let output = output.await.expect("no panic").expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    (proxy, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_variables_do_not_count() {
    let (proxy, target) = run_child("egress").await;
    assert_eq!((proxy.connections(), target.connections()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_heeds_them_would_be_seen() {
    let (proxy, target) = run_child("reqwest").await;
    assert_eq!((proxy.connections(), target.connections()), (1, 0));
}

#[tokio::test]
#[ignore = "is run by the other tests here, in a process with another environment"]
async fn a_child_reads() {
    let target: SocketAddr = env::var(TARGET).expect("a target").parse().expect("an address");
    if env::var(HOW).as_deref() == Ok("egress") {
        let world = World::opened(&[("a.test", target, true)]);
        let response = world.get("https://a.test/").await.expect("a response");
        assert_eq!(text(&response), "from the target");
    } else {
        let client = reqwest::Client::builder().resolve("a.test", target).build().expect("a client");
        let response = client.get("http://a.test/").send().await.expect("a response");
        assert_eq!(response.text().await.expect("a text"), "from the proxy");
    }
}
