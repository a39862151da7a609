//! One read: check, resolve, check, connect, and all of it again at each redirect.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use countersign_types::http::{Header, HttpRead, HttpResponse, host_of};
use reqwest::{Response, header::ACCEPT_ENCODING};
use rustls::ClientConfig;
use url::Url;

use crate::{
    ConfigError, ConfigProblem, EgressConfig, Fault, OpenName, address, body, causes, client,
    names::Names,
    redirect::{self, MAX_REDIRECTS},
    slots::Slots,
};

/// The most of a name's addresses that are tried, after all of them are checked.
const MAX_ADDRESSES: usize = 8;

/// Makes HTTP reads, within the bounds of action and node. It holds no connection and no task.
pub struct Egress {
    names: Names,
    open: BTreeMap<String, OpenName>,
    tls: ClientConfig,
    slots: Slots,
    reach: Reach,
}

/// Where resolved names may lead. Tests alone know another than [`Reach::PUBLIC`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) accepts: fn(IpAddr) -> bool,
    pub(crate) port: u16,
}

impl Reach {
    /// Globally routable addresses, on the port of HTTPS.
    pub(crate) const PUBLIC: Self = Self { accepts: address::is_public, port: 443 };
}

/// What one hop connects to.
struct Place {
    addresses: Vec<SocketAddr>,
    plain_http: bool,
}

impl Egress {
    /// Reads what the configuration names. An open name is warned of: it is for test networks.
    ///
    /// # Errors
    ///
    /// The key that is wrong, and how.
    pub fn new(config: &EgressConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Self::build(config, Names::new(&config.nameservers)?, Reach::PUBLIC)
    }

    /// Public addresses are checked only with [`Reach::PUBLIC`]: tests show by another one that the check matters.
    pub(crate) fn build(config: &EgressConfig, names: Names, reach: Reach) -> Result<Self, ConfigError> {
        let open = config.validate()?;
        let tls = client::tls(config)?;
        // so that a client that cannot be made is seen here, not at the first read
        client::client(&tls, "", Vec::new(), false)
            .map_err(|error| ConfigError::new("roots", ConfigProblem::Client(causes::innermost(&error))))?;
        for OpenName { name, address, plain_http } in open.values() {
            tracing::warn!(
                %name, %address, plain_http,
                "HTTP reads of this name go to this address, unchecked: egress.open is for test networks only"
            );
        }
        Ok(Self { names, open, tls, slots: Slots::new(), reach })
    }

    /// Makes one read of a host that the action's manifest lists (`hosts`). Dropping it closes its connection.
    ///
    /// A status is a value, whatever it is, but for redirects: those are followed, [`MAX_REDIRECTS`] at most, and each
    /// hop is checked as the first URL was. The action's headers go to the first host only.
    ///
    /// # Errors
    ///
    /// Why there is no response.
    pub async fn fetch(&self, hosts: &[String], read: &HttpRead) -> Result<HttpResponse, Fault> {
        let _place = self.slots.read()?;
        let ms = read.timeout_ms();
        match tokio::time::timeout(Duration::from_millis(ms.into()), self.follow(hosts, read)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::Timeout { ms }),
        }
    }

    async fn follow(&self, hosts: &[String], read: &HttpRead) -> Result<HttpResponse, Fault> {
        let mut url = Url::parse(read.url()).map_err(|_| Fault::Url { reason: "does not parse" })?;
        let mut headers = read.headers();
        let mut redirects = 0;
        loop {
            let host = host_of(&url).map_err(|reason| Fault::Url { reason })?;
            let _place = self.slots.host(host)?;
            let response = self.hop(hosts, &url, host, headers).await?;
            let Some(next) = redirect::target(&url, host, &response)? else {
                return body::receive(host, response, read.max_body()).await;
            };
            if redirects == MAX_REDIRECTS {
                let status = response.status().as_u16();
                return Err(Fault::Redirects { host: host.into(), status, limit: MAX_REDIRECTS });
            }
            redirects += 1;
            // once elsewhere, they are not sent again: whoever led us back could choose what they are sent for
            if next.host_str() != Some(read.host()) {
                headers = &[];
            }
            url = next;
        }
    }

    async fn hop(
        &self,
        hosts: &[String],
        url: &Url,
        host: &str,
        headers: &[Header],
    ) -> Result<Response, Fault> {
        if !hosts.iter().any(|listed| listed == host) {
            return Err(Fault::NotInManifest { host: host.into() });
        }
        let Place { addresses, plain_http } = self.place(host).await?;
        let client = client::client(&self.tls, host, addresses, plain_http)
            .map_err(|error| Fault::Client { problem: causes::innermost(&error) })?;
        let url = if plain_http { over_plain_http(url) } else { url.clone() };
        let mut request = client.get(url).header(ACCEPT_ENCODING, body::ACCEPT_ENCODING);
        for Header { name, value } in headers {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| causes::of_request(host, &error))?;
        if response.status().is_informational() {
            return Err(Fault::Protocol { host: host.into(), problem: "its status is no final one".into() });
        }
        Ok(response)
    }

    /// The operator's address for an open name, otherwise the name's own, if every one of them may be reached.
    async fn place(&self, host: &str) -> Result<Place, Fault> {
        if let Some(open) = self.open.get(host) {
            return Ok(Place { addresses: vec![open.address], plain_http: open.plain_http });
        }
        let found = self.names.addresses(host).await?;
        if let Some(address) = found.iter().find(|address| !(self.reach.accepts)(**address)) {
            return Err(Fault::NotPublic { host: host.into(), address: *address });
        }
        let addresses = found.into_iter().take(MAX_ADDRESSES);
        let addresses = addresses.map(|address| SocketAddr::new(address, self.reach.port)).collect();
        Ok(Place { addresses, plain_http: false })
    }
}

/// The same URL for a host that speaks no TLS. It stays without a port: the address has one.
fn over_plain_http(url: &Url) -> Url {
    let mut plain = url.clone();
    let changed = plain.set_scheme("http");
    debug_assert_eq!(changed, Ok(()), "both schemes are special ones");
    plain
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").field("open", &self.open).field("reach", &self.reach).finish_non_exhaustive()
    }
}
