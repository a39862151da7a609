//! A coordinator and five participants around one table: no time passes but what a test lets pass.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use countersign_agreement::{AgreedEntry, AgreedRecord};
use countersign_session::{
    Millis,
    coordinator::{self, Coordinator, Setup, Signed},
    message::{Completion, ToCoordinator, ToParticipant},
    participant::{Effect, Given, LiveRun, LocalFailure, Participant, Run},
};
use countersign_threshold::Commitments;
use countersign_types::{
    B256, Failure, FailureKind, FieldRead, Identifier, Outcome, ReadId, Record, RecordEntry, Rule, Tolerance,
    http::FieldValue,
};
use rand_chacha::ChaCha20Rng;

use crate::committee::{NOW, SIZE, allow, id, membership, participant, public, request, rng, signed, terms};

/// What a node makes of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Allows,
    Refuses,
    CannotRun,
    /// It reads another value.
    Reads(u8),
    /// It reads this number, by the median, with a tolerance of 2; then whoever allows reads 100.
    Sees(u64),
    /// It refuses, having read this number.
    RefusesOver(u64),
    /// It allows live, and its replay refuses.
    RefusesLate,
    /// It never answers.
    Silent,
    /// It observes, and never signs.
    SilentLate,
    /// It hears everything so many milliseconds late.
    Slow(Millis),
}

/// What becomes of a member's answer on its way to the coordinator.
pub(crate) type Twist = Box<dyn FnMut(Identifier, ToCoordinator) -> ToCoordinator>;

pub(crate) struct Table {
    pub(crate) coordinator: Coordinator,
    pub(crate) participants: BTreeMap<Identifier, Participant<()>>,
    pub(crate) now: Millis,
    pub(crate) asked: BTreeSet<Identifier>,
    /// What the coordinator sent, in order.
    pub(crate) sent: Vec<(Identifier, ToParticipant)>,
    says: BTreeMap<Identifier, Says>,
    twist: Twist,
    result: Option<Result<Signed, Failure>>,
    to_participants: VecDeque<(Identifier, ToParticipant)>,
    /// What slow ones will hear, and when.
    under_way: BTreeMap<Millis, Vec<(Identifier, ToParticipant)>>,
    rng: ChaCha20Rng,
    /// What each signer keeps of the shares that it gave last.
    pub(crate) kept: BTreeMap<Identifier, Given<()>>,
    /// What those heard that gave shares, when the session was closed.
    pub(crate) closed: BTreeMap<Identifier, Option<Completion>>,
}

pub(crate) const DEADLINE_MS: Millis = 10_000;
/// What a coordinator has of other members in advance.
pub(crate) type Advance = BTreeMap<Identifier, Vec<Commitments>>;

/// How far an agreed number may lie from a member's own.
pub(crate) const TOLERANCE: u64 = 2;

/// The record of a member that read one number.
pub(crate) fn number_record(number: u64) -> Record {
    let field = FieldRead {
        pointer: "/price".into(),
        rule: Rule::Median(Tolerance { bps: 0, abs: TOLERANCE.into() }),
        value: FieldValue::Number(number.into()),
    };
    Record { entries: vec![RecordEntry::Fields { read: ReadId(B256::repeat_byte(1)), fields: vec![field] }] }
}

/// The number that a record like that agrees on.
pub(crate) fn agreed_number(agreed: &AgreedRecord) -> Option<u64> {
    match agreed.entries.first()? {
        AgreedEntry::Identical { .. } => None,
        AgreedEntry::Fields { fields, .. } => fields.first()?.value.to_string().parse().ok(),
    }
}

impl Table {
    /// Member 1 coordinates, and asks in the order of the identifiers; `absent` cannot be reached.
    pub(crate) fn new(says: &[(u16, Says)], absent: &[u16]) -> Self {
        Self::twisted(says, absent, Box::new(|_, message| message))
    }

    /// With answers that are changed on their way.
    pub(crate) fn twisted(says: &[(u16, Says)], absent: &[u16], twist: Twist) -> Self {
        Self::set(says, absent, &[], |_| (), twist)
    }

    /// Where the coordinator has commitments of these members in advance.
    pub(crate) fn in_advance(says: &[(u16, Says)], of: &[u16]) -> Self {
        Self::set(says, &[], of, |_| (), Box::new(|_, message| message))
    }

