//! The second line against reused nonces: commitments that stood in a package stand in no other.
//!
//! The first line is that nonces leave their owner once, by value. This one catches an owner whose memory was forked or
//! rolled back, and a coordinator that puts old commitments into new packages.

use std::collections::{BTreeMap, VecDeque};

use countersign_threshold::Commitments;
use countersign_types::{Identifier, PackageHash};

use crate::message::Package;

/// The most commitments that are remembered for one coordinator; beyond, the oldest are forgotten.
pub const MAX_SEEN: usize = 4_096;

/// Others' commitments, with the package that they stood in. By coordinator: nobody can spoil what another uses, nor have it
/// forgotten.
#[derive(Default)]
pub(super) struct Seen {
    by: BTreeMap<Identifier, Packages>,
}

#[derive(Default)]
struct Packages {
    of: BTreeMap<Commitments, PackageHash>,
    /// The oldest first.
    order: VecDeque<Commitments>,
}

impl Seen {
    /// Whose commitments stood in another package of this coordinator.
    pub(super) fn find(
        &self,
        coordinator: Identifier,
        package: &Package,
        hash: PackageHash,
    ) -> Option<Identifier> {
        let packages = self.by.get(&coordinator)?;
        let mut all = package.signers.iter().flat_map(|(id, all)| all.iter().map(|one| (*id, one)));
        let used = |one: &Commitments| packages.of.get(one).is_some_and(|package| *package != hash);
        all.find(|(_, one)| used(one)).map(|(id, _)| id)
    }

    /// How many commitments are remembered for one coordinator, at most.
    pub(super) fn most(&self) -> usize {
        self.by.values().map(|packages| packages.of.len().max(packages.order.len())).max().unwrap_or(0)
    }

    /// Remembers the commitments of a package.
    pub(super) fn remember(&mut self, coordinator: Identifier, package: &Package, hash: PackageHash) {
        let packages = self.by.entry(coordinator).or_default();
        for one in package.signers.values().flatten() {
            if packages.of.insert(one.clone(), hash).is_none() {
                packages.order.push_back(one.clone());
            }
        }
        while packages.order.len() > MAX_SEEN {
            if let Some(oldest) = packages.order.pop_front() {
                packages.of.remove(&oldest);
            }
        }
    }
}
