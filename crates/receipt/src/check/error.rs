//! What may be wrong with a receipt: each thing that a check looks at has its own error, whose message names the field of the
//! receipt's JSON and says what was expected there.

use std::fmt;

use countersign_agreement::{OwnMismatch, PackageError};
use countersign_threshold::{AggregateError, RootError};
use countersign_types::{
    ActionId, Identifier, NetworkId, RequestDigest, RequestError, SessionId, action::ManifestError,
    outcome::OutcomeError,
};

use crate::{
    TrustError,
    receipt::{RECEIPT_VERSION, ReadingError},
};

/// The most elements of a list that a message shows.
const MAX_LISTED: usize = 8;

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
    /// The request is malformed, or a caller did not sign it. What callers are told to do about it is not for who reads a receipt.
    #[error("{}", of_request(.0))]
    Request(RequestError),
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
        "the terms pin the chains {} (`terms.pins`), the manifest lists {} (`manifest.chains`)",
        few(got),
        few(expected)
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
        "the receipt holds the votes of members {} (`signers`), the package asks {} (`package.signers`)",
        few(got),
        few(expected)
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
        "members {} signed votes for another outcome than the receipt's verdict: they lied or the receipt was changed, \
         which the action tells when it is run again",
        few(members)
    )]
    Dissent {
        /// Who.
        members: Vec<u16>,
    },
    /// There are no signatures: whoever coordinated the session never said that there are.
    #[error(
        "the receipt is incomplete: it holds the votes of members {} of {} (`signers`), and no signature (`signatures`); its \
         coordinator never sent the rest",
        few(votes),
        few(signers)
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

/// Why a vote does not count. The messages name fields of the signer's part of the receipt's JSON, [`SignerPart`](crate::SignerPart).
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

/// The first elements of a list, and how many there are where that is not all.
fn few<T: fmt::Debug>(list: &[T]) -> String {
    match list.get(..MAX_LISTED) {
        Some(shown) if shown.len() < list.len() => {
            let shown: Vec<String> = shown.iter().map(|one| format!("{one:?}")).collect();
            format!("[{}, … {} in all]", shown.join(", "), list.len())
        }
        Some(_) | None => format!("{list:?}"),
    }
}

fn of_request(error: &RequestError) -> String {
    if let RequestError::Signature { index, caller, digest } = error {
        return format!(
            "the request (`request.request`) or its signature was changed: signature {index} (`request.signatures.{index}`) is not \
             by {caller} over the request as it stands here, whose digest is {digest}"
        );
    }
    format!("the request does not count: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_short_however_long_the_list() {
        assert_eq!((few::<u64>(&[]), few(&[1, 2])), ("[]".to_owned(), "[1, 2]".to_owned()));
        assert_eq!(few(&[7; MAX_LISTED]), format!("{:?}", [7; MAX_LISTED]));
        assert_eq!(few(&vec![7; 1_000_000]), "[7, 7, 7, 7, 7, 7, 7, 7, … 1000000 in all]");
        let pins = CheckError::Pins { expected: vec![u64::MAX; 100_000], got: vec![u64::MAX; 100_000] };
        assert!(pins.to_string().len() < 600, "{pins}");
    }
}
