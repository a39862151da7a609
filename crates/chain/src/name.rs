//! What a provider's endpoint is called: in metrics, in the log, and by `countersign node check`.

use std::fmt;

use serde::Serialize;

use crate::{ChainConfig, ProviderConfig};

/// An endpoint's name: its place, its operator, and its URL's scheme, host and port. Two endpoints of a chain may share all but
/// the place. The rest of the URL (user, path, query) may hold credentials and is no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderName {
    position: usize,
    operator: String,
    endpoint: String,
}

impl ProviderName {
    /// The names of a chain's providers, in the order of its configuration.
    pub fn all(chain: &ChainConfig) -> Vec<Self> {
        let name = |(provider, position): (&ProviderConfig, usize)| Self {
            position,
            operator: provider.operator.clone(),
            endpoint: provider.url.origin(),
        };
        chain.providers.iter().zip(1..).map(name).collect()
    }

    /// Its place among the chain's providers in the configuration, from 1.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Who runs it.
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// Scheme, host and port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, operator, endpoint } = self;
        write!(f, "provider {position} ({operator} at {endpoint})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(urls: &[&str]) -> Vec<ProviderName> {
        let providers = urls.iter().map(|url| ProviderConfig::new("alpha", *url)).collect();
        ProviderName::all(&ChainConfig::new(1, providers))
    }

    #[test]
    fn two_endpoints_of_one_origin_have_different_names() {
        let names = names(&["https://rpc.example/v1/one", "https://rpc.example/v1/two"]);
        assert_ne!(names[0], names[1]);
        let shown: Vec<_> = names.iter().map(ToString::to_string).collect();
        let expected =
            ["provider 1 (alpha at https://rpc.example)", "provider 2 (alpha at https://rpc.example)"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_name_has_no_part_of_the_url_that_may_be_a_credential() {
        let url = "https://someone:hunter2@rpc.example:8443/v3/0123456789abcdef?key=hunter3#hunter4";
        let names = names(&[url]);
        assert_eq!(names[0].endpoint(), "https://rpc.example:8443");
        let json = serde_json::to_string(&names).expect("JSON");
        let shown = format!("{} {names:?} {json}", names[0]);
        for secret in ["someone", "hunter", "v3", "0123456789abcdef", "key"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}
