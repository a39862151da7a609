//! Why a run ended without a verdict.

use crate::reader::ReadFailure;

/// The most bytes of text that an abort carries.
const MAX_TEXT_BYTES: usize = 512;

/// Why a run ended without a verdict: it is neither a decision nor a refusal, and nothing is signed on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Abort {
    /// The manifest's fuel is used up.
    #[error("the action used up its fuel of {limit} units")]
    Fuel {
        /// The manifest's limit.
        limit: u64,
    },
    /// It asked for more memory than the manifest allows, or for too large a table.
    #[error("the action asked for {asked} {unit}, it may have {limit}")]
    Memory {
        /// How much it would have had.
        asked: u64,
        /// The limit.
        limit: u64,
        /// Bytes of memory, or elements of a table.
        unit: &'static str,
    },
    /// It ran for longer than the manifest allows. Local to the node.
    #[error("the action ran for longer than {limit_ms} ms")]
    Time {
        /// The manifest's limit, in milliseconds.
        limit_ms: u32,
    },
    /// Its calls are nested too deeply for the stack. How deep that is depends on the processor.
    #[error("the action's calls are nested too deeply for its stack")]
    Stack,
    /// It trapped: unreachable code, a result that cannot be read.
    #[error("the action trapped: {text}")]
    Trap {
        /// What wasmtime says, cut.
        text: String,
    },
    /// A read failed. Local to the node.
    #[error("read {position} failed: {failure}")]
    Read {
        /// The read's place in the run, from 0.
        position: usize,
        /// Why.
        failure: ReadFailure,
    },
    /// The session pins no block of a chain that the manifest lists.
    #[error("the session pins no block of chain {chain_id}")]
    NoPin {
        /// The chain.
        chain_id: u64,
    },
    /// What it returned, or what it read in all, is beyond a bound.
    #[error("the action's run has too many {what}: {got}, at most {limit}")]
    Limit {
        /// What is too much.
        what: &'static str,
        /// How much it is.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// The script is none, or threw something else than a refusal.
    #[error("the script failed: {text}")]
    Script {
        /// What the runner says, cut.
        text: String,
    },
    /// What it returned is no verdict.
    #[error("the action returned no valid result: {reason}")]
    InvalidResult {
        /// What is wrong with it.
        reason: String,
    },
    /// Replay: another read than the agreed one at this place.
    #[error("read {position} of the replay is not the one that was agreed")]
    Diverged {
        /// The read's place in the run, from 0.
        position: usize,
    },
    /// Replay: a read beyond the agreed ones.
    #[error("read {position} of the replay is beyond the agreed record")]
    NotAgreed {
        /// The read's place in the run, from 0.
        position: usize,
    },
    /// Too many runs at once. Local to the node.
    #[error("too many actions run on this node at once")]
    Busy,
    /// The host itself failed. Local to the node.
    #[error("the host failed: {text}")]
    Host {
        /// What happened, cut.
        text: String,
    },
}

impl Abort {
    /// Whether another node, or this one at another time, may come to a verdict with the same inputs.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Time { .. } | Self::Stack | Self::Read { .. } | Self::Busy | Self::Host { .. } => true,
            Self::Fuel { .. }
            | Self::Memory { .. }
            | Self::Trap { .. }
            | Self::NoPin { .. }
            | Self::Limit { .. }
            | Self::Script { .. }
            | Self::InvalidResult { .. }
            | Self::Diverged { .. }
            | Self::NotAgreed { .. } => false,
        }
    }

    pub(crate) fn trap(text: impl ToString) -> Self {
        Self::Trap { text: cut(text.to_string()) }
    }

    pub(crate) fn script(text: String) -> Self {
        Self::Script { text: cut(text) }
    }

    /// Whether the system is behind an error of the engine, as where it has no memory left: what this machine lacks, another may have.
    pub(crate) fn is_of_system(error: &wasmtime::Error) -> bool {
        error.chain().any(|cause| cause.is::<std::io::Error>())
    }

    pub(crate) fn host(text: impl ToString) -> Self {
        Self::Host { text: cut(text.to_string()) }
    }
}

/// Cuts a text at a character boundary, so that a guest cannot make a report large.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let Abort::Trap { text } = Abort::trap("ß".repeat(MAX_TEXT_BYTES)) else { panic!("a trap") };
        assert!(text.len() <= MAX_TEXT_BYTES + '…'.len_utf8());
    }
}
