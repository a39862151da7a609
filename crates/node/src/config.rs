//! A node's configuration file.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use countersign_types::Address;
use serde::{Deserialize, Serialize};

use crate::{
    logging::LogConfig, passphrase::PassphraseConfig, receipts::ReceiptsConfig, wire_log::DebugConfig,
};

/// The sealed identity in a node's folder.
pub const IDENTITY_FILE: &str = "identity.sealed";

/// Everything that an operator sets. Relative paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The folder of database, compiled actions and root keys. Only this user may read it.
    pub data: PathBuf,
    /// The genesis file of the network.
    pub genesis: PathBuf,
    /// The node's sealed identity. While the file is there, no other node's database is opened.
    #[serde(default = "default_identity")]
    pub identity: PathBuf,
    /// Where the passphrase comes from that opens the sealed keys.
    #[serde(default)]
    pub passphrase: PassphraseConfig,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogConfig,
    /// Connections between members.
    #[serde(default)]
    pub network: countersign_network::Config,
    /// The HTTP interface.
    #[serde(default)]
    pub api: countersign_api::Config,
    /// The chains that this node reads, and through whom.
    #[serde(default)]
    pub chains: Vec<countersign_chain::ChainConfig>,
    /// Whose actions are stored, and how many.
    #[serde(default)]
    pub actions: ActionsConfig,
    /// Why this node signed: how long it is kept, and who sees it.
    #[serde(default)]
    pub receipts: ReceiptsConfig,
    /// What actions may reach over HTTP.
    #[serde(default)]
    pub egress: countersign_egress::EgressConfig,
    /// Aids for those who look into a fault.
    #[serde(default)]
    pub debug: DebugConfig,
}

/// Whose actions are stored, how many, and how they run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActionsConfig {
    /// The publishers that this operator accepts.
    pub publishers: Publishers,
    /// The most bytes of all stored components together.
    pub total_bytes: u64,
    /// The most bytes of one publisher's components.
    pub publisher_bytes: u64,
    /// The most actions.
    pub count: u64,
    /// How actions run.
    pub host: countersign_action::Config,
}

impl Default for ActionsConfig {
    fn default() -> Self {
        Self {
            publishers: Publishers::default(),
            total_bytes: 1 << 30,
            publisher_bytes: 128 << 20,
            count: 4096,
            host: countersign_action::Config::default(),
        }
    }
}

/// Who may publish: `"anybody"` on a test network, else a list of addresses. By default nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Publishers {
    /// A word; only "anybody" is one.
    Word(Anybody),
    /// These accounts.
    Listed(BTreeSet<Address>),
}

/// The word that lets anybody publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anybody {
    /// Anybody may publish.
    Anybody,
}

impl Default for Publishers {
    fn default() -> Self {
        Self::Listed(BTreeSet::new())
    }
}

impl Publishers {
    /// Whether this publisher's actions are stored.
    pub fn accept(&self, publisher: &Address) -> bool {
        match self {
            Self::Word(Anybody::Anybody) => true,
            Self::Listed(listed) => listed.contains(publisher),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a configuration. Neither the line nor a value in it is shown: it may be a passphrase or hold a provider's
    /// credentials.
    #[error("{} is not a valid configuration: line {line}: {problem}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// The key, where it is known, and what is wrong.
        problem: String,
    },
    /// The node has no genesis yet.
    #[error("there is no genesis at {}: the node joins its network first, with `countersign node join`", path.display())]
    NotJoined {
        /// Where it should be.
        path: PathBuf,
    },
    /// The genesis is not one.
    #[error("{} is not a valid genesis", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl ConfigError {
    fn parse(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        let mut problem = without_values(error.message());
        if let Some(key) = key_of(error) {
            problem = format!("{key}: {problem}");
        }
        Self::Parse { path: path.into(), line, problem }
    }
}

/// What is wrong, without the values that serde quotes. What is left are words of this program and keys.
fn without_values(message: &str) -> String {
    // a name as it stands, which may hold what seems to be its end
    if let Some(quoted) = message.strip_prefix("unknown variant `") {
        let after = quoted.rfind("`, expected ").map_or("", |end| &quoted[end + 1..]);
        return format!("unknown variant{after}");
    }
    // a number that is out of range is shown, one in the place of something else may be a passphrase
    for number in ["integer", "floating point"] {
        if let Some(quoted) = message.strip_prefix(&format!("invalid type: {number} `")) {
            let after = quoted.split_once('`').map_or("", |(_, after)| after);
            return format!("invalid type: {number}{after}");
        }
    }
    let (mut told, mut rest) = (String::new(), message);
    while let Some((before, quoted)) = rest.split_once("string \"") {
        told.push_str(before);
        told.push_str("a string");
        rest = after_string(quoted);
    }
    told + rest
}

/// What follows a string that [`fmt::Debug`](std::fmt::Debug) wrote, from behind its opening quotation mark.
fn after_string(quoted: &str) -> &str {
    let mut is_escaped = false;
    let end = quoted.find(|c: char| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    end.map_or("", |end| &quoted[end + 1..])
}

/// The key whose value is wrong, as "in `api.listen`". The error shows it where it cannot show the line.
fn key_of(error: &toml::de::Error) -> Option<String> {
    let mut without_line = error.clone();
    without_line.set_input(None);
    let shown = without_line.to_string();
    let key = shown.strip_prefix(error.message())?.trim();
    (!key.is_empty()).then(|| key.to_owned())
}

impl NodeConfig {
    /// Reads and parses; unknown keys are errors.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Self::parse(path, &text)
    }

    /// Parses the text that is, or will be, in a file.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config: Self =
            toml::from_str(text).map_err(|error| ConfigError::parse(path, text, &error))?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.data = base.join(&config.data);
        config.genesis = base.join(&config.genesis);
        config.identity = base.join(&config.identity);
        config.passphrase.resolve(base);
        for file in &mut config.egress.roots {
            *file = base.join(&file);
        }
        if let Some(tls) = &mut config.api.tls {
            tls.certificate = base.join(&tls.certificate);
            tls.key = base.join(&tls.key);
        }
        if let Some(file) = &mut config.debug.wire_log {
            *file = base.join(&file);
        }
        Ok(config)
    }

