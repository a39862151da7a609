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
    script::{Conduct, Plan},
};

/// A client with one request.
pub(super) struct Client {
    pub(super) request: SignedRequest,
    pub(super) digest: RequestDigest,
    /// Whether this one must get a signature, and from whom it is waiting for it.
    pub(super) probe: Option<Probe>,
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
            let plan = self.draw_plan(&mut chance);
            // a client's clock may be behind, so that nobody thinks the request is of the future
            let issued = at.saturating_sub(2 * self.scenario.skew_ms);
            let short = chance.permille(self.scenario.short_lived);
            let life = if short { chance.between(2_000, 6_000) } else { 120_000 };
            // sets that agree on different numbers sign different bytes, and a node gives shares for one list of bytes
            let one_set = self.scenario.agreeable && plan.quotes.is_some();
            let client = self.add_client(&mut chance, plan, issued, issued + life);
            // one coordinator, or two at once, or the next where the first does not answer
            let mut order = members.clone();
            chance.shuffle(&mut order);
            order.retain(|node| !self.down.contains(node) && self.slow != Some(*node));
            let mut posts = vec![(at, order[0])];
            let more = if chance.permille(400) && !one_set { chance.between(1, 2) } else { 0 };
            for node in order.into_iter().skip(1).take(usize::try_from(more).unwrap_or(0)) {
                let again = if chance.permille(300) { at } else { at + chance.between(0, 12_000) };
                posts.push((again, node));
            }
            for (time, node) in posts {
                if self.faults.happens(Class::Request, true) {
                    self.queue.plan(time, Event::Post { client, at: node });
                }
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
        let quotes = chance.permille(500).then(|| Quotes::draw(&mut chance, &members, true));
        let plan = Plan { quotes, ..Plan::allowing() };
        let client = self.add_client(&mut chance, plan, issued, issued + 120_000);
        let honest: Vec<Identifier> = self
            .roots
            .members()
            .into_iter()
            .filter(|id| !self.is_liar(*id) && !self.down.contains(id))
            .collect();
        let at = chance.pick(&honest).expect("some are honest");
        self.clients[client].probe = Some(Probe { at, answered: false });
        // by then it is issued on every clock
        self.queue.plan(now + 2 * self.scenario.skew_ms, Event::Post { client, at });
    }

    fn add_client(&mut self, chance: &mut Chance, plan: Plan, issued: Millis, expires: Millis) -> usize {
        let caller = NodeKey::from_bytes([9; 32]).expect("a scalar");
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
            key: key.clone(),
            params: Bytes::new(),
            callers: vec![Caller { kind: CallerKind::Eip191, id: caller.public_key().address() }],
            nonce: B256::from(chance.bytes()),
            issued_at: issued,
            expires_at: expires,
        };
        let digest = request.digest();
        let signature = Bytes::copy_from_slice(caller.sign(digest.0).as_bytes());
        self.script.add(digest, plan, key);
        let request = SignedRequest { request, signatures: vec![CallerSignature(signature)] };
        self.clients.push(Client { request, digest, probe: None });
        self.clients.len() - 1
    }

    fn draw_plan(&mut self, chance: &mut Chance) -> Plan {
        let obstacles = chance.between(0, self.scenario.obstacles);
        let quotes = chance.permille(500).then(|| {
            let all_agree = self.scenario.agreeable || chance.permille(500);
            Quotes::draw(chance, &self.roots.members(), all_agree)
        });
        let mut plan = Plan {
            quotes,
            reads: usize::try_from(chance.between(0, 3)).unwrap_or(0),
            payloads: if chance.permille(300) { 2 } else { 1 },
            timed: !self.scenario.agreeable && chance.permille(300),
            drifts: (!self.scenario.agreeable && chance.permille(200)).then(|| chance.between(300, 3_000)),
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
