//! Which chains a node reads, through whom.

use std::{collections::BTreeSet, fmt};

use reqwest::Url;
use serde::{Deserialize, Serialize};

/// The most chains that one node reads.
pub const MAX_CHAINS: usize = 64;
/// The most providers of one chain.
pub const MAX_PROVIDERS: usize = 16;
/// The most bytes of an operator's name.
pub const MAX_OPERATOR_BYTES: usize = 64;

/// One chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    /// The chain, by EIP-155 id.
    pub chain_id: u64,
    /// Who is asked, at most [`MAX_PROVIDERS`].
    pub providers: Vec<ProviderConfig>,
    /// How many independent operators must say the same: more than half of them. That is also the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<usize>,
    /// By how many blocks finality usually advances. A pin may be two such steps behind the node's own view.
    #[serde(default = "default_finality_step_blocks")]
    pub finality_step_blocks: u64,
    /// How often the final block is asked for, in milliseconds.
    #[serde(default = "default_poll_interval_ms")]
    pub poll_interval_ms: u64,
    /// How long one request to a provider may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// A provider whose final block is older than this, in seconds, lags: it does not count for the head.
    #[serde(default = "default_max_head_age_s")]
    pub max_head_age_s: u64,
}

/// One endpoint of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// Who runs it. Endpoints of one operator count once; the second stands in where the first fails.
    pub operator: String,
    /// Its JSON-RPC endpoint, http or https.
    pub url: ProviderUrl,
}

/// An endpoint's URL. It may hold credentials (user, path, query), so [`fmt::Debug`] and [`fmt::Display`]
/// show scheme, host and port only. Serialising writes it whole: into a configuration file, nowhere else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderUrl(String);

impl ChainConfig {
    /// A chain with defaults for everything else.
    pub fn new(chain_id: u64, providers: Vec<ProviderConfig>) -> Self {
        Self {
            chain_id,
            providers,
            quorum: None,
            finality_step_blocks: default_finality_step_blocks(),
            poll_interval_ms: default_poll_interval_ms(),
            timeout_ms: default_timeout_ms(),
            max_head_age_s: default_max_head_age_s(),
        }
    }

    /// How many operators must say the same: what is configured, or a majority.
    pub fn quorum(&self) -> usize {
        self.quorum.unwrap_or(self.operators() / 2 + 1)
    }

    /// How many independent operators there are.
    pub fn operators(&self) -> usize {
        self.providers.iter().map(|provider| &provider.operator).collect::<BTreeSet<_>>().len()
    }

    fn validate(&self) -> Result<(), (String, ConfigProblem)> {
        let providers = self.providers.len();
        if providers == 0 || providers > MAX_PROVIDERS {
            return Err(("providers".into(), range(providers as u64, 1, MAX_PROVIDERS as u64)));
        }
        for (index, provider) in self.providers.iter().enumerate() {
            let key = |field| format!("providers[{index}].{field}");
            provider.validate().map_err(|(field, problem)| (key(field), problem))?;
            let before = &self.providers[..index];
            if before.iter().any(|other| other.url == provider.url) {
                return Err((key("url"), ConfigProblem::SharedUrl));
            }
        }
        let (operators, quorum) = (self.operators(), self.quorum());
        if quorum * 2 <= operators || quorum > operators {
            return Err(("quorum".into(), ConfigProblem::Quorum { got: quorum, operators }));
        }
        let bounds = [
            ("finality_step_blocks", self.finality_step_blocks, 1, 100_000),
            ("poll_interval_ms", self.poll_interval_ms, 50, 600_000),
            ("timeout_ms", self.timeout_ms, 50, 30_000),
            ("max_head_age_s", self.max_head_age_s, 1, 31_536_000),
        ];
        match bounds.into_iter().find(|(_, got, min, max)| !(min..=max).contains(&got)) {
            Some((key, got, min, max)) => Err((key.into(), range(got, min, max))),
            None => Ok(()),
        }
    }
}

