//! What must hold for a receipt to prove its signatures.

use std::{collections::BTreeMap, ops::Deref};

use countersign_agreement::{
    AgreedRecord, OwnMismatch, Package, PackageError, SignerPart, agree, check_own, shares_hash,
};
use countersign_threshold::{AggregateError, RootError, RootPublic, SignatureShare};
use countersign_types::{
    ActionId, Context, Identifier, KeyId, NetworkId, Outcome, OutcomeHash, PackageHash, PublicKey,
    RequestDigest, RequestError, SessionId, ValidRequest, action::ManifestError, outcome::OutcomeError,
    read::RecordedRead,
};

use crate::{
    Receipt, Trust, TrustError,
    receipt::{RECEIPT_VERSION, ReadingError},
};

/// How far a signer's clock may be from the session's time, in milliseconds.
const MAX_CLOCK_SKEW_MS: u64 = 30_000;

/// What is wrong with a receipt. Where a message names a field of the receipt's JSON, its path stands between backticks.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Another version.
    #[error("the receipt is of version {got} (`version`), this program knows {RECEIPT_VERSION}")]
    Version {
        /// The version.
        got: u16,
    },
    /// Of another network.
    #[error("the receipt is of network {got} (`request.request.network`), the genesis of {expected}")]
    Network {
        /// The genesis'.
        expected: NetworkId,
        /// The receipt's.
        got: NetworkId,
    },
    /// Of another epoch than the root keys.
    #[error("the receipt is of epoch {got} (`terms.epoch`), the root keys of {expected}")]
    Epoch {
        /// The root keys'.
        expected: u64,
        /// The receipt's.
        got: u64,
    },
    /// The request is malformed, or a caller did not sign it.
    #[error("the request does not count: {0}")]
    Request(#[from] RequestError),
    /// The terms are of another request.
    #[error(
        "the terms are of request {got} (`terms.request`), the receipt holds {expected} (the digest of `request.request`)"
    )]
    Terms {
        /// The receipt's request.
        expected: RequestDigest,
        /// The request of the terms.
        got: RequestDigest,
    },
    /// The session was not in the request's life.
    #[error(
        "the session's time {time_ms} (`terms.time_ms`) is not in the request's life, {issued_at} to {expires_at}"
    )]
    Time {
        /// The session's.
        time_ms: u64,
        /// When the request was issued.
        issued_at: u64,
        /// When it ended.
        expires_at: u64,
    },
    /// The manifest is another action's.
    #[error(
        "the manifest is of action {got} (the hash of `manifest`), the key names {expected} (`request.request.key.policy.action`)"
    )]
    Action {
        /// What the key names.
        expected: ActionId,
        /// The manifest's.
        got: ActionId,
    },
    /// The manifest is one that no node takes.
    #[error("the manifest does not count: {0}")]
    Manifest(#[from] ManifestError),
    /// The terms pin other chains than the manifest lists.
    #[error(
        "the terms pin the chains {got:?} (`terms.pins`), the manifest lists {expected:?} (`manifest.chains`)"
    )]
    Pins {
        /// The manifest's.
        expected: Vec<u64>,
        /// The terms'.
        got: Vec<u64>,
    },
    /// The package is of another session.
    #[error(
        "the package is of session {got} (`package.session`), the terms give {expected} (the hash of `terms`)"
    )]
    Session {
        /// What the terms give.
        expected: SessionId,
        /// The package's.
        got: SessionId,
    },
    /// The package is malformed.
    #[error("the package does not count: {0}")]
    Package(#[from] PackageError),
    /// A record is not signed by its member.
    #[error(
        "the record of member {member} (`package.records.{member}`) is not one that it signed in this session: its signature is \
         `package.signatures.{member}`"
    )]
    Record {
        /// The member.
        member: Identifier,
    },
    /// The records do not agree on what was read, or somebody's record does not accept it.
    #[error(
        "the record of member {member} (`package.records.{member}`) does not accept what was agreed on: {source}"
    )]
    Agreement {
        /// The member.
        member: Identifier,
        /// Why.
        source: OwnMismatch,
    },
    /// There are not as many reads as were agreed on.
    #[error("the records agree on {expected} reads, the receipt holds {got} (`reads`)")]
    ReadCount {
        /// How many were agreed on.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// A read is not what was agreed on.
    #[error("read {position} (`reads.{position}`) is not what was agreed on: {source}")]
    Read {
        /// Its position, from 0.
        position: usize,
        /// Why.
        source: ReadingError,
    },
    /// The verdict makes nothing to sign.
    #[error("the verdict does not count: {0}")]
    Verdict(#[from] OutcomeError),
    /// The verdict refuses.
    #[error("the verdict refuses, so nothing was to be signed: {reason}")]
    Refused {
        /// The action's reason.
        reason: String,
    },
    /// The verdict has another number of payloads than the signers committed to.
    #[error("the verdict signs {got} payloads, the signers committed to {expected} (`package.signers`)")]
    Payloads {
        /// What they committed to.
        expected: usize,
        /// The verdict's.
        got: usize,
    },
    /// The votes are not those of the package's signers.
    #[error(
        "the receipt holds the votes of members {got:?} (`signers`), the package asks {expected:?} (`package.signers`)"
    )]
    Signers {
        /// The package's.
        expected: Vec<u16>,
        /// The receipt's.
        got: Vec<u16>,
    },
    /// A vote does not count.
    #[error("the vote of member {member} (in `signers.{member}`) does not count: {source}")]
    Vote {
        /// The member.
        member: Identifier,
        /// Why.
        source: VoteError,
    },
    /// Members voted for something else than the receipt says that the action returned: they lied, or somebody changed the receipt.
    /// The action, run again, tells which.
    #[error(
        "members {members:?} signed votes for another outcome than the receipt's verdict: they lied or the receipt was changed, \
         which the action tells when it is run again"
    )]
    Dissent {
        /// Who.
        members: Vec<u16>,
    },
    /// There are no signatures: whoever coordinated the session never said that there are.
    #[error(
        "the receipt is incomplete: it holds the votes of members {votes:?} of {signers:?} (`signers`), and no signature \
         (`signatures`); its coordinator never sent the rest"
    )]
    Incomplete {
        /// Whose votes there are.
        votes: Vec<u16>,
        /// Who was asked to sign.
        signers: Vec<u16>,
    },
    /// Not as many signatures as payloads.
    #[error("the verdict signs {expected} payloads, the receipt holds {got} signatures (`signatures`)")]
    SignatureCount {
        /// The verdict's.
        expected: usize,
        /// The receipt's.
        got: usize,
    },
    /// The shares make no signature.
    #[error("the shares of payload {index} (`signers.*.shares.{index}`) make no signature: {source}")]
    Shares {
        /// Which payload, from 0.
        index: usize,
        /// Why, and whose share is wrong.
        source: AggregateError,
    },
    /// The shares make another signature.
    #[error(
        "the signature of payload {index} (`signatures.{index}`) is not the one that the signers' shares make"
    )]
    Signature {
        /// Which payload, from 0.
        index: usize,
    },
    /// The root key is no point.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The key is none of this network.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Why a vote does not count. The messages name fields of the signer's part of the receipt's JSON, [`SignerPart`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// Of another session.
    #[error("it is of session {got} (`vote.vote.session`), the terms give {expected} (the hash of `terms`)")]
    Session {
        /// What the terms give.
        expected: SessionId,
        /// The vote's.
        got: SessionId,
    },
    /// For another package.
    #[error("it is for another package (`vote.vote.package`) than the hash of the receipt's `package`")]
    Package,
    /// Over another record than the package holds of it.
    #[error(
        "it is over another record (`vote.vote.record`) than the package holds of the member (`package.records`)"
    )]
    Record,
    /// Another number of shares than of payloads.
    #[error("there are {got} shares (`shares`) for {expected} payloads")]
    ShareCount {
        /// How many payloads there are.
        expected: usize,
        /// How many shares.
        got: usize,
    },
    /// For other shares.
    #[error("it is for other shares (`vote.vote.shares`) than the receipt holds (`shares`)")]
    Shares,
    /// Its signature is wrong.
    #[error("`vote.signature` is not the member's: the member did not sign it")]
    Signature,
}

