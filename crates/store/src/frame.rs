//! The frame of the small files beside the database: damage and another version show before anything is decoded.
//!
//! Magic of 8 bytes, layout version u32, length of the body u32, body, SHA-256 of all before it; numbers are
//! big-endian. The frame is the same for every version, the body belongs to the version.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::layout::SCHEMA;

const MAGIC_BYTES: usize = 8;
const FRAME_BYTES: usize = MAGIC_BYTES + 4 + 4;
const CHECKSUM_BYTES: usize = 32;
/// The longest file, in bytes: those of version 1 have less than 300.
const MAX_BYTES: u64 = 4096;

/// Why bytes are not a body in a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// Not as they were written.
    Damaged,
    /// Written by another version.
    Schema { got: u32 },
}

/// Puts a body into a frame.
pub(crate) fn encode(magic: [u8; MAGIC_BYTES], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a body is far below 4 GiB");
    let mut bytes = [magic.as_slice(), &SCHEMA.to_be_bytes(), &length.to_be_bytes(), body].concat();
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Takes the body out of a frame.
pub(crate) fn decode(magic: [u8; MAGIC_BYTES], bytes: &[u8]) -> Result<&[u8], FrameError> {
    let (framed, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(FrameError::Damaged)?;
    let (frame, body) = framed.split_first_chunk::<FRAME_BYTES>().ok_or(FrameError::Damaged)?;
    let [m @ .., s0, s1, s2, s3, l0, l1, l2, l3] = *frame;
    let (schema, length) = (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([l0, l1, l2, l3]));
    let whole = Sha256::digest(framed).as_slice() == checksum;
    if !whole || m != magic || length as usize != body.len() {
        return Err(FrameError::Damaged);
    }
    if schema == SCHEMA { Ok(body) } else { Err(FrameError::Schema { got: schema }) }
}

/// Reads a file, as far as one of ours may go.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAGIC: [u8; 8] = *b"TESTING\n";

    proptest! {
        #[test]
        fn a_body_is_read_back_and_no_cut_or_changed_frame_is(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            cut in 1..40usize,
            position in any::<proptest::sample::Index>(),
            change in 1..=255u8,
        ) {
            let whole = encode(MAGIC, &body);
            prop_assert_eq!(decode(MAGIC, &whole), Ok(body.as_slice()));
            prop_assert_eq!(decode(*b"ANOTHER\n", &whole), Err(FrameError::Damaged));
            prop_assert_eq!(decode(MAGIC, &whole[..whole.len() - cut]), Err(FrameError::Damaged));
            let mut changed = whole.clone();
            changed[position.index(whole.len())] ^= change;
            prop_assert_eq!(decode(MAGIC, &changed), Err(FrameError::Damaged));
        }

        #[test]
        fn arbitrary_bytes_are_no_frame(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decode(MAGIC, &bytes), Err(FrameError::Damaged));
        }
    }

    #[test]
    fn no_more_is_read_than_a_file_of_ours_may_have() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        for length in [MAX_BYTES, MAX_BYTES + 1] {
            std::fs::write(&path, vec![1_u8; length as usize]).expect("written");
            assert_eq!(read(&path).expect("readable").len() as u64, MAX_BYTES, "of {length}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = encode(MAGIC, b"body");
        bytes[11] = 9;
        let framed = bytes.len() - CHECKSUM_BYTES;
        let checksum = Sha256::digest(&bytes[..framed]);
        bytes[framed..].copy_from_slice(&checksum);
        assert_eq!(decode(MAGIC, &bytes), Err(FrameError::Schema { got: 9 }));
    }
}