impl ProviderConfig {
    /// An endpoint.
    pub fn new(operator: impl Into<String>, url: impl Into<String>) -> Self {
        Self { operator: operator.into(), url: ProviderUrl(url.into()) }
    }

    fn validate(&self) -> Result<(), (&'static str, ConfigProblem)> {
        let name = &self.operator;
        if name.is_empty() || name.len() > MAX_OPERATOR_BYTES || name.chars().any(char::is_control) {
            return Err(("operator", ConfigProblem::Operator));
        }
        self.url.parse().map(drop).map_err(|problem| ("url", problem))
    }
}

impl ProviderUrl {
    /// Scheme, host and port: what may be shown.
    pub fn origin(&self) -> String {
        match self.parse() {
            Ok(url) => url.origin().ascii_serialization(),
            Err(_) => "not a URL".into(),
        }
    }

    /// Whether it has parts that providers take for a credential: a user, a path, a query.
    pub fn may_hold_credentials(&self) -> bool {
        self.parse().is_ok_and(|url| {
            let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
            !is_bare || !url.username().is_empty() || url.password().is_some()
        })
    }

    pub(crate) fn parse(&self) -> Result<Url, ConfigProblem> {
        let url = Url::parse(&self.0).map_err(|_| ConfigProblem::Url)?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(url),
            _ => Err(ConfigProblem::Url),
        }
    }
}

impl fmt::Debug for ProviderUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderUrl({})", self.origin())
    }
}

impl fmt::Display for ProviderUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct ConfigError {
    /// The key, as `chains[0].providers[1].url`.
    pub key: String,
    /// What is wrong with it.
    pub problem: ConfigProblem,
}

