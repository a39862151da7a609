//! The last question of a receipt: whether the action gives this outcome over these reads.

use countersign_action::{Abort, Action, CompiledScript, Host, Replay};
use countersign_types::{EngineId, Identifier, Manifest, Outcome, OutcomeHash, outcome::OutcomeError};

use crate::{Checked, Receipt};

/// Why a replay does not give what was voted for.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The receipt was made with another engine, whose replay may differ.
    #[error(
        "the receipt was made with engine {receipt}, this program has {own}: replay it with the version that made it"
    )]
    Engine {
        /// The receipt's.
        receipt: EngineId,
        /// This program's.
        own: EngineId,
    },
    /// The action ends without a verdict.
    #[error("the action ends without a verdict: {0}")]
    Abort(#[from] Abort),
    /// The verdict makes no outcome.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// Another outcome: whoever voted for the receipt's lied, or ran another program.
    #[error(
        "over these reads the action gives {what}, and not what was signed: the votes of members {} are evidence against them",
        list(against)
    )]
    Other {
        /// What the replay gives, in words.
        what: String,
        /// Its hash.
        got: OutcomeHash,
        /// What was voted for.
        voted: OutcomeHash,
        /// Who voted for it.
        against: Vec<Identifier>,
    },
}

fn list(members: &[Identifier]) -> String {
    members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Checked {
    /// Runs the action again over the agreed reads: every vote of the receipt must be for what it gives.
    ///
    /// `action` and `script` are what the receipt's manifest names; a host that has others refuses to run them.
    pub async fn replay(
        &self,
        receipt: &Receipt,
        host: &Host,
        action: &Action,
        script: Option<&CompiledScript>,
    ) -> Result<Replay, ReplayError> {
        let own = host.engine().engine_id();
        if receipt.terms.engine != own {
            return Err(ReplayError::Engine { receipt: receipt.terms.engine, own });
        }
        let manifest: &Manifest = &receipt.manifest;
        let replay = host.replay(action, script, manifest, &self.context, &self.reads).await;
        let verdict = replay.end.clone()?;
        let outcome = Outcome::of(verdict, &receipt.request.request.key)?;
        let (got, voted) = (outcome.hash(), self.outcome.hash());
        if got == voted {
            return Ok(replay);
        }
        let what = match outcome {
            Outcome::Allowed { .. } => "other bytes".to_owned(),
            Outcome::Refused { reason } => format!("a refusal ({reason})"),
        };
        Err(ReplayError::Other { what, got, voted, against: receipt.signers.keys().copied().collect() })
    }
}
