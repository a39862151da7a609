//! Receipts: why this node signed. In a database of their own, which nothing else depends on.
//!
//! They are written without waiting for the disk: a crash loses those of the last moments, as if their coordinator had never
//! completed them. They are bounded in age, in bytes, and of each request in number.
//!
//! **Who makes room.** Where there are too many bytes, the oldest receipt goes of the key that has the most, of the action that has the
//! most: neither an action nor a key takes room from those that have less. Actions come first because somebody has to be let in to
//! publish one, while keys cost nothing: whoever may use an action has as many as it likes, by config and salt, each with few receipts.
//! It takes that action's room with them, and no other's. Of keys that have about as much, the one that has signed nothing for the
//! longest time makes room. Totals and orders are rows of the same database, changed in the same batch
//! as the receipts: what is kept in memory is one number.

mod layout;
mod rows;
mod surplus;

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use countersign_types::{ActionId, Identifier, KeyId, PackageHash, RequestDigest};
use rocksdb::WriteBatch;

use self::{
    layout::{ACTION_TOTALS, AGES, FORMAT, FORMAT_ROW, Holder, Id, Label, ROWS_BYTES, Ranking, Total},
    rows::Rows,
};

/// The mode of the folder, and the bits that let others than its owner in.
const PRIVATE_FOLDER: u32 = 0o700;
const OTHERS: u32 = 0o077;
/// The most receipts that are dropped in one go.
const MAX_DROPPED: usize = 1024;
/// How finely the keys of an action are told apart by what they have: by so many parts of all room. Keys that have less than one are
/// alike.
const KEY_UNITS: u64 = 1024;

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptBounds {
    /// Bytes of all receipts.
    pub total_bytes: u64,
    /// Milliseconds from when a receipt was stored.
    pub keep_ms: u64,
}

/// A receipt to be stored, and what it is of.
#[derive(Debug, Clone, Copy)]
pub struct NewReceipt<'a> {
    /// The request.
    pub request: RequestDigest,
    /// The member that coordinated the session.
    pub coordinator: Identifier,
    /// The package that was signed.
    pub package: PackageHash,
    /// The action that allowed it.
    pub action: ActionId,
    /// The key that signed.
    pub key: KeyId,
    /// Whether its coordinator brought signatures.
    pub complete: bool,
    /// The receipt.
    pub content: &'a [u8],
}

/// What a call has dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Receipts that were dropped, or not stored, though they are not too old: others took their room.
    pub displaced: usize,
    /// Whether more is to be dropped than in one go.
    pub more: bool,
}

/// The receipts of a node.
pub struct Receipts {
    rows: Rows,
    bounds: ReceiptBounds,
    /// Bytes of all receipts. Whoever writes holds it.
    bytes: Mutex<u64>,
}

/// What fails about receipts. The node signs without them.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptsError {
    /// The database does not open.
    #[error(
        "the database of receipts in {} does not open: move the folder away and start again, without the receipts in it",
        path.display()
    )]
    Open {
        /// Its folder.
        path: PathBuf,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// The database is another version's.
    #[error(
        "the receipts in {} are of format {got}, this version knows {FORMAT}: move the folder away and start again, without the \
         receipts in it",
        path.display()
    )]
    Format {
        /// Its folder.
        path: PathBuf,
        /// The format.
        got: u8,
    },
    /// Its folder cannot be made, or kept from others.
    #[error("the folder of receipts, {}, cannot be made, or not be closed to other users", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A row is missing, or is not what it must be.
    #[error(
        "the database of receipts is damaged, which was noticed while {operation}: stop the node, move the folder `receipts` away \
         and start again, without the receipts in it"
    )]
    Damaged {
        /// What was being done.
        operation: &'static str,
    },
    /// A read or a write failed.
    #[error("the database of receipts failed, while {operation}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
}

impl Receipts {
    /// Opens the database, or makes it. Its folder gets mode 0700: receipts are not sealed, and tell what was asked and read.
    pub fn open(path: &Path, bounds: ReceiptBounds) -> Result<Self, ReceiptsError> {
        close(path).map_err(|source| ReceiptsError::Folder { path: path.to_owned(), source })?;
        let rows = Rows::open(path)?;
        check_format(&rows, path)?;
        let mut bytes = 0_u64;
        rows.visit("counting the receipts", ACTION_TOTALS, |_, value| {
            bytes = bytes.saturating_add(Total::parse(value).unwrap_or_default().bytes);
            true
        })?;
        Ok(Self { rows, bounds, bytes: Mutex::new(bytes) })
    }