    /// As [`Table::in_advance`], where what the coordinator has is spoilt.
    pub(crate) fn with_advance(
        absent: &[u16],
        of: &[u16],
        spoil: impl FnOnce(&mut Advance),
        twist: Twist,
    ) -> Self {
        Self::set(&[], absent, of, spoil, twist)
    }

    fn set(
        says: &[(u16, Says)],
        absent: &[u16],
        of: &[u16],
        spoil: impl FnOnce(&mut Advance),
        twist: Twist,
    ) -> Self {
        let request = request(1);
        let scheme = request.key.scheme;
        let mut participants: BTreeMap<Identifier, Participant<()>> =
            (1..=SIZE).map(|number| (id(number), participant(id(number)))).collect();
        let mut hand_out = |number: &u16| {
            let member = participants.get_mut(&id(*number)).expect("a member");
            (id(*number), member.hand_out(id(1), scheme, 1, NOW, &mut rng(900 + u64::from(*number))))
        };
        let mut advance: Advance = of.iter().map(&mut hand_out).collect();
        spoil(&mut advance);
        let setup = Setup {
            membership: membership(id(1)),
            terms: terms(&request, NOW),
            request: Arc::new(signed(request).validate().expect("valid")),
            public: public(),
            order: (1..=SIZE).filter(|number| !absent.contains(number)).map(id).collect(),
            advance,
            sent: Arc::default(),
            deadline: NOW + DEADLINE_MS,
        };
        let (coordinator, effects) = Coordinator::start(setup, NOW);
        let mut table = Self {
            coordinator,
            participants,
            now: NOW,
            asked: BTreeSet::new(),
            sent: Vec::new(),
            says: says.iter().map(|(number, says)| (id(*number), *says)).collect(),
            twist,
            result: None,
            to_participants: VecDeque::new(),
            under_way: BTreeMap::new(),
            rng: rng(5),
            kept: BTreeMap::new(),
            closed: BTreeMap::new(),
        };
        table.carry_out(effects);
        table.settle();
        table
    }

    /// Lets so much time pass, timer by timer and message by message.
    pub(crate) fn pass(&mut self, ms: Millis) {
        let end = self.now + ms;
        loop {
            let arrival = self.under_way.keys().next().copied().unwrap_or(Millis::MAX);
            let timeout = self.coordinator.next_timeout();
            if self.result.is_some() || arrival.min(timeout) > end {
                break;
            }
            self.now = self.now.max(arrival.min(timeout));
            if arrival <= timeout {
                let arrived = self.under_way.remove(&arrival).unwrap_or_default();
                arrived.into_iter().for_each(|(to, message)| self.hear(to, message));
                self.settle();
                continue;
            }
            let effects = self.coordinator.tick(self.now);
            self.carry_out(effects);
            self.settle();
            let next = self.coordinator.next_timeout();
            assert!(self.result.is_some() || next > self.now, "the timeouts do not move on");
        }
        self.now = end;
    }

    /// The result, which must be there by the deadline.
    pub(crate) fn result(mut self) -> Result<Signed, Failure> {
        self.pass(NOW + DEADLINE_MS - self.now);
        self.result.expect("a result by the deadline")
    }

    pub(crate) fn is_done(&self) -> bool {
        self.result.is_some()
    }

    pub(crate) fn disconnect(&mut self, number: u16) {
        let effects = self.coordinator.disconnected(id(number), self.now);
        self.carry_out(effects);
        self.settle();
    }

    pub(crate) fn connect(&mut self, number: u16) {
        let effects = self.coordinator.connected(id(number), self.now);
        self.carry_out(effects);
        self.settle();
    }

    pub(crate) fn shares_made(&self) -> u64 {
        self.participants.values().map(Participant::shares_made).sum()
    }

    fn carry_out(&mut self, effects: Vec<coordinator::Effect>) {
        for effect in effects {
            match effect {
                coordinator::Effect::Send { to, message } => {
                    self.asked.insert(to);
                    self.sent.push((to, message.clone()));
                    self.to_participants.push_back((to, message));
                }
                coordinator::Effect::Finished(result) => self.result = Some(*result),
            }
        }
    }

    fn settle(&mut self) {
        while let Some((to, message)) = self.to_participants.pop_front() {
            if let Says::Slow(by) = self.says(to) {
                self.under_way.entry(self.now + by).or_default().push((to, message));
            } else if self.says(to) != Says::Silent {
                self.hear(to, message);
            }
        }
    }

