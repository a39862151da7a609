//! Who keeps a session waiting: those that were asked first, and ran the action after one that was asked long after them, or
//! not at all. Where an action takes long for everybody, nobody is late.

use std::collections::BTreeSet;

use countersign_types::Identifier;

use super::standing::Standings;

#[derive(Default)]
pub(super) struct Lateness {
    /// The other members that were asked first.
    first: BTreeSet<Identifier>,
    /// Those of them that had not answered when the rest were asked.
    overdue: BTreeSet<Identifier>,
    /// Those of these whom one of the rest has overtaken.
    overtaken: BTreeSet<Identifier>,
}

impl Lateness {
    /// Those that are asked so far were asked first.
    pub(super) fn begin(&mut self, me: Identifier, standings: &Standings) {
        self.first = standings.waiting().filter(|id| *id != me).collect();
    }

    /// The rest are asked now.
    pub(super) fn hedge(&mut self, standings: &Standings) {
        self.overdue = standings.waiting().filter(|id| self.first.contains(id)).collect();
    }

    /// A member has run the action.
    pub(super) fn has_run(&mut self, me: Identifier, member: Identifier, standings: &Standings) {
        if member != me && !self.first.contains(&member) {
            self.overtaken.extend(self.overdue.iter().filter(|id| standings.is_waiting(**id)));
        }
    }

    /// Those that are late, and those that were waited for in vain when they were to sign.
    pub(super) fn late(&self, standings: &Standings) -> BTreeSet<Identifier> {
        let silent = self.overdue.iter().copied().filter(|id| standings.is_waiting(*id));
        self.overtaken.iter().copied().chain(silent).chain(standings.late()).collect()
    }
}
