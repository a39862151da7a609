//! Commitments in advance: handed out to other members, and asked of them.

use countersign_network::Lane;
use countersign_session::{
    Millis,
    message::Preprocess,
    participant::{LiveRun, Run},
};
use countersign_types::Identifier;
use countersign_wire::SigningFrame;
use rand_core::OsRng;

use super::Driver;
use crate::runs::Recorded;

impl Driver {
    /// Learns from this node's own run, and fetches the other members' commitments in the background.
    pub(super) fn learn(&mut self, run: &Run, live: &LiveRun<Recorded>, now: Millis) {
        let members: Vec<Identifier> = self.equals().collect();
        for (member, ask) in self.stock.learn_from(run, live, members, now) {
            self.send_preprocess(member, ask, now);
        }
    }

    pub(super) fn preprocess(&mut self, from: Identifier, message: Preprocess, now: Millis) {
        self.parts.wire_log.received(from, &message, now);
        match message {
            Preprocess::Ask { scheme, count } => {
                let commitments = self.parts.participant.hand_out(from, scheme, count, now, &mut OsRng);
                self.send_preprocess(from, Preprocess::HandOut { scheme, commitments }, now);
            }
            Preprocess::HandOut { scheme, commitments } => self.stock.put(from, scheme, commitments),
        }
    }

    fn send_preprocess(&mut self, to: Identifier, message: Preprocess, now: Millis) {
        self.parts.wire_log.sent(to, &message, now);
        self.send(to, Lane::Signing, &SigningFrame::Preprocess(message));
    }
}