/// A receipt whose request, terms, records, reads and signed votes hold, whatever was voted for: enough to run the action again, and to
/// tell who voted for what it does not give.
#[derive(Debug, Clone)]
pub struct Attested {
    /// The network.
    pub network: NetworkId,
    /// The request.
    pub request: RequestDigest,
    /// The session.
    pub session: SessionId,
    /// The key.
    pub key: KeyId,
    /// Its public key.
    pub public_key: PublicKey,
    /// What the members agreed on.
    pub agreed: AgreedRecord,
    /// The agreed reads, as the action sees them.
    pub reads: Vec<RecordedRead>,
    /// What the receipt says that the action returned.
    pub outcome: Outcome,
    /// What the action was told.
    pub context: Context,
    /// What each member that voted, voted for. Its signature is over this package and these shares.
    pub votes: BTreeMap<Identifier, OutcomeHash>,
}

/// A receipt that holds: every vote is for what it says that was signed, and the shares make its signatures.
#[derive(Debug, Clone)]
pub struct Checked(Attested);

impl Deref for Checked {
    type Target = Attested;

    fn deref(&self) -> &Attested {
        &self.0
    }
}

impl Trust {
    /// Checks a receipt: request and callers, terms, records and what they agree on, reads, votes, shares and signatures.
    ///
    /// What is left is whether the action gives this outcome over these reads, which takes the action
    /// (`Attested::replay`, with the feature `replay`).
    pub fn check(&self, receipt: &Receipt) -> Result<Checked, CheckError> {
        self.complete(receipt, self.attested(receipt)?)
    }

