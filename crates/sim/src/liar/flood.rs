//! A lying coordinator that takes as much room on another node as it is given: sessions, nonces, pins, and by its requests
//! whatever their runs leave.

use countersign_session::message::{Preprocess, Proposal, ToParticipant};
use countersign_types::{B256, Identifier, Pin, action::MAX_CHAINS};

use super::Conspiracy;
use crate::{
    node::{Act, Wire},
    roots::NETWORK,
};

/// One in so many proposals of a flood has as many pins as there may be, or too many, and comes beside a request for commitments.
const EVERY: u64 = 8;
/// How many pins that one has at most.
const MANY_PINS: u64 = 1_000;

impl Conspiracy {
    /// Proposals for one request, each a session of its own with a later time, and as many commitments as are to be had; once
    /// for each member and session.
    pub(super) fn flood(&mut self, to: Identifier, proposal: &Proposal) -> Vec<Act> {
        if self.members.contains(&to) || !self.flooded.insert((to, proposal.terms.id(NETWORK))) {
            return Vec::new();
        }
        let scheme = proposal.request.request.key.scheme;
        let mut acts = Vec::new();
        for number in 1..=self.habits.flood {
            let mut one = proposal.clone();
            one.terms.time_ms += number;
            if number.is_multiple_of(EVERY) {
                let most = MAX_CHAINS as u64;
                let pins = self.chance.pick(&[most, most + 1, MANY_PINS]).unwrap_or(most);
                one.terms.pins = (1..=pins).map(pin).collect();
                let ask = Preprocess::Ask { scheme, count: u16::MAX };
                acts.push(Act::Send { to, wire: Wire::Preprocess(ask) });
            }
            acts.push(Act::Send { to, wire: Wire::ToParticipant(ToParticipant::Propose(Box::new(one))) });
        }
        acts
    }
}

fn pin(chain_id: u64) -> Pin {
    Pin { chain_id, number: 1, hash: B256::ZERO, timestamp: 1 }
}