    /// Stores a receipt, in place of an earlier one of the same coordinator and package: two coordinators, or two attempts of one,
    /// have different packages, and none erases what another left.
    pub fn put(&self, new: &NewReceipt<'_>, now_ms: u64) -> Result<Dropped, ReceiptsError> {
        let operation = "storing a receipt";
        let mut bytes = self.bytes();
        let id = Id { request: new.request, coordinator: new.coordinator, package: new.package };
        let label = Label {
            stored_ms: now_ms,
            complete: new.complete,
            holder: Holder { action: new.action, key: new.key },
            bytes: ROWS_BYTES.saturating_add(new.content.len() as u64),
        };
        let mut all = self.of_request(operation, new.request)?;
        if let Some(earlier) = all.iter().position(|(stored, _)| *stored == id) {
            self.remove(operation, id, &mut bytes)?;
            all.remove(earlier);
        }
        all.push((id, label));
        let surplus = surplus::surplus(&all);
        if surplus == Some(id) {
            return Ok(Dropped { displaced: 1, more: false });
        }
        if let Some(surplus) = surplus {
            self.remove(operation, surplus, &mut bytes)?;
        }
        self.insert(operation, id, &label, new.content, &mut bytes)?;
        let Dropped { displaced, more } = self.make_room(&mut bytes, MAX_DROPPED)?;
        Ok(Dropped { displaced: displaced + usize::from(surplus.is_some()), more })
    }

    /// The receipts of a request that are not too old, one for each package that this node signed: at most 16.
    pub fn of(&self, request: RequestDigest, now_ms: u64) -> Result<Vec<Vec<u8>>, ReceiptsError> {
        let operation = "reading receipts";
        let mut found = Vec::new();
        for (id, label) in self.of_request(operation, request)? {
            if label.stored_ms >= self.oldest_kept(now_ms) {
                // it may be dropped meanwhile
                found.extend(self.rows.get(operation, &id.receipt_row())?);
            }
        }
        Ok(found)
    }

    /// Drops what is too old, and what is too much. To be called from time to time: nothing is shown that is too old, but it
    /// lies on the disk until then.
    pub fn prune(&self, now_ms: u64) -> Result<Dropped, ReceiptsError> {
        let operation = "dropping old receipts";
        let oldest_kept = self.oldest_kept(now_ms);
        let mut bytes = self.bytes();
        let mut old = Vec::new();
        self.rows.visit(operation, AGES, |key, _| {
            let age = layout::parse_age(key).filter(|(stored_ms, _)| *stored_ms < oldest_kept);
            old.extend(age.map(|(_, id)| id));
            age.is_some() && old.len() < MAX_DROPPED
        })?;
        for id in &old {
            self.remove(operation, *id, &mut bytes)?;
        }
        self.make_room(&mut bytes, MAX_DROPPED - old.len())
    }

    /// How many bytes are stored.
    pub fn stored_bytes(&self) -> u64 {
        *self.bytes()
    }

