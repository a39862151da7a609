//! What an operator may set: name servers, further roots, and names that are open on a test network.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
};

use countersign_types::http::host_of;
use serde::{Deserialize, Serialize};
use url::Url;

/// The most name servers.
pub const MAX_NAMESERVERS: usize = 8;
/// The most files with further root certificates.
pub const MAX_ROOTS: usize = 16;
/// The most open names.
pub const MAX_OPEN_NAMES: usize = 64;

/// How HTTP reads leave this node. The default suits every node of a real network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressConfig {
    /// The name servers that are asked, over UDP and TCP, at most [`MAX_NAMESERVERS`]. Without any, the system's
    /// (`/etc/resolv.conf`).
    pub nameservers: Vec<SocketAddr>,
    /// PEM files with root certificates that are trusted beside the system's, at most [`MAX_ROOTS`]. A relative path is
    /// relative to the process's folder; the system's own are found by the variables SSL_CERT_FILE and SSL_CERT_DIR too.
    pub roots: Vec<PathBuf>,
    /// Names that are not resolved, at most [`MAX_OPEN_NAMES`]. For test networks only.
    pub open: Vec<OpenName>,
}

/// A name that is fetched from an address of the operator's choice, wherever that leads: the address is not checked.
/// For test networks only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenName {
    /// The host name, as in the URLs of actions.
    pub name: String,
    /// The address and port that is connected to.
    pub address: SocketAddr,
    /// Whether plain HTTP is spoken there. The action's URL is one of https all the same.
    #[serde(default)]
    pub plain_http: bool,
}

impl EgressConfig {
    /// The open names, once everything is checked but the content of files.
    pub(crate) fn validate(&self) -> Result<BTreeMap<String, OpenName>, ConfigError> {
        let counts = [
            ("nameservers", self.nameservers.len(), MAX_NAMESERVERS),
            ("roots", self.roots.len(), MAX_ROOTS),
            ("open", self.open.len(), MAX_OPEN_NAMES),
        ];
        if let Some((key, got, most)) = counts.into_iter().find(|(_, got, most)| got > most) {
            return Err(ConfigError::new(key, ConfigProblem::TooMany { got, most }));
        }
        for (index, server) in self.nameservers.iter().enumerate() {
            if server.port() == 0 {
                return Err(ConfigError::new(format!("nameservers[{index}]"), ConfigProblem::NoPort));
            }
        }
        let mut seen = BTreeSet::new();
        for (index, open) in self.open.iter().enumerate() {
            let key = |field| format!("open[{index}].{field}");
            if !is_host_name(&open.name) {
                return Err(ConfigError::new(key("name"), ConfigProblem::Name));
            }
            if !seen.insert(&open.name) {
                return Err(ConfigError::new(key("name"), ConfigProblem::DuplicateName(open.name.clone())));
            }
            if open.address.port() == 0 {
                return Err(ConfigError::new(key("address"), ConfigProblem::NoPort));
            }
        }
        Ok(self.open.iter().map(|open| (open.name.clone(), open.clone())).collect())
    }
}

/// Whether this is a host as it stands in a normalised URL. Another form would be configured and never used.
fn is_host_name(name: &str) -> bool {
    Url::parse(&format!("https://{name}/")).is_ok_and(|url| host_of(&url) == Ok(name) && url.path() == "/")
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    /// The key, as `egress.open[0].name`.
    pub key: String,
    /// What is wrong with it.
    pub problem: ConfigProblem,
}

impl ConfigError {
    pub(crate) fn new(key: impl std::fmt::Display, problem: ConfigProblem) -> Self {
        Self { key: format!("egress.{key}"), problem }
    }
}

/// What is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigProblem {
    /// A list is longer than any needs to be.
    #[error("has at most {most} entries, got {got}")]
    TooMany {
        /// How many there are.
        got: usize,
        /// The most.
        most: usize,
    },
    /// An address without a port.
    #[error("needs a port other than 0")]
    NoPort,
    /// Not a host name.
    #[error("must be a host name in lower case, without scheme, port and path; addresses are no names")]
    Name,
    /// A name twice.
    #[error("{0} is open twice")]
    DuplicateName(String),
    /// A file that is no list of certificates.
    #[error("{} {problem}", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody could be verified.
    #[error("this system has no root certificates: install them (ca-certificates), or name files here")]
    NoRoots,
    /// Nobody can be asked for addresses.
    #[error("this system names no servers ({0}): list some here")]
    NoNameservers(String),
    /// The HTTP client does not start.
    #[error("no HTTP client: {0}")]
    Client(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &str) -> OpenName {
        OpenName {
            name: name.into(),
            address: "127.0.0.1:8080".parse().expect("an address"),
            plain_http: true,
        }
    }

    fn problem(config: EgressConfig) -> String {
        config.validate().expect_err("a bad key").to_string()
    }

    #[test]
    fn errors_name_the_key() {
        let default = EgressConfig::default();
        let nowhere: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let many = EgressConfig { roots: vec!["ca.pem".into(); MAX_ROOTS + 1], ..default.clone() };
        assert_eq!(problem(many), "egress.roots: has at most 16 entries, got 17");
        let server = EgressConfig { nameservers: vec![nowhere], ..default.clone() };
        assert_eq!(problem(server), "egress.nameservers[0]: needs a port other than 0");
        let twice = EgressConfig { open: vec![open("a.test"), open("a.test")], ..default.clone() };
        assert_eq!(problem(twice), "egress.open[1].name: a.test is open twice");
        let portless =
            EgressConfig { open: vec![OpenName { address: nowhere, ..open("a.test") }], ..default };
        assert_eq!(problem(portless), "egress.open[0].address: needs a port other than 0");
    }

    #[test]
    fn an_open_name_is_a_name() {
        for name in ["prices.test", "localhost", "xn--bcher-kva.test"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in [
            "",
            "Prices.test",
            "a.test:443",
            "a.test/",
            "https://a.test",
            "u@a.test",
            "127.0.0.1",
            "[::1]",
            "0x7f.1",
            "a b",
            "bücher.test",
            "a.test?",
            "a.test#b",
            "a.test\n",
        ] {
            let got = problem(EgressConfig { open: vec![open(name)], ..EgressConfig::default() });
            assert!(got.starts_with("egress.open[0].name: must be a host name"), "{name:?}: {got}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_and_everything_is_optional() {
        assert_eq!(toml::from_str::<EgressConfig>("").expect("a configuration"), EgressConfig::default());
        let text = r#"
            nameservers = ["127.0.0.1:5353"]
            roots = ["ca.pem"]
            [[open]]
            name = "prices.test"
            address = "127.0.0.1:8080"
            plain_http = true
        "#;
        let config: EgressConfig = toml::from_str(text).expect("a configuration");
        assert_eq!(config.open, [open("prices.test")]);
        let error = toml::from_str::<EgressConfig>(&text.replace("plain_http", "plain_htpp"));
        assert!(error.expect_err("an unknown key").to_string().contains("plain_htpp"));
        let error = toml::from_str::<EgressConfig>(&text.replace("nameservers", "nameserver"));
        assert!(error.expect_err("an unknown key").to_string().contains("nameserver"));
    }
}
