//! What lies on disk, read from bytes and written again: for fuzz targets, and nothing else.

use countersign_types::{NetworkId, NodePublicKey, RootKeys};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

pub use crate::watermark::SLOT_BYTES;
use crate::{
    ActivationRecord, BOOT_ID_BYTES, IdentityFile, JoinedRecord, PendingShares, StoreError, StoredBoot,
    frame,
    header::{self, Header},
    identity,
    layout::Place,
    records::{Head, check_component, check_script, decode, decode_action, decode_identity, encode},
    seal::{DataKey, Sealer},
    watermark,
};

const OPERATION: &str = "fuzzing";

/// A small file beside the database, or instead of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmallFile {
    /// Whose database it is, and its wrapped key.
    Header,
    /// An identity without a database.
    Identity,
}

impl SmallFile {
    /// A body as the file that holds it, with its length and checksum.
    pub fn framed(self, body: &[u8]) -> Vec<u8> {
        let magic = match self {
            Self::Header => header::MAGIC,
            Self::Identity => identity::MAGIC,
        };
        frame::encode(magic, body)
    }

    /// Reads a file, and writes it again; none if it is refused.
    pub fn rewrite(self, file: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Header => Header::decode(file).ok().map(|header| header.encode()),
            Self::Identity => IdentityFile::decode(file).ok().map(|identity| identity.encode()),
        }
    }
}

/// A count of writes as a slot of the watermark.
pub fn write_slot(count: u64) -> [u8; SLOT_BYTES] {
    watermark::encode(count)
}

/// The count in a slot of the watermark; none if the slot is not whole.
pub fn read_slot(slot: &[u8; SLOT_BYTES]) -> Option<u64> {
    watermark::decode(slot)
}

/// Reads the record under a key, which is no longer sealed, and writes the key and the record again; none if one of them
/// is refused.
pub fn rewrite_record(network: NetworkId, key: &[u8], record: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let place = Place::parse(key)?;
    let record = match place {
        Place::Head => again::<Head>(place, record),
        Place::Identity => return Some((place.key(), decode_identity(record)?.to_bytes().to_vec())),
        Place::PendingShares { .. } => {
            PendingShares::decode(OPERATION, network, place, record).map(|pending| pending.encode().to_vec())
        }
        Place::Activation { .. } => again::<ActivationRecord>(place, record),
        Place::RootKeys { .. } => again::<RootKeys>(place, record),
        Place::Action(_) => decode_action(OPERATION, place, record).map(|action| encode(&action)),
        Place::Component(digest) => check_component(digest, record.to_vec()),
        Place::Script(digest) => check_script(OPERATION, digest, record.to_vec()).map(String::into_bytes),
        Place::OwnBoot { .. } => again::<[u8; BOOT_ID_BYTES]>(place, record),
        Place::PeerBoot(_) => again::<Option<StoredBoot>>(place, record),
        Place::Joined { .. } => again::<JoinedRecord>(place, record),
    };
    Some((place.key(), record.ok()?))
}

fn again<T: DeserializeOwned + Serialize>(place: Place, record: &[u8]) -> Result<Vec<u8>, StoreError> {
    decode::<T>(OPERATION, place, record).map(|value| encode(&value))
}

/// Seals a record for the place of a key, as a node with this data key does; none if the key names no place.
pub fn seal(
    data: [u8; 32],
    network: NetworkId,
    node: NodePublicKey,
    key: &[u8],
    record: &[u8],
) -> Option<Vec<u8>> {
    sealer(data, network, node).seal(Place::parse(key)?, record).ok()
}

/// Opens what is sealed for the place of a key; none if the key names no place, or the seal does not hold.
pub fn open(
    data: [u8; 32],
    network: NetworkId,
    node: NodePublicKey,
    key: &[u8],
    sealed: &[u8],
) -> Option<Vec<u8>> {
    let opened = sealer(data, network, node).open(OPERATION, Place::parse(key)?, sealed).ok()?;
    Some(opened.to_vec())
}

fn sealer(data: [u8; 32], network: NetworkId, node: NodePublicKey) -> Sealer {
    Sealer::new(&DataKey::of(Zeroizing::new(data)), network, node)
}
