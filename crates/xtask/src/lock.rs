//! `actions/actions.lock`: which components the repository holds, and from what they were built.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

const HEADER: &str = "# Written by `cargo xtask actions`. Nodes know a component by its keccak-256.\n\n";

/// What the lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    /// What the components were built with; another gives other bytes.
    pub(crate) toolchain: String,
    /// What the runner of scripts was built with besides.
    pub(crate) interpreter: String,
    /// The SHA-256 of all that they were built from.
    pub(crate) sources: String,
    /// By name.
    pub(crate) action: BTreeMap<String, Locked>,
    /// Actions that are scripts, by name.
    pub(crate) script: BTreeMap<String, LockedScript>,
}

/// One script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedScript {
    /// The keccak-256 of its text, as manifests name it.
    pub(crate) script: String,
}

impl LockedScript {
    /// What the lock says of this text.
    pub(crate) fn of(source: &[u8]) -> Self {
        Self { script: format!("0x{}", hex::encode(Keccak256::digest(source))) }
    }
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Locked {
    /// The keccak-256, as manifests name it.
    pub(crate) component: String,
    /// Bytes.
    pub(crate) size: usize,
}

impl Locked {
    /// What the lock says of these bytes.
    pub(crate) fn of(component: &[u8]) -> Self {
        Self { component: format!("0x{}", hex::encode(Keccak256::digest(component))), size: component.len() }
    }
}

impl Lock {
    /// Reads `actions.lock`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read: run `cargo xtask actions`", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a lock file", path.display()))
    }

    /// Writes `actions.lock`.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = format!("{HEADER}{}", toml::to_string(self)?);
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Checks that these are the locked components, all and only those.
    pub(crate) fn check(&self, components: &BTreeMap<String, Vec<u8>>) -> Result<()> {
        let (locked, got): (Vec<_>, Vec<_>) = (self.action.keys().collect(), components.keys().collect());
        if locked != got {
            bail!("the lock holds {locked:?}, there are {got:?}");
        }
        self.check_bytes(components)
    }

    /// Checks that each of these is the locked one of its name.
    pub(crate) fn check_bytes(&self, components: &BTreeMap<String, Vec<u8>>) -> Result<()> {
        for (name, bytes) in components {
            let expected = self.action.get(name).with_context(|| format!("{name} is not in the lock"))?;
            let got = Locked::of(bytes);
            if *expected != got {
                bail!(
                    "the component of {name} is {} of {} bytes, the lock says {} of {} bytes",
                    got.component,
                    got.size,
                    expected.component,
                    expected.size
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components() -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([("a".to_owned(), b"one".to_vec()), ("b".to_owned(), b"two".to_vec())])
    }

    fn lock() -> Lock {
        let action = components().iter().map(|(name, bytes)| (name.clone(), Locked::of(bytes))).collect();
        let script = BTreeMap::from([("c".to_owned(), LockedScript::of(b"three"))]);
        Lock { toolchain: "t".into(), interpreter: "i".into(), sources: "s".into(), action, script }
    }

    #[test]
    fn the_digest_is_the_keccak_256_of_ethereum() {
        assert_eq!(
            Locked::of(b"").component,
            "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("actions.lock");
        lock().write(&path).expect("written");
        assert_eq!(Lock::read(&path).expect("read"), lock());
        fs::write(&path, "toolchain = 1").expect("written");
        assert!(Lock::read(&path).is_err());
        assert!(Lock::read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn a_changed_a_missing_and_a_foreign_component_are_noticed() {
        assert!(lock().check(&components()).is_ok());
        let mut changed = components();
        changed.insert("a".into(), b"onf".to_vec());
        let mut missing = components();
        missing.remove("a");
        let mut foreign = components();
        foreign.insert("c".into(), vec![]);
        for wrong in [changed, missing, foreign] {
            assert!(lock().check(&wrong).is_err());
        }
    }
}
