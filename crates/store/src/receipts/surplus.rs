//! What is too much of one request: whoever coordinates may open many sessions for it.
//!
//! A coordinator's receipts compete with its own first. Nobody has checked what a receipt holds when it is stored, so whether it is
//! complete decides between those of one coordinator only.

use std::collections::BTreeMap;

use countersign_types::Identifier;

use super::layout::{Id, Label};

/// The most receipts of one request.
pub(super) const MAX_OF_REQUEST: usize = 16;
/// The most of them that one coordinator never completed.
pub(super) const MAX_INCOMPLETE: usize = 4;

/// Which one goes of those of a request, the last of which is new: it may be the new one itself.
///
/// Where there are too many it is one of the coordinator that has the most there, so that nobody's last one goes for others; where
/// several have as many, the new one's coordinator has to give way.
pub(super) fn surplus(all: &[(Id, Label)]) -> Option<Id> {
    let (new, _) = all.last()?;
    let of = |who: Identifier| all.iter().filter(move |(id, _)| id.coordinator == who);
    if of(new.coordinator).filter(|(_, label)| !label.complete).count() > MAX_INCOMPLETE {
        return first_to_go(of(new.coordinator));
    }
    if all.len() <= MAX_OF_REQUEST {
        return None;
    }
    let mut counts: BTreeMap<Identifier, usize> = BTreeMap::new();
    for (id, _) in all {
        *counts.entry(id.coordinator).or_default() += 1;
    }
    let (most, _) = counts.iter().max_by_key(|(who, count)| (**count, **who == new.coordinator))?;
    first_to_go(of(*most))
}

/// Incomplete ones before complete ones, and the oldest of them.
fn first_to_go<'a>(entries: impl Iterator<Item = &'a (Id, Label)>) -> Option<Id> {
    // of equals the first: the new one is the last
    entries.min_by_key(|(_, label)| (label.complete, label.stored_ms)).map(|(id, _)| *id)
}
