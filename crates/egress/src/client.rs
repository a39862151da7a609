//! An HTTP client for one hop: it knows one name, and the addresses that were checked for it.
//!
//! A client of its own for each hop costs microseconds and leaves nothing to be confused: no pool whose connection another
//! host's request could take, and no second resolution, because the only resolver it has is the list.

use std::{error::Error, fs, future, net::SocketAddr, path::Path, sync::Arc};

use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect, retry,
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{ConfigError, ConfigProblem, EgressConfig};

/// The most headers of a response over HTTP/1.1; their bytes are bounded by hyper's buffer, about 400 KiB.
const MAX_RESPONSE_HEADERS: usize = 100;
/// The most bytes of a response's headers over HTTP/2.
const MAX_HEADER_LIST_BYTES: u32 = 32 << 10;
/// The most bytes that a server may send over HTTP/2 before they are read.
const HTTP2_WINDOW_BYTES: u32 = 256 << 10;

const USER_AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));

/// A client that connects to these addresses, whatever it is asked for, if the host is this one; otherwise nowhere.
pub(crate) fn client(
    tls: &ClientConfig,
    host: &str,
    addresses: Vec<SocketAddr>,
    plain_http: bool,
) -> reqwest::Result<Client> {
    Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .https_only(!plain_http)
        .dns_resolver(Arc::new(Pinned { host: host.into(), addresses }))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .pool_max_idle_per_host(0)
        // Other crates may switch these features on for all; bodies are decompressed by `body`, within a bound.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .http1_max_headers(MAX_RESPONSE_HEADERS)
        .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
        .http2_initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .http2_initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .user_agent(USER_AGENT)
        .build()
}

/// How TLS is spoken with everybody: the system's roots and the configured ones, HTTP/2 before HTTP/1.1. Sessions are not
/// resumed, because a resumed one is not verified again.
pub(crate) fn tls(config: &EgressConfig) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    // What cannot be read of the system's is missing then, and whoever needs it is not trusted.
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a root certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    for (index, path) in config.roots.iter().enumerate() {
        add_roots(&mut roots, path).map_err(|problem| {
            let problem = ConfigProblem::Root { path: path.clone(), problem };
            ConfigError::new(format!("roots[{index}]"), problem)
        })?;
    }
    if roots.is_empty() {
        return Err(ConfigError::new("roots", ConfigProblem::NoRoots));
    }
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new("roots", ConfigProblem::Client(error.to_string())))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tls.resumption = Resumption::disabled();
    Ok(tls)
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let pem = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("is no valid PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("holds no valid root certificate: {error}"))?;
        found = true;
    }
    if found { Ok(()) } else { Err("holds no certificate in PEM".into()) }
}

/// The only resolver that a client has.
struct Pinned {
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Resolve for Pinned {
    fn resolve(&self, name: Name) -> Resolving {
        let found: Result<Addrs, Box<dyn Error + Send + Sync>> = if name.as_str() == self.host {
            Ok(Box::new(self.addresses.clone().into_iter()))
        } else {
            Err("this client is for another host".into())
        };
        Box::pin(future::ready(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_read_or_the_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let config = EgressConfig { roots: vec![path.clone()], ..EgressConfig::default() };
        let problem = || tls(&config).expect_err("no root").to_string();
        assert!(problem().starts_with(&format!("egress.roots[0]: {} cannot be read", path.display())));
        fs::write(&path, "a text").expect("a file");
        assert!(problem().ends_with("holds no certificate in PEM"));
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(&path, garbage).expect("a file");
        assert!(problem().contains("holds no valid root certificate"));
        fs::write(&path, garbage.replace("AAAA", "****")).expect("a file");
        assert!(problem().contains("is no valid PEM"));
        let authority = crate::tests::certificates::Authority::new();
        fs::write(&path, authority.pem()).expect("a file");
        assert_eq!(tls(&config).map(drop), Ok(()));
    }
}