    fn hear(&mut self, to: Identifier, message: ToParticipant) {
        let Some(participant) = self.participants.get_mut(&to) else { return };
        let effects = participant.receive(id(1), message, self.now, &mut self.rng);
        self.participant_acts(to, effects);
    }

    fn participant_acts(&mut self, me: Identifier, effects: Vec<Effect<()>>) {
        for effect in effects {
            let more = match effect {
                Effect::Send { message, .. } => {
                    let message = (self.twist)(me, message);
                    let effects = self.coordinator.receive(me, message, self.now);
                    self.carry_out(effects);
                    continue;
                }
                Effect::Observe(run) => {
                    let live = self.live(me);
                    self.participant(me).observed(&run, live, &mut rng(u64::from(me.get())))
                }
                Effect::Replay { run, attempt, agreed, .. } => self.replay(me, &run, attempt, &agreed),
                Effect::Keep(given) => {
                    self.kept.insert(me, *given);
                    continue;
                }
                Effect::Closed { signed, .. } => {
                    self.closed.insert(me, signed.map(|signed| *signed));
                    continue;
                }
            };
            self.participant_acts(me, more);
        }
    }

    fn live(&self, me: Identifier) -> LiveRun<()> {
        let value = match self.says(me) {
            Says::Reads(value) => value,
            Says::Refuses => 200,
            Says::Sees(_) | Says::RefusesOver(_) => 0,
            Says::Allows
            | Says::CannotRun
            | Says::RefusesLate
            | Says::Silent
            | Says::SilentLate
            | Says::Slow(_) => 0,
        };
        let end = match self.says(me) {
            Says::Refuses | Says::RefusesOver(_) => {
                Ok(Outcome::Refused { reason: format!("member {me} reads too little") })
            }
            Says::CannotRun => {
                let reason = format!("the provider of member {me} is down");
                Err(LocalFailure { kind: FailureKind::Unavailable, reason })
            }
            Says::Allows
            | Says::Reads(_)
            | Says::Sees(_)
            | Says::RefusesLate
            | Says::Silent
            | Says::SilentLate
            | Says::Slow(_) => Ok(allow(value)),
        };
        if let Some(number) = self.number(me) {
            return LiveRun { end, record: number_record(number), recorded: (), recorded_bytes: 0 };
        }
        let read = ReadId(B256::repeat_byte(1));
        let entry = RecordEntry::Identical { read, value: B256::repeat_byte(value), length: 1 };
        LiveRun { end, record: Record { entries: vec![entry] }, recorded: (), recorded_bytes: 0 }
    }

    /// The number that a member reads, where anybody reads one.
    fn number(&self, me: Identifier) -> Option<u64> {
        let numbers = self.says.values().any(|says| matches!(says, Says::Sees(_) | Says::RefusesOver(_)));
        numbers.then(|| match self.says(me) {
            Says::Sees(number) | Says::RefusesOver(number) => number,
            Says::Allows
            | Says::Refuses
            | Says::CannotRun
            | Says::Reads(_)
            | Says::RefusesLate
            | Says::Silent
            | Says::SilentLate
            | Says::Slow(_) => 100,
        })
    }

    fn replay(&mut self, me: Identifier, run: &Run, attempt: u32, agreed: &AgreedRecord) -> Vec<Effect<()>> {
        let end = match self.says(me) {
            Says::SilentLate => return Vec::new(),
            Says::RefusesLate => Ok(Outcome::Refused { reason: "on second thoughts".into() }),
            Says::Allows
            | Says::Refuses
            | Says::CannotRun
            | Says::Reads(_)
            | Says::Sees(_)
            | Says::RefusesOver(_)
            | Says::Silent
            | Says::Slow(_) => {
                assert_eq!(agreed.entries.len(), 1, "a coordinator chooses members that agree");
                match agreed_number(agreed) {
                    Some(number) => Ok(allow(u8::try_from(number).expect("a small number"))),
                    None => self.live(me).end,
                }
            }
        };
        let now = self.now;
        self.participant(me).replayed(run, attempt, end, now)
    }

    fn says(&self, me: Identifier) -> Says {
        self.says.get(&me).copied().unwrap_or(Says::Allows)
    }

    fn participant(&mut self, me: Identifier) -> &mut Participant<()> {
        self.participants.get_mut(&me).expect("a member")
    }
}