/// What is wrong with a key. No variant holds a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigProblem {
    /// Out of range.
    #[error("must be from {min} to {max}, got {got}")]
    Range {
        /// What it is, or how many.
        got: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Two chains have this id.
    #[error("chain {0} is configured twice")]
    DuplicateChain(u64),
    /// Half of the operators could contradict the other half, or there are fewer than that.
    #[error("must be more than half of the {operators} operators and at most all of them, got {got}")]
    Quorum {
        /// What it is.
        got: usize,
        /// How many independent operators are configured.
        operators: usize,
    },
    /// Not a name.
    #[error("must be a name of 1 to {MAX_OPERATOR_BYTES} bytes without control characters")]
    Operator,
    /// Not an endpoint.
    #[error("must be an http or https URL")]
    Url,
    /// The same endpoint twice.
    #[error("is the URL of another provider too")]
    SharedUrl,
    /// The HTTP client does not start.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// Checks all chains.
///
/// # Errors
///
/// The key that is wrong, and how.
pub fn validate(chains: &[ChainConfig]) -> Result<(), ConfigError> {
    if chains.len() > MAX_CHAINS {
        let problem = range(chains.len() as u64, 0, MAX_CHAINS as u64);
        return Err(ConfigError { key: "chains".into(), problem });
    }
    for (index, chain) in chains.iter().enumerate() {
        let named = |(key, problem)| ConfigError { key: format!("chains[{index}].{key}"), problem };
        if chains[..index].iter().any(|other| other.chain_id == chain.chain_id) {
            return Err(named(("chain_id".into(), ConfigProblem::DuplicateChain(chain.chain_id))));
        }
        chain.validate().map_err(named)?;
    }
    Ok(())
}

fn range(got: u64, min: u64, max: u64) -> ConfigProblem {
    ConfigProblem::Range { got, min, max }
}

fn default_finality_step_blocks() -> u64 {
    32
}

fn default_poll_interval_ms() -> u64 {
    2_000
}

fn default_timeout_ms() -> u64 {
    3_000
}

fn default_max_head_age_s() -> u64 {
    3_600
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "https://user:hunter2@rpc.example:8443/v3/0123456789abcdef?key=hunter3";

    fn chain(operators: &[&str]) -> ChainConfig {
        let provider = |(index, operator): (usize, &&str)| {
            ProviderConfig::new(*operator, format!("http://127.0.0.1:{}", index + 1))
        };
        ChainConfig::new(1, operators.iter().enumerate().map(provider).collect())
    }

    fn problem(change: impl FnOnce(&mut ChainConfig)) -> String {
        let mut changed = chain(&["a", "b", "c"]);
        change(&mut changed);
        validate(&[chain(&["x"]).clone_for(7), changed]).expect_err("a bad key").to_string()
    }

    impl ChainConfig {
        fn clone_for(mut self, chain_id: u64) -> Self {
            self.chain_id = chain_id;
            self
        }
    }

    #[test]
    fn the_default_quorum_is_a_majority_of_operators_not_of_urls() {
        assert_eq!(chain(&["a"]).quorum(), 1);
        assert_eq!(chain(&["a", "b"]).quorum(), 2);
        assert_eq!(chain(&["a", "b", "c"]).quorum(), 2);
        assert_eq!(chain(&["a", "a", "a", "b", "c"]).quorum(), 2);
        assert_eq!(chain(&["a", "a", "a"]).quorum(), 1);
    }

    #[test]
    fn errors_name_the_key() {
        let cases = [
            (problem(|c| c.providers.clear()), "chains[1].providers: must be from 1 to 16, got 0"),
            (problem(|c| c.quorum = Some(0)), "chains[1].quorum: must be more than half of the 3 operators"),
            (problem(|c| c.quorum = Some(1)), "chains[1].quorum: must be more than half of the 3 operators"),
            (problem(|c| c.quorum = Some(4)), "chains[1].quorum: must be more than half of the 3 operators"),
            (problem(|c| c.providers[1].operator.clear()), "chains[1].providers[1].operator: must be a name"),
            (
                problem(|c| c.providers[2].url = c.providers[0].url.clone()),
                "chains[1].providers[2].url: is the",
            ),
            (problem(|c| c.timeout_ms = 0), "chains[1].timeout_ms: must be from 50 to 30000, got 0"),
            (problem(|c| c.chain_id = 7), "chains[1].chain_id: chain 7 is configured twice"),
        ];
        for (got, expected) in cases {
            assert!(got.starts_with(expected), "{got}");
        }
        for url in ["", "rpc.example", "ws://rpc.example", "file:///etc/passwd", "http://"] {
            let got = problem(|c| c.providers[0] = ProviderConfig::new("a", url));
            assert_eq!(got, "chains[1].providers[0].url: must be an http or https URL");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let provider = ProviderConfig::new("a", SECRET);
        let mut broken = provider.clone();
        broken.url = ProviderUrl(SECRET.replace("https", "ftp"));
        let error = validate(&[ChainConfig::new(1, vec![broken.clone()])]).expect_err("not http");
        let shown = format!("{provider:?} {} {broken:?} {error} {error:?}", provider.url);
        assert!(shown.contains("https://rpc.example:8443"), "{shown}");
        for secret in ["hunter", "user", "0123456789abcdef", "v3"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }

    #[test]
    fn whatever_is_not_shown_may_be_a_credential() {
        let holds = |url: &str| ProviderUrl(url.into()).may_hold_credentials();
        for bare in ["http://127.0.0.1:8545", "https://rpc.example/"] {
            assert!(!holds(bare), "{bare}");
        }
        for secret in
            [SECRET, "https://a@rpc.example", "https://rpc.example/v3", "https://rpc.example/?key=1"]
        {
            assert!(holds(secret), "{secret}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_and_defaults_are_filled_in() {
        let text = r#"{"chain_id": 1, "providers": [{"operator": "a", "url": "http://127.0.0.1:1"}]}"#;
        let config: ChainConfig = serde_json::from_str(text).expect("a configuration");
        assert_eq!(config, ChainConfig::new(1, vec![ProviderConfig::new("a", "http://127.0.0.1:1")]));
        let text = text.replace("\"chain_id\"", "\"quorom\": 1, \"chain_id\"");
        let error = serde_json::from_str::<ChainConfig>(&text).expect_err("an unknown key");
        assert!(error.to_string().contains("quorom"), "{error}");
    }
}
