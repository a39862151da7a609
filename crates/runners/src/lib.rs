//! The runners that come with a node: components that run actions written as scripts.
//!
//! A script's manifest names its runner by digest, and the keys that the action decides over have their addresses
//! through it. So a runner that was ever in use stays in [`ALL`], byte for byte: a new version is one more entry,
//! and no replacement.

use std::sync::LazyLock;

use countersign_types::ComponentDigest;

/// A component that runs scripts.
#[derive(Debug)]
pub struct Runner {
    /// The language, as manifests and commands call it. Later versions have the same.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
    digest: LazyLock<ComponentDigest>,
}

impl Runner {
    /// The component's digest, computed once.
    pub fn digest(&self) -> ComponentDigest {
        *self.digest
    }
}

/// All runners, the newest of each language first.
pub static ALL: [Runner; 1] = [Runner {
    name: "javascript",
    component: JAVASCRIPT,
    digest: LazyLock::new(|| ComponentDigest::of(JAVASCRIPT)),
}];

const JAVASCRIPT: &[u8] = include_bytes!("../../../actions/javascript-runner/javascript-runner.wasm");

/// The runner that a manifest names.
pub fn by_digest(digest: ComponentDigest) -> Option<&'static Runner> {
    ALL.iter().find(|runner| runner.digest() == digest)
}

/// The newest runner of a language: what a new action of it is published with.
pub fn by_name(name: &str) -> Option<&'static Runner> {
    ALL.iter().find(|runner| runner.name == name)
}

/// The newest runner of JavaScript.
pub fn javascript() -> &'static Runner {
    &ALL[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_is_found_by_digest_and_name() {
        for runner in &ALL {
            assert_eq!(runner.digest(), ComponentDigest::of(runner.component));
            assert_eq!(by_digest(runner.digest()).map(Runner::digest), Some(runner.digest()));
        }
        assert_eq!(by_name("javascript").map(Runner::digest), Some(javascript().digest()));
        assert!(by_digest(ComponentDigest::of(b"another")).is_none());
        assert!(by_name("cobol").is_none());
    }

    /// The digests are in manifests: once released, an entry may neither change nor go.
    #[test]
    fn the_lock_pins_the_newest_javascript_runner() {
        let lock = include_str!("../../../actions/actions.lock");
        let (_, rest) = lock.split_once("[action.javascript-runner]").expect("it is locked");
        let line = format!("component = \"{}\"", ALL[0].digest());
        assert_eq!(rest.trim_start().lines().next(), Some(line.as_str()));
    }
}
