//! No key is half made: soon after the faults, what one honest member's disk says of an attempt, all honest ones' say.
//!
//! Whoever activated an attempt makes no other key for its schemes. If another honest member can never follow, these
//! schemes never have a key, whatever the dishonest one does later. So this is asked of every world, also of one
//! whose liar goes on to the end and keeps all from finishing.

use std::collections::BTreeMap;

use countersign_session::Millis;
use countersign_types::{AttemptId, Identifier};

use super::disk::Disk;
use crate::Violation;

/// For how long honest members may differ when faults are over. Each sends its activation again each second until it
/// is done, a message takes some milliseconds, and so does a disk; one that was sent before may take five seconds.
const SETTLED_MS: Millis = 10_000;

/// What a member has of an attempt for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Activation,
    RootKeys,
}

impl Mark {
    fn is_on(self, disk: &Disk, attempt: AttemptId) -> bool {
        match self {
            Self::Activation => disk.activated.iter().any(|(stored, _)| *stored == attempt),
            Self::RootKeys => disk.complete.iter().any(|done| done.attempt == attempt),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::RootKeys => "root keys",
        }
    }
}

/// What honest members have, and since when some do.
#[derive(Default)]
pub(super) struct Alike {
    since: BTreeMap<(AttemptId, Mark), Millis>,
}

impl Alike {
    /// Compares honest members' disks.
    pub(super) fn check(
        &mut self,
        disks: &BTreeMap<Identifier, &Disk>,
        now: Millis,
        faults_end: Millis,
    ) -> Result<(), Violation> {
        self.since.retain(|(attempt, mark), _| disks.values().any(|disk| mark.is_on(disk, *attempt)));
        for disk in disks.values() {
            let activated = disk.activated.iter().map(|(attempt, _)| (*attempt, Mark::Activation));
            let done = disk.complete.iter().map(|done| (done.attempt, Mark::RootKeys));
            activated.chain(done).for_each(|mark| {
                self.since.entry(mark).or_insert(now);
            });
        }
        for ((attempt, mark), since) in &self.since {
            if now < faults_end.max(*since) + SETTLED_MS {
                continue;
            }
            if let Some((node, _)) = disks.iter().find(|(_, disk)| !mark.is_on(disk, *attempt)) {
                return Err(Violation::HalfMade { node: *node, attempt: *attempt, what: mark.name() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use countersign_types::{Activation, B256};

    use super::*;

    const FAULTS_END: Millis = 50_000;
    const ATTEMPT: AttemptId = AttemptId(B256::repeat_byte(3));

    fn id(number: u16) -> Identifier {
        Identifier::new(number).expect("not zero")
    }

    fn activated() -> Disk {
        let mut disk = Disk::default();
        disk.activated.push((ATTEMPT, Vec::new()));
        disk
    }

    fn complete() -> Disk {
        let mut disk = activated();
        disk.complete.push(Activation { roots: Vec::new(), attempt: ATTEMPT, signatures: Vec::new() });
        disk
    }

    /// What is seen at each of these moments.
    fn seen(first: &Disk, second: &Disk, moments: &[Millis]) -> Vec<bool> {
        let (mut alike, disks) = (Alike::default(), BTreeMap::from([(id(1), first), (id(2), second)]));
        moments.iter().map(|now| alike.check(&disks, *now, FAULTS_END).is_err()).collect()
    }

    #[test]
    fn what_one_has_and_another_lacks_for_good_is_half_made() {
        let settled = FAULTS_END + SETTLED_MS;
        for (more, less) in [(activated(), Disk::default()), (complete(), activated())] {
            assert_eq!(seen(&more, &less, &[0, settled - 1, settled]), [false, false, true]);
            assert_eq!(seen(&less, &more, &[0, settled]), [false, true]);
            // who was late has as long
            let late = settled + 7;
            assert_eq!(seen(&more, &less, &[late, late + SETTLED_MS - 1]), [false, false]);
            assert_eq!(seen(&more, &less, &[late, late + SETTLED_MS]), [false, true]);
        }
    }

    #[test]
    fn members_that_have_the_same_are_alike() {
        let settled = FAULTS_END + SETTLED_MS;
        let all: [fn() -> Disk; 3] = [Disk::default, activated, complete];
        for make in all {
            assert_eq!(seen(&make(), &make(), &[0, settled, 2 * settled]), [false; 3]);
        }
    }
}
