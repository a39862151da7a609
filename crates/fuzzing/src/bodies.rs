//! What callers, authors and files hand over: bodies in JSON, manifests, typed data, decimals.

use std::fmt::Debug;

use countersign_threshold::RootPublic;
use countersign_types::{
    Genesis, KeySpec, MAX_CALLERS, Manifest, Outcome, Payload, RootKeys, SignedPublishAction, SignedRequest,
    Tolerance, Verdict,
    action::{ManifestSource, PublishedAction},
    api::{NetworkInfo, Problem, SignResponse},
    decimal::{Decimal, MAX_NUMBER_BYTES},
    typed_data_digest,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{choices::Choices, world::world};

/// Reads a body, and checks that what was read is written and read again as the same.
fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(json: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(json).ok()?;
    let written = serde_json::to_vec(&value).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, value);
    Some(value)
}

/// The body of a request.
pub(crate) fn requests(input: &[u8]) -> bool {
    let Some(signed) = read::<SignedRequest>(input) else { return false };
    let digest = signed.request.digest();
    let binary = postcard::to_stdvec(&signed).expect("it can be sent on");
    assert_eq!(postcard::from_bytes::<SignedRequest>(&binary).as_ref(), Ok(&signed));
    if let Ok(valid) = signed.clone().validate() {
        assert_eq!((valid.digest(), valid.signed()), (digest, &signed));
        let callers = &valid.request().callers;
        assert!((1..=MAX_CALLERS).contains(&callers.len()) && callers.is_sorted());
        assert!(signed.signatures.iter().all(|signature| signature.recover(digest.0).is_some()));
        assert_eq!(valid.key_id(), valid.request().key.key_id());
    }
    true
}

/// A key's spec, and what is signed with it for payloads of all kinds.
pub(crate) fn key_specs(input: &[u8]) -> bool {
    let Some(spec) = read::<KeySpec>(input) else { return false };
    let id = spec.key_id();
    if spec.validate().is_ok() {
        let _ = id.derivation_digest(&world().root(spec.scheme).root_key().public_key);
        for payload in [
            Payload::Bytes(input.to_vec().into()),
            Payload::PersonalMessage(input.to_vec().into()),
            Payload::Raw(input.to_vec().into()),
        ] {
            let listed = spec.payloads.contains(&payload.kind());
            let verdict = Verdict::Allow { payloads: vec![payload], response: Default::default() };
            assert!(listed || Outcome::of(verdict, &spec).is_err(), "only what the spec lists is signed");
        }
    }
    true
}

/// What is published: manifests, publications, and the files that authors write.
///
/// The first byte says which.
pub(crate) fn manifests(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    match choices.below(4) {
        0 => read::<Manifest>(choices.rest()).is_some_and(|manifest| {
            let _ = (manifest.validate(), manifest.action_id());
            true
        }),
        1 => read::<SignedPublishAction>(choices.rest()).is_some_and(|signed| {
            let _ = (signed.validate(world().network()), signed.action_id());
            true
        }),
        2 => read::<PublishedAction>(choices.rest()).is_some_and(|published| {
            let (signed, content) = published.into_parts();
            let _ = content.check(&signed.publish.manifest);
            true
        }),
        _ => {
            let text = std::str::from_utf8(choices.rest()).unwrap_or_default();
            toml::from_str::<ManifestSource>(text).is_ok_and(|source| {
                let _ = source.with_component(b"component").validate();
                true
            })
        }
    }
}

/// Genesis files, root keys, and the answers that a client gets. The first byte says which.
pub(crate) fn networks(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    match choices.below(5) {
        0 => read::<Genesis>(choices.rest()).is_some_and(|genesis| {
            let id = genesis.network_id();
            if let Ok(committee) = genesis.committee() {
                assert!(usize::from(committee.threshold()) * 2 > usize::from(committee.size()));
                let mut reordered = genesis;
                reordered.members.reverse();
                assert_eq!(reordered.network_id(), id);
            }
            true
        }),
        1 => read::<RootKeys>(choices.rest()).is_some_and(|keys| {
            let committee = world().committee();
            let verified = keys.verify(world().network(), committee).is_ok();
            for root in keys.roots().take(4).filter(|root| root.verifying_shares.len() < 32) {
                if let Ok(public) = RootPublic::new(root, committee.threshold()) {
                    assert_eq!(public.root_key(), *root, "a root key has one encoding");
                }
            }
            assert!(!verified || keys.network == world().network());
            true
        }),
        2 => read::<NetworkInfo>(choices.rest()).is_some(),
        3 => read::<SignResponse>(choices.rest()).is_some_and(|response| {
            let _ = response.terms().id(world().network());
            true
        }),
        _ => read::<Problem>(choices.rest()).is_some_and(|problem| {
            let _ = problem.into_failure();
            true
        }),
    }
}

/// Typed data in JSON: the digest, or a reason, in bounded time.
pub(crate) fn typed_data(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let digest = typed_data_digest(text);
    assert_eq!(typed_data_digest(text), digest);
    digest.is_ok()
}

/// Two texts as decimals, apart by a line's end: one form each, and what tolerances make of them.
pub(crate) fn decimals(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let bps = *choices.pick(&[0, 1, 50, 10_000, 10_001, u32::MAX]);
    let Ok(text) = std::str::from_utf8(choices.rest()) else { return false };
    let (one, other) = text.split_once('\n').unwrap_or((text, text));
    let (Some(one), Some(other)) = (decimal(one), decimal(other)) else { return false };
    let tolerance = Tolerance { bps, abs: other };
    assert!(tolerance.accepts(&one, &one) && tolerance.meets(&one, &one));
    assert_eq!(tolerance.meets(&one, &other), tolerance.meets(&other, &one));
    if tolerance.accepts(&one, &other) {
        assert!(tolerance.meets(&one, &other), "who accepts the other's number meets it");
    }
    true
}

fn decimal(text: &str) -> Option<Decimal> {
    let number: Decimal = text.parse().ok()?;
    assert!(text.len() <= MAX_NUMBER_BYTES);
    let canonical = number.to_string();
    assert_eq!(Decimal::from_canonical(&canonical), Ok(number));
    assert_eq!(canonical.parse(), Ok(number));
    assert_eq!(Decimal::from_canonical(text).is_ok(), text == canonical);
    assert_eq!(number.is_negative(), canonical.starts_with('-'));
    // JSON's grammar and no other
    assert!(serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok(), "{text:?}");
    let json = serde_json::to_string(&number).expect("a text");
    assert_eq!(serde_json::from_str::<Decimal>(&json).ok(), Some(number));
    Some(number)
}
