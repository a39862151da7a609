//! An authority for tests, and the certificates that it and others give.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};

pub(crate) struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

/// When a certificate is valid.
#[derive(Clone, Copy)]
pub(crate) enum Valid {
    Now,
    Past,
    Future,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("an authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { certificate: params.self_signed(&key).expect("a certificate"), key }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A server with a certificate of this authority for a name. It offers HTTP/1.1 alone.
    pub(crate) fn server(&self, name: &str, valid: Valid) -> Arc<ServerConfig> {
        self.server_of(name, valid, &["http/1.1"])
    }

    pub(crate) fn server_of(&self, name: &str, valid: Valid, protocols: &[&str]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name, valid).signed_by(&key, &self.certificate, &self.key);
        config(certificate.expect("a certificate").der().clone(), &key, protocols)
    }

    /// A server that vouches for itself.
    pub(crate) fn self_signed(name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name, Valid::Now).self_signed(&key).expect("a certificate");
        config(certificate.der().clone(), &key, &["http/1.1"])
    }
}

fn params(name: &str, valid: Valid) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let (from, to) = match valid {
        Valid::Now => (2000, 4000),
        Valid::Past => (2000, 2001),
        Valid::Future => (3999, 4000),
    };
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair, protocols: &[&str]) -> Arc<ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}
