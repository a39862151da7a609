//! What a lying signer does.

use countersign_session::{
    Millis,
    coordinator::{HEDGE_MS, SIGN_MS},
    message::{
        Decline, Observation, Package, Provisional, Signed, ToCoordinator, ToParticipant, shares_hash,
    },
    participant::{LiveRun, LocalFailure, Run},
};
use countersign_threshold::{Commitments, SignatureShare};
use countersign_types::{
    B256, Bytes, Context, Decimal, FailureKind, Identifier, MAX_BPS, NodeKey, NodeSignature, Outcome,
    PackageHash, Record, RecordEntry, RecordHash, Rule, SessionId, SignedVote, Tolerance, Verdict, Vote,
    http::FieldValue,
};

use super::Conspiracy;
use crate::{
    faults::Class,
    node::{Act, Wire},
    roots::NETWORK,
    script::{Conduct, Script, Values},
};

/// One way to lie in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignerLie {
    /// None: a liar bides its time.
    None,
    /// Its share is another number.
    BadShare,
    /// Its share is no number at all.
    MalformedShare,
    /// Its share is for other bytes than it votes for.
    OtherMessage,
    /// It votes for another outcome, and its share is for that.
    FalseVote,
    /// Its vote is for another package or record than it signs, or for other shares than it sends.
    OtherVote,
    /// It sends fewer shares than there are payloads, or more.
    OtherShares,
    /// Its vote is signed by nobody.
    UnsignedVote,
    /// It holds back, or falsifies, the verdict that it is asked for.
    FalseVerdict,
    /// It refuses what it reads to be allowed.
    Refuses,
    /// Its replay refuses.
    RefusesLate,
    /// It allows what it reads to be refused.
    Allows,
    /// It commits to nonces of an earlier session, or to somebody else's.
    OldCommitments,
    /// It commits to what is no point.
    MalformedCommitments,
    /// It commits to another number of payloads.
    OtherCount,
    /// In a further attempt it commits to another number of payloads.
    OtherCountLater,
    /// It shows a record that it did not read.
    FalseRecord,
    /// It shows absurd numbers.
    AbsurdNumbers,
    /// It shows absurd numbers to some coordinators, and its own to others.
    OtherRecords,
    /// It shows a record whose rules do not fit its reads.
    OtherRules,
    /// It shows a text where a rule is about numbers.
    NoNumber,
    /// Its record is not signed, or by another.
    UnsignedRecord,
    /// It shows a record that is as large as can be, or larger.
    LargestRecord,
    /// It shows another member's record, and answers with another member's vote and shares.
    Steals,
    /// It says everything twice.
    Twice,
    /// It observes when the others are asked already.
    ObservesLate,
    /// It signs when the attempt is over.
    SignsLate,
    /// It declines every package, although nothing is wrong with it.
    Declines,
    /// It observes, and is silent when asked to sign.
    SilentLate,
    /// It is silent from the first.
    Silent,
}

const LIES: [SignerLie; 30] = [
    SignerLie::None,
    SignerLie::BadShare,
    SignerLie::MalformedShare,
    SignerLie::OtherMessage,
    SignerLie::FalseVote,
    SignerLie::OtherVote,
    SignerLie::OtherShares,
    SignerLie::UnsignedVote,
    SignerLie::FalseVerdict,
    SignerLie::Refuses,
    SignerLie::RefusesLate,
    SignerLie::Allows,
    SignerLie::OldCommitments,
    SignerLie::MalformedCommitments,
    SignerLie::OtherCount,
    SignerLie::OtherCountLater,
    SignerLie::FalseRecord,
    SignerLie::AbsurdNumbers,
    SignerLie::OtherRecords,
    SignerLie::OtherRules,
    SignerLie::NoNumber,
    SignerLie::UnsignedRecord,
    SignerLie::LargestRecord,
    SignerLie::Steals,
    SignerLie::Twice,
    SignerLie::ObservesLate,
    SignerLie::SignsLate,
    SignerLie::Declines,
    SignerLie::SilentLate,
    SignerLie::Silent,
];

