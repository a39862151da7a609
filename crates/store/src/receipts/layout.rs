//! Rows of the database: a byte for the type and then fields of fixed length, numbers big-endian.
//!
//! | row | key | value |
//! |---|---|---|
//! | format | `f` | [`FORMAT`] |
//! | receipt | `r`, id | the receipt |
//! | label | `l`, id | [`Label`] |
//! | age | `t`, time, id | |
//! | age among a key's | `h`, action, key, time, id | |
//! | total of an action | `a`, action | [`Total`] |
//! | total of a key | `k`, action, key | [`Total`] |
//! | order of actions | `A`, units, age of the latest, action | |
//! | order of an action's keys | `K`, action, units, age of the latest, key | |

use countersign_types::{ActionId, Identifier, KeyId, PackageHash, RequestDigest};
use rocksdb::WriteBatch;

/// The format of the rows. The first one knew neither coordinators nor keys.
pub(super) const FORMAT: u8 = 2;
pub(super) const FORMAT_ROW: &[u8] = b"f";
/// Before each age.
pub(super) const AGES: &[u8] = b"t";
/// Before each action's total.
pub(super) const ACTION_TOTALS: &[u8] = b"a";
/// About what a receipt takes besides itself, in bytes: its other rows.
pub(super) const ROWS_BYTES: u64 = 640;
const HASH_BYTES: usize = 32;
const TIME_BYTES: usize = 8;

/// Which receipt. Whatever a coordinator does, it names its own only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) request: RequestDigest,
    pub(super) coordinator: Identifier,
    pub(super) package: PackageHash,
}

/// Whose room a receipt takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) action: ActionId,
    pub(super) key: KeyId,
}

/// What is known of a receipt without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) stored_ms: u64,
    /// Whether its coordinator brought signatures. Nobody has checked them.
    pub(super) complete: bool,
    pub(super) holder: Holder,
    /// What it counts for, with its rows.
    pub(super) bytes: u64,
}

impl Id {
    fn to_bytes(self) -> Vec<u8> {
        let coordinator = self.coordinator.get().to_be_bytes();
        [&self.request.as_bytes()[..], &coordinator, self.package.as_bytes()].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (request, rest) = bytes.split_first_chunk::<HASH_BYTES>()?;
        let (coordinator, package) = rest.split_first_chunk()?;
        let package: [u8; HASH_BYTES] = package.try_into().ok()?;
        Some(Self {
            request: (*request).into(),
            coordinator: Identifier::new(u16::from_be_bytes(*coordinator))?,
            package: package.into(),
        })
    }

    pub(super) fn receipt_row(self) -> Vec<u8> {
        [&b"r"[..], &self.to_bytes()].concat()
    }

    pub(super) fn label_row(self) -> Vec<u8> {
        [&b"l"[..], &self.to_bytes()].concat()
    }

    pub(super) fn age_row(self, label: &Label) -> Vec<u8> {
        [AGES, &label.stored_ms.to_be_bytes(), &self.to_bytes()].concat()
    }

    pub(super) fn held_row(self, label: &Label) -> Vec<u8> {
        [&label.holder.rows()[..], &label.stored_ms.to_be_bytes(), &self.to_bytes()].concat()
    }

    /// The id at the end of a row's key, behind so many bytes.
    pub(super) fn behind(row: &[u8], bytes: usize) -> Option<Self> {
        Self::parse(row.get(bytes..)?)
    }
}

/// Before each label of a request.
pub(super) fn labels_of(request: RequestDigest) -> Vec<u8> {
    [&b"l"[..], request.as_bytes()].concat()
}

/// When a receipt was stored, and which: of the key of an age.
pub(super) fn parse_age(row: &[u8]) -> Option<(u64, Id)> {
    let (time, id) = row.strip_prefix(AGES)?.split_first_chunk::<TIME_BYTES>()?;
    Some((u64::from_be_bytes(*time), Id::parse(id)?))
}

impl Holder {
    /// Before the ages of what it has.
    pub(super) fn rows(&self) -> Vec<u8> {
        [&b"h"[..], self.action.as_bytes(), self.key.as_bytes()].concat()
    }

