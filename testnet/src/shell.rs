//! A test network as variables of a shell: what the command `countersign` and documents take for granted.

use std::{fmt::Write, path::Path};

use anyhow::{Context, Result};

use crate::{network, settings::Settings};

/// Actions that the demonstrations publish, each as a variable with its id.
const ACTIONS: [&str; 4] = ["balance-gate", "price-gate", "time-lock", "webhook-approval"];

/// Lines for `eval`: where the nodes are, what is trusted, the ids of the actions, the token, and `programs` first in the path.
pub fn exports(folder: &Path, programs: &Path, settings: &Settings) -> Result<String> {
    let nodes: Vec<String> =
        settings.nodes.iter().map(|ports| format!("http://127.0.0.1:{}", ports.api)).collect();
    let file = |path: &str| folder.join(path).to_str().map(str::to_owned).context("a path that is no UTF-8");
    let mut variables = vec![
        ("COUNTERSIGN_NODE".to_owned(), nodes.join(",")),
        ("COUNTERSIGN_GENESIS".to_owned(), file("genesis.json")?),
        ("COUNTERSIGN_ROOT_KEYS".to_owned(), file("nodes/1/data/root-keys.json")?),
        ("COUNTERSIGN_TESTNET".to_owned(), folder.to_str().context("a path that is no UTF-8")?.to_owned()),
        ("CALLER_KEY".to_owned(), file("keys/alice.key")?),
        ("CHAIN".to_owned(), format!("http://127.0.0.1:{}", settings.chain_port)),
    ];
    if let Some(token) = settings.token {
        variables.push(("TOKEN".into(), token.to_string()));
    }
    for name in ACTIONS {
        let id = network::action(name)?.0.action_id().to_string();
        variables.push((name.to_uppercase().replace('-', "_"), id));
    }
    let mut lines = String::new();
    for (name, value) in variables {
        writeln!(lines, "export {name}={}", quoted(&value))?;
    }
    let programs = programs.to_str().context("a path that is no UTF-8")?;
    writeln!(lines, "export PATH={}:\"$PATH\"", quoted(programs))?;
    Ok(lines)
}

/// The command that starts a network again, with the committee that it has; of another folder than the default, with its name.
pub fn starts(folder: Option<&Path>, settings: &Settings) -> String {
    let folder = folder.map(|folder| format!(" --folder {}", quoted(&folder.display().to_string())));
    format!(
        "./testnet/up --detach --nodes {} --threshold {}{}",
        settings.nodes.len(),
        settings.threshold,
        folder.unwrap_or_default()
    )
}

/// A word that no shell reads anything into.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::settings::Ports;

    #[test]
    fn a_shell_reads_quoted_words_as_they_are() {
        for word in ["", "a b", "it's", "$(exit 1)`exit 1`\"\\", "a\nb"] {
            let said =
                Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output().expect("sh");
            assert_eq!(String::from_utf8_lossy(&said.stdout), word);
        }
    }

    #[test]
    fn what_starts_a_network_names_the_committee_that_it_has() {
        let nodes = vec![Ports { api: 1, peers: 2, prices: 3 }; 7];
        let settings = Settings { threshold: 5, chain_port: 4, approvals_port: 5, nodes, token: None };
        assert_eq!(starts(None, &settings), "./testnet/up --detach --nodes 7 --threshold 5");
        assert_eq!(
            starts(Some(Path::new("/my networks/a")), &settings),
            "./testnet/up --detach --nodes 7 --threshold 5 --folder '/my networks/a'"
        );
    }
}
