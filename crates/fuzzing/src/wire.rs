//! What peers send, as bytes: streams of frames, greetings, frames by their lanes, and the messages in them.

use std::fmt::Debug;

use countersign_network::{
    Boot, BootId, Lane,
    frame::{Decoder, TooLong, append},
    hello::{Hello, MAX_HELLO_BYTES, MAX_VERSION_BYTES, decode_verdict, encode_verdict},
};
use countersign_session::{
    keygen,
    message::{Package, Preprocess, ToCoordinator, ToParticipant},
};
use countersign_types::{EngineId, NetworkId};
use countersign_wire::{BackgroundFrame, FrameError, SigningFrame, decode, encode};
use serde::{Serialize, de::DeserializeOwned};

use crate::{choices::Choices, world::world};

/// The largest frame of the streams here.
const MAX_FRAME: usize = 600;

/// A stream of frames, however it is cut: the frames are those of the whole, and appended again they are the stream.
///
/// The first byte says into what pieces it is cut.
pub(crate) fn frames(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let piece = choices.below(64) + 1;
    let stream = choices.rest();
    let whole = cut(std::iter::once(stream));
    assert_eq!(cut(stream.chunks(piece)), whole, "frames do not depend on how the bytes arrive");
    let (frames, error) = whole;
    let mut again = Vec::new();
    frames.iter().for_each(|frame| append(&mut again, frame));
    assert!(stream.starts_with(&again));
    assert!(frames.iter().all(|frame| frame.len() <= MAX_FRAME));
    assert!(error.is_none_or(|error| error.got > MAX_FRAME && error.most == MAX_FRAME));
    !frames.is_empty()
}

/// The frames up to the first that is too long.
fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Option<TooLong>) {
    let (mut decoder, mut frames) = (Decoder::new(MAX_FRAME), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.take() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// This side of the greetings here.
pub(crate) fn own_hello() -> Hello {
    Hello {
        network: NetworkId::from([1; 32]),
        protocol: countersign_session::PROTOCOL,
        engine: EngineId::from([2; 32]),
        boot: own_boot(),
        version: "0.1.0".into(),
    }
}

pub(crate) fn own_boot() -> Boot {
    Boot { generation: 7, id: BootId([3; 16]) }
}

/// A greeting and a verdict, from the same bytes.
pub(crate) fn hello(input: &[u8]) -> bool {
    let own = own_hello();
    if let Err(reason) = decode_verdict(input) {
        assert!(!reason.chars().any(char::is_control), "what a peer says ends up in terminals");
    } else {
        assert_eq!(input, encode_verdict(Ok(())));
    }
    match own.decode(input) {
        Ok(peer) => {
            let hello = &peer.hello;
            assert!(hello.version.len() <= 3 * MAX_VERSION_BYTES && hello.protocol == own.protocol);
            assert!(!hello.version.chars().any(char::is_control));
            // it was seen with the boot that this one has, and this one knows its own
            let last = own.boot;
            let follows = hello.boot.generation > last.generation || hello.boot == last;
            let remembers = peer.remembered.is_none_or(|remembered| remembered == last);
            let known = |generation| Ok((generation == last.generation).then_some(last.id));
            let judged = own.judge(&peer, Some(last), known);
            assert_eq!(judged.is_ok(), hello.network == own.network && follows && remembers);
            let again = hello.encode(peer.remembered);
            if again.len() <= MAX_HELLO_BYTES && hello.version.len() <= MAX_VERSION_BYTES {
                assert_eq!(own.decode(&again), Ok(peer));
            }
            true
        }
        Err(refusal) => {
            assert!(decode_verdict(&encode_verdict(Err(&refusal))).is_err());
            false
        }
    }
}

/// A frame of the signing lane.
pub(crate) fn signing_frames(input: &[u8]) -> bool {
    frame::<SigningFrame>(Lane::Signing, input)
}

/// A frame of the background lane: key generation, announcements, questions and answers.
pub(crate) fn background_frames(input: &[u8]) -> bool {
    frame::<BackgroundFrame>(Lane::Background, input)
}

/// Reads a frame as a node does: what was read is written and read again as the same, is no longer than it was, and
/// nothing may follow it.
fn frame<T: DeserializeOwned + Serialize + PartialEq + Debug>(lane: Lane, bytes: &[u8]) -> bool {
    // the lane gives no longer one
    if bytes.len() > lane.max_frame_bytes() {
        return false;
    }
    let Ok(frame) = decode::<T>(bytes) else { return false };
    let written = encode(&frame).expect("what was read can be written");
    assert!(written.len() <= bytes.len(), "what came on a lane can be sent on it");
    let again: T = decode(&written).expect("what was written can be read");
    assert_eq!(again, frame);
    assert_eq!(encode(&again).expect("it is written as before"), written);
    let longer = [bytes, &[0]].concat();
    assert!(matches!(decode::<T>(&longer), Err(FrameError::Trailing(1))));
    true
}

/// Messages of signing sessions. The first byte says which type; the rest is in postcard.
pub(crate) fn messages(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    match choices.below(3) {
        0 => read::<ToParticipant>(choices.rest()).is_some_and(|message| {
            let network = world().network();
            let _ = message.session(network);
            if let ToParticipant::Sign { package, .. } = &message {
                package_is_sound(package);
            }
            true
        }),
        1 => read::<ToCoordinator>(choices.rest()).is_some_and(|message| {
            let _ = message.session();
            if let ToCoordinator::Observed(observation) = &message {
                let node = world().identity(world().members()[1]).public_key();
                let record = &observation.record;
                let signed = observation.is_signed(world().network(), &node);
                assert!(!signed || observation.signature.is_some() != record.is_identical());
                if record.is_bounded() {
                    let length = postcard::to_stdvec(record).expect("it was read").len();
                    // the record's size is never less than its encoding, but for the list's own length
                    assert!(length <= record.size() + 1, "{length} of {}", record.size());
                }
            }
            true
        }),
        _ => read::<Preprocess>(choices.rest()).is_some(),
    }
}

/// What validation promises of a package.
fn package_is_sound(package: &Package) {
    let committee = world().committee();
    let valid = package.validate(committee).is_ok();
    let _ = package.hash(world().network());
    if valid {
        let threshold = usize::from(committee.threshold());
        assert!(package.signers.len() >= threshold && package.base.len() >= threshold);
        assert!(package.signers.values().all(|all| all.len() == package.payloads()));
        assert_eq!(package.base_records().len(), package.base.len());
    }
}

/// Messages of key generation, in postcard.
pub(crate) fn keygen_messages(input: &[u8]) -> bool {
    read::<keygen::Message>(input).is_some_and(|message| {
        if let keygen::Message::Activated(activation) = &message {
            let _ = activation.verify(world().network(), 1, world().committee());
        }
        true
    })
}

/// Reads a message, and checks that what was read is written and read again as the same.
///
/// Numbers and sets have more than one encoding in postcard, so the bytes may differ: nothing is signed over them.
pub(crate) fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let (value, _) = postcard::take_from_bytes::<T>(bytes).ok()?;
    let written = postcard::to_stdvec(&value).expect("what was read can be written");
    let (again, rest) = postcard::take_from_bytes::<T>(&written).expect("what was written can be read");
    assert!(rest.is_empty() && again == value, "{value:?}");
    assert_eq!(postcard::to_stdvec(&again).expect("it is written as before"), written);
    Some(value)
}
