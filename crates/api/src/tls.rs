//! TLS of the HTTP interface: a certificate and its key from files, read again when they change.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// The bits of a mode by which others than the owner's group may read a file: a key's group may be the service's own.
const OTHERS: u32 = 0o007;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate and those that vouch for it, in PEM, the interface's own first.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Why TLS cannot be used as it is set.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} holds no {what} in PEM")]
    NotPem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why it cannot be read.
        source: pem::Error,
    },
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("certificate and key cannot be used together")]
    Rejected(#[from] rustls::Error),
}

/// TLS that is ready for connections.
#[derive(Debug)]
pub struct Tls {
    files: TlsConfig,
    current: Mutex<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    server: Arc<ServerConfig>,
    /// When the files were changed last, as they were when they were read.
    changed: [Option<SystemTime>; 2],
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsConfig) -> Result<Self, TlsError> {
        let current = Mutex::new(read(&files)?);
        Ok(Self { files, current })
    }

    /// What greets a new connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner).server))
    }

    /// Reads the files again when they have changed, for as long as this is polled. What cannot be used changes nothing.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let tls = Arc::clone(&self);
            match spawn_blocking(move || tls.refresh()).await {
                Ok(Ok(true)) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "took up a new certificate")
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a new certificate cannot be used: the interface goes on with the old one"
                ),
                Err(error) => tracing::error!(%error, "the certificate was not looked at"),
            }
        }
    }

    /// Reads the files if they have changed; says whether they had.
    fn refresh(&self) -> Result<bool, TlsError> {
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).changed;
        if changed(&self.files) == known {
            return Ok(false);
        }
        let current = read(&self.files)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(true)
    }
}

/// When the files were changed last.
fn changed(files: &TlsConfig) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key].map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read(files: &TlsConfig) -> Result<Current, TlsError> {
    // before: what is written meanwhile is noticed the next time
    let changed = changed(files);
    let (certificate, key) = (contents(&files.certificate)?, Zeroizing::new(contents(&files.key)?));
    warn_if_open(&files.key);
    let not_pem = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::NotPem { path, what, source }
    };
    let chain = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(not_pem(&files.certificate, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(not_pem(&files.key, "private key"))?;
    let mut server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Current { server: Arc::new(server), changed })
}

/// Says so where others than its owner may read the key.
fn warn_if_open(key: &Path) {
    let mode = fs::metadata(key).map(|file| file.permissions().mode()).unwrap_or_default();
    if mode & OTHERS != 0 {
        tracing::warn!(key = %key.display(), mode = format!("{:o}", mode & 0o777), "others may read the private key of the interface: chmod 600");
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tempfile::TempDir;

    use super::*;

    /// Writes a new certificate and its key, as if at this many seconds since 1970.
    fn write(folder: &Path, at: u64) -> TlsConfig {
        let CertifiedKey { cert, key_pair } =
            generate_simple_self_signed(vec!["localhost".into()]).expect("made");
        let files = TlsConfig { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        for (path, text) in [(&files.certificate, cert.pem()), (&files.key, key_pair.serialize_pem())] {
            fs::write(path, text).expect("written");
            let file = fs::File::options().write(true).open(path).expect("there");
            file.set_modified(UNIX_EPOCH + Duration::from_secs(at)).expect("set");
        }
        files
    }

    #[test]
    fn what_is_wrong_with_the_files_is_named() {
        let (folder, other) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
        let (files, others) = (write(folder.path(), 1), write(other.path(), 1));
        Tls::load(files.clone()).expect("they go together");
        let load = |certificate: &Path, key: &Path| {
            Tls::load(TlsConfig { certificate: certificate.into(), key: key.into() }).expect_err("wrong")
        };
        let missing = folder.path().join("missing.pem");
        assert!(matches!(load(&missing, &files.key), TlsError::Unreadable { path, .. } if path == missing));
        assert!(matches!(load(&files.key, &files.key), TlsError::NotPem { what: "certificate", .. }));
        assert!(matches!(
            load(&files.certificate, &files.certificate),
            TlsError::NotPem { what: "private key", .. }
        ));
        assert!(matches!(load(&files.certificate, &others.key), TlsError::Rejected(_)));
    }

    #[test]
    fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
        let folder = TempDir::new().expect("a folder");
        let tls = Tls::load(write(folder.path(), 1)).expect("they go together");
        let server = || Arc::clone(&tls.current.lock().expect("not poisoned").server);
        let first = server();
        assert!(!tls.refresh().expect("as before"));
        write(folder.path(), 2);
        assert!(tls.refresh().expect("a good one"));
        let second = server();
        assert!(!Arc::ptr_eq(&first, &second));
        fs::write(folder.path().join("cert.pem"), "none").expect("written");
        tls.refresh().expect_err("no certificate");
        assert!(Arc::ptr_eq(&second, &server()));
    }
}
