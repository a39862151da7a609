//! The node's HTTP interface, asked from this machine.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use countersign_types::api::NetworkInfo;
use reqwest::{Client, Response, redirect};

use crate::report::with_causes;

/// The most bytes of an answer.
const MAX_BYTES: usize = 1 << 20;

/// Where the interface is reached from this machine; none where its port is not fixed.
pub(crate) fn from_here(listen: SocketAddr) -> Option<SocketAddr> {
    let ip: IpAddr = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    (listen.port() != 0).then(|| SocketAddr::new(ip, listen.port()))
}

/// What whoever listens at an address says of its network.
pub(crate) async fn network(at: SocketAddr, tls: bool, within: Duration) -> Result<NetworkInfo, String> {
    let scheme = if tls { "https" } else { "http" };
    let client = client().map_err(|error| with_causes(&error))?;
    let asked = client.get(format!("{scheme}://{at}/v1/network")).timeout(within).send().await;
    let response = asked.map_err(|error| with_causes(&error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("it answers with status {status}"));
    }
    let body = bounded(response).await?;
    serde_json::from_slice(&body).map_err(|_| "its answer is not that of a node".into())
}

/// The certificate is that of a name by which others reach the node, not of an address of this machine. Nothing rests on the
/// answer but what this report says.
fn client() -> reqwest::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
        .build()
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| with_causes(&error))? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(format!("its answer has more than {MAX_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn an_interface_on_every_address_is_reached_on_loopback() {
        let reached = |listen: &str| from_here(listen.parse().expect("an address")).map(|a| a.to_string());
        assert_eq!(reached("0.0.0.0:8470").as_deref(), Some("127.0.0.1:8470"));
        assert_eq!(reached("[::]:8470").as_deref(), Some("[::1]:8470"));
        assert_eq!(reached("192.0.2.7:8470").as_deref(), Some("192.0.2.7:8470"));
        assert_eq!(reached("127.0.0.1:0"), None);
    }

    /// What is said of a program that answers so.
    async fn said_of(answer: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            // whoever asks may hang up before all of it is written
            let _ = stream.write_all(answer.as_bytes()).await;
        });
        let said = network(at, false, Duration::from_secs(10)).await.expect_err("it is no node");
        other.await.expect("it ends");
        said
    }

    #[tokio::test]
    async fn another_program_at_the_address_is_no_node() {
        let answer = |status: &str, body: &str| {
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        };
        assert!(said_of(answer("404 Not Found", "")).await.contains("404"));
        assert!(said_of(answer("200 OK", "{}")).await.contains("not that of a node"));
        assert!(said_of(answer("200 OK", &" ".repeat(MAX_BYTES + 1))).await.contains("more than"));
        assert!(!said_of("SSH-2.0-OpenSSH\r\n".into()).await.is_empty());
    }

    #[tokio::test]
    async fn one_that_takes_connections_and_says_nothing_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        assert!(network(at, false, Duration::from_millis(50)).await.is_err());
        assert!(network(at, true, Duration::from_millis(50)).await.is_err());
    }
}