impl Conspiracy {
    fn signer_lie(&mut self, me: Identifier, session: SessionId) -> SignerLie {
        if let Some(lie) = self.signer_lies.get(&(me, session)) {
            return *lie;
        }
        let declines = self.chance.permille(self.habits.declining);
        let drawn = self.chance.pick(&LIES).unwrap_or(SignerLie::None);
        let drawn = if declines { SignerLie::Declines } else { drawn };
        let happens = self.faults.happens(Class::Lie, drawn != SignerLie::None);
        let lie = if happens { drawn } else { SignerLie::None };
        if happens {
            self.tell(me, session, "signer", lie);
        }
        self.signer_lies.insert((me, session), lie);
        lie
    }

    /// With whose eyes a liar looks at the world.
    pub(crate) fn eyes(&mut self, me: Identifier, run: &Run, own: Conduct) -> Conduct {
        match self.signer_lie(me, run.session) {
            SignerLie::AbsurdNumbers => Conduct::FarOff,
            SignerLie::OtherRecords if run.coordinator.get().is_multiple_of(2) => Conduct::FarOff,
            SignerLie::Allows => Conduct::Allow,
            SignerLie::FalseRecord => Conduct::Differs(0),
            _ => own,
        }
    }

    /// What a liar tells its own parts of a live run.
    pub(crate) fn live(
        &mut self,
        me: Identifier,
        session: SessionId,
        mut live: LiveRun<Values>,
    ) -> LiveRun<Values> {
        if self.signer_lie(me, session) == SignerLie::Refuses {
            live.end = Ok(Outcome::Refused { reason: "I would rather not".into() });
        }
        live
    }

    /// What a liar tells its own parts of a replay.
    pub(crate) fn replayed(
        &mut self,
        me: Identifier,
        run: &Run,
        script: &Script,
        end: Result<Outcome, LocalFailure>,
    ) -> Result<Outcome, LocalFailure> {
        let context: &Context = &run.context;
        match self.signer_lie(me, run.session) {
            SignerLie::RefusesLate => Ok(Outcome::Refused { reason: "on second thoughts".into() }),
            SignerLie::OtherMessage | SignerLie::FalseVote => script.forged(context).map_or(end, Ok),
            _ => end,
        }
    }

    /// A package that a liar answers past its own parts, because they would not.
    pub(crate) fn intercepts(&mut self, me: Identifier, from: Identifier, wire: &Wire) -> Option<Vec<Act>> {
        let Wire::ToParticipant(ToParticipant::Sign { package, .. }) = wire else { return None };
        match self.signer_lie(me, package.session) {
            SignerLie::OldCommitments | SignerLie::MalformedCommitments => {
                let signed = self.fabricated(me, package)?;
                let wire = Wire::ToCoordinator(ToCoordinator::Signed(Box::new(signed)));
                Some(vec![Act::Send { to: from, wire }])
            }
            _ => None,
        }
    }

    pub(super) fn twist_answer(&mut self, me: Identifier, message: ToCoordinator) -> Vec<ToCoordinator> {
        let lie = self.signer_lie(me, message.session());
        match lie {
            SignerLie::Silent => Vec::new(),
            SignerLie::Twice => vec![message.clone(), message],
            _ => self.twisted(me, lie, message),
        }
    }

    /// How long a liar holds an answer back, if it does.
    pub(super) fn delay(&mut self, me: Identifier, message: &ToCoordinator) -> Option<Millis> {
        let lie = *self.signer_lies.get(&(me, message.session()))?;
        match (lie, message) {
            (SignerLie::ObservesLate, ToCoordinator::Observed(_)) => {
                Some(self.chance.between(HEDGE_MS, 4_000))
            }
            (SignerLie::SignsLate, ToCoordinator::Signed(_)) => {
                Some(self.chance.between(SIGN_MS, 5 * SIGN_MS))
            }
            _ => None,
        }
    }

