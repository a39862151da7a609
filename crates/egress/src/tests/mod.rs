//! Reads against real servers on loopback, most of them hostile.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use countersign_types::http::{Agree, Header, HttpRead, HttpResponse};

use crate::{Egress, EgressConfig, Fault, OpenName, egress::Reach, names::Names};
use certificates::Authority;
use server::{Say, Server};

mod bodies;
pub(crate) mod certificates;
mod cost;
mod dns;
mod exchange;
mod inside;
mod opened;
mod proxies;
mod redirects;
mod server;
mod tls;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Longer than anything takes that a test waits for.
const LONG: Duration = Duration::from_secs(20);

/// An egress that trusts one more authority than this system.
struct World {
    egress: Egress,
}

impl World {
    /// Names that are open, and whether plain HTTP is spoken there.
    fn opened(names: &[(&str, SocketAddr, bool)]) -> Self {
        Self::new(names, Vec::new(), Reach::PUBLIC)
    }

    fn new(names: &[(&str, SocketAddr, bool)], nameservers: Vec<SocketAddr>, reach: Reach) -> Self {
        Self::of(&Authority::new(), names, nameservers, reach)
    }

    fn of(
        authority: &Authority,
        names: &[(&str, SocketAddr, bool)],
        nameservers: Vec<SocketAddr>,
        reach: Reach,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("ca.pem");
        std::fs::write(&root, authority.pem()).expect("a file");
        let config = EgressConfig { nameservers, roots: vec![root], open: open(names) };
        // without name servers the system's are asked, which a test may not depend on
        let nowhere = [SocketAddr::new(LOOPBACK, 9)];
        let servers = if config.nameservers.is_empty() { &nowhere[..] } else { &config.nameservers[..] };
        let names = Names::new(servers).expect("a resolver");
        let egress = Egress::build(&config, names, reach).expect("an egress");
        Self { egress }
    }

    async fn get(&self, url: &str) -> Result<HttpResponse, Fault> {
        self.egress.fetch(&listed(), &read(url)).await
    }
}

fn open(names: &[(&str, SocketAddr, bool)]) -> Vec<OpenName> {
    let open = |(name, address, plain_http): &(&str, SocketAddr, bool)| OpenName {
        name: (*name).into(),
        address: *address,
        plain_http: *plain_http,
    };
    names.iter().map(open).collect()
}

/// What the manifest of every test lists.
fn listed() -> Vec<String> {
    ["a.test", "b.test", "inside.test", "rebind.test"].map(String::from).to_vec()
}

fn read(url: &str) -> HttpRead {
    bounded(url, 0, 0)
}

fn bounded(url: &str, max_body: u32, timeout_ms: u32) -> HttpRead {
    HttpRead::new(url, Vec::new(), max_body, timeout_ms, Agree::Identical).expect("a read")
}

fn with_headers(url: &str, headers: &[(&str, &str)]) -> HttpRead {
    let header = |(name, value): &(&str, &str)| Header { name: (*name).into(), value: (*value).into() };
    HttpRead::new(url, headers.iter().map(header).collect(), 0, 0, Agree::Identical).expect("a read")
}

fn text(response: &HttpResponse) -> &str {
    std::str::from_utf8(&response.body).expect("a text")
}
