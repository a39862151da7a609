//! What the same signatures cost where there is nothing but the cryptography.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, Result};
use countersign_threshold::{SigningPackage, dkg};
use countersign_types::{Identifier, Scheme};
use rand_core::OsRng;

/// What three commitments, three shares and one aggregation take on one core, in microseconds.
pub(super) fn cryptography_us() -> Result<f64> {
    let shares = generate(5, 3)?;
    let key = [7; 32].into();
    let derived = shares.values().take(3).map(|share| share.derive(&key)).collect::<Result<Vec<_>, _>>()?;
    let public = shares.values().next().context("a share")?.public().derive(&key)?;
    let rounds = 200u32;
    let started = Instant::now();
    for _ in 0..rounds {
        let (nonces, commitments): (Vec<_>, Vec<_>) =
            derived.iter().map(|share| share.commit(&mut OsRng)).unzip();
        let ids = derived.iter().map(|share| share.identifier());
        let package = SigningPackage::new(ids.clone().zip(commitments).collect(), vec![7; 32]);
        let signed = ids
            .zip(nonces)
            .zip(&derived)
            .map(|((id, nonces), share)| Ok((id, nonces.sign(&package, share)?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        public.aggregate(&package, &signed)?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds))
}

fn generate(size: u16, threshold: u16) -> Result<BTreeMap<Identifier, countersign_threshold::RootShare>> {
    let ids: Vec<Identifier> = (1..=size).filter_map(Identifier::new).collect();
    let mut first = BTreeMap::new();
    let mut broadcasts = BTreeMap::new();
    for id in &ids {
        let (state, package) = dkg::start(Scheme::SchnorrSecp256k1, *id, size, threshold, &mut OsRng)?;
        first.insert(*id, state);
        broadcasts.insert(*id, package);
    }
    let mut second = BTreeMap::new();
    let mut inboxes: BTreeMap<Identifier, BTreeMap<Identifier, dkg::PrivatePackage>> = BTreeMap::new();
    for (id, state) in first {
        let mut others = broadcasts.clone();
        others.remove(&id);
        let (state, dealt) = state.receive(others)?;
        second.insert(id, state);
        for (to, package) in dealt {
            inboxes.entry(to).or_default().insert(id, package);
        }
    }
    second
        .into_iter()
        .map(|(id, state)| Ok((id, state.finish(inboxes.remove(&id).unwrap_or_default())?)))
        .collect()
}
