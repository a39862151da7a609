//! Who asks for signatures, for what, where and when.

use alloy_primitives::B256;
use countersign_session::Millis;
use countersign_types::{
    ActionId, Bytes, Caller, CallerKind, CallerSignature, Identifier, KeyOptions, KeySpec, NodeKey,
    PayloadKind, Policy, Request, RequestDigest, SignedRequest,
};

use super::{World, events::Event};
use crate::{
    Class,
    chance::Chance,
    quotes::Quotes,
    roots::NETWORK,
    script::{Conduct, MOST_LEFT, Plan},
};

/// A client with one request.
pub(super) struct Client {
    pub(super) request: SignedRequest,
    pub(super) digest: RequestDigest,
    /// Whether this one must get a signature, and from whom it is waiting for it.
    pub(super) probe: Option<Probe>,
}

/// What a dishonest caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallerLie {
    /// Something else under the same nonce.
    SameNonce,
    /// What it did not sign.
    Forged,
    /// Something that is not issued yet.
    Early,
    /// Something that has ended on every clock.
    Late,
}

impl CallerLie {
    const ALL: [Self; 4] = [Self::SameNonce, Self::Forged, Self::Early, Self::Late];
}

/// The one caller of all requests.
fn caller() -> NodeKey {
    NodeKey::from_bytes([9; 32]).expect("a scalar")
}

pub(super) struct Probe {
    pub(super) at: Identifier,
    pub(super) answered: bool,
}

impl World {
    /// Plans all requests of the faulty time.
    pub(super) fn plan_requests(&mut self) {
        let mut chance = Chance::of(self.seed, super::CLIENTS);
        let members = self.roots.members();
        for _ in 0..self.scenario.requests {
            let at = self.now + chance.between(0, self.scenario.faults_ms);
            let named = chance.permille(self.scenario.named);
            let plan = self.draw_plan(&mut chance, named);
            // a client's clock may be behind, so that nobody thinks the request is of the future
            let issued = at.saturating_sub(2 * self.scenario.skew_ms);
            let short = chance.permille(self.scenario.short_lived);
            let life = if short { chance.between(2_000, 6_000) } else { 120_000 };
            // sets that agree on different numbers sign different bytes, and a node gives shares for one list of bytes
            let one_set = self.scenario.agreeable && plan.quotes.is_some();
            // one coordinator, or two at once, or the next where the first does not answer
            let mut order = members.clone();
            chance.shuffle(&mut order);
            let must = self.scenario.all_signed;
            order.retain(|node| {
                !self.down.contains(node) && self.slow != Some(*node) && !(must && self.is_liar(*node))
            });
            let only = order.first().copied().filter(|_| named);
            let client = self.add_client(&mut chance, plan, only, issued, issued + life);
            let mut posts = vec![(at, order[0])];
            let one = one_set || (must && named);
            let more = if chance.permille(400) && !one { chance.between(1, 2) } else { 0 };
            for node in order.into_iter().skip(1).take(usize::try_from(more).unwrap_or(0)) {
                let again = if chance.permille(300) { at } else { at + chance.between(0, 12_000) };
                posts.push((again, node));
            }
            for (time, node) in posts {
                if self.faults.happens(Class::Request, true) {
                    self.queue.plan(time, Event::Post { client, at: node });
                }
            }
            if chance.permille(self.scenario.lying_callers) {
                self.lie_of_caller(&mut chance, client, at);
            }
        }
    }

    /// The request that must be signed once faults are over.
    pub(super) fn probe(&mut self) {
        let mut chance = Chance::of(self.seed, super::CLIENTS + 100);
        let now = self.now;
        let issued = now + self.scenario.skew_ms;
        // numbers too: liars may be far off, and must not be in the way
        let members = self.roots.members();
        let numbers = chance.permille(self.scenario.numbers);
        let quotes = numbers.then(|| Quotes::draw(&mut chance, &members, true));
        let plan = Plan { quotes, ..Plan::allowing() };
        let honest: Vec<Identifier> = self
            .roots
            .members()
            .into_iter()
            .filter(|id| !self.is_liar(*id) && !self.down.contains(id))
            .collect();
        let at = chance.pick(&honest).expect("some are honest");
        let named = self.scenario.named > 0;
        let client = self.add_client(&mut chance, plan, Some(at).filter(|_| named), issued, issued + 120_000);
        self.clients[client].probe = Some(Probe { at, answered: false });
        // by then it is issued on every clock
        self.queue.plan(now + 2 * self.scenario.skew_ms, Event::Post { client, at });
    }