    /// Which receipt: of the key of an age among those.
    pub(super) fn parse(row: &[u8]) -> Option<Id> {
        Id::behind(row, 1 + 2 * HASH_BYTES + TIME_BYTES)
    }
}

impl Label {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Holder { action, key } = self.holder;
        let numbers = [self.stored_ms.to_be_bytes(), self.bytes.to_be_bytes()].concat();
        [&numbers[..], &[u8::from(self.complete)], action.as_bytes(), key.as_bytes()].concat()
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (stored_ms, rest) = value.split_first_chunk()?;
        let (bytes, rest) = rest.split_first_chunk()?;
        let (complete, rest) = rest.split_first()?;
        let (action, key) = rest.split_first_chunk::<HASH_BYTES>()?;
        let key: [u8; HASH_BYTES] = key.try_into().ok()?;
        Some(Self {
            stored_ms: u64::from_be_bytes(*stored_ms),
            bytes: u64::from_be_bytes(*bytes),
            complete: *complete != 0,
            holder: Holder { action: (*action).into(), key: key.into() },
        })
    }
}

/// How much somebody has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) bytes: u64,
    /// When the latest was stored.
    pub(super) latest_ms: u64,
    /// The bytes, in units of the ranking.
    units: u64,
}

impl Total {
    fn to_bytes(self) -> Vec<u8> {
        [self.bytes.to_be_bytes(), self.latest_ms.to_be_bytes(), self.units.to_be_bytes()].concat()
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (bytes, rest) = value.split_first_chunk()?;
        let (latest_ms, units) = rest.split_first_chunk()?;
        Some(Self {
            bytes: u64::from_be_bytes(*bytes),
            latest_ms: u64::from_be_bytes(*latest_ms),
            units: u64::from_be_bytes(units.try_into().ok()?),
        })
    }
}

/// Who has how many bytes, and who the most: among the actions, or among the keys of one.
///
/// Of those that have as many units, whoever has stored nothing for the longest time comes first: what is a little larger than others
/// must not go for that as soon as it is stored.
pub(super) struct Ranking {
    totals: Vec<u8>,
    order: Vec<u8>,
    unit: u64,
}

impl Ranking {
    pub(super) fn of_actions() -> Self {
        Self { totals: ACTION_TOTALS.to_vec(), order: b"A".to_vec(), unit: 1 }
    }

    /// With so many bytes to a unit.
    pub(super) fn of_keys(action: ActionId, unit: u64) -> Self {
        let of = |kind: &[u8]| [kind, action.as_bytes()].concat();
        Self { totals: of(b"k"), order: of(b"K"), unit: unit.max(1) }
    }

    pub(super) fn total_row(&self, who: &[u8; HASH_BYTES]) -> Vec<u8> {
        [&self.totals[..], who].concat()
    }

    /// Before each place; the last is whoever has the most.
    pub(super) fn places(&self) -> &[u8] {
        &self.order
    }

    pub(super) fn place(&self, total: &Total, who: &[u8; HASH_BYTES]) -> Vec<u8> {
        let age = u64::MAX - total.latest_ms;
        [&self.order[..], &total.units.to_be_bytes(), &age.to_be_bytes(), who].concat()
    }

    /// Whose place it is.
    pub(super) fn who(place: &[u8]) -> Option<[u8; HASH_BYTES]> {
        place.last_chunk().copied()
    }

    /// Has somebody change its place. Whoever has nothing has none.
    pub(super) fn change(
        &self,
        batch: &mut WriteBatch,
        who: &[u8; HASH_BYTES],
        before: Option<Total>,
        (bytes, latest_ms): (u64, u64),
    ) {
        if let Some(before) = before {
            batch.delete(self.place(&before, who));
        }
        if bytes == 0 {
            return batch.delete(self.total_row(who));
        }
        let after = Total { bytes, latest_ms, units: bytes / self.unit };
        batch.put(self.total_row(who), after.to_bytes());
        batch.put(self.place(&after, who), []);
    }
}
