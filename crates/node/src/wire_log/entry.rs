//! What a line of the wire log says of a message.

use countersign_session::{
    Millis, keygen,
    message::{Decline, Package, Preprocess, Provisional, ToCoordinator, ToParticipant, shares_hash},
};
use countersign_threshold::Commitments;
use countersign_types::{
    AttemptId, B256, Bytes, Identifier, NetworkId, OutcomeHash, PackageHash, RequestDigest, Scheme, SessionId,
};
use serde::Serialize;

/// A line.
#[derive(Serialize)]
pub(super) struct Line {
    /// Its number in this process.
    pub(super) n: u64,
    /// The node's clock.
    pub(super) ms: Millis,
    pub(super) way: Way,
    /// Whom it went to or came from.
    pub(super) peer: Option<u16>,
    #[serde(flatten)]
    pub(super) entry: Entry,
}

/// Which way a message went.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    Sent,
    Received,
    /// No message.
    Here,
}

/// Commitments by the signer that made them, one for each payload.
type Signers = Vec<(u16, Vec<Bytes>)>;

/// What happened.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Entry {
    Started { member: u16, generation: u64 },
    Purged,
    Propose { session: SessionId, request: RequestDigest, eager: Option<Sign> },
    Commit { session: SessionId, attempt: u32 },
    Sign(Sign),
    Close { session: SessionId },
    Observed { session: SessionId, allows: bool, commitments: Vec<Bytes> },
    Declined { session: SessionId, attempt: Option<u32>, why: &'static str },
    Committed { session: SessionId, attempt: u32, commitments: Vec<Bytes> },
    Signed { session: SessionId, attempt: u32, package: PackageHash, outcome: OutcomeHash, shares: Vec<B256> },
    Ask { scheme: Scheme, count: u16 },
    HandOut { scheme: Scheme, commitments: Vec<Bytes> },
    KeyGeneration { step: &'static str, attempt: AttemptId },
}

/// What has a line of its own.
pub(crate) trait Logged {
    /// What the line says of it.
    fn entry(&self, network: NetworkId) -> Entry;
}

/// A package, by its hash.
#[derive(Serialize)]
pub(crate) struct Sign {
    session: SessionId,
    attempt: u32,
    package: PackageHash,
    signers: Signers,
}

impl Logged for ToParticipant {
    fn entry(&self, network: NetworkId) -> Entry {
        let session = self.session(network);
        match self {
            ToParticipant::Propose(proposal) => {
                let eager = proposal
                    .eager
                    .as_ref()
                    .map(|eager| sign(&eager.as_ref().clone().package(session), network));
                Entry::Propose { session, request: proposal.request.request.digest(), eager }
            }
            ToParticipant::Commit { attempt, .. } => Entry::Commit { session, attempt: *attempt },
            ToParticipant::Sign { package, .. } => Entry::Sign(sign(package, network)),
            ToParticipant::Close { .. } => Entry::Close { session },
        }
    }
}

impl Logged for ToCoordinator {
    fn entry(&self, _: NetworkId) -> Entry {
        let session = self.session();
        match self {
            ToCoordinator::Observed(observation) => Entry::Observed {
                session,
                allows: matches!(observation.decision, Provisional::Allow),
                commitments: bytes(&observation.commitments),
            },
            ToCoordinator::Declined { attempt, decline, .. } => {
                let why = match decline {
                    Decline::Refused { .. } => "refused",
                    Decline::Abstain { kind, .. } => kind.name(),
                };
                Entry::Declined { session, attempt: *attempt, why }
            }
            ToCoordinator::Committed { attempt, commitments, .. } => {
                Entry::Committed { session, attempt: *attempt, commitments: bytes(commitments) }
            }
            ToCoordinator::Signed(signed) => Entry::Signed {
                session,
                attempt: signed.attempt,
                package: signed.vote.vote.package,
                outcome: signed.vote.vote.outcome,
                // of what is sent, whatever the vote says of it
                shares: signed.shares.iter().map(|share| shares_hash(std::slice::from_ref(share))).collect(),
            },
        }
    }
}

impl Logged for Preprocess {
    fn entry(&self, _: NetworkId) -> Entry {
        match self {
            Preprocess::Ask { scheme, count } => Entry::Ask { scheme: *scheme, count: *count },
            Preprocess::HandOut { scheme, commitments } => {
                Entry::HandOut { scheme: *scheme, commitments: bytes(commitments) }
            }
        }
    }
}

impl Logged for keygen::Message {
    fn entry(&self, network: NetworkId) -> Entry {
        let (step, attempt) = match self {
            keygen::Message::Start { terms } => ("start", terms.id(network)),
            keygen::Message::Round1 { attempt, .. } => ("round-1", *attempt),
            keygen::Message::Echo { attempt, .. } => ("echo", *attempt),
            keygen::Message::Round2 { attempt, .. } => ("round-2", *attempt),
            keygen::Message::Abort { attempt, .. } => ("abort", *attempt),
            keygen::Message::Confirm { terms, .. } => ("confirm", terms.id(network)),
            keygen::Message::Refuse(refusal) => ("refuse", refusal.attempt),
            keygen::Message::Activate { attempt, .. } => ("activate", *attempt),
            keygen::Message::Activated(activation) => ("activated", activation.attempt),
        };
        Entry::KeyGeneration { step, attempt }
    }
}

fn sign(package: &Package, network: NetworkId) -> Sign {
    let of = |(id, commitments): (&Identifier, &Vec<Commitments>)| (id.get(), bytes(commitments));
    Sign {
        session: package.session,
        attempt: package.attempt,
        package: package.hash(network),
        signers: package.signers.iter().map(of).collect(),
    }
}

fn bytes(commitments: &[Commitments]) -> Vec<Bytes> {
    commitments.iter().map(|one| Bytes::copy_from_slice(one.as_bytes())).collect()
}
