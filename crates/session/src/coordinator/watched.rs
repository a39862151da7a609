//! What a session waits for, and how much it holds: for whoever watches it. Nothing here decides anything.

use countersign_types::Identifier;

use super::{Coordinator, Phase, standing::Standing};

/// What a session waits for from one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Awaited {
    /// Whether it waits for its record and provisional decision.
    pub record: bool,
    /// The attempt for which it waits for fresh commitments.
    pub commitments: Option<u32>,
    /// The attempt for which it waits for shares.
    pub shares: Option<u32>,
}

/// How much a session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Attempts so far; at most [`MAX_ATTEMPTS`](crate::message::MAX_ATTEMPTS).
    pub attempts: usize,
    /// Signer sets that failed without a culprit: at most one for each attempt.
    pub tried: usize,
    /// The bytes of the largest record of a member; at most [`MAX_RECORD_BYTES`](countersign_types::record::MAX_RECORD_BYTES).
    pub record_bytes: usize,
    /// The most commitments of a member for one attempt; at most [`MAX_PAYLOADS`](countersign_types::MAX_PAYLOADS).
    pub commitments: usize,
}

impl Coordinator {
    /// What this session waits for from a member; nothing of one that it does not listen to any more.
    pub fn awaits(&self, member: Identifier) -> Awaited {
        let counts = self.standings.was_asked(member) && !self.standings.comes_and_goes(member);
        if self.is_done() || !counts {
            return Awaited::default();
        }
        let (mut commitments, mut shares) = (None, None);
        match &self.phase {
            Phase::Observing | Phase::Done => {}
            Phase::Committing { signers, commitments: here, .. } => {
                let lacks = signers.contains(&member) && !here.contains_key(&member);
                commitments = lacks.then_some(self.attempt);
            }
            Phase::Signing { signing, .. } => {
                shares = signing.missing().contains(&member).then_some(self.attempt);
            }
        }
        Awaited { record: self.standings.is_waiting(member), commitments, shares }
    }

    /// How much this session holds.
    pub fn sizes(&self) -> Sizes {
        let mut sizes =
            Sizes { attempts: self.attempt as usize, tried: self.tried.len(), ..Sizes::default() };
        for (_, standing) in self.standings.iter() {
            if let Standing::Observed(observation) = standing {
                sizes.record_bytes = sizes.record_bytes.max(observation.record.size());
                sizes.commitments = sizes.commitments.max(observation.commitments.len());
            }
        }
        if let Phase::Committing { commitments, .. } = &self.phase {
            let most = commitments.values().map(Vec::len).max().unwrap_or(0);
            sizes.commitments = sizes.commitments.max(most);
        }
        sizes
    }
}
