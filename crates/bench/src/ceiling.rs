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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceiling {
    /// Signatures per second, on all cores.
    pub per_second: f64,
    /// What one takes on one core while the others rest, in milliseconds.
    pub one_ms: f64,
    /// How many cores there are.
    pub cores: usize,
}

impl Ceiling {
    /// Measures for about as long as `length`, half of it on one core. Blocks.
    pub fn measure(scheme: Scheme, size: u16, threshold: u16, length: Duration) -> Result<Self, BenchError> {
        let committee = Committee::new(scheme, size, threshold)?;
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let alone = committee.rate(length / 2)?;
        let together = thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(|| committee.rate(length / 2))).collect();
            threads
                .into_iter()
                .map(|one| one.join().unwrap_or(Err(BenchError::Worker)))
                .sum::<Result<f64, _>>()
        })?;
        Ok(Self { per_second: together, one_ms: 1e3 / alone, cores })
    }
}

/// Just as many members as sign, with shares of one key.
struct Committee {
    shares: Vec<DerivedShare>,
    public: DerivedPublic,
}

impl Committee {
    fn new(scheme: Scheme, size: u16, threshold: u16) -> Result<Self, BenchError> {
        let roots = generate(scheme, size, threshold)?;
        let key = [7; 32].into();
        let first = roots.first().ok_or(BenchError::Committee { threshold, size })?;
        let public = first.public().derive(&key)?;
        let signers = roots.iter().take(threshold.into());
        let shares = signers.map(|root| root.derive(&key)).collect::<Result<_, _>>()?;
        Ok(Self { shares, public })
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

    #[test]
    fn every_scheme_has_a_ceiling() {
        for scheme in Scheme::ALL {
            let ceiling = Ceiling::measure(scheme, 5, 3, Duration::from_millis(20)).expect("a committee");
            assert!(ceiling.per_second > 0.0 && ceiling.one_ms > 0.0 && ceiling.cores > 0, "{ceiling:?}");
        }
    }

    #[test]
    fn a_committee_that_cannot_be_is_told() {
        for (size, threshold) in [(0, 0), (3, 0), (3, 4)] {
            let made = Ceiling::measure(Scheme::Ed25519, size, threshold, Duration::ZERO);
            assert!(made.is_err(), "{threshold} of {size}");
        }
    }
}
