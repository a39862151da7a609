//! The store: creation, opening, and the one way in which anything is written.

use std::{
    fmt, fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::{Mutex, MutexGuard},
};

use countersign_types::{NetworkId, NodeKey};
use rocksdb::WriteBatch;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{
    CreateError, KdfParameters, OpenError, Owner, StoreError, StoredBoot,
    actions::Usage,
    database::Database,
    file::{folder_of, sync_folder},
    header::Header,
    layout::{HEADER, HEADER_COPY, Kind, Place, ROCKSDB, WATERMARK},
    records::{Head, decode, decode_identity, encode},
    seal::{DataKey, Sealer},
    watermark::{Watermark, WatermarkError},
};

/// What became of something to store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is on disk now.
    Stored,
    /// It was on disk before.
    AlreadyThere,
}

/// A node's database, open and locked by this process.
pub struct Store {
    owner: Owner,
    sealer: Sealer,
    database: Database,
    writer: Mutex<Writer>,
}

/// What is needed to write, and so what only one thread at a time may have.
pub(crate) struct Writer {
    pub(crate) head: Head,
    pub(crate) usage: Usage,
    watermark: Watermark,
    /// A write failed: what is on disk is known again only after opening anew.
    stopped: bool,
}

impl Store {
    /// Creates the database of a node in a new or empty folder, which gets mode 0700. What was made is removed again
    /// if creation fails.
    pub fn create(
        path: &Path,
        network: NetworkId,
        identity: &NodeKey,
        passphrase: &SecretString,
        kdf: KdfParameters,
    ) -> Result<Self, CreateError> {
        Self::create_after(path, network, identity, passphrase, kdf, &[])
    }

