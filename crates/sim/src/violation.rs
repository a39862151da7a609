//! What must never happen.

use std::{collections::BTreeMap, fmt};

use countersign_session::Millis;
use countersign_types::{AttemptId, Identifier, RequestDigest, SessionId};

use crate::{Class, Setting, Trace};

/// How many of the last events an error shows.
const TAIL: usize = 60;

/// A run that broke an invariant.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The seed, to play it again.
    pub seed: u64,
    /// What broke.
    pub violation: Violation,
    /// What happened up to there.
    pub trace: Trace,
    /// What the world was made of.
    pub setting: Setting,
    /// How many faults of each class were drawn.
    pub drawn: BTreeMap<Class, u64>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.violation)?;
        writeln!(f, "{}", self.trace.tail(TAIL))?;
        write!(f, "to see all of it: {}", self.setting.replay_command(self.seed))
    }
}

impl std::error::Error for Broken {}

/// An invariant that does not hold: what happened, on which node, in which session.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Commitments that were used in one package were used in another.
    #[error("node {node} used a nonce in two packages, the second in session {session}")]
    NonceReused {
        /// Whose nonce.
        node: Identifier,
        /// The session of the second use.
        session: SessionId,
    },
    /// An honest node showed the same commitments for two purposes.
    #[error("node {node} showed the same commitments for two attempts, or handed them out twice")]
    CommittedTwice {
        /// Whose they are.
        node: Identifier,
    },
    /// A share for a package with commitments that its node did not make for it.
    #[error("node {node} gave a share in session {session} under commitments that it did not make for it")]
    NotItsCommitments {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
    },
    /// A share for a package with a member's commitments that stood in another one.
    #[error(
        "node {node} gave a share in session {session} beside commitments of node {of} of another package"
    )]
    CommitmentsReused {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
        /// Whose commitments.
        of: Identifier,
    },
    /// Nonces that should be gone.
    #[error("node {node} keeps {kept} nonces in advance, at most {most} can be unused")]
    NoncesKept {
        /// Who keeps them.
        node: Identifier,
        /// How many.
        kept: usize,
        /// How many were handed out, and not used or forgotten since.
        most: usize,
    },
    /// A share for a package with somebody who is no member, or with too few members.
    #[error(
        "node {node} gave a share in session {session} for a package that is not of a threshold of members"
    )]
    NotOfMembers {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
    },
    /// Shares for two requests of the same callers under one nonce.
    #[error("node {node} gave shares for request {request} under the nonce of request {other}")]
    NonceOfTwo {
        /// Who gave them.
        node: Identifier,
        /// The second request.
        request: RequestDigest,
        /// The first.
        other: RequestDigest,
    },
    /// A share for a request of the future.
    #[error("node {node} gave a share for request {request} at {at}, before it was issued")]
    NotIssued {
        /// Who gave it.
        node: Identifier,
        /// The request.
        request: RequestDigest,
        /// When, by its clock.
        at: Millis,
    },
    /// A share in a session of a coordinator that the callers did not name.
    #[error(
        "node {node} gave a share in session {session} of node {by}, which may not coordinate the request"
    )]
    NotNamed {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
        /// Its coordinator.
        by: Identifier,
    },
    /// A node ran the action of one session twice.
    #[error("node {node} opened session {session} of coordinator {by} twice")]
    OpenedTwice {
        /// The node.
        node: Identifier,
        /// The session.
        session: SessionId,
        /// Its coordinator.
        by: Identifier,
    },
    /// A node replayed two agreed records in one session.
    #[error("node {node} replayed over two agreed records in session {session}")]
    AgreedTwice {
        /// The node.
        node: Identifier,
        /// The session.
        session: SessionId,
    },
    /// A share for bytes that the node's own replay did not give.
    #[error("node {node} gave a share in session {session} that its own replay does not allow: {why}")]
    NotAllowed {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
        /// What the replay gives.
        why: String,
    },
    /// A share over a read that does not stand in every record of the package.
    #[error(
        "node {node} gave a share in session {session} over read {position}, on which not all records agree"
    )]
    NotAgreed {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
        /// The read's position.
        position: usize,
    },
    /// A share over values that are not what the rules make of the records.
    #[error("node {node} gave a share in session {session} over other values than the rules give")]
    NotTheRule {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
    },
    /// A share over values that a signer does not tolerate.
    #[error("node {node} gave a share in session {session} over values beyond the tolerance of node {of}")]
    BeyondTolerance {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
        /// Whose tolerance.
        of: Identifier,
    },
    /// A share over a record that its node did not make in this session.
    #[error("node {node} gave a share in session {session} over a record that node {of} did not make")]
    FalseRecord {
        /// Who gave it.
        node: Identifier,
        /// The session.
        session: SessionId,
        /// Whose record it is said to be.
        of: Identifier,
    },
    /// Shares for two lists of messages for one request.
    #[error("node {node} gave shares for two outcomes of request {request}")]
    TwoOutcomes {
        /// Who gave them.
        node: Identifier,
        /// The request.
        request: RequestDigest,
    },
    /// More outcomes of one request than liars and threshold allow.
    #[error("request {request} has {got} signed outcomes, at most {most} can be")]
    Outcomes {
        /// The request.
        request: RequestDigest,
        /// How many were signed.
        got: usize,
        /// How many can be.
        most: usize,
    },
    /// A share after the request ended.
    #[error("node {node} gave a share at {at}, the request ended at {ended}")]
    Expired {
        /// Who gave it.
        node: Identifier,
        /// When, by its clock.
        at: Millis,
        /// When the request ended.
        ended: Millis,
    },
    /// The node counts other shares than it sent.
    #[error("node {node} says that it made {counted} shares, it sent {sent}")]
    Uncounted {
        /// The node.
        node: Identifier,
        /// What it says.
        counted: u64,
        /// What it sent.
        sent: u64,
    },
    /// A signature that does not verify, or without enough votes.
    #[error("session {session} gave a signature that does not count: {why}")]
    Signature {
        /// The session.
        session: SessionId,
        /// What is wrong.
        why: String,
    },
    /// An honest node is blamed.
    #[error("coordinator {by} says that honest node {node} misbehaved: {reason}")]
    Framed {
        /// Who says so.
        by: Identifier,
        /// Who is blamed.
        node: Identifier,
        /// The reason given.
        reason: String,
    },
    /// A coordinator has proof of a lie, and does not say so.
    #[error("coordinator {by} does not name node {node} for what it did in session {session}: {why}")]
    NotBlamed {
        /// The coordinator.
        by: Identifier,
        /// Who lied to it.
        node: Identifier,
        /// The session.
        session: SessionId,
        /// What it did.
        why: &'static str,
    },
    /// A node holds more than its bounds allow.
    #[error("node {node} holds {got} {what}, at most {most} are allowed")]
    HoldsTooMuch {
        /// The node.
        node: Identifier,
        /// Of what.
        what: &'static str,
        /// How many.
        got: usize,
        /// How many it may hold.
        most: usize,
    },
    /// A refusal although enough members can allow.
    #[error("coordinator {by} calls request {request} refused, but at most {refusals} members refuse")]
    RefusedTooSoon {
        /// Who says so.
        by: Identifier,
        /// The request.
        request: RequestDigest,
        /// How many members refuse or may lie about it.
        refusals: usize,
    },
    /// A session that outlives its deadline.
    #[error("session {session} of coordinator {by} goes on after its deadline {deadline}")]
    Overdue {
        /// Its coordinator.
        by: Identifier,
        /// The session.
        session: SessionId,
        /// When it should have ended, by the coordinator's clock.
        deadline: Millis,
    },
    /// A timeout that stays in the past after it was served: the driver would spin.
    #[error("the timeouts of node {node} do not move on")]
    Spins {
        /// The node.
        node: Identifier,
    },
    /// Enough honest nodes are up, faults are over, and still there is no signature.
    #[error("after the faults, request {request} at node {at} is not signed: {why}")]
    NotLive {
        /// The request.
        request: RequestDigest,
        /// Who coordinates it.
        at: Identifier,
        /// What the node says.
        why: String,
    },
    /// A member activated two attempts of key generation.
    #[error("member {node} activated attempt {second} after {first}")]
    TwoActivations {
        /// The member.
        node: Identifier,
        /// What it activated first.
        first: AttemptId,
        /// What it activated too.
        second: AttemptId,
    },
    /// Honest members activated different attempts: neither can ever be complete.
    #[error("member {node} activated attempt {attempt}, another one {other}")]
    Split {
        /// The member.
        node: Identifier,
        /// What it activated.
        attempt: AttemptId,
        /// What another member activated.
        other: AttemptId,
    },
    /// An honest member has for good what another never gets: nobody can finish it, or make another.
    #[error("honest member {node} lacks the {what} of attempt {attempt}, and another has it")]
    HalfMade {
        /// The member that lacks it.
        node: Identifier,
        /// The attempt.
        attempt: AttemptId,
        /// What it lacks.
        what: &'static str,
    },
    /// Two root keys, each with all activations.
    #[error("member {node} has another root key than the others")]
    TwoRoots {
        /// The member.
        node: Identifier,
    },
    /// A member says that it has stored what it has not.
    #[error("member {node} signed for attempt {attempt} before it stored {what}")]
    NotStored {
        /// The member.
        node: Identifier,
        /// The attempt.
        attempt: AttemptId,
        /// What is not on its disk.
        what: &'static str,
    },
    /// An honest member sent two packages where there is one.
    #[error("honest member {node} showed two round-1 packages of attempt {attempt}")]
    Equivocated {
        /// The member.
        node: Identifier,
        /// The attempt.
        attempt: AttemptId,
    },
    /// An honest member signed that it confirms an attempt, and that it never does.
    #[error("honest member {node} confirms attempt {attempt} and refuses it")]
    TwoWords {
        /// The member.
        node: Identifier,
        /// The attempt.
        attempt: AttemptId,
    },
    /// An honest member is said to have broken the protocol of key generation.
    #[error("member {by} names honest member {node} as culprit: {reason}")]
    Accused {
        /// Who says so.
        by: Identifier,
        /// Who is named.
        node: Identifier,
        /// The reason given.
        reason: String,
    },
    /// A member has proof of a lie in key generation, and does not name the liar.
    #[error("member {liar} lies in key generation, and honest member {by} does not name it: {lie:?}")]
    Unnamed {
        /// Who lies.
        liar: Identifier,
        /// How.
        lie: crate::keygen::Lie,
        /// Who has seen it.
        by: Identifier,
    },
    /// Faults are over, everybody is there, and there is no key that works.
    #[error("key generation does not end: {why}")]
    Incomplete {
        /// What is missing.
        why: String,
    },
}
