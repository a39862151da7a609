//! What key generation no longer needs, and where it must not begin again.
//!
//! A member stores in which attempt it takes part before it does, one record for an epoch that only rises. Whoever has
//! stored the shares of an attempt never activates an earlier one: those are dropped, the oldest first, where there
//! are too many.

use countersign_types::AttemptId;

use crate::{JoinedRecord, PendingShares, Put, Store, StoreError, keygen::MAX_PENDING_SHARES, layout::Place};

/// The longest note on an attempt, in bytes: 4 KiB.
pub const MAX_NOTE_BYTES: usize = 4 << 10;

/// Why it was not stored that this node takes part in an attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The note is too long.
    #[error("a note on an attempt has at most {MAX_NOTE_BYTES} bytes, got {got}")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Records durably that this node takes part in an attempt. One of a number that is not greater than the recorded
    /// one changes nothing.
    pub fn record_joined(&self, epoch: u64, joined: &JoinedRecord) -> Result<Put, JoinError> {
        const OPERATION: &str = "recording an attempt";
        let got = joined.note.len();
        if got > MAX_NOTE_BYTES {
            return Err(JoinError::TooLong { got });
        }
        let mut writer = self.writer()?;
        if self.joined(epoch)?.is_some_and(|there| there.number >= joined.number) {
            return Ok(Put::AlreadyThere);
        }
        let place = Place::Joined { epoch };
        let sealed = self.seal(place, joined)?;
        self.commit(&mut writer, OPERATION, &[(place, &sealed)], |_| ())?;
        Ok(Put::Stored)
    }

    /// The latest attempt of an epoch that this node took part in, if that was recorded.
    pub fn joined(&self, epoch: u64) -> Result<Option<JoinedRecord>, StoreError> {
        self.sealed("reading the latest attempt", Place::Joined { epoch })
    }

    /// The pending shares that must go so that those of `new` have their place: of earlier attempts that are neither
    /// activated nor done, the oldest. None if there is room, or not enough of them.
    pub(crate) fn outlived(
        &self,
        operation: &'static str,
        new: &PendingShares,
    ) -> Result<Vec<Place>, StoreError> {
        let epoch = new.epoch;
        let done = self.root_keys_of(epoch)?.map(|keys| keys.ceremonies).unwrap_or_default();
        let mut kept: Vec<AttemptId> = done.iter().map(|ceremony| ceremony.attempt).collect();
        for scheme in countersign_types::Scheme::ALL {
            kept.extend(self.activation(epoch, scheme)?.map(|record| record.attempt));
        }
        let (mut count, mut idle) = (0, Vec::new());
        self.database().visit(operation, &Place::pending_shares(epoch), None, |place, sealed| {
            count += 1;
            let plain = self.unseal_bytes(operation, place, sealed)?;
            let stored = PendingShares::decode(operation, self.owner().network, place, &plain)?;
            if stored.terms.number < new.terms.number && !kept.contains(&stored.attempt) {
                idle.push((stored.terms.number, place));
            }
            Ok(true)
        })?;
        idle.sort_by_key(|(number, _)| *number);
        let surplus = (count + 1_usize).saturating_sub(MAX_PENDING_SHARES);
        Ok(idle.into_iter().take(surplus).map(|(_, place)| place).collect())
    }
}
