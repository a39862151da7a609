//! The configuration file: whether it parses, and whether each section can be used.

use std::path::Path;

use countersign_api::Tls;
use countersign_egress::Egress;
use countersign_node::NodeConfig;

use crate::report::{Finding, with_causes};

/// Reads the configuration. What cannot be read is none; what is read may still have sections that cannot be used.
pub(crate) fn load(path: &Path) -> (Finding, Option<NodeConfig>) {
    match NodeConfig::load(path) {
        Ok(config) => (judge(path, &problems(&config)), Some(config)),
        Err(error) => {
            let advice = format!(
                "correct {}, or name another file with --config; the file that `countersign node init` writes explains every setting",
                path.display()
            );
            (Finding::failed(with_causes(&error), advice), None)
        }
    }
}

/// Every section that the node would refuse, by its own reasons.
fn problems(config: &NodeConfig) -> Vec<String> {
    let tls = || config.api.tls.clone().map(Tls::load).transpose().map(drop);
    let sections: [Result<(), String>; 6] = [
        config.network.validate().map_err(|error| with_causes(&error)),
        config.api.validate().map_err(|error| with_causes(&error)),
        tls().map_err(|error| with_causes(&error)),
        config.log.validate().map_err(|error| with_causes(&error)),
        countersign_chain::check_config(&config.chains).map_err(|error| with_causes(&error)),
        Egress::new(&config.egress).map(drop).map_err(|error| with_causes(&error)),
    ];
    sections.into_iter().filter_map(Result::err).collect()
}

fn judge(path: &Path, problems: &[String]) -> Finding {
    if problems.is_empty() {
        return Finding::ok(format!("{} is valid", path.display()));
    }
    Finding::failed(problems.join("; "), format!("correct these settings in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::State;

    /// What is said of a configuration with this text behind its two paths.
    fn said(text: &str) -> (Finding, Option<NodeConfig>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.toml");
        fs::write(&path, format!("data = 'data'\ngenesis = 'genesis.json'\n{text}")).expect("written");
        load(&path)
    }

    #[tokio::test]
    async fn the_example_is_well() {
        let (finding, config) = said("");
        assert_eq!(finding.state, State::Ok, "{finding:?}");
        assert!(config.is_some());
    }

    #[tokio::test]
    async fn every_section_that_cannot_be_used_is_named() {
        for (text, named) in [
            ("[network]\nsilence_ms = 1", "network.silence_ms"),
            ("[api]\nmax_in_flight = 0", "max_in_flight"),
            ("[api.tls]\ncertificate = '/nowhere.pem'\nkey = '/nowhere.key'", "/nowhere.pem"),
            ("[log]\nfilter = 'info,=='", "log.filter"),
            ("[[chains]]\nchain_id = 1\nproviders = []", "chains[0].providers"),
            ("[egress]\nnameservers = ['192.0.2.1:0']", "egress.nameservers[0]"),
            ("[egress]\nroots = ['/nowhere.pem']", "nowhere.pem"),
        ] {
            let (finding, config) = said(text);
            assert_eq!(finding.state, State::Failed, "{text}");
            assert!(finding.says.contains(named), "{text}: {}", finding.says);
            assert!(finding.advice.is_some() && config.is_some());
        }
        let (finding, _) = said("[api]\nmax_in_flight = 0\n[log]\nfilter = '=='");
        assert!(finding.says.contains("max_in_flight") && finding.says.contains("log.filter"), "all of them");
    }

    #[test]
    fn what_does_not_parse_is_no_configuration() {
        for (text, named) in [("[api]\nlistn = 1", "listn"), ("data = 'twice'", "duplicate key")] {
            let (finding, config) = said(text);
            assert_eq!((finding.state, config.is_none()), (State::Failed, true), "{finding:?}");
            assert!(finding.says.contains(named), "{}", finding.says);
        }
        let (finding, config) = load(Path::new("/nowhere/node.toml"));
        assert!(config.is_none() && finding.says.contains("/nowhere/node.toml"), "{finding:?}");
    }
}
