//! What liars say in others' place: records and votes that somebody else made, and records of any size.

use alloy_primitives::B256;
use countersign_session::message::{Observation, Signed};
use countersign_types::{Identifier, NodeSignature, ReadId, Record, RecordEntry, record::MAX_READS};

use super::{Conspiracy, keep};
use crate::roots::NETWORK;

impl Conspiracy {
    /// What a liar signed, for its fellows.
    pub(super) fn remember_vote(&mut self, me: Identifier, signed: &Signed) {
        keep(&mut self.votes, (me, signed.clone()));
    }

    /// Another member's record with that member's signature: of this session, if one is known, or of any.
    pub(super) fn steal_record(&mut self, me: Identifier, observation: &mut Observation) {
        let here = self.observations.get(&observation.session).into_iter().flatten();
        let here = here.map(|(id, other)| (*id, &other.record, other.signature));
        let packed = self.packages.iter().rev().flat_map(|(_, package)| {
            package.records.iter().map(|(id, record)| (*id, record, package.signatures.get(id).copied()))
        });
        let all = here.chain(packed).filter(|(id, ..)| *id != me);
        let mut signed = all.filter_map(|(_, record, signature)| Some((record.clone(), signature?)));
        let stolen: Option<(Record, NodeSignature)> = signed.next();
        if let Some((record, signature)) = stolen {
            (observation.record, observation.signature) = (record, Some(signature));
        }
    }

    /// The vote and shares of another member, as if they were its own: of this attempt, if they are known, or of an earlier one.
    /// Else it votes for another member's record.
    pub(super) fn steal_vote(&mut self, me: Identifier, signed: &mut Signed) {
        let vote = signed.vote.vote;
        let known = self.votes.iter().rev();
        let mut others = known.filter(|(id, other)| *id != me && other.vote.vote.session == vote.session);
        if let Some((_, other)) = others.next() {
            *signed = Signed { attempt: signed.attempt, verdict: signed.verdict.clone(), ..other.clone() };
            return;
        }
        let mut packages = self.packages.iter().rev().map(|(_, package)| package);
        let package = packages.find(|package| Self::package_hash(package) == vote.package);
        let mut records = package.into_iter().flat_map(|package| &package.records);
        if let Some(record) = records.find(|(id, _)| **id != me).map(|(_, record)| record.hash()) {
            self.vote(me, signed, |vote| vote.record = record);
        }
    }

    /// As many reads as a record may hold, or one more.
    pub(super) fn enlarge_record(&mut self, me: Identifier, observation: &mut Observation) {
        let most = MAX_READS + usize::from(self.chance.permille(500));
        let entries = &mut observation.record.entries;
        while entries.len() < most {
            let (read, value) = (ReadId(B256::from(self.chance.bytes())), B256::from(self.chance.bytes()));
            entries.push(RecordEntry::Identical { read, value, length: 1 });
        }
        let identity = self.identity(me);
        observation.signature =
            Observation::sign(&observation.record, NETWORK, observation.session, &identity);
    }
}