    /// The same for a node that had a database before: this start comes after those that are known of it, which must
    /// ascend. So its peers tell the new database from the old one, wherever that has got to.
    pub fn create_after(
        path: &Path,
        network: NetworkId,
        identity: &NodeKey,
        passphrase: &SecretString,
        kdf: KdfParameters,
        past: &[StoredBoot],
    ) -> Result<Self, CreateError> {
        if passphrase.expose_secret().is_empty() {
            return Err(CreateError::EmptyPassphrase);
        }
        make_folder(path)?;
        let file = path.join(WATERMARK);
        // whoever makes this file makes the database
        let watermark = match Watermark::create(&file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(CreateError::NotEmpty { path: path.into() });
            }
            created => created.map_err(|source| CreateError::Io { path: file, source }),
        };
        let owner = Owner { network, node: identity.public_key() };
        let created = watermark
            .and_then(|watermark| Self::fill(path, owner, identity, passphrase, kdf, watermark, past));
        if created.is_err() {
            // best effort: what is left is refused by the next attempt, by name
            let _ = fs::remove_dir_all(path.join(ROCKSDB));
            for file in [HEADER, HEADER_COPY, WATERMARK] {
                let _ = fs::remove_file(path.join(file));
            }
        }
        created
    }

    fn fill(
        path: &Path,
        owner: Owner,
        identity: &NodeKey,
        passphrase: &SecretString,
        kdf: KdfParameters,
        watermark: Watermark,
        past: &[StoredBoot],
    ) -> Result<Self, CreateError> {
        let (header, data) = Header::generate(&owner, passphrase, kdf)?;
        let store = Self {
            owner,
            sealer: Sealer::new(&data, owner.network, owner.node),
            database: Database::create(&path.join(ROCKSDB))?,
            writer: Mutex::new(Writer {
                head: Head::default(),
                usage: Usage::default(),
                watermark,
                stopped: false,
            }),
        };
        let sealed = store.sealer.seal(Place::Identity, identity.to_bytes().as_slice())?;
        let generation = past.last().map_or(0, |boot| boot.generation) + 1;
        let mut records = vec![(Place::Identity, sealed), store.draw_boot(generation)?];
        for boot in past {
            let place = Place::OwnBoot { generation: boot.generation };
            records.push((place, store.seal(place, &boot.id)?));
        }
        let records: Vec<_> = records.iter().map(|(place, sealed)| (*place, sealed.as_slice())).collect();
        store.commit(&mut *store.writer()?, "storing the identity", &records, |head| {
            head.generation = generation;
        })?;
        // the header is last: a database without one was never finished
        header.write(path)?;
        sync_folder(folder_of(path)).map_err(|source| CreateError::Io { path: path.into(), source })?;
        Ok(store)
    }

    /// Opens the database of a node and begins its next generation.
    ///
    /// Checks layout, owner, lock and passphrase, in this order, before RocksDB touches a file; then that everything
    /// that was ever acknowledged is there and every seal holds.
    pub fn open(path: &Path, owner: &Owner, passphrase: &SecretString) -> Result<Self, OpenError> {
        let header = Self::header(path)?;
        check_owner(owner, &header.owner())?;
        let watermark = open_watermark(path)?;
        let data = header.unwrap(passphrase)?;
        Self::load(path, *owner, &data, watermark)
    }

    /// Whose database lies in a folder. Needs neither the passphrase nor the lock.
    pub fn read_owner(path: &Path) -> Result<Owner, OpenError> {
        Ok(Self::header(path)?.owner())
    }

    /// Whether a passphrase opens the database in a folder. Opens nothing, and needs no lock: this is no start of the node.
    pub fn check_passphrase(path: &Path, passphrase: &SecretString) -> Result<(), OpenError> {
        Self::header(path)?.unwrap(passphrase).map(drop)
    }

    /// The files of the header in a folder, of which there are two alike, that are missing or damaged. While one is
    /// whole the database opens; a copy of it mends the other, since neither is ever rewritten.
    pub fn damaged_headers(path: &Path) -> Vec<&'static str> {
        Header::damaged_copies(path)
    }

    /// Whether the database in a folder has any key shares. Needs the lock and no passphrase, writes nothing, and is no
    /// start of the node. Nothing that is sealed is looked into: shares that are there may be damaged.
    pub fn has_shares(path: &Path) -> Result<bool, OpenError> {
        Self::header(path)?;
        // held until the end
        let _watermark = open_watermark(path)?;
        let folder = path.join(ROCKSDB);
        // else RocksDB makes an empty one
        if !folder.is_dir() {
            return Err(OpenError::Incomplete { path: path.into(), file: ROCKSDB });
        }
        let database = Database::open_read_only(&folder)?;
        let mut found = false;
        database.visit("looking for key shares", &Kind::PendingShares.prefix(), None, |_, _| {
            found = true;
            Ok(false)
        })?;
        Ok(found)
    }

    /// Whether a process has the database in a folder open. Writes nothing.
    pub fn is_in_use(path: &Path) -> io::Result<bool> {
        Watermark::is_locked(&path.join(WATERMARK))
    }

    fn header(path: &Path) -> Result<Header, OpenError> {
        match is_empty(path) {
            Ok(false) => Header::read(path),
            Ok(true) => Err(OpenError::Missing { path: path.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(OpenError::Missing { path: path.into() })
            }
            Err(source) => Err(OpenError::Io { path: path.into(), source }),
        }
    }

    fn load(path: &Path, owner: Owner, data: &DataKey, watermark: Watermark) -> Result<Self, OpenError> {
        const OPERATION: &str = "checking it";
        let level = watermark
            .level()
            .map_err(|error| StoreError::io("reading the watermark", error))?
            .ok_or_else(|| StoreError::corrupt("reading the watermark", "neither of its slots is whole"))?;
        let sealer = Sealer::new(data, owner.network, owner.node);
        let database = Database::open(&path.join(ROCKSDB))?;
        let writer = Writer { head: Head::default(), usage: Usage::default(), watermark, stopped: false };
        let mut store = Self { owner, sealer, database, writer: Mutex::new(writer) };

        let head: Head = store
            .sealed(OPERATION, Place::Head)?
            .ok_or_else(|| StoreError::corrupt(OPERATION, "the head is gone"))?;
        if head.writes < level {
            let lost = level - head.writes;
            return Err(StoreError::corrupt(OPERATION, format!("the last {lost} writes are gone")).into());
        }
        let usage = store.check_records(OPERATION, &head)?;
        {
            let writer = store.writer.get_mut().map_err(|_| StoreError::Stopped)?;
            (writer.head, writer.usage) = (head, usage);
        }
        let (place, boot) = store.draw_boot(head.generation + 1)?;
        store.commit(&mut *store.writer()?, "beginning a generation", &[(place, &boot)], |head| {
            head.generation += 1;
        })?;
        Ok(store)
    }

    /// Reads every record but components and holds their numbers against the head.
    fn check_records(&self, operation: &'static str, head: &Head) -> Result<Usage, StoreError> {
        self.identity()?;
        self.count_sealed(operation, Kind::Joined)?;
        let usage = self.load_usage(operation)?;
        let found = [
            ("pending shares", head.pending_shares, self.count_sealed(operation, Kind::PendingShares)?),
            ("activations", head.activations, self.count_sealed(operation, Kind::Activation)?),
            ("root keys", head.root_keys, self.count_sealed(operation, Kind::RootKeys)?),
            ("actions", head.actions, usage.total.actions),
        ];
        match found.into_iter().find(|(_, expected, got)| expected != got) {
            Some((what, expected, got)) => Err(StoreError::corrupt(
                operation,
                format!("there should be {expected} {what}, there are {got}"),
            )),
            None => Ok(usage),
        }
    }

    fn count_sealed(&self, operation: &'static str, kind: Kind) -> Result<u64, StoreError> {
        let mut count = 0;
        self.database.visit(operation, &kind.prefix(), None, |place, sealed| {
            self.sealer.open(operation, place, sealed)?;
            count += 1;
            Ok(true)
        })?;
        Ok(count)
    }

    /// Whose database this is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// How often the database was opened, creation included: higher after every start of the node.
    pub fn generation(&self) -> Result<u64, StoreError> {
        Ok(self.writer()?.head.generation)
    }

    /// The node's secret identity key.
    pub fn identity(&self) -> Result<NodeKey, StoreError> {
        const OPERATION: &str = "reading the identity";
        let plain = self
            .unseal(OPERATION, Place::Identity)?
            .ok_or_else(|| StoreError::corrupt(OPERATION, "it is gone"))?;
        decode_identity(&plain)
            .filter(|key| key.public_key() == self.owner.node)
            .ok_or_else(|| StoreError::corrupt(OPERATION, "it is not the owner's"))
    }

    /// A key of 32 bytes that only this database has, for authenticating compiled actions that lie outside it.
    pub fn artefact_key(&self) -> Zeroizing<[u8; 32]> {
        self.sealer.artefact_key()
    }

    /// Notes durably a time, in milliseconds since 1970. An earlier one than was noted before changes nothing.
    pub fn put_time(&self, now_ms: u64) -> Result<(), StoreError> {
        let mut writer = self.writer()?;
        if now_ms <= writer.head.time_ms {
            return Ok(());
        }
        self.commit(&mut writer, "storing the time", &[], |head| head.time_ms = now_ms)
    }

    /// The latest time that was noted, in milliseconds since 1970; zero before the first.
    pub fn last_time(&self) -> Result<u64, StoreError> {
        Ok(self.writer()?.head.time_ms)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The right to write, which also keeps what was read before a write from changing under it.
    pub(crate) fn writer(&self) -> Result<MutexGuard<'_, Writer>, StoreError> {
        self.writer.lock().map_err(|_| StoreError::Stopped)
    }

    /// Writes records together with the changed head, durably. After a failure nothing is written any more.
    pub(crate) fn commit(
        &self,
        writer: &mut Writer,
        operation: &'static str,
        records: &[(Place, &[u8])],
        change: impl FnOnce(&mut Head),
    ) -> Result<(), StoreError> {
        self.commit_replacing(writer, operation, &[], records, change)
    }

    /// The same, and removes others in the same turn.
    pub(crate) fn commit_replacing(
        &self,
        writer: &mut Writer,
        operation: &'static str,
        removed: &[Place],
        records: &[(Place, &[u8])],
        change: impl FnOnce(&mut Head),
    ) -> Result<(), StoreError> {
        if writer.stopped {
            return Err(StoreError::Stopped);
        }
        let mut head = writer.head;
        change(&mut head);
        head.writes += 1;

        let mut batch = WriteBatch::default();
        for place in removed {
            batch.delete(place.key());
        }
        for (place, value) in records {
            batch.put(place.key(), value);
        }
        batch.put(Place::Head.key(), self.seal(Place::Head, &head)?);

        writer.stopped = true;
        self.database.write(operation, batch)?;
        writer.watermark.raise(head.writes).map_err(|error| StoreError::io(operation, error))?;
        writer.stopped = false;
        writer.head = head;
        Ok(())
    }

    /// Encodes and seals a value for its place.
    pub(crate) fn seal<T: Serialize>(&self, place: Place, value: &T) -> Result<Vec<u8>, StoreError> {
        self.sealer.seal(place, &encode(value))
    }

    /// Seals bytes for their place.
    pub(crate) fn seal_bytes(&self, place: Place, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.sealer.seal(place, plain)
    }

    /// Opens what lies in a place; none if nothing does.
    pub(crate) fn unseal(
        &self,
        operation: &'static str,
        place: Place,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let sealed = self.database.get(operation, place)?;
        sealed.map(|sealed| self.sealer.open(operation, place, &sealed)).transpose()
    }

    /// Opens what was read from a place.
    pub(crate) fn unseal_bytes(
        &self,
        operation: &'static str,
        place: Place,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.sealer.open(operation, place, sealed)
    }

    /// Opens and decodes what lies in a place; none if nothing does.
    pub(crate) fn sealed<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        place: Place,
    ) -> Result<Option<T>, StoreError> {
        self.unseal(operation, place)?.map(|plain| decode(operation, place, &plain)).transpose()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("owner", &self.owner).finish_non_exhaustive()
    }
}

fn check_owner(expected: &Owner, got: &Owner) -> Result<(), OpenError> {
    if expected.network != got.network {
        return Err(OpenError::Network { expected: expected.network, got: got.network });
    }
    if expected.node != got.node {
        return Err(OpenError::Node { expected: expected.node, got: got.node });
    }
    Ok(())
}

fn open_watermark(path: &Path) -> Result<Watermark, OpenError> {
    Watermark::open(&path.join(WATERMARK)).map_err(|error| match error {
        WatermarkError::Locked => OpenError::InUse { path: path.into() },
        WatermarkError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenError::Incomplete { path: path.into(), file: WATERMARK }
        }
        WatermarkError::Io(source) => OpenError::Io { path: path.join(WATERMARK), source },
    })
}

fn is_empty(path: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(path)?.next().is_none())
}

fn make_folder(path: &Path) -> Result<(), CreateError> {
    let failed = |source| CreateError::Io { path: path.into(), source };
    match is_empty(path) {
        Ok(true) => fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed),
        Ok(false) => Err(CreateError::NotEmpty { path: path.into() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)
        }
        Err(source) => Err(failed(source)),
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
