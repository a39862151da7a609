//! Pending shares, and the record that holds those of one attempt.

use std::fmt;

use countersign_types::{AttemptId, AttemptTerms, NetworkId, RootKey};
use zeroize::Zeroizing;

use crate::{
    StoreError,
    layout::Place,
    records::{decode, encode},
};

/// The longest key share of a scheme, in bytes: 1 MiB. One of ECDSA among five has 210 KB.
pub const MAX_SHARE_BYTES: usize = 1 << 20;

/// The shares that an attempt at key generation gave, and that count once the attempt is activated by all.
#[derive(PartialEq, Eq)]
pub struct PendingShares {
    /// The epoch, as in the terms.
    pub epoch: u64,
    /// The attempt: the id of the terms.
    pub attempt: AttemptId,
    /// What the attempt is.
    pub terms: AttemptTerms,
    /// The public outcome: a root for each scheme of the terms, in their order.
    pub roots: Vec<RootKey>,
    /// The secret shares in the schemes' own encodings, in the same order, each at most [`MAX_SHARE_BYTES`].
    pub shares: Vec<Zeroizing<Vec<u8>>>,
}

impl PendingShares {
    pub(crate) fn place(&self) -> Place {
        Place::PendingShares { epoch: self.epoch, attempt: self.attempt }
    }

    pub(crate) fn matches(&self, network: NetworkId) -> bool {
        let AttemptTerms { epoch, schemes, .. } = &self.terms;
        self.epoch == *epoch
            && self.attempt == self.terms.id(network)
            && !schemes.is_empty()
            && schemes.iter().eq(self.roots.iter().map(|root| &root.scheme))
            && self.shares.len() == schemes.len()
    }

    /// Length of the public part u32, public part, then of each share length u32 and share: so that the secrets pass
    /// through no encoder's buffers.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let length = |part: &[u8]| u32::try_from(part.len()).expect("far below 4 GiB").to_be_bytes();
        let public = encode(&(&self.terms, &self.roots));
        // As long as it gets: a buffer that grows leaves copies behind.
        let whole = 4 + public.len() + self.shares.iter().map(|share| 4 + share.len()).sum::<usize>();
        let mut record = Zeroizing::new(Vec::with_capacity(whole));
        for part in std::iter::once(&public[..]).chain(self.shares.iter().map(|share| &share[..])) {
            record.extend_from_slice(&length(part));
            record.extend_from_slice(part);
        }
        record
    }

    pub(crate) fn decode(
        operation: &'static str,
        network: NetworkId,
        place: Place,
        bytes: &[u8],
    ) -> Result<Self, StoreError> {
        let damaged =
            || StoreError::corrupt(operation, format!("{place:?} does not hold the shares of that attempt"));
        let mut rest = bytes;
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = after;
            Some(part)
        };
        let public = part().ok_or_else(damaged)?;
        let (terms, roots): (AttemptTerms, Vec<RootKey>) = decode(operation, place, public)?;
        let shares = roots.iter().map(|_| Some(Zeroizing::new(part()?.to_vec()))).collect::<Option<Vec<_>>>();
        let (epoch, attempt) = (terms.epoch, terms.id(network));
        let pending = Self { epoch, attempt, terms, roots, shares: shares.ok_or_else(damaged)? };
        let whole = rest.is_empty() && pending.place() == place && pending.matches(network);
        if whole { Ok(pending) } else { Err(damaged()) }
    }
}

impl fmt::Debug for PendingShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingShares")
            .field("attempt", &self.attempt)
            .field("terms", &self.terms)
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}
