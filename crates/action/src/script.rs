//! Scripts: source text that a component of its own, the runner, compiles and runs.

use std::sync::Arc;

use countersign_types::{
    B256, ComponentDigest,
    action::{MAX_SCRIPT_BYTES, script_digest},
};

use crate::abort::Abort;

/// The most bytes of what a runner makes of a script.
pub const MAX_PROGRAM_BYTES: usize = 1 << 20;

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
    /// It was compiled, and takes too much.
    #[error("the script compiles to {got} bytes, at most {MAX_PROGRAM_BYTES}: make it shorter")]
    ProgramSize {
        /// How many bytes the program has.
        got: usize,
    },
    /// The compilation ended without a word on the script.
    #[error("the script could not be compiled")]
    Compile(#[source] Abort),
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

/// What a runner made of a script, ready to run: it follows from script and runner alone, so each node makes its
/// own, and it never travels. Clones share the program.
#[derive(Clone, PartialEq, Eq)]
pub struct CompiledScript {
    script: B256,
    runner: ComponentDigest,
    program: Arc<[u8]>,
}

impl CompiledScript {
    pub(crate) fn new(
        script: &Script,
        runner: ComponentDigest,
        program: Vec<u8>,
    ) -> Result<Self, ScriptError> {
        match program.len() {
            0..=MAX_PROGRAM_BYTES => Ok(Self { script: script.digest, runner, program: program.into() }),
            got => Err(ScriptError::ProgramSize { got }),
        }
    }

    /// The digest of the script's source, by which manifests name it.
    pub fn digest(&self) -> B256 {
        self.script
    }

    /// The digest of the runner that made it, and alone can run it.
    pub fn runner(&self) -> ComponentDigest {
        self.runner
    }

    pub(crate) fn program(&self) -> &[u8] {
        &self.program
    }
}

impl std::fmt::Debug for CompiledScript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompiledScript")
            .field("script", &self.script)
            .field("runner", &self.runner)
            .field("bytes", &self.program.len())
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
