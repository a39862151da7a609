//! What the same signatures cost where there is nothing but their cryptography.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use countersign_threshold::{DerivedPublic, DerivedShare, RootShare, SigningPackage, dkg};
use countersign_types::{Identifier, Scheme};
use rand_core::OsRng;

use crate::BenchError;

/// What this machine gives in signatures if it does nothing but the operations of FROST: for each signature as many
/// commitments and shares as signers are needed, and one aggregation, which verifies.
pub struct Ceiling {
    /// Of one key, of just as many members as sign.
    shares: Vec<DerivedShare>,
    public: DerivedPublic,
}

impl Ceiling {
    /// Makes a key for that.
    pub fn new(scheme: Scheme, size: u16, threshold: u16) -> Result<Self, BenchError> {
        let roots = generate(scheme, size, threshold)?;
        let key = [7; 32].into();
        let first = roots.first().ok_or(BenchError::Committee { threshold, size })?;
        let public = first.public().derive(&key)?;
        let signers = roots.iter().take(threshold.into());
        let shares = signers.map(|root| root.derive(&key)).collect::<Result<_, _>>()?;
        Ok(Self { shares, public })
    }

    /// How many cores there are.
    pub fn cores() -> usize {
        thread::available_parallelism().map_or(1, NonZeroUsize::get)
    }

    /// Signatures per second on all cores, measured for about so long. Blocks.
    pub fn per_second(&self, length: Duration) -> Result<f64, BenchError> {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..Self::cores()).map(|_| scope.spawn(|| self.rate(length))).collect();
            let rates = threads.into_iter().map(|one| one.join().unwrap_or(Err(BenchError::Worker)));
            rates.sum()
        })
    }

    /// What one signature takes on one core while the others rest, in milliseconds, measured for about so long. Blocks.
    pub fn one_ms(&self, length: Duration) -> Result<f64, BenchError> {
        Ok(1e3 / self.rate(length)?)
    }

    /// Signatures per second of this thread, over a time.
    fn rate(&self, length: Duration) -> Result<f64, BenchError> {
        let started = Instant::now();
        let mut made = 0u32;
        while made == 0 || started.elapsed() < length {
            self.sign()?;
            made += 1;
        }
        Ok(f64::from(made) / started.elapsed().as_secs_f64())
    }

    fn sign(&self) -> Result<(), BenchError> {
        let (nonces, commitments): (Vec<_>, Vec<_>) =
            self.shares.iter().map(|share| share.commit(&mut OsRng)).unzip();
        let signers = self.shares.iter().map(DerivedShare::identifier);
        let package = SigningPackage::new(signers.clone().zip(commitments).collect(), vec![7; 32]);
        let parts = signers
            .zip(nonces)
            .zip(&self.shares)
            .map(|((signer, nonces), share)| Ok((signer, nonces.sign(&package, share)?)))
            .collect::<Result<BTreeMap<_, _>, BenchError>>()?;
        self.public.aggregate(&package, &parts)?;
        Ok(())
    }
}

/// A key's generation with everybody in one place.
fn generate(scheme: Scheme, size: u16, threshold: u16) -> Result<Vec<RootShare>, BenchError> {
    let members: Vec<Identifier> = (1..=size).filter_map(Identifier::new).collect();
    let (mut states, mut broadcasts) = (Vec::new(), BTreeMap::new());
    for member in &members {
        let (state, package) = dkg::start(scheme, *member, size, threshold, &mut OsRng)?;
        states.push((*member, state));
        broadcasts.insert(*member, package);
    }
    let mut dealt = Vec::new();
    let mut received: BTreeMap<Identifier, BTreeMap<Identifier, dkg::PrivatePackage>> = BTreeMap::new();
    for (member, state) in states {
        let mut others = broadcasts.clone();
        others.remove(&member);
        let (state, packages) = state.receive(others)?;
        dealt.push((member, state));
        for (to, package) in packages {
            received.entry(to).or_default().insert(member, package);
        }
    }
    dealt
        .into_iter()
        .map(|(member, state)| Ok(state.finish(received.remove(&member).unwrap_or_default())?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_millis(10);

    #[test]
    fn every_scheme_has_a_ceiling() {
        for scheme in Scheme::ALL {
            let ceiling = Ceiling::new(scheme, 5, 3).expect("a committee");
            let (per_second, one_ms) = (ceiling.per_second(LENGTH), ceiling.one_ms(LENGTH));
            assert!(per_second.expect("signed") > 0.0 && one_ms.expect("signed") > 0.0, "{scheme}");
        }
    }

    #[test]
    fn a_committee_that_cannot_be_is_told() {
        for (size, threshold) in [(0, 0), (3, 0), (3, 4)] {
            assert!(Ceiling::new(Scheme::Ed25519, size, threshold).is_err(), "{threshold} of {size}");
        }
    }
}
