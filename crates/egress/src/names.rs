//! From names to addresses, by a resolver of our own.

use std::{collections::BTreeSet, net::IpAddr, net::SocketAddr, time::Duration};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::Name,
};

use crate::{ConfigError, ConfigProblem, Fault, ResolveProblem, causes};

/// How long a name server has for an answer before it is asked again, or the next one.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the name servers are asked once more.
const RETRIES: usize = 1;
/// The most answers that are remembered. They are checked at every use.
const MAX_CACHED_ANSWERS: u64 = 1024;
/// The longest that an answer is remembered, whatever its own time to live says.
const MAX_TTL: Duration = Duration::from_secs(300);
/// The longest that it is remembered that a name has no address.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// The name servers: those of the configuration, or the system's. Entries of the system's hosts file come first; their
/// addresses are checked like all others.
pub(crate) struct Names(TokioResolver);

impl Names {
    pub(crate) fn new(servers: &[SocketAddr]) -> Result<Self, ConfigError> {
        let unnamed = |error: hickory_resolver::net::NetError| {
            ConfigError::new("nameservers", ConfigProblem::NoNameservers(error.to_string()))
        };
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(unnamed)?
        } else {
            let servers = servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = QUERY_TIMEOUT;
        options.attempts = RETRIES;
        options.cache_size = MAX_CACHED_ANSWERS;
        options.positive_max_ttl = Some(MAX_TTL);
        options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
        Ok(Self(builder.build().map_err(unnamed)?))
    }

    /// All addresses of a name, of both families, without duplicates.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Fault> {
        let fault = |problem| Fault::Resolve { host: host.into(), problem };
        let mut name = Name::from_ascii(host).map_err(|_| fault(ResolveProblem::NoName))?;
        // never with the system's search domains: `intranet` would become a name of the operator's network
        name.set_fqdn(true);
        let found = self.0.lookup_ip(name).await.map_err(|error| fault(causes::of_resolution(&error)))?;
        let mut seen = BTreeSet::new();
        let addresses: Vec<_> = found.iter().filter(|address| seen.insert(*address)).collect();
        if addresses.is_empty() { Err(fault(ResolveProblem::NoAddress)) } else { Ok(addresses) }
    }

    #[cfg(test)]
    pub(crate) fn with_hosts_file(mut self, text: &str) -> Self {
        let mut hosts = hickory_resolver::Hosts::default();
        hosts.read_hosts_conf(text.as_bytes()).expect("a hosts file");
        self.0.set_hosts(std::sync::Arc::new(hosts));
        self
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}