    /// A request that every member may coordinate, or only one.
    fn add_client(
        &mut self,
        chance: &mut Chance,
        plan: Plan,
        only: Option<Identifier>,
        issued: Millis,
        expires: Millis,
    ) -> usize {
        let salt = B256::repeat_byte(u8::try_from(chance.between(1, 2)).unwrap_or(1));
        let key = KeySpec {
            scheme: self.roots.scheme(),
            policy: Policy { action: ActionId(B256::repeat_byte(3)), config: Bytes::new() },
            payloads: vec![PayloadKind::Bytes],
            options: KeyOptions::default(),
            owner: alloy_primitives::Address::ZERO,
            salt,
        };
        let request = Request {
            network: NETWORK,
            key,
            params: Bytes::new(),
            callers: vec![Caller { kind: CallerKind::Eip191, id: caller().public_key().address() }],
            coordinators: only.and_then(|node| self.roots.committee.address(node)).into_iter().collect(),
            nonce: B256::from(chance.bytes()),
            issued_at: issued,
            expires_at: expires,
        };
        self.enter(plan, request)
    }

    /// A client with a request that its caller signs.
    fn enter(&mut self, plan: Plan, request: Request) -> usize {
        let digest = request.digest();
        let signature = Bytes::copy_from_slice(caller().sign(digest.0).as_bytes());
        self.script.add(digest, plan, request.key.clone());
        let request = SignedRequest { request, signatures: vec![CallerSignature(signature)] };
        self.clients.push(Client { request, digest, probe: None });
        self.clients.len() - 1
    }

    /// The caller of a request asks for something that it may not, at about the same time.
    fn lie_of_caller(&mut self, chance: &mut Chance, client: usize, at: Millis) {
        let lie = chance.pick(&CallerLie::ALL).unwrap_or(CallerLie::SameNonce);
        let node = chance.pick(&self.roots.members()).expect("there are members");
        let time = at + chance.between(0, 300);
        let mut request = self.clients[client].request.request.clone();
        match lie {
            CallerLie::SameNonce => request.params = Bytes::from_static(b"and this too"),
            CallerLie::Forged => {}
            CallerLie::Early => {
                request.nonce = B256::from(chance.bytes());
                (request.issued_at, request.expires_at) = (at + 60_000, at + 120_000);
            }
            CallerLie::Late => {
                request.nonce = B256::from(chance.bytes());
                let ends = at.saturating_sub(2 * self.scenario.skew_ms + 1).max(1);
                (request.issued_at, request.expires_at) = (ends - 1, ends);
            }
        }
        let plan = Plan { quotes: None, ..Plan::allowing() };
        let twin = self.enter(plan, request);
        if lie == CallerLie::Forged {
            let twin = &mut self.clients[twin];
            twin.request.request.params = Bytes::from_static(b"what nobody signed");
            twin.digest = twin.request.request.digest();
        }
        if self.faults.happens(Class::Lie, true) {
            self.queue.plan(time, Event::Post { client: twin, at: node });
        }
    }

    /// How much a request's runs leave on a node: some bytes, or as much as they may.
    fn leaves(&self, chance: &mut Chance) -> usize {
        let largest = chance.permille(self.scenario.largest) && !self.scenario.agreeable;
        let some = chance.between(0, 4 << 10);
        if largest { MOST_LEFT } else { usize::try_from(some).unwrap_or(0) }
    }

    fn draw_plan(&mut self, chance: &mut Chance, named: bool) -> Plan {
        let obstacles = chance.between(0, self.scenario.obstacles);
        let quotes = chance.permille(self.scenario.numbers).then(|| {
            let all_agree = self.scenario.agreeable || chance.permille(500);
            Quotes::draw(chance, &self.roots.members(), all_agree)
        });
        let mut plan = Plan {
            quotes,
            reads: usize::try_from(chance.between(0, 3)).unwrap_or(0),
            payloads: if chance.permille(300) { 2 } else { 1 },
            // where two coordinators may be asked, their bytes differ
            timed: (!self.scenario.agreeable || named) && chance.permille(300),
            drifts: (!self.scenario.agreeable && chance.permille(200)).then(|| chance.between(300, 3_000)),
            leaves: self.leaves(chance),
            run_ms: (chance.between(1, 200), chance.between(1, 100)),
            ..Plan::allowing()
        };
        if chance.permille(150) {
            plan.run_ms = (chance.between(200, 3_000), chance.between(200, 3_000));
        }
        let all_refuse = self.scenario.obstacles > 0 && chance.permille(100);
        for node in self.roots.members() {
            let conduct = if all_refuse {
                Some(Conduct::Refuse)
            } else if chance.permille(obstacles) {
                let position = usize::try_from(chance.between(0, 2)).unwrap_or(0);
                chance.pick(&[
                    Conduct::Refuse,
                    Conduct::Down,
                    Conduct::Differs(position),
                    Conduct::FarOff,
                    Conduct::ReplayFails,
                ])
            } else {
                None
            };
            let conduct = conduct.filter(|_| self.faults.happens(Class::Obstacle, true));
            plan.conduct.extend(conduct.map(|conduct| (node, conduct)));
        }
        plan
    }
}
