//! Commitments in advance: handed out to other members, and asked of them.

use countersign_network::Lane;
use countersign_session::{
    Millis,
    message::Preprocess,
    participant::{LiveRun, Run},
};
use countersign_types::{Identifier, Outcome};
use rand_core::OsRng;

use super::Driver;
use crate::{runs::Recorded, wire::SigningFrame};

impl Driver {
    /// This node's own run of an action tells whether the next session over it may take one round; for that, the other members'
    /// commitments are fetched in the background.
    pub(super) fn learn(&mut self, run: &Run, live: &LiveRun<Recorded>, now: Millis) {
        let Ok(Outcome::Allowed { payloads, .. }) = &live.end else { return };
        let (action, scheme) = (run.context.action, run.context.scheme);
        self.stock.learn(action, live.record.is_identical().then_some(payloads.len()));
        let members: Vec<Identifier> = self.equals().collect();
        for member in members {
            if let Some(count) = self.stock.ask(action, scheme, member, now) {
                self.send_preprocess(member, Preprocess::Ask { scheme, count }, now);
            }
        }
    }

    pub(super) fn preprocess(&mut self, from: Identifier, message: Preprocess, now: Millis) {
        if let Some(log) = &mut self.parts.wire_log {
            log.preprocess(false, from, &message, now);
        }
        match message {
            Preprocess::Ask { scheme, count } => {
                let commitments = self.parts.participant.hand_out(from, scheme, count, &mut OsRng);
                self.send_preprocess(from, Preprocess::HandOut { scheme, commitments }, now);
            }
            Preprocess::HandOut { scheme, commitments } => self.stock.put(from, scheme, commitments),
        }
    }

    fn send_preprocess(&mut self, to: Identifier, message: Preprocess, now: Millis) {
        if let Some(log) = &mut self.parts.wire_log {
            log.preprocess(true, to, &message, now);
        }
        self.send(to, Lane::Signing, &SigningFrame::Preprocess(message));
    }
}
