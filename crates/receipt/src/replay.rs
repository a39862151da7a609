//! The last question of a receipt: whether the action gives this outcome over these reads.

use std::collections::BTreeMap;

use countersign_action::{Abort, Action, CompiledScript, Host, Replay};
use countersign_types::{EngineId, Identifier, Manifest, Outcome, OutcomeHash, Verdict};
use serde::Serialize;

use crate::{Attested, Receipt};

/// Why a replay does not give what was voted for.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The receipt was made with another engine, whose replay may differ.
    #[error(
        "the receipt was made with engine {receipt}, this program has {own}: replay it with the version that made it, or leave \
         the replay out"
    )]
    Engine {
        /// The receipt's.
        receipt: EngineId,
        /// This program's.
        own: EngineId,
    },
    /// No member voted, so there is nothing that the action could bear out, and no reason to run a stranger's program.
    #[error("the receipt holds no vote: there is nothing to hold a replay against")]
    NoVotes,
    /// The action was not run to its end here, which says nothing about the receipt.
    #[error("the action was not run to its end here, which says nothing about the receipt: {0}")]
    NotRun(#[source] Abort),
    /// Members voted for what the action does not give.
    #[error(transparent)]
    Evidence(Evidence),
    /// All votes that count are for what the action gives, and the receipt says something else.
    #[error(
        "over these reads the action gives what all signers voted for (members {}), and the receipt says something else (`verdict`): \
         it was changed after they signed",
        list(voters)
    )]
    Changed {
        /// Whom the replay clears, and what they voted for.
        voters: BTreeMap<Identifier, OutcomeHash>,
    },
}

/// What proves that members lied, to whoever has the receipt: they signed that the action gives something over the agreed reads, and
/// it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "over these reads {}, and not what members {} signed that it gives: their votes are evidence against them",
    what,
    list(against)
)]
pub struct Evidence {
    /// What the replay comes to, in words.
    pub what: String,
    /// The hash of the outcome that the replay gives; none where the action ends without one.
    pub gives: Option<OutcomeHash>,
    /// Who signed another outcome, and which.
    pub against: BTreeMap<Identifier, OutcomeHash>,
}

fn list(members: &BTreeMap<Identifier, OutcomeHash>) -> String {
    members.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Attested {
    /// Runs the action again over the agreed reads: every vote must be for what it gives.
    ///
    /// `action` and `script` are what the receipt's manifest names; a host that has others refuses to run them.
    pub async fn replay(
        &self,
        receipt: &Receipt,
        host: &Host,
        action: &Action,
        script: Option<&CompiledScript>,
    ) -> Result<Replay, ReplayError> {
        if self.votes.is_empty() {
            return Err(ReplayError::NoVotes);
        }
        let own = host.engine().engine_id();
        if receipt.terms.engine != own {
            return Err(ReplayError::Engine { receipt: receipt.terms.engine, own });
        }
        let manifest: &Manifest = &receipt.manifest;
        let replay = host.replay(action, script, manifest, &self.context, &self.reads).await;
        let (what, gives) = match &replay.end {
            Err(abort) if abort.is_local() => return Err(ReplayError::NotRun(abort.clone())),
            // the same for everybody who runs it over these reads
            Err(abort) => (format!("the action ends without a verdict ({abort})"), None),
            Ok(verdict) => self.outcome_of(receipt, verdict),
        };
        let others = self.votes.iter().filter(|(_, vote)| Some(**vote) != gives);
        let against: BTreeMap<_, _> = others.map(|(id, vote)| (*id, *vote)).collect();
        if !against.is_empty() {
            return Err(ReplayError::Evidence(Evidence { what, gives, against }));
        }
        if gives != self.claimed_hash() {
            return Err(ReplayError::Changed { voters: self.votes.clone() });
        }
        Ok(replay)
    }

    fn claimed_hash(&self) -> Option<OutcomeHash> {
        self.claimed.as_ref().ok().map(Outcome::hash)
    }

    /// What a verdict comes to, in words, and its outcome.
    fn outcome_of(&self, receipt: &Receipt, verdict: &Verdict) -> (String, Option<OutcomeHash>) {
        match Outcome::of(verdict.clone(), &receipt.request.request.key) {
            Ok(outcome) => {
                let what = match &outcome {
                    Outcome::Allowed { .. } if Some(outcome.hash()) == self.claimed_hash() => {
                        "the action gives what the receipt says".to_owned()
                    }
                    Outcome::Allowed { .. } => "the action gives other bytes".to_owned(),
                    Outcome::Refused { reason } => format!("the action refuses ({reason})"),
                };
                (what, Some(outcome.hash()))
            }
            Err(error) => (format!("the action returns what the key does not sign ({error})"), None),
        }
    }
}
