//! What each invariant is there for, in words.

use crate::Violation;

impl Violation {
    /// The invariant's name: the same for all violations of one invariant.
    pub fn name(&self) -> String {
        let shown = format!("{self:?}");
        shown.split([' ', '{']).next().unwrap_or_default().to_owned()
    }

    /// Why this must never happen, and what should have kept it from happening.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::CommittedTwice { .. } => {
                "Each nonce is committed to once, for one attempt or for one member in advance. Two purposes are one \
                 step from two shares under one nonce, which give the key share away."
            }
            Self::NotItsCommitments { .. } => {
                "A signer looks for its own commitments in the package before it binds nonces to it. Where others \
                 stand there, what it signs is not the package that it votes for."
            }
            Self::CommitmentsReused { .. } => {
                "A signer remembers the commitments of every package that it accepts and refuses them in another: the \
                 second line, for members whose memory was rolled back."
            }
            Self::NoncesKept { .. } => {
                "Nonces that were handed out are gone when they are used, when the member that has their commitments \
                 goes, and when the process ends. What is kept longer can be used twice."
            }
            Self::NonceReused { .. } => {
                "Two shares under one nonce for two packages give the key share away. Nonces move by value from the \
                 commitment to the share, live in memory only, and are gone whatever becomes of the package."
            }
            Self::NotOfMembers { .. } => {
                "A package names members only, and rests on the records of a threshold of them: fewer would let liars \
                 agree among themselves."
            }
            Self::NonceOfTwo { .. } => {
                "A nonce belongs to its callers and stands for one request: whoever reads the first one's end knows that \
                 nothing else was signed in its place."
            }
            Self::NotIssued { .. } => {
                "A request counts from the moment that it names, by each node's own clock. Otherwise one could be kept \
                 for after a restart, when nobody remembers its nonce."
            }
            Self::NotNamed { .. } => {
                "Where the callers name who may coordinate, no other member opens a session: it could have other bytes \
                 signed, over another moment, and keep whoever was asked from a signature."
            }
            Self::OpenedTwice { .. } => {
                "A coordinator's sessions for a request have rising times, so that a node makes one record and one \
                 vote in a session, whatever is closed and opened meanwhile."
            }
            Self::AgreedTwice { .. } => {
                "A further attempt keeps the agreed record and changes signers and nonces only. With another record the \
                 coordinator could choose among outcomes."
            }
            Self::TwoWords { .. } => {
                "A member that refused an attempt never confirms it, and the other way round: others go on to the next \
                 attempt on the strength of that word."
            }
            Self::NotAgreed { .. } => {
                "Every read that a replay consumes stands in the record of every signer, by position and arguments. A \
                 read that some did not make is nobody's agreement."
            }
            Self::NotTheRule { .. } => {
                "The agreed values follow from the records of the base by the rule of each field, and from nothing else."
            }
            Self::BeyondTolerance { .. } => {
                "A node signs over agreed values only within the tolerance around its own, and around those of every \
                 record in the package."
            }
            Self::FalseRecord { .. } => {
                "Where values may differ, a record is signed with its session by the node that made it. A coordinator \
                 that makes records up would choose the agreed values."
            }
            Self::TwoOutcomes { .. } | Self::Outcomes { .. } => {
                "For one request a node gives shares for one list of bytes, whichever coordinator asks, and refuses \
                 what was issued before it started, because it no longer knows."
            }
            Self::Expired { .. } => {
                "A share for a request that has ended binds its caller beyond what it signed."
            }
            Self::Uncounted { .. } => "What a node says of its shares to its operator is what it has sent.",
            Self::NotAllowed { .. } => {
                "A share leaves a node only for the bytes of that node's own replay over the agreed reads, with a vote \
                 over its own record. Whatever a coordinator says decides nothing else."
            }
            Self::Framed { .. } => {
                "Only what a member provably did is called misbehaviour: an honest member that is blamed is asked last \
                 from then on, and its operator is woken for nothing."
            }
            Self::NotBlamed { .. } => {
                "A coordinator names whoever provably lied to it: otherwise the liar is asked again in the next session, and its \
                 operator never hears of it."
            }
            Self::HoldsTooMuch { .. } => {
                "Every table of a node has a bound, for each coordinator where one could take the room of others: so no member \
                 exhausts another's memory, however much it sends."
            }
            Self::RefusedTooSoon { .. } => {
                "Refused is final only when fewer than a threshold can still allow: one liar's refusal is no answer."
            }
            Self::Overdue { .. } => {
                "No session outlives its deadline: the caller is told, one way or another."
            }
            Self::Spins { .. } => {
                "A timeout that was served lies in the future, or the driver would never rest."
            }
            Self::NotLive { .. } => {
                "With a threshold of honest members up, and links that deliver, a request that all allow is signed."
            }
            Self::Signature { .. } => {
                "What a coordinator returns verifies under the key, is for bytes that an honest replay allowed, and \
                 carries the votes of a threshold."
            }
            Self::NotStored { .. } => {
                "Shares are stored before they are confirmed, and activations before they are signed: whatever a member \
                 has said must survive its crash."
            }
            Self::Equivocated { .. } => {
                "A member makes one broadcast for an attempt, whatever is asked of it again."
            }
            Self::Accused { .. } => {
                "Only a member that signed something wrong is named. The echo comes before any share is dealt, so that \
                 whoever shows two broadcasts is found out by them, and not the member that complains."
            }
            Self::Unnamed { .. } => {
                "What a member broadcasts against the protocol names it, so that the others' operators know whom to \
                 call: an attempt that fails without a name is begun anew for ever."
            }
            Self::Incomplete { .. } => {
                "Once faults are over, key generation ends with the same roots everywhere and shares that sign together. \
                 It never does where some activated what others cannot."
            }
            Self::HalfMade { .. } => {
                "Soon after the faults all honest members have activated the same, and finished the same. What one of them \
                 has activated it never gives up, so where another cannot follow there is never a key."
            }
            Self::TwoActivations { .. } | Self::Split { .. } | Self::TwoRoots { .. } => {
                "A member activates one attempt of a scheme, with the confirmations of all: so there are never two root \
                 keys, nor one that some hold and others wait for."
            }
        }
    }
}
