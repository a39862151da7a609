//! What a node reads from its own disk: the small files beside the database, its records and their seals, and what key
//! generation and receipts keep in records.
//!
//! Checksums, seals and digests keep a fuzzer from everything behind them: here they are made to fit where that is asked.

use countersign_receipt::Receipt;
use countersign_session::keygen::Joined;
use countersign_store::fuzzing::{SLOT_BYTES, SmallFile, open, read_slot, rewrite_record, seal, write_slot};
use countersign_types::NodeSignature;

use crate::{choices::Choices, wire::read, world::world};

/// The data key of the seals here.
const DATA_KEY: [u8; 32] = [7; 32];
/// No key of a record is longer.
const MAX_KEY_BYTES: usize = 48;

/// A header, an identity's file, or a slot of the watermark.
///
/// The first byte says which, and whether what follows is the whole file or a body whose checksum is made to fit.
pub(crate) fn files(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    match choices.below(6) {
        0 => small_file(SmallFile::Header, choices.rest()),
        1 => small_file(SmallFile::Header, &SmallFile::Header.framed(choices.rest())),
        2 => small_file(SmallFile::Identity, choices.rest()),
        3 => small_file(SmallFile::Identity, &SmallFile::Identity.framed(choices.rest())),
        4 => choices.rest().first_chunk::<SLOT_BYTES>().is_some_and(|slot| {
            let count = read_slot(slot);
            assert!(count.is_none_or(|count| write_slot(count) == *slot), "a count has one slot");
            count.is_some()
        }),
        _ => damaged_slot(choices.rest()),
    }
}

/// A file that is read is written and read again as the same, and as no other kind of file.
fn small_file(kind: SmallFile, file: &[u8]) -> bool {
    let Some(again) = kind.rewrite(file) else { return false };
    assert_eq!(kind.rewrite(&again).as_ref(), Some(&again));
    let other = if kind == SmallFile::Header { SmallFile::Identity } else { SmallFile::Header };
    assert_eq!(other.rewrite(file), None);
    true
}

/// A slot with some bits flipped is not whole.
fn damaged_slot(input: &[u8]) -> bool {
    let Some((count, flips)) = input.split_first_chunk::<8>() else { return false };
    let count = u64::from_be_bytes(*count);
    let whole = write_slot(count);
    let mut slot = whole;
    slot.iter_mut().zip(flips).for_each(|(byte, flip)| *byte ^= flip);
    assert_eq!(read_slot(&slot), (slot == whole).then_some(count));
    slot == whole
}

/// A record, or what is kept in one. The first byte says what follows: a key and its record, a record that is sealed, or a
/// note of key generation, confirmations, or a receipt in postcard.
pub(crate) fn records(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    match choices.below(5) {
        0 => record(choices.bytes(MAX_KEY_BYTES), choices.rest()),
        1 => sealed(&mut choices),
        2 => read::<Joined>(choices.rest()).is_some(),
        3 => read::<Vec<NodeSignature>>(choices.rest()).is_some(),
        _ => read::<Receipt>(choices.rest()).is_some(),
    }
}

/// A record is written and read again as the same, and its place has one key.
fn record(key: &[u8], record: &[u8]) -> bool {
    let network = world().network();
    let Some((place, again)) = rewrite_record(network, key, record) else { return false };
    assert_eq!(place, key);
    assert_eq!(rewrite_record(network, key, &again), Some((place, again)));
    true
}

/// What is sealed for one place opens there and nowhere else, as it was and not with bits flipped.
fn sealed(choices: &mut Choices<'_>) -> bool {
    let (network, node) = (world().network(), world().identity(world().members()[0]).public_key());
    let (key, other) = (choices.bytes(MAX_KEY_BYTES), choices.bytes(MAX_KEY_BYTES));
    let (flips, record) = (choices.bytes(64), choices.rest());
    let open = |key, sealed: &[u8]| open(DATA_KEY, network, node, key, sealed);
    assert_eq!(open(key, record), None, "nobody can guess a seal");
    let Some(whole) = seal(DATA_KEY, network, node, key, record) else { return false };
    let mut sealed = whole.clone();
    sealed.iter_mut().zip(flips).for_each(|(byte, flip)| *byte ^= flip);
    assert_eq!(open(key, &sealed), (sealed == whole).then(|| record.to_vec()));
    assert!(open(other, &whole).is_none_or(|_| other == key), "it was sealed for another place");
    true
}
