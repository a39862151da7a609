//! Points, scalars, shares and packages of the threshold schemes: each encoding has one form, and whoever sends a wrong
//! one is named.

use std::{collections::BTreeMap, sync::OnceLock};

use countersign_threshold::{
    AggregateError, Commitments, PackageError, RootPublic, RootShare, SignatureShare, SigningPackage,
    VerifyError,
    dkg::{self, PrivatePackage},
    is_public_key, verify,
};
use countersign_types::{Bytes, Identifier, PublicKey, RootKey, Scheme, Signature};

use crate::{
    choices::Choices,
    world::{seeded, world},
};

const MESSAGE: &[u8] = b"what is signed";

/// A stored share record: whatever is read is written as the same bytes.
pub(crate) fn share_records(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let scheme = *choices.pick(&Scheme::ALL);
    let record = choices.rest();
    RootShare::from_bytes(scheme, record).is_ok_and(|share| {
        assert_eq!(share.to_bytes().as_slice(), record);
        assert_eq!(share.public().root_key(), share.root_key());
        true
    })
}

/// Root keys: the points of a real one, some replaced.
pub(crate) fn root_keys(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let scheme = *choices.pick(&Scheme::ALL);
    let real = world().root(scheme).root_key();
    let mut root = RootKey { verifying_shares: Vec::new(), ..real.clone() };
    let threshold = u16::from(choices.byte()) % 6;
    if choices.rarely(2) {
        root.public_key = PublicKey(choices.bytes(40).to_vec().into());
    }
    for place in 0..choices.below(6) {
        let share = match choices.below(3) {
            0 => real.verifying_shares.get(place).cloned().unwrap_or_default(),
            1 => choices.bytes(40).to_vec().into(),
            _ => twisted(&mut choices, real.verifying_shares.get(place).map_or(&[], |share| share)),
        };
        root.verifying_shares.push(share);
    }
    RootPublic::new(&root, threshold).is_ok_and(|public| {
        assert_eq!(public.root_key(), root);
        true
    })
}

/// A finished signature, key and message with bytes changed: only the real ones verify.
pub(crate) fn signatures(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let scheme = *choices.pick(&Scheme::ALL);
    let (key, signature) = real_signature(scheme);
    let key = PublicKey(twisted(&mut choices, &key.0));
    let signature = Signature(twisted(&mut choices, &signature.0));
    let message = twisted(&mut choices, MESSAGE);
    let is_real = (&key, &signature) == (&real_signature(scheme).0, &real_signature(scheme).1)
        && message[..] == *MESSAGE;
    match verify(scheme, &key, &message, &signature) {
        Ok(()) => assert!(is_real, "another signature verifies"),
        Err(VerifyError::PublicKey { .. }) => assert!(!is_public_key(scheme, &key) && !is_real),
        Err(VerifyError::Encoding { .. } | VerifyError::Wrong) => {
            assert!(is_public_key(scheme, &key) && !is_real);
        }
    }
    is_real
}

fn real_signature(scheme: Scheme) -> &'static (PublicKey, Signature) {
    static SIGNATURES: OnceLock<BTreeMap<Scheme, (PublicKey, Signature)>> = OnceLock::new();
    let make = |scheme| {
        let (package, shares) = honest(scheme);
        let public = &world().requests(scheme)[0].public;
        let signature = public.aggregate(&package, &shares).expect("all are honest");
        (scheme, (public.public_key(), signature))
    };
    &SIGNATURES.get_or_init(|| Scheme::ALL.into_iter().map(make).collect())[&scheme]
}

/// A package of the first threshold of members, and their shares.
fn honest(scheme: Scheme) -> (SigningPackage, BTreeMap<Identifier, SignatureShare>) {
    let (asked, signers) = (&world().requests(scheme)[0], &world().members()[..3]);
    let commitments = signers.iter().map(|id| (*id, asked.nonces(*id, 1).1)).collect();
    let package = SigningPackage::new(commitments, MESSAGE.to_vec());
    let sign = |id: &Identifier| asked.nonces(*id, 1).0.sign(&package, &asked.shares[id]);
    let shares = signers.iter().map(|id| (*id, sign(id).expect("all are honest"))).collect();
    (package, shares)
}

