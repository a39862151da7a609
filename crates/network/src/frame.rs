//! Frames on a stream: a length of four bytes, big-endian, and as many bytes.
//!
//! Pure functions over bytes; every decoder takes the largest length that it accepts.

use bytes::{Buf, Bytes, BytesMut};

/// The bytes before a frame's content.
pub const HEADER_BYTES: usize = 4;

/// What a decoder's buffer may keep when it is empty: one large frame does not cost its size forever.
const KEPT_BYTES: usize = 64 << 10;

/// A peer announced a frame that it must not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame here has at most {most} bytes, {got} were announced")]
pub struct TooLong {
    /// The announced length.
    pub got: usize,
    /// The largest that is accepted.
    pub most: usize,
}

/// Appends one frame. The content has at most `u32::MAX` bytes; callers hold to a far smaller bound.
pub fn append(buffer: &mut Vec<u8>, content: &[u8]) {
    let length = u32::try_from(content.len()).expect("callers bound a frame far below 4 GiB");
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(content);
}

/// Cuts a stream of bytes into frames.
///
/// Holds at most one incomplete frame and what was pushed since: take the complete ones with [`Self::take`] until
/// there is none, then push again.
#[derive(Debug)]
pub struct Decoder {
    most: usize,
    buffer: BytesMut,
}

impl Decoder {
    /// A decoder for frames of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { most, buffer: BytesMut::new() }
    }

    /// Adds bytes in the order of their arrival.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame; none until more bytes are pushed.
    ///
    /// A length beyond the bound is an error as soon as it is announced. The stream cannot be read on after it.
    pub fn take(&mut self) -> Result<Option<Bytes>, TooLong> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let got = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        if got > self.most {
            return Err(TooLong { got, most: self.most });
        }
        let end = HEADER_BYTES + got;
        if self.buffer.len() < end {
            return Ok(None);
        }
        // Copied, so that a small frame that is kept does not keep the whole buffer.
        let content = Bytes::copy_from_slice(&self.buffer[HEADER_BYTES..end]);
        self.buffer.advance(end);
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = BytesMut::new();
        }
        Ok(Some(content))
    }

    /// Whether no incomplete frame is held.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(decoder: &mut Decoder) -> Result<Vec<Bytes>, TooLong> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.take()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_come_back_however_the_bytes_are_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cut in 1_usize..700,
        ) {
            let mut bytes = Vec::new();
            for frame in &frames {
                append(&mut bytes, frame);
            }
            let mut decoder = Decoder::new(300);
            let mut got = Vec::new();
            for part in bytes.chunks(cut) {
                decoder.push(part);
                got.extend(drain(&mut decoder).expect("within the bound"));
            }
            prop_assert!(decoder.is_empty());
            prop_assert_eq!(got, frames);
        }

        #[test]
        fn arbitrary_bytes_give_bounded_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::new(100);
            for part in bytes.chunks(17) {
                decoder.push(part);
                match drain(&mut decoder) {
                    Ok(frames) => prop_assert!(frames.iter().all(|frame| frame.len() <= 100)),
                    Err(error) => {
                        prop_assert!(error.got > 100);
                        break;
                    }
                }
                prop_assert!(decoder.buffer.len() < HEADER_BYTES + 100);
            }
        }
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_its_content_comes() {
        let mut decoder = Decoder::new(100);
        decoder.push(&101_u32.to_be_bytes());
        assert_eq!(decoder.take(), Err(TooLong { got: 101, most: 100 }));
    }

    #[test]
    fn a_large_frame_does_not_keep_its_buffer() {
        let mut decoder = Decoder::new(1 << 20);
        let mut bytes = Vec::new();
        append(&mut bytes, &vec![0; 1 << 20]);
        decoder.push(&bytes);
        assert_eq!(decoder.take().expect("legal").map(|frame| frame.len()), Some(1 << 20));
        assert!(decoder.buffer.capacity() <= KEPT_BYTES);
    }
}