    /// Checks what members have signed in a receipt, whether or not all of them voted for the same, and whether or not it makes a
    /// signature.
    pub fn attested(&self, receipt: &Receipt) -> Result<Attested, CheckError> {
        let mut attested = self.check_parts(receipt)?;
        let (asked, gave) = (receipt.package.signers.keys(), receipt.signers.keys());
        let (expected, got) = (numbers(asked), numbers(gave));
        if !got.iter().all(|member| expected.contains(member)) {
            return Err(CheckError::Signers { expected, got });
        }
        let package = receipt.package.hash(attested.network);
        for (&member, part) in &receipt.signers {
            self.check_vote(receipt, attested.session, package, member, part)
                .map_err(|source| CheckError::Vote { member, source })?;
            attested.votes.insert(member, part.vote.vote.outcome);
        }
        Ok(attested)
    }

    /// Checks the rest of a receipt of which so much holds: that all voted for one outcome, and signed it.
    pub fn complete(&self, receipt: &Receipt, attested: Attested) -> Result<Checked, CheckError> {
        let voted = attested.outcome.hash();
        let dissent: Vec<u16> =
            attested.votes.iter().filter(|(_, vote)| **vote != voted).map(|(id, _)| id.get()).collect();
        if !dissent.is_empty() {
            return Err(CheckError::Dissent { members: dissent });
        }
        let (expected, got) = (numbers(receipt.package.signers.keys()), numbers(receipt.signers.keys()));
        if !receipt.is_complete() {
            return Err(CheckError::Incomplete { votes: got, signers: expected });
        }
        if got != expected {
            return Err(CheckError::Signers { expected, got });
        }
        self.check_signatures(receipt, &attested)?;
        Ok(Checked(attested))
    }

    /// Everything but votes and signatures.
    fn check_parts(&self, receipt: &Receipt) -> Result<Attested, CheckError> {
        let Receipt { version, request, manifest, terms, package, reads, verdict, .. } = receipt;
        if *version != RECEIPT_VERSION {
            return Err(CheckError::Version { got: *version });
        }
        let network = self.network();
        if receipt.network() != network {
            return Err(CheckError::Network { expected: network, got: receipt.network() });
        }
        if terms.epoch != self.root_keys().epoch {
            return Err(CheckError::Epoch { expected: self.root_keys().epoch, got: terms.epoch });
        }
        let request = request.clone().validate()?;
        self.check_terms(receipt, &request)?;
        let expected = request.request().key.policy.action;
        if manifest.action_id() != expected {
            return Err(CheckError::Action { expected, got: manifest.action_id() });
        }
        manifest.validate()?;
        let session = terms.id(network);
        if package.session != session {
            return Err(CheckError::Session { expected: session, got: package.session });
        }
        package.validate(self.committee())?;
        self.check_records(package)?;
        let agreed = agree(&package.base_records());
        for (member, record) in &package.records {
            let member = *member;
            check_own(&agreed, record).map_err(|source| CheckError::Agreement { member, source })?;
        }
        if reads.len() != agreed.entries.len() {
            return Err(CheckError::ReadCount { expected: agreed.entries.len(), got: reads.len() });
        }
        let reads = reads.iter().zip(&agreed.entries).enumerate().map(|(position, (reading, entry))| {
            reading.agreed(entry).map_err(|source| CheckError::Read { position, source })
        });
        let reads = reads.collect::<Result<_, _>>()?;
        let outcome = Outcome::of(verdict.clone(), &request.request().key)?;
        if let Outcome::Refused { reason } = &outcome {
            return Err(CheckError::Refused { reason: reason.clone() });
        }
        let (expected, got) = (package.payloads(), outcome.messages().len());
        if got != expected {
            return Err(CheckError::Payloads { expected, got });
        }
        let key = request.key_id();
        let public_key = self.public_key(request.request().key.scheme, &key)?;
        let context = Context::new(&request, terms, public_key.clone());
        Ok(Attested {
            network,
            request: request.digest(),
            session,
            key,
            public_key,
            agreed,
            reads,
            outcome,
            context,
            votes: BTreeMap::new(),
        })
    }

