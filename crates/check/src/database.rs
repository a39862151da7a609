//! The database by its unsealed header, and the passphrase by what it opens. The database itself is never opened: that would be
//! a start of the node.

use std::path::Path;

use countersign_node::{NodeConfig, PassphraseError};
use countersign_store::{IdentityFile, OpenError, Owner, Store};

use crate::{
    membership::Known,
    node::Life,
    report::{Finding, with_causes},
};

/// Whether the database is there, and this node's.
pub(crate) fn owner(config: &NodeConfig, known: &Known) -> Finding {
    let path = config.database();
    let owner = match Store::read_owner(&path) {
        Ok(owner) => owner,
        Err(error) => {
            return Finding::failed(with_causes(&error), "check `data` in the configuration, and the disk");
        }
    };
    let (Some(network), Some(own)) = (&known.network, known.own) else {
        return Finding::skipped(format!("it is of node {} in network {}", owner.node, owner.network));
    };
    if owner == (Owner { network: network.id, node: own }) {
        if let Some(lost) = Store::damaged_headers(&path).first() {
            return copy_lost(&path, lost);
        }
        return Finding::ok(format!("{} is this node's, in this network", path.display()));
    }
    Finding::failed(
        format!("{} is of node {} in network {}", path.display(), owner.node, owner.network),
        format!(
            "put back the database of node {own} in network {}: `data` may lead to another node's",
            network.id
        ),
    )
}

/// One of the two copies of the header does not read. The database opens by the other, and by nothing else.
fn copy_lost(path: &Path, lost: &str) -> Finding {
    let whole = if lost == "header" { "header.copy" } else { "header" };
    let (lost, whole) = (path.join(lost), path.join(whole));
    Finding::warning(
        format!(
            "it is this node's, but {} is missing or damaged: without {}, the last copy, no key share can be read",
            lost.display(),
            whole.display()
        ),
        format!(
            "look at the disk, and mend it by `cp -p {} {}` (both never change)",
            whole.display(),
            lost.display()
        ),
    )
}

/// Whether the passphrase opens the sealed identity and the database.
pub(crate) fn passphrase(config: &NodeConfig, life: &Life) -> Finding {
    let passphrase = match config.passphrase.read() {
        Ok(passphrase) => passphrase,
        // under systemd only the service has its credential
        Err(error @ PassphraseError::Missing) if life.runs() => {
            return Finding::skipped(format!("{error}; the node that runs has one"));
        }
        // named by the check of permissions
        Err(error @ PassphraseError::Open { .. }) => return Finding::skipped(error.to_string()),
        Err(error) => {
            return Finding::failed(
                with_causes(&error),
                "the node starts with the passphrase that it was made with only",
            );
        }
    };
    if config.identity.exists()
        && let Err(error) = IdentityFile::open(&config.identity, &passphrase)
    {
        return Finding::failed(
            with_causes(&error),
            "give the passphrase that `countersign node init` was given",
        );
    }
    match Store::check_passphrase(&config.database(), &passphrase) {
        Ok(()) => Finding::ok("it opens identity and database"),
        // named by the check of the database
        Err(OpenError::Missing { .. }) => Finding::skipped("there is no database that it could open"),
        Err(error) => {
            Finding::failed(with_causes(&error), "give the passphrase that `countersign node join` was given")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::SecretString;

    use super::*;
    use crate::{
        State,
        fixture::{PASSPHRASE, joined, write_passphrase},
    };

    #[test]
    fn the_right_passphrase_opens_and_another_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, known) = joined(folder.path());
        assert_eq!(passphrase(&config, &Life::Stopped), Finding::ok("it opens identity and database"));
        assert_eq!(owner(&config, &known).state, State::Ok);

        let file = config.passphrase.file.as_deref().expect("a file");
        write_passphrase(file, "another");
        let finding = passphrase(&config, &Life::Stopped);
        assert!(finding.state == State::Failed && finding.says.contains("identity"), "{finding:?}");
        // an identity that is kept elsewhere: the database tells
        fs::remove_file(&config.identity).expect("removed");
        let finding = passphrase(&config, &Life::Stopped);
        assert!(finding.state == State::Failed && finding.says.contains("this database"), "{finding:?}");
    }

    #[test]
    fn without_a_passphrase_a_running_node_is_not_accused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut config, _) = joined(folder.path());
        config.passphrase.file = Some(folder.path().join("none"));
        assert_eq!(passphrase(&config, &Life::Stopped).state, State::Failed);
        config.passphrase.file = None;
        let silent = Life::Silent("it does not answer".into());
        if std::env::var_os("COUNTERSIGN_PASSPHRASE").is_none() {
            assert_eq!(passphrase(&config, &silent).state, State::Skipped);
            assert_eq!(passphrase(&config, &Life::Stopped).state, State::Failed);
        }
    }

    #[test]
    fn a_check_is_no_start_of_the_node() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, known) = joined(folder.path());
        let network = known.network.as_ref().expect("a network").id;
        let owned = Owner { network, node: known.own.expect("an identity") };
        let generation = || {
            let store = Store::open(&config.database(), &owned, &SecretString::from(PASSPHRASE));
            store.expect("it opens").generation().expect("readable")
        };
        let before = generation();
        assert_eq!(owner(&config, &known).state, State::Ok);
        assert_eq!(passphrase(&config, &Life::Stopped).state, State::Ok);
        assert_eq!(generation(), before + 1, "only the two openings of this test count");
    }

    #[test]
    fn a_header_of_which_one_copy_is_left_is_warned_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, known) = joined(folder.path());
        for (lost, whole) in [("header", "header.copy"), ("header.copy", "header")] {
            let [lost, whole] = [lost, whole].map(|name| config.database().join(name));
            let content = fs::read(&lost).expect("readable");
            fs::write(&lost, &content[..10]).expect("cut");
            let finding = owner(&config, &known);
            assert_eq!(finding.state, State::Warning, "{finding:?}");
            let mends = format!("cp -p {} {}", whole.display(), lost.display());
            assert!(finding.advice.as_ref().is_some_and(|advice| advice.contains(&mends)), "{finding:?}");
            fs::copy(&whole, &lost).expect("copied");
            assert_eq!(owner(&config, &known).state, State::Ok);
        }
    }

    #[test]
    fn a_lost_database_is_named_once_with_both_ways_to_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, known) = joined(folder.path());
        fs::remove_dir_all(&config.data).expect("lost");
        let finding = owner(&config, &known);
        assert_eq!(finding.state, State::Failed);
        for way in ["countersign node join", "countersign node restore"] {
            assert!(finding.says.contains(way), "{finding:?}");
        }
        assert_eq!(passphrase(&config, &Life::Stopped).state, State::Skipped);
    }

    #[test]
    fn another_nodes_database_is_named() {
        let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let ((mut config, known), (other, other_known)) = (joined(one.path()), joined(two.path()));
        config.data = other.data;
        let finding = owner(&config, &known);
        assert_eq!(finding.state, State::Failed);
        let named = other_known.own.expect("an identity").to_string();
        assert!(finding.says.contains(&named), "{finding:?}");

        config.data = one.path().join("nowhere");
        let finding = owner(&config, &known);
        assert!(finding.state == State::Failed && finding.says.contains("node join"), "{finding:?}");
    }
}
