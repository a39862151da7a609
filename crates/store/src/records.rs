//! Records as bytes, behind their seals: what is in them, and how it is read.

use countersign_types::{
    AttemptId, B256, Bytes, ComponentDigest, NodeKey, SignedPublishAction, action::script_digest,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{StoreError, layout::Place};

/// What the newest write says of the whole: what is missing from the database shows against it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Batches written, this one included.
    pub(crate) writes: u64,
    /// How often the database was opened.
    pub(crate) generation: u64,
    /// The latest time that was noted, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    pub(crate) pending_shares: u64,
    pub(crate) activations: u64,
    /// Epochs with root keys.
    pub(crate) root_keys: u64,
    pub(crate) actions: u64,
}

/// The bytes of a boot's id.
pub const BOOT_ID_BYTES: usize = 16;

/// One start of a node: its generation and its random id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBoot {
    /// The how-manieth it is.
    pub generation: u64,
    /// Which it is.
    pub id: [u8; BOOT_ID_BYTES],
}

/// The one attempt that this node activated for an epoch and scheme. There is a record for each scheme of the
/// attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationRecord {
    /// The attempt.
    pub attempt: AttemptId,
    /// All members' confirmations, as they were recorded.
    pub confirmations: Bytes,
}

/// The latest attempt that this node takes part in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedRecord {
    /// The attempt's number.
    pub number: u64,
    /// What key generation notes with it.
    pub note: Bytes,
}

/// An action as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAction {
    /// The publication.
    pub signed: SignedPublishAction,
    /// The length of its component, in bytes; 0 where it is built in, and so not stored.
    pub component_bytes: u64,
    /// The length of its script, in bytes; 0 where it has none.
    pub script_bytes: u64,
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("the types that are stored know their lengths")
}

pub(crate) fn decode<T: DeserializeOwned>(
    operation: &'static str,
    place: Place,
    bytes: &[u8],
) -> Result<T, StoreError> {
    postcard::from_bytes(bytes)
        .map_err(|error| StoreError::corrupt(operation, format!("{place:?} cannot be read: {error}")))
}

/// The identity's secret key; none if these bytes are no key.
pub(crate) fn decode_identity(bytes: &[u8]) -> Option<NodeKey> {
    NodeKey::from_bytes(*Zeroizing::new(bytes.try_into().ok()?)).ok()
}

pub(crate) fn decode_action(
    operation: &'static str,
    place: Place,
    bytes: &[u8],
) -> Result<StoredAction, StoreError> {
    let action: StoredAction = decode(operation, place, bytes)?;
    if Place::Action(action.signed.action_id()) == place {
        Ok(action)
    } else {
        Err(StoreError::corrupt(operation, format!("{place:?} holds another action")))
    }
}

/// The bytes of a component, if they are those of its digest.
pub(crate) fn check_component(expected: ComponentDigest, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    let got = ComponentDigest::of(&bytes);
    if got == expected { Ok(bytes) } else { Err(StoreError::CorruptComponent { expected, got }) }
}

/// The text of a script, if it is that of its digest.
pub(crate) fn check_script(
    operation: &'static str,
    digest: B256,
    bytes: Vec<u8>,
) -> Result<String, StoreError> {
    match String::from_utf8(bytes) {
        Ok(script) if script_digest(&script) == digest => Ok(script),
        Ok(_) | Err(_) => {
            let place = Place::Script(digest);
            Err(StoreError::corrupt(operation, format!("{place:?} holds another script")))
        }
    }
}
