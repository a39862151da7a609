//! Who may read the files that nobody else should.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use countersign_node::NodeConfig;

use crate::{Name, report::Finding, tasks::Task};

/// Bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;
/// Those of them that let others write.
const OTHERS_WRITE: u32 = 0o022;

/// What a path holds, and what it costs when others read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The node refuses to start.
    Passphrase,
    /// Sealed, but whoever has it can try passphrases.
    Identity,
    /// Whoever has it can pose as this node's interface.
    TlsKey,
    /// Holds credentials of providers.
    Config,
    /// The folder of everything else.
    Data,
    /// Not sealed: what was asked and read.
    Receipts,
}

/// One check for each path.
pub(crate) fn tasks(path: &Path, config: &NodeConfig) -> Vec<Task> {
    let mut paths: Vec<(Kind, PathBuf)> =
        config.passphrase.file.iter().map(|file| (Kind::Passphrase, file.clone())).collect();
    paths.extend(config.api.tls.iter().map(|tls| (Kind::TlsKey, tls.key.clone())));
    paths.push((Kind::Identity, config.identity.clone()));
    paths.push((Kind::Data, config.data.clone()));
    // of one that nobody else reaches the mode does not matter
    if is_open(&config.data) {
        paths.push((Kind::Receipts, config.receipts_folder()));
    }
    let secret = |provider: &countersign_chain::ProviderConfig| provider.url.may_hold_credentials();
    if config.chains.iter().flat_map(|chain| &chain.providers).any(secret) {
        paths.push((Kind::Config, path.into()));
    }
    let task = |(kind, path): (Kind, PathBuf)| {
        Task::blocking(Name::Permissions, Some(path.display().to_string()), move || look(kind, &path))
    };
    paths.into_iter().map(task).collect()
}

fn is_open(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS != 0)
}