    fn twisted(&mut self, me: Identifier, lie: SignerLie, message: ToCoordinator) -> Vec<ToCoordinator> {
        match message {
            ToCoordinator::Observed(mut observation) => {
                let allows = observation.decision == Provisional::Allow;
                if allows {
                    observation.commitments = self.twist_commitments(lie, observation.commitments);
                }
                match lie {
                    SignerLie::Steals => self.steal_record(me, &mut observation),
                    SignerLie::LargestRecord => self.enlarge_record(me, &mut observation),
                    _ => self.twist_record(me, lie, &mut observation),
                }
                if lie == SignerLie::OtherCount && observation.record.entries.len() > 1 {
                    // two different observations: whichever comes first
                    let other = Box::new(Observation {
                        record: Record::default(),
                        signature: None,
                        ..observation.as_ref().clone()
                    });
                    return vec![ToCoordinator::Observed(observation), ToCoordinator::Observed(other)];
                }
                vec![ToCoordinator::Observed(observation)]
            }
            ToCoordinator::Committed { session, attempt, commitments } => {
                let mut commitments = self.twist_commitments(lie, commitments);
                if lie == SignerLie::OtherCountLater {
                    commitments.pop();
                }
                vec![ToCoordinator::Committed { session, attempt, commitments }]
            }
            ToCoordinator::Signed(signed) => self.twist_signed(me, lie, *signed),
            declined @ ToCoordinator::Declined { .. } => vec![declined],
        }
    }

    /// A record whose values may differ, changed, and signed by whoever changed it.
    fn twist_record(&mut self, me: Identifier, lie: SignerLie, observation: &mut Observation) {
        let Some(fields) = observation.record.entries.iter_mut().find_map(|entry| match entry {
            RecordEntry::Fields { fields, .. } => fields.first_mut(),
            RecordEntry::Identical { .. } => None,
        }) else {
            return;
        };
        match lie {
            SignerLie::OtherRules => {
                fields.rule = Rule::Median(Tolerance { bps: MAX_BPS, abs: Decimal::from(u64::MAX) });
            }
            SignerLie::NoNumber => fields.value = FieldValue::Text("a lot".into()),
            SignerLie::UnsignedRecord => {
                let other = self.chance.permille(500).then_some([77; 32]);
                let other = other.and_then(|secret| NodeKey::from_bytes(secret).ok());
                observation.signature =
                    other.map(|other| observation.record.sign(NETWORK, observation.session, &other));
                return;
            }
            _ => return,
        }
        let signed = observation.record.sign(NETWORK, observation.session, &self.identity(me));
        observation.signature = Some(signed);
    }

    fn twist_commitments(&mut self, lie: SignerLie, mut own: Vec<Commitments>) -> Vec<Commitments> {
        match lie {
            SignerLie::OldCommitments => self.old_commitments(own.len()).unwrap_or(own),
            SignerLie::MalformedCommitments => {
                own.iter().filter_map(|_| Commitments::try_from(self.garbage()).ok()).collect()
            }
            SignerLie::OtherCount => {
                own.extend(own.last().cloned());
                own
            }
            _ => own,
        }
    }