/// Commitments and signature shares of one signer changed: it alone is named, and no signature comes of it.
pub(crate) fn signing(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let scheme = *choices.pick(&Scheme::ALL);
    let asked = &world().requests(scheme)[0];
    let (mut package, mut shares) = honest(scheme);
    let liar = world().members()[choices.below(3)];
    let honest_commitments = package.commitments[&liar].clone();
    let honest_share = shares[&liar].clone();
    let Ok(commitments) = Commitments::try_from(twisted(&mut choices, honest_commitments.as_bytes())) else {
        return false;
    };
    if commitments != honest_commitments {
        package.commitments.insert(liar, commitments);
        let me = world().members()[usize::from(liar.get()) % 3];
        // another signer sees them first: it signs, or says whose are malformed
        let signed = asked.nonces(me, 1).0.sign(&package, &asked.shares[&me]);
        match asked.public.aggregate(&package, &shares) {
            Ok(_) => panic!("a signature of other commitments"),
            Err(AggregateError::Package(PackageError::MalformedCommitments { signer })) => {
                assert!(signer == liar && signed.is_err());
                return false;
            }
            Err(_) => assert!(signed.is_ok(), "{signed:?}"),
        }
        return true;
    }
    let Ok(share) = SignatureShare::try_from(twisted(&mut choices, honest_share.as_bytes())) else {
        return false;
    };
    shares.insert(liar, share.clone());
    match asked.public.aggregate(&package, &shares) {
        Ok(signature) => {
            assert_eq!(share, honest_share);
            assert_eq!(asked.public.verify(MESSAGE, &signature), Ok(()));
            true
        }
        Err(AggregateError::BadShares { culprits }) => {
            assert!(culprits.into_iter().eq([liar]) && share != honest_share);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// Packages of key generation of one sender changed: it alone is named.
pub(crate) fn key_generation(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    let scheme = *choices.pick(&Scheme::ALL);
    let (members, threshold) = (world().members(), world().committee().threshold());
    let (size, me, liar) = (world().committee().size(), members[0], members[1 + choices.below(3)]);
    let mut rng = seeded(42);
    let (mut states, mut broadcasts) = (BTreeMap::new(), BTreeMap::new());
    for id in members {
        let (state, package) = dkg::start(scheme, *id, size, threshold, &mut rng).expect("a legal committee");
        states.insert(*id, state);
        broadcasts.insert(*id, package);
    }
    let honest = broadcasts.clone();
    broadcasts.insert(liar, twisted(&mut choices, &honest[&liar]));
    let others = |of: Identifier, all: &BTreeMap<Identifier, Bytes>| -> BTreeMap<Identifier, Bytes> {
        all.iter().filter(|(id, _)| **id != of).map(|(id, package)| (*id, package.clone())).collect()
    };
    let state = states.remove(&me).expect("this member began");
    let second = match state.receive(others(me, &broadcasts)) {
        Ok((second, dealt)) => {
            let coefficient = constant(scheme, &honest[&liar]);
            assert_eq!(constant(scheme, &broadcasts[&liar]), coefficient, "what is not proven to be its own");
            assert_eq!(dealt.len(), members.len() - 1);
            second
        }
        Err(error) => {
            assert_eq!(error.culprit(), Some(liar), "{error}");
            return false;
        }
    };
    let mut dealt = BTreeMap::new();
    for (id, state) in states {
        let (_, mut packages) = state.receive(others(id, &honest)).expect("all are honest");
        dealt.insert(id, packages.remove(&me).expect("one for each"));
    }
    let Ok(package) = PrivatePackage::try_from(twisted(&mut choices, dealt[&liar].as_bytes()).to_vec())
    else {
        return false;
    };
    // another polynomial with the same constant term shows when what was dealt does not lie on it
    let is_honest = package == dealt[&liar] && broadcasts == honest;
    let judged = dkg::check_private(scheme, threshold, liar, &broadcasts[&liar], me, package.as_bytes());
    assert_eq!(judged.is_ok(), is_honest, "{judged:?}");
    dealt.insert(liar, package);
    match second.finish(dealt) {
        Ok(share) => assert!(is_honest && share.identifier() == me),
        Err(error) => assert!(!is_honest && error.culprit() == Some(liar), "{error}"),
    }
    is_honest
}

/// The commitment to a polynomial's constant term, which a broadcast begins with and proves.
fn constant(scheme: Scheme, broadcast: &[u8]) -> &[u8] {
    let length = if scheme.is_secp256k1() { 33 } else { 32 };
    broadcast.get(..length).unwrap_or_default()
}

/// Bytes as they are, or with some changed, cut off, added, or replaced.
fn twisted(choices: &mut Choices<'_>, honest: &[u8]) -> Bytes {
    let mut bytes = honest.to_vec();
    match choices.below(6) {
        0 => {}
        1 => {
            for _ in 0..=choices.below(4) {
                let (place, with) = (choices.below(256), choices.byte());
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= with;
                }
            }
        }
        2 => bytes.truncate(choices.below(256)),
        3 => bytes.extend_from_slice(choices.bytes(8)),
        4 => bytes.fill(choices.byte()),
        _ => bytes = choices.bytes(200).to_vec(),
    }
    bytes.into()
}