fn look(kind: Kind, path: &Path) -> Finding {
    match fs::metadata(path) {
        Ok(metadata) => judge(
            kind,
            path,
            metadata.permissions().mode() & 0o7777,
            metadata.uid(),
            rustix::process::geteuid().as_raw(),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => absent(kind),
        Err(error) => Finding::failed(
            format!("cannot be looked at: {error}"),
            "run this as the user that the node runs as",
        ),
    }
}

fn absent(kind: Kind) -> Finding {
    match kind {
        Kind::Identity => Finding::skipped("it is not there; the database says who the node is"),
        Kind::Receipts => Finding::skipped("it is not there: the node has not run yet"),
        Kind::Passphrase | Kind::TlsKey | Kind::Config | Kind::Data => {
            Finding::failed("it is not there", "correct the path in the configuration")
        }
    }
}

fn judge(kind: Kind, path: &Path, mode: u32, owner: u32, me: u32) -> Finding {
    if mode & OTHERS != 0 {
        let private = if matches!(kind, Kind::Data | Kind::Receipts) { "700" } else { "600" };
        let advice = format!("chmod {private} {}", path.display());
        let says = format!("other users may use it (mode {mode:03o}): {}", harm(kind, mode));
        return match kind {
            Kind::Passphrase => Finding::failed(says, advice),
            Kind::Identity | Kind::TlsKey | Kind::Config | Kind::Data | Kind::Receipts => {
                Finding::warning(says, advice)
            }
        };
    }
    if owner != me && me != 0 {
        return Finding::failed(
            format!("it belongs to user {owner}, and this is user {me}"),
            "run this as the user that the node runs as",
        );
    }
    Finding::ok(format!("only its owner may use it (mode {mode:03o})"))
}

fn harm(kind: Kind, mode: u32) -> &'static str {
    let is_writable = mode & OTHERS_WRITE != 0;
    match kind {
        Kind::Passphrase => "the node does not start with it",
        Kind::Identity => "whoever copies it can try passphrases on it",
        Kind::TlsKey => "whoever has it can pose as this node's interface",
        Kind::Config => "it holds what providers take for a credential",
        Kind::Data if is_writable => {
            "whoever writes in it can remove the database or put another in its place, and its names and sizes tell what the node does"
        }
        Kind::Data => "its names and sizes tell what the node does",
        Kind::Receipts if is_writable => {
            "receipts are not sealed: others can read what was asked and read, and change or remove it"
        }
        Kind::Receipts => "receipts are not sealed: others can read what was asked and read",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign_chain::{ChainConfig, ProviderConfig};

    use super::*;
    use crate::{State, tasks::side_by_side};

    fn judged(kind: Kind, mode: u32, owner: u32, me: u32) -> State {
        judge(kind, Path::new("/x"), mode, owner, me).state
    }

    #[test]
    fn what_others_may_read_is_told_by_what_it_costs() {
        for mode in [0o644, 0o640, 0o604, 0o601, 0o620] {
            assert_eq!(judged(Kind::Passphrase, mode, 1, 1), State::Failed, "{mode:o}");
            assert_eq!(judged(Kind::Identity, mode, 1, 1), State::Warning);
            assert_eq!(judged(Kind::Config, mode, 1, 1), State::Warning);
            assert_eq!(judged(Kind::TlsKey, mode, 1, 1), State::Warning);
        }
        assert_eq!(judged(Kind::Data, 0o750, 1, 1), State::Warning);
        for (kind, mode) in [(Kind::Passphrase, 0o400), (Kind::Identity, 0o600), (Kind::Data, 0o700)] {
            assert_eq!(judged(kind, mode, 1, 1), State::Ok);
            assert_eq!(judged(kind, mode, 1, 0), State::Ok, "root reads everything");
            assert_eq!(judged(kind, mode, 1, 2), State::Failed, "another user's");
        }
    }

    #[tokio::test]
    async fn receipts_that_others_reach_are_told_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, receipts) = (folder.path().join("data"), folder.path().join("data/receipts"));
        fs::create_dir_all(&receipts).expect("folders");
        let mut config: NodeConfig = toml::from_str("data = 'd'\ngenesis = 'g'").expect("a configuration");
        config.data = data.clone();
        let found = async |of: u32, inside: u32| {
            for (path, mode) in [(&data, of), (&receipts, inside)] {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
            }
            let checks = side_by_side(tasks(Path::new("node.toml"), &config), Duration::from_secs(20)).await;
            let subject = receipts.display().to_string();
            checks.into_iter().find(|check| check.subject.as_ref() == Some(&subject))
        };
        for (inside, told) in [(0o755, "can read what was asked"), (0o777, "change or remove it")] {
            let check = found(0o777, inside).await.expect("others reach it");
            assert!(check.state == State::Warning && check.says.contains(told), "{check:?}");
            assert!(check.advice.is_some_and(|advice| advice.starts_with("chmod 700 ")));
        }
        assert_eq!(found(0o777, 0o700).await.map(|check| check.state), Some(State::Ok));
        assert_eq!(found(0o700, 0o755).await, None, "nobody else reaches it");
        assert!(judge(Kind::Data, &data, 0o777, 1, 1).says.contains("put another in its place"));
    }

    #[tokio::test]
    async fn a_configuration_with_a_providers_credential_is_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("node.toml");
        fs::write(&path, "").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
        let mut config: NodeConfig = toml::from_str("data = 'd'\ngenesis = 'g'").expect("a configuration");
        let subject = path.display().to_string();
        for (url, told) in
            [("https://rpc.example", None), ("https://rpc.example/v3/key", Some(State::Warning))]
        {
            let bare = ProviderConfig::new("a", "https://a.example");
            config.chains = vec![ChainConfig::new(1, vec![bare, ProviderConfig::new("b", url)])];
            let checks = side_by_side(tasks(&path, &config), Duration::from_secs(20)).await;
            let found = checks.iter().find(|check| check.subject.as_ref() == Some(&subject));
            assert_eq!(found.map(|check| check.state), told, "{url}: {checks:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("passphrase");
        assert_eq!(look(Kind::Passphrase, &path).state, State::Failed);
        assert_eq!(look(Kind::Identity, &path).state, State::Skipped);
        fs::write(&path, "correct horse").expect("written");
        for (mode, state) in [(0o644, State::Failed), (0o600, State::Ok)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            let finding = look(Kind::Passphrase, &path);
            assert_eq!(finding.state, state, "{finding:?}");
            assert_eq!(finding.advice.is_some(), state == State::Failed);
        }
    }
}
