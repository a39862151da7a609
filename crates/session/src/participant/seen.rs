//! The second line against reused nonces: commitments that stood in a package stand in no other.
//!
//! The first line is that nonces leave their owner once, by value. This one catches an owner whose memory was forked or
//! rolled back, and a coordinator that puts old commitments into new packages.

use std::collections::BTreeMap;

use countersign_threshold::Commitments;
use countersign_types::{Identifier, PackageHash};

use crate::{message::Package, recent::Recent};

/// The most commitments that are remembered for one coordinator; beyond, the oldest are forgotten.
pub const MAX_SEEN: usize = 4_096;

/// Others' commitments, with the package that they stood in. By coordinator: nobody can spoil what another uses, nor have it
/// forgotten.
#[derive(Default)]
pub(super) struct Seen {
    by: BTreeMap<Identifier, Recent<PackageHash, MAX_SEEN>>,
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
        let used = |one: &Commitments| packages.get(one).is_some_and(|package| *package != hash);
        all.find(|(_, one)| used(one)).map(|(id, _)| id)
    }

    /// How many commitments are remembered for one coordinator, at most.
    pub(super) fn most(&self) -> usize {
        self.by.values().map(Recent::len).max().unwrap_or(0)
    }

    /// Remembers the commitments of a package.
    pub(super) fn remember(&mut self, coordinator: Identifier, package: &Package, hash: PackageHash) {
        let packages = self.by.entry(coordinator).or_default();
        package.signers.values().flatten().for_each(|one| packages.insert(one, hash));
    }
}
