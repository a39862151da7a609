//! Which members sessions can be shared with, and requests that wait for them.

use countersign_session::Millis;
use countersign_types::{Decision, Failure, FailureKind, Identifier, NodeDecision, Pin, RequestDigest};

use super::Driver;

/// How long a request waits for as many members as must sign it, in milliseconds: longer than it takes to connect again after
/// a connection was replaced, or a member restarted.
const PATIENCE_MS: Millis = 2_000;

/// A request whose action is ready and whose chains are pinned.
pub(super) struct Ready {
    pub(super) request: RequestDigest,
    pub(super) pins: Vec<Pin>,
    /// Since when.
    pub(super) since: Millis,
}

impl Ready {
    /// When its session begins at the latest, or does not.
    fn until(&self) -> Millis {
        self.since.saturating_add(PATIENCE_MS)
    }
}

/// Requests that are ready, and wait for members.
#[derive(Default)]
pub(super) struct Waiting(Vec<Ready>);

impl Waiting {
    /// Takes a request that has time left; gives it back otherwise.
    pub(super) fn wait(&mut self, ready: Ready, now: Millis) -> Result<(), Ready> {
        if now >= ready.until() {
            return Err(ready);
        }
        self.0.push(ready);
        Ok(())
    }

    /// All of them, to be tried again: they come back if it is in vain.
    pub(super) fn take(&mut self) -> Vec<Ready> {
        std::mem::take(&mut self.0)
    }

    /// When the first has waited for long enough.
    pub(super) fn next_timeout(&self) -> Option<Millis> {
        self.0.iter().map(Ready::until).min()
    }
}

impl Driver {
    /// Tries again what waited: a member has come, or the time is up.
    pub(super) fn retry_waiting(&mut self, now: Millis) {
        for ready in self.waiting.take() {
            self.begin(ready, now);
        }
    }

    pub(super) fn tick_waiting(&mut self, now: Millis) {
        if self.waiting.next_timeout().is_some_and(|due| due <= now) {
            self.retry_waiting(now);
        }
    }

    /// Connected members that run actions as this node does.
    pub(super) fn equals(&self) -> impl Iterator<Item = Identifier> + '_ {
        let engine = self.parts.membership.engine;
        self.connected.iter().filter(move |(_, theirs)| **theirs == engine).map(|(member, _)| *member)
    }

    pub(super) fn too_few_connected(&self, reachable: usize) -> Failure {
        let membership = &self.parts.membership;
        let committee = &membership.committee;
        let nodes = committee
            .identifiers()
            .filter(|id| *id != membership.me && !self.connected.contains_key(id))
            .filter_map(|id| committee.member(id))
            .map(|member| NodeDecision {
                peer_id: member.peer_id(),
                decision: Decision::NotConnected,
                reason: Some("it is not connected to the coordinating node".into()),
            })
            .collect::<Vec<_>>();
        let missing: Vec<&str> = nodes.iter().map(|node| node.peer_id.as_str()).collect();
        let detail = format!(
            "{} of {} nodes are needed to sign, {reachable} can be reached; not connected: {}",
            committee.threshold(),
            committee.size(),
            missing.join(", ")
        );
        Failure::new(FailureKind::Unavailable, detail).with_nodes(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(number: u8, since: Millis) -> Ready {
        Ready { request: RequestDigest([number; 32].into()), pins: Vec::new(), since }
    }

    #[test]
    fn a_request_waits_for_members_and_no_longer() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.next_timeout(), None);
        assert!(waiting.wait(ready(1, 100), 100).is_ok());
        assert!(waiting.wait(ready(2, 50), 100).is_ok());
        assert_eq!(waiting.next_timeout(), Some(50 + PATIENCE_MS));
        // tried again in vain, it waits on: the time does not begin anew
        let late = 50 + PATIENCE_MS;
        let back: Vec<bool> =
            waiting.take().into_iter().map(|ready| waiting.wait(ready, late).is_ok()).collect();
        assert_eq!(back, [true, false]);
        assert_eq!(waiting.next_timeout(), Some(100 + PATIENCE_MS));
    }
}