    fn check_terms(&self, receipt: &Receipt, request: &ValidRequest) -> Result<(), CheckError> {
        let (terms, asked) = (&receipt.terms, request.request());
        if terms.request != request.digest() {
            return Err(CheckError::Terms { expected: request.digest(), got: terms.request });
        }
        let (issued_at, expires_at, time_ms) = (asked.issued_at, asked.expires_at, terms.time_ms);
        // each signer holds it against its own clock, and its own clock against the request's life
        if time_ms.saturating_add(MAX_CLOCK_SKEW_MS) < issued_at
            || time_ms >= expires_at.saturating_add(MAX_CLOCK_SKEW_MS)
        {
            return Err(CheckError::Time { time_ms, issued_at, expires_at });
        }
        let got: Vec<u64> = terms.pins.iter().map(|pin| pin.chain_id).collect();
        if got != receipt.manifest.chains {
            return Err(CheckError::Pins { expected: receipt.manifest.chains.clone(), got });
        }
        Ok(())
    }

    fn check_records(&self, package: &Package) -> Result<(), CheckError> {
        for (&member, signature) in &package.signatures {
            let wrong = || CheckError::Record { member };
            let record = package.records.get(&member).ok_or_else(wrong)?;
            let key = self.committee().member(member).ok_or_else(wrong)?;
            record.verify(self.network(), package.session, key, signature).map_err(|_| wrong())?;
        }
        Ok(())
    }

    /// Whether a vote is the member's word on this package and these shares. What it is for is another question.
    fn check_vote(
        &self,
        receipt: &Receipt,
        session: SessionId,
        package: PackageHash,
        member: Identifier,
        part: &SignerPart,
    ) -> Result<(), VoteError> {
        let vote = &part.vote.vote;
        let key = self.committee().member(member).ok_or(VoteError::Signature)?;
        part.vote.verify(self.network(), key).map_err(|_| VoteError::Signature)?;
        if vote.session != session {
            return Err(VoteError::Session { expected: session, got: vote.session });
        }
        if vote.package != package {
            return Err(VoteError::Package);
        }
        if receipt.package.records.get(&member).map(|record| record.hash()) != Some(vote.record) {
            return Err(VoteError::Record);
        }
        let (expected, got) = (receipt.package.payloads(), part.shares.len());
        if got != expected {
            return Err(VoteError::ShareCount { expected, got });
        }
        if vote.shares != shares_hash(&part.shares) {
            return Err(VoteError::Shares);
        }
        Ok(())
    }

    fn check_signatures(&self, receipt: &Receipt, attested: &Attested) -> Result<(), CheckError> {
        let messages = attested.outcome.messages();
        let (expected, got) = (messages.len(), receipt.signatures.len());
        if got != expected {
            return Err(CheckError::SignatureCount { expected, got });
        }
        let scheme = receipt.request.request.key.scheme;
        let root = self.root_keys().root(scheme).ok_or(TrustError::NoRoot { scheme })?;
        let public = RootPublic::new(root, self.committee().threshold())?;
        let public = public.derive(&attested.key).map_err(TrustError::from)?;
        for (index, (message, signature)) in messages.into_iter().zip(&receipt.signatures).enumerate() {
            let shares: BTreeMap<Identifier, SignatureShare> = receipt
                .signers
                .iter()
                .filter_map(|(id, part)| Some((*id, part.shares.get(index)?.clone())))
                .collect();
            let made = public
                .aggregate(&receipt.package.signing(index, message), &shares)
                .map_err(|source| CheckError::Shares { index, source })?;
            if made != *signature {
                return Err(CheckError::Signature { index });
            }
        }
        Ok(())
    }
}

fn numbers<'a>(members: impl Iterator<Item = &'a Identifier>) -> Vec<u16> {
    members.map(|member| member.get()).collect()
}