    /// Reads the genesis file that the configuration names.
    pub fn load_genesis(&self) -> Result<countersign_types::Genesis, ConfigError> {
        let is_absent = |source: &io::Error| source.kind() == io::ErrorKind::NotFound;
        load_genesis(&self.genesis).map_err(|error| {
            if matches!(&error, ConfigError::Read { source, .. } if is_absent(source)) {
                return ConfigError::NotJoined { path: self.genesis.clone() };
            }
            error
        })
    }

    /// Where the database lies.
    pub fn database(&self) -> PathBuf {
        self.data.join("db")
    }

    /// Where the receipts lie.
    pub fn receipts_folder(&self) -> PathBuf {
        self.data.join("receipts")
    }

    /// Where the compiled actions lie.
    pub fn compiled_folder(&self) -> PathBuf {
        self.data.join("compiled")
    }

    /// Where the node writes the network's root keys, once it has them.
    pub fn root_keys_file(&self) -> PathBuf {
        self.data.join("root-keys.json")
    }
}

fn default_identity() -> PathBuf {
    IDENTITY_FILE.into()
}

/// Reads a genesis file.
pub fn load_genesis(path: &Path) -> Result<countersign_types::Genesis, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    serde_json::from_str(&text).map_err(|source| ConfigError::Genesis { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use countersign_api::{Rate, TlsConfig};

    use super::*;

    fn parse(text: &str) -> Result<NodeConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_defaults_are_closed() {
        let config = parse("data = 'd'\ngenesis = 'g'").expect("minimal");
        assert!(config.api.listen.ip().is_loopback());
        assert!(!config.actions.publishers.accept(&Address::repeat_byte(1)));
    }

    fn keys(value: &toml::Value, found: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    found.push(key.clone());
                    keys(value, found);
                }
            }
            toml::Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
            toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => {}
        }
    }

    #[test]
    fn the_example_explains_every_setting() {
        let mut config = parse(crate::init::CONFIG_EXAMPLE).expect("the example is a configuration");
        config.passphrase.file = Some("passphrase".into());
        config.debug.wire_log = Some("wire.jsonl".into());
        config.api.tls = Some(TlsConfig { certificate: "certificate.pem".into(), key: "key.pem".into() });
        let rate = Rate { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN };
        (config.api.caller_rate, config.api.address_rate) = (Some(rate), Some(rate));
        let provider = countersign_chain::ProviderConfig::new("alpha", "https://rpc.alpha.example");
        let mut chain = countersign_chain::ChainConfig::new(1, vec![provider]);
        chain.quorum = Some(1);
        config.chains.push(chain);
        let mut found = Vec::new();
        keys(&toml::Value::try_from(&config).expect("a table"), &mut found);
        assert!(found.len() > 30, "{found:?}");
        for key in found {
            let named = crate::init::CONFIG_EXAMPLE.lines().any(|line| {
                let line = line.trim_start_matches(['#', ' ', '[']);
                line.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with([' ', '.', ']']))
                    || line.contains(&format!(".{key}]"))
            });
            assert!(named, "{key} is not explained");
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        for (lines, key) in [
            ("[api]\nlistn = '127.0.0.1:1'", "listn"),
            ("[actions]\npublisher = 'anybody'", "publisher"),
            ("[receipt]\nkeep_days = 1", "receipt"),
            ("chain = []", "chain"),
        ] {
            let error = parse(&format!("data = 'd'\ngenesis = 'g'\n{lines}")).expect_err(lines);
            assert!(error.message().starts_with(&format!("unknown field `{key}`")), "{error}");
        }
    }

    #[test]
    fn an_error_shows_the_line_and_no_credentials() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("node.toml");
        let provider = "[[chains]]\nchain_id = 1\n[[chains.providers]]\noperator = 'a'\n";
        for url in ["urll = 'http://u:hunter2@a.example'", "url = 'http://u:hunter2@a.example"] {
            fs::write(&file, format!("data = 'd'\ngenesis = 'g'\n{provider}{url}\n")).expect("written");
            let error = NodeConfig::load(&file).expect_err("misspelt").to_string();
            assert!(error.contains("line 7"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_error_names_key_and_line_and_quotes_no_value() {
        let url = "[[chains]]\nchain_id = 1\nproviders = [\"https://rpc.example/v3/hunter2\"]";
        let wrong = [
            ("passphrase = \"hunter2\"", "passphrase"),
            ("passphrase = \"\"\"hunter2\"\"\"", "passphrase"),
            (r#"passphrase = "a \"hunter2\\\" string \"hunter2\\""#, "passphrase"),
            ("passphrase = \"unknown variant `hunter2`, expected `hunter2\"", "passphrase"),
            ("passphrase = 27182818", "passphrase"),
            ("passphrase = 2718.2818", "passphrase"),
            (url, "chains.providers"),
            ("[api]\nmax_transfers = 'hunter2'", "api.max_transfers"),
            ("[log]\nformat = 'hunter2'", "log.format"),
            ("[log]\nformat = 'text`, expected `hunter2'", "log.format"),
        ];
        for (lines, key) in wrong {
            let text = format!("data = 'd'\ngenesis = 'g'\n{lines}\n");
            let error = NodeConfig::parse(Path::new("node.toml"), &text).expect_err("no configuration");
            let told = error.to_string();
            let place = format!("line {}: in `{key}`: ", 2 + lines.lines().count());
            assert!(told.contains(&place) && told.contains("expected"), "{told}");
            for secret in ["hunter2", "2718", "rpc.example"] {
                assert!(!format!("{told} {error:?}").contains(secret), "{told}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays_in_an_error() {
        let low = "invalid value: integer `0`, expected a nonzero u32";
        let unknown = "unknown field `listn`, expected `listen`";
        for message in [low, unknown, "missing field `data`"] {
            assert_eq!(without_values(message), message);
        }
        let told = without_values(r#"invalid type: string "a\"b\\", expected a map"#);
        assert_eq!(told, "invalid type: a string, expected a map");
        assert_eq!(without_values(r#"invalid value: string "it never ends\""#), "invalid value: a string");
        let told = without_values("unknown variant `a`, expected `b` or `c`");
        assert_eq!(told, "unknown variant, expected `b` or `c`");
    }

    #[test]
    fn files_are_relative_to_the_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("node.toml");
        let tls = "[api.tls]\ncertificate = 'tls/certificate.pem'\nkey = '/etc/key.pem'\n";
        fs::write(&file, format!("data = 'd'\ngenesis = 'g'\n{tls}")).expect("written");
        let config = NodeConfig::load(&file).expect("a configuration");
        let tls = config.api.tls.expect("it is set");
        assert_eq!(
            (config.data, tls.certificate),
            (folder.path().join("d"), folder.path().join("tls/certificate.pem"))
        );
        assert_eq!(tls.key, Path::new("/etc/key.pem"));
    }

    #[test]
    fn publishers_are_anybody_or_listed() {
        let base = "data = 'd'\ngenesis = 'g'\n[actions]\n";
        let anybody = parse(&format!("{base}publishers = 'anybody'")).expect("a word");
        assert!(anybody.actions.publishers.accept(&Address::repeat_byte(1)));
        let listed = format!("{base}publishers = ['0x0101010101010101010101010101010101010101']");
        let listed = parse(&listed).expect("a list");
        assert!(listed.actions.publishers.accept(&Address::repeat_byte(1)));
        assert!(!listed.actions.publishers.accept(&Address::repeat_byte(2)));
        assert!(parse(&format!("{base}publishers = 'everybody'")).is_err());
    }
}
