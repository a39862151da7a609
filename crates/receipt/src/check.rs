//! What must hold for a receipt to prove its signatures.

mod error;

use std::{collections::BTreeMap, ops::Deref};

use countersign_agreement::{AgreedRecord, Package, SignerPart, agree, check_own, shares_hash};
use countersign_threshold::{RootPublic, SignatureShare};
use countersign_types::{
    Bytes, Context, Identifier, KeyId, NetworkId, Outcome, OutcomeHash, PackageHash, PublicKey,
    RequestDigest, SessionId, ValidRequest, outcome::OutcomeError, read::RecordedRead,
};

use crate::{Receipt, Trust, TrustError, receipt::RECEIPT_VERSION};
pub use error::{CheckError, VoteError};

/// How far a signer's clock may be from the session's time, in milliseconds.
const MAX_CLOCK_SKEW_MS: u64 = 30_000;

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
    /// What the receipt says that the action returned, or why its verdict is nothing that an action can return. No vote rests on it.
    pub claimed: Result<Outcome, OutcomeError>,
    /// What the action was told.
    pub context: Context,
    /// What each member that voted, voted for. Its signature is over this package and these shares.
    pub votes: BTreeMap<Identifier, OutcomeHash>,
}

/// A receipt that holds: every vote is for what it says that was signed, and the shares make its signatures.
#[derive(Debug, Clone)]
pub struct Checked {
    attested: Attested,
    /// What the action returned, by all signers' votes.
    pub outcome: Outcome,
}

impl Deref for Checked {
    type Target = Attested;

    fn deref(&self) -> &Attested {
        &self.attested
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

    /// Checks what members have signed in a receipt, whatever its verdict says, whether or not all of them voted for the same, and
    /// whether or not it makes a signature.
    pub fn attested(&self, receipt: &Receipt) -> Result<Attested, CheckError> {
        let (attested, broken) = self.attested_in_part(receipt)?;
        broken.map_or(Ok(attested), Err)
    }

    /// The same where not every vote counts: those that do, and what is wrong with the first of the others. A member whose vote does not
    /// count is not among [`Attested::votes`], so no replay blames it.
    pub fn attested_in_part(&self, receipt: &Receipt) -> Result<(Attested, Option<CheckError>), CheckError> {
        let mut attested = self.check_parts(receipt)?;
        let (asked, gave) = (receipt.package.signers.keys(), receipt.signers.keys());
        let (expected, got) = (numbers(asked), numbers(gave));
        let is_asked = |member: &Identifier| receipt.package.signers.contains_key(member);
        let mut broken = None;
        if !receipt.signers.keys().all(is_asked) {
            broken = Some(CheckError::Signers { expected, got });
        }
        let package = receipt.package.hash(attested.network);
        for (&member, part) in receipt.signers.iter().filter(|&(member, _)| is_asked(member)) {
            match self.check_vote(receipt, attested.session, package, member, part) {
                Ok(()) => {
                    attested.votes.insert(member, part.vote.vote.outcome);
                }
                Err(source) if broken.is_none() => broken = Some(CheckError::Vote { member, source }),
                Err(_) => {}
            }
        }
        Ok((attested, broken))
    }

    /// Checks the rest of a receipt of which so much holds: that all voted for one outcome, and signed it.
    pub fn complete(&self, receipt: &Receipt, attested: Attested) -> Result<Checked, CheckError> {
        let outcome = attested.claimed.clone()?;
        if let Outcome::Refused { reason } = outcome {
            return Err(CheckError::Refused { reason });
        }
        let (expected, got) = (receipt.package.payloads(), outcome.messages().len());
        if got != expected {
            return Err(CheckError::Payloads { expected, got });
        }
        let voted = outcome.hash();
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
        self.check_signatures(receipt, &attested.key, outcome.messages())?;
        Ok(Checked { attested, outcome })
    }

    /// Everything but verdict, votes and signatures.
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
        let request = request.clone().validate().map_err(CheckError::Request)?;
        manifest.validate()?;
        self.check_terms(receipt, &request)?;
        let expected = request.request().key.policy.action;
        if manifest.action_id() != expected {
            return Err(CheckError::Action { expected, got: manifest.action_id() });
        }
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
        let claimed = Outcome::of(verdict.clone(), &request.request().key);
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
            claimed,
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

    fn check_signatures(
        &self,
        receipt: &Receipt,
        key: &KeyId,
        messages: Vec<Bytes>,
    ) -> Result<(), CheckError> {
        let (expected, got) = (messages.len(), receipt.signatures.len());
        if got != expected {
            return Err(CheckError::SignatureCount { expected, got });
        }
        let scheme = receipt.request.request.key.scheme;
        let root = self.root_keys().root(scheme).ok_or(TrustError::NoRoot { scheme })?;
        let public = RootPublic::new(root, self.committee().threshold())?;
        let public = public.derive(key).map_err(TrustError::from)?;
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
