//! Where key generation stands, and whom it waits for.

use std::collections::BTreeSet;

use countersign_types::Identifier;

use super::{KeyGen, entry::STARTER};

/// Why the last attempt was given up.
pub(super) struct Failure {
    pub(super) reason: String,
    /// Who ended it, or was waited for.
    pub(super) by: Vec<Identifier>,
}

impl KeyGen {
    /// The members without whose next message nothing goes on, as far as this member knows. They may be down, cut off
    /// or unwilling: it proves nothing against them.
    pub fn waits_for(&self) -> Vec<Identifier> {
        let membership = &self.membership;
        if self.is_done() {
            return Vec::new();
        }
        if let Some(candidate) = self.activated.and_then(|attempt| self.pending.get(&attempt)) {
            return candidate.inactive(membership);
        }
        if let Some(running) = &self.running {
            return running.missing(membership);
        }
        match self.candidate().filter(|_| !self.is_free()) {
            Some((_, candidate)) => candidate.unconfirmed(membership),
            None if self.absent().is_empty() => {
                super::others(membership).filter(|id| id.get() == STARTER).collect()
            }
            None => self.absent(),
        }
    }

    fn absent(&self) -> Vec<Identifier> {
        super::others(&self.membership).filter(|id| !self.connected.contains(id)).collect()
    }

    /// Whom to ask first where key generation does not go on: whom it waits for, and who ended the last attempt. That
    /// proves nothing against them either.
    pub fn held_up_by(&self) -> BTreeSet<Identifier> {
        let failed = self.last_failure.iter().flat_map(|failure| &failure.by).copied();
        self.waits_for().into_iter().chain(failed).collect()
    }

    /// The members that are known to have broken the protocol since this node started.
    pub fn named(&self) -> impl Iterator<Item = Identifier> {
        self.named.iter().copied()
    }

    /// Where key generation stands, for people.
    pub fn describe(&self) -> String {
        let waits_for = names(&self.waits_for());
        let open = self.candidate().filter(|_| !self.is_free());
        let mut text = match (self.activated, &self.running, open) {
            _ if self.is_done() => return "done".into(),
            (Some(attempt), _, _) => format!("attempt {attempt} waits for the activation of {waits_for}"),
            (None, Some(running), _) if waits_for.is_empty() => format!("attempt {} is running", running.id),
            (None, Some(running), _) => format!("attempt {} is running, waiting for {waits_for}", running.id),
            (None, None, Some((attempt, _))) => {
                format!("attempt {attempt} waits for {waits_for} to confirm or refuse it")
            }
            (None, None, None) if !self.absent().is_empty() => format!("waiting for {waits_for} to connect"),
            (None, None, None) => format!("waiting for the next attempt, which member {STARTER} starts"),
        };
        if let Some(failure) = &self.last_failure {
            text += &format!("; the last attempt failed: {}", failure.reason);
        }
        if !self.named.is_empty() {
            let named: Vec<Identifier> = self.named().collect();
            text += &format!("; the protocol was broken by {}", names(&named));
        }
        text
    }
}

/// Members by name.
pub(super) fn names(members: &[Identifier]) -> String {
    let list: Vec<String> = members.iter().map(ToString::to_string).collect();
    match list.len() {
        0 => String::new(),
        1 => format!("member {}", list[0]),
        _ => format!("members {}", list.join(", ")),
    }
}