    fn oldest_kept(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.bounds.keep_ms)
    }

    /// Drops up to so many receipts, until there are not too many bytes.
    fn make_room(&self, bytes: &mut u64, most: usize) -> Result<Dropped, ReceiptsError> {
        let operation = "making room for receipts";
        let mut displaced = 0;
        while *bytes > self.bounds.total_bytes && displaced < most {
            let id = self.next_to_go()?.ok_or(ReceiptsError::Damaged { operation })?;
            self.remove(operation, id, bytes)?;
            displaced += 1;
        }
        Ok(Dropped { displaced, more: displaced == most })
    }

    /// The oldest receipt of the key that has the most, of the action that has the most.
    fn next_to_go(&self) -> Result<Option<Id>, ReceiptsError> {
        let Some(action) = self.most(&Ranking::of_actions())?.map(ActionId::from) else { return Ok(None) };
        let Some(key) = self.most(&self.keys_of(action))?.map(KeyId::from) else { return Ok(None) };
        let oldest = self.rows.first("looking for the oldest receipt", &Holder { action, key }.rows())?;
        Ok(oldest.and_then(|row| Holder::parse(&row)))
    }

    fn keys_of(&self, action: ActionId) -> Ranking {
        Ranking::of_keys(action, self.bounds.total_bytes / KEY_UNITS)
    }

    fn most(&self, ranking: &Ranking) -> Result<Option<[u8; 32]>, ReceiptsError> {
        let last = self.rows.last("looking for who has the most receipts", ranking.places())?;
        Ok(last.and_then(|place| Ranking::who(&place)))
    }

    fn label(&self, operation: &'static str, id: Id) -> Result<Option<Label>, ReceiptsError> {
        let Some(value) = self.rows.get(operation, &id.label_row())? else { return Ok(None) };
        Label::parse(&value).ok_or(ReceiptsError::Damaged { operation }).map(Some)
    }

    fn of_request(
        &self,
        operation: &'static str,
        request: RequestDigest,
    ) -> Result<Vec<(Id, Label)>, ReceiptsError> {
        let (mut all, mut whole) = (Vec::new(), true);
        self.rows.visit(operation, &layout::labels_of(request), |key, value| {
            let entry = Id::behind(key, 1).zip(Label::parse(value));
            whole = entry.is_some();
            all.extend(entry);
            whole
        })?;
        if whole { Ok(all) } else { Err(ReceiptsError::Damaged { operation }) }
    }

    fn insert(
        &self,
        operation: &'static str,
        id: Id,
        label: &Label,
        content: &[u8],
        bytes: &mut u64,
    ) -> Result<(), ReceiptsError> {
        let mut batch = WriteBatch::default();
        batch.put(id.receipt_row(), content);
        batch.put(id.label_row(), label.to_bytes());
        batch.put(id.age_row(label), []);
        batch.put(id.held_row(label), []);
        self.account(operation, &mut batch, label, |before| {
            (before.bytes.saturating_add(label.bytes), label.stored_ms)
        })?;
        self.rows.write(operation, batch)?;
        *bytes = bytes.saturating_add(label.bytes);
        Ok(())
    }

    fn remove(&self, operation: &'static str, id: Id, bytes: &mut u64) -> Result<(), ReceiptsError> {
        let label = self.label(operation, id)?.ok_or(ReceiptsError::Damaged { operation })?;
        let mut batch = WriteBatch::default();
        batch.delete(id.receipt_row());
        batch.delete(id.label_row());
        batch.delete(id.age_row(&label));
        batch.delete(id.held_row(&label));
        self.account(operation, &mut batch, &label, |before| {
            (before.bytes.saturating_sub(label.bytes), before.latest_ms)
        })?;
        self.rows.write(operation, batch)?;
        *bytes = bytes.saturating_sub(label.bytes);
        Ok(())
    }

    /// Changes the totals of a receipt's action and key.
    fn account(
        &self,
        operation: &'static str,
        batch: &mut WriteBatch,
        label: &Label,
        change: impl Fn(Total) -> (u64, u64),
    ) -> Result<(), ReceiptsError> {
        let Holder { action, key } = label.holder;
        let rankings = [(Ranking::of_actions(), action.as_bytes()), (self.keys_of(action), key.as_bytes())];
        for (ranking, who) in rankings {
            let before = self.rows.get(operation, &ranking.total_row(who))?;
            let before = before.and_then(|value| Total::parse(&value));
            ranking.change(batch, who, before, change(before.unwrap_or_default()));
        }
        Ok(())
    }

    fn bytes(&self) -> MutexGuard<'_, u64> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a folder for its owner only; one that is there and open to others, as earlier versions made it, is closed.
fn close(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_FOLDER))
}

/// An empty database is of this version; the first one wrote no format.
fn check_format(rows: &Rows, path: &Path) -> Result<(), ReceiptsError> {
    let operation = "looking at the format";
    let got = match rows.get(operation, FORMAT_ROW)? {
        Some(format) => format.first().copied().unwrap_or_default(),
        None if rows.first(operation, &[])?.is_some() => 1,
        None => {
            let mut batch = WriteBatch::default();
            batch.put(FORMAT_ROW, [FORMAT]);
            return rows.write(operation, batch);
        }
    };
    if got == FORMAT { Ok(()) } else { Err(ReceiptsError::Format { path: path.to_owned(), got }) }
}

impl std::fmt::Debug for Receipts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipts").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