    fn twist_signed(&mut self, me: Identifier, lie: SignerLie, mut signed: Signed) -> Vec<ToCoordinator> {
        let session = signed.vote.vote.session;
        self.remember_vote(me, &signed);
        match lie {
            SignerLie::SilentLate => return Vec::new(),
            SignerLie::Declines => {
                let kind = FailureKind::Disagreement;
                let reason = "the commitments of member 1 stood in another package".into();
                let decline = Decline::Abstain { kind, reason };
                return vec![ToCoordinator::Declined { session, attempt: Some(signed.attempt), decline }];
            }
            SignerLie::Steals => self.steal_vote(me, &mut signed),
            SignerLie::BadShare => self.falsify(me, &mut signed, 32),
            SignerLie::MalformedShare => {
                let length = self.chance.pick(&[0, 31]).unwrap_or(0);
                self.falsify(me, &mut signed, length);
            }
            SignerLie::OtherVote => {
                let other = B256::from(self.chance.bytes());
                match self.chance.between(0, 2) {
                    0 => self.vote(me, &mut signed, |vote| vote.package = PackageHash(other)),
                    1 => self.vote(me, &mut signed, |vote| vote.record = RecordHash(other)),
                    _ => self.vote(me, &mut signed, |vote| vote.shares = other),
                }
            }
            SignerLie::OtherShares => {
                if self.chance.permille(500) {
                    signed.shares.pop();
                } else {
                    signed.shares.extend(signed.shares.last().cloned());
                }
                let shares = shares_hash(&signed.shares);
                self.vote(me, &mut signed, |vote| vote.shares = shares);
            }
            SignerLie::UnsignedVote => {
                signed.vote.signature = NodeSignature::from_slice(&[27; 65]).unwrap_or(signed.vote.signature);
            }
            SignerLie::FalseVerdict => {
                signed.verdict = match signed.verdict {
                    Some(_) if self.chance.permille(500) => None,
                    _ => Some(Verdict::Refuse { reason: "who knows".into() }),
                };
            }
            SignerLie::OtherMessage => {
                // the share is for the forged outcome, the vote for the true one
                if let Some(truth) = self.truths.get(&session).cloned() {
                    signed.verdict = signed.verdict.map(|_| truth.verdict());
                    self.vote(me, &mut signed, |vote| vote.outcome = truth.hash());
                }
            }
            _ => {}
        }
        if self.chance.permille(100) {
            let decline = Decline::Refused { reason: "and then again not".into() };
            return vec![ToCoordinator::Signed(Box::new(signed)), declined(session, decline)];
        }
        vec![ToCoordinator::Signed(Box::new(signed))]
    }

    fn falsify(&mut self, me: Identifier, signed: &mut Signed, length: usize) {
        for share in &mut signed.shares {
            // below the group's order
            let mut bytes = self.chance.bytes();
            bytes[0] = 0;
            let bytes = Bytes::copy_from_slice(&bytes[..length]);
            if let Ok(bad) = SignatureShare::try_from(bytes) {
                *share = bad;
            }
        }
        let shares = shares_hash(&signed.shares);
        self.vote(me, signed, |vote| vote.shares = shares);
    }

    pub(super) fn vote(&self, me: Identifier, signed: &mut Signed, change: impl FnOnce(&mut Vote)) {
        let mut vote = signed.vote.vote;
        change(&mut vote);
        signed.vote = vote.sign(NETWORK, &self.identity(me));
    }

    /// A well-formed answer with shares from nowhere.
    fn fabricated(&mut self, me: Identifier, package: &Package) -> Option<Signed> {
        let truth = self.truths.get(&package.session)?.clone();
        let record = package.records.get(&me)?.hash();
        let shares: Vec<SignatureShare> = (0..package.payloads())
            .filter_map(|_| {
                let mut bytes = self.chance.bytes();
                bytes[0] = 0;
                SignatureShare::try_from(Bytes::copy_from_slice(&bytes)).ok()
            })
            .collect();
        let vote = Vote {
            session: package.session,
            record,
            package: Self::package_hash(package),
            outcome: truth.hash(),
            shares: shares_hash(&shares),
        };
        let vote: SignedVote = vote.sign(NETWORK, &self.identity(me));
        Some(Signed { attempt: package.attempt, shares, verdict: Some(truth.verdict()), vote })
    }
}

fn declined(session: SessionId, decline: Decline) -> ToCoordinator {
    ToCoordinator::Declined { session, attempt: None, decline }
}
