//! Scripts: source text that a component of its own, the runner, runs.

use std::sync::Arc;

use countersign_types::{
    B256,
    action::{MAX_SCRIPT_BYTES, script_digest},
};

use crate::abort::Abort;

/// The source of a script, with its digest, by which manifests name it. Clones share the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Script {
    digest: B256,
    source: Arc<str>,
}

/// Why a script is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// Too long.
    #[error("a script has at most {MAX_SCRIPT_BYTES} bytes, got {got}")]
    Size {
        /// How many bytes it has.
        got: usize,
    },
    /// The component is an action by itself.
    #[error("the component runs no scripts: name the digest of a script runner, or leave the script out")]
    NotRunner,
    /// The component runs scripts, and there is none.
    #[error("the component is a script runner: add the script that it is to run")]
    Missing,
    /// The runner finds something wrong with it.
    #[error("the script cannot be used: {text}")]
    Invalid {
        /// What, and where; cut.
        text: String,
    },
    /// The check ended without a word on the script.
    #[error("the script could not be checked")]
    Check(#[source] Abort),
}

impl Script {
    /// A script from its source.
    pub fn new(source: impl Into<Arc<str>>) -> Result<Self, ScriptError> {
        let source = source.into();
        match source.len() {
            0..=MAX_SCRIPT_BYTES => Ok(Self { digest: script_digest(&source), source }),
            got => Err(ScriptError::Size { got }),
        }
    }

    /// The keccak-256 of the source.
    pub fn digest(&self) -> B256 {
        self.digest
    }

    /// The source.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("digest", &self.digest)
            .field("bytes", &self.source.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_bounded_and_known_by_its_digest() {
        let longest = "x".repeat(MAX_SCRIPT_BYTES);
        let script = Script::new(longest.as_str()).expect("a script");
        assert_eq!(script.digest(), script_digest(&longest));
        let got = MAX_SCRIPT_BYTES + 1;
        assert_eq!(Script::new(longest + "x"), Err(ScriptError::Size { got }));
        assert!(!format!("{script:?}").contains("xxx"), "the source is not printed");
    }
}
