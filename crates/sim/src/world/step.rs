//! One event after the other: what nodes do, and what the watch says to it.

use std::sync::Arc;

use countersign_session::{
    Millis,
    message::{Package, ToCoordinator, ToParticipant},
    participant::{LocalFailure, Run, authenticate},
};
use countersign_types::{Failure, Identifier, Outcome, RequestDigest, SessionId, SignedRequest};

use super::{Session, World, clients::Client, events::Event, faults::CrashPoint};
use crate::{
    Mutant, Violation,
    node::{Act, Node, Posted, Wire},
    roots::NETWORK,
    trace::short,
};

impl World {
    pub(super) fn step(&mut self, event: Event) -> Result<(), Violation> {
        if self.is_void(&event) {
            return Ok(());
        }
        self.note(&event);
        let went = self.happen(event);
        for lie in self.conspiracy.confess() {
            self.note(lie);
        }
        went
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Deliver { from, to, wire, .. } => self.deliver(from, to, wire),
            Event::Observed { node, run, live, .. } => self.with(node, |n, now| n.observed(&run, *live, now)),
            Event::Replayed { node, run, attempt, end, .. } => self.replayed(node, &run, attempt, end),
            Event::Wake { node, .. } => self.wake(node),
            Event::Post { client, at } => self.post(client, at),
            Event::Later { node, to, wire, .. } => self.send(node, to, wire),
            Event::Crash { node } => {
                self.crash(node);
                Ok(())
            }
            Event::Restart { node } => {
                self.start(node);
                Ok(())
            }
            Event::Cut(cut) => {
                self.cut(cut);
                Ok(())
            }
            Event::Heal(cut) => {
                self.heal(cut);
                Ok(())
            }
            Event::Notice { node, about, up, .. } => {
                let host = self.hosts.get(&node).and_then(|host| host.node.as_ref());
                if !up && host.is_some_and(|host| host.is_connected(about)) {
                    self.watch.ledger.parted(node, about);
                }
                self.with(node, |n, now| n.notice(about, up, now))
            }
            Event::Calm => {
                self.calm();
                Ok(())
            }
            Event::Probe => {
                self.probe();
                Ok(())
            }
        }
    }

    /// Whether an event belongs to a life that is over.
    fn is_void(&self, event: &Event) -> bool {
        let gone = |node: &Identifier, life: &u64| {
            self.hosts.get(node).is_none_or(|host| host.node.is_none() || host.life != *life)
        };
        match event {
            Event::Deliver { to, life, .. } => gone(to, life),
            Event::Observed { node, life, .. }
            | Event::Replayed { node, life, .. }
            | Event::Later { node, life, .. }
            | Event::Notice { node, life, .. } => gone(node, life),
            Event::Wake { node, life } => {
                gone(node, life) || self.hosts.get(node).is_none_or(|host| host.wake_at != self.now)
            }
            Event::Crash { node } => self.hosts.get(node).is_none_or(|host| host.node.is_none()),
            Event::Restart { node } => self.hosts.get(node).is_none_or(|host| host.node.is_some()),
            Event::Cut(_) => !self.faulty,
            Event::Heal(_) | Event::Post { .. } | Event::Calm | Event::Probe => false,
        }
    }

    fn deliver(&mut self, from: Identifier, to: Identifier, wire: Wire) -> Result<(), Violation> {
        if let Some(package) = package_of(&wire) {
            self.watch.package(&package);
            if matches!(wire, Wire::ToParticipant(ToParticipant::Propose(_))) {
                self.eager.insert((to, package.session));
            }
            if self.may_crash(to, CrashPoint::BeforePackage) {
                return Ok(());
            }
        }
        if self.is_liar(to) {
            let acts = self.conspiracy.overhears(to, from, &wire);
            self.carry_out(to, acts)?;
            if let Some(request) = self.conspiracy.takes_up(to, from, &wire) {
                self.take_up(to, request)?;
            }
            if let Some(acts) = self.conspiracy.intercepts(to, from, &wire) {
                return self.carry_out(to, acts);
            }
        }
        self.witness(from, to, &wire);
        let from = self.named_sender(from, to, &wire);
        self.with(to, |node, now| node.deliver(from, wire, now))
    }

    fn replayed(
        &mut self,
        me: Identifier,
        run: &Run,
        attempt: u32,
        end: Result<Outcome, LocalFailure>,
    ) -> Result<(), Violation> {
        self.with(me, |node, now| node.replayed(run, attempt, end, now))
    }

    fn wake(&mut self, me: Identifier) -> Result<(), Violation> {
        if self.mutant(me) == Some(Mutant::NeverTicks) {
            // the deadlines are looked at all the same
            return self.check_deadlines(me);
        }
        self.with(me, Node::wake)?;
        let now = self.local(me);
        let spins = |node: &Node| node.next_wake() <= now;
        if self.hosts.get(&me).and_then(|host| host.node.as_ref()).is_some_and(spins) {
            return Err(Violation::Spins { node: me });
        }
        self.check_deadlines(me)
    }

    fn post(&mut self, client: usize, at: Identifier) -> Result<(), Violation> {
        let request = self.clients[client].request.clone();
        let digest = self.clients[client].digest;
        let now = self.local(at);
        let posted = match self.hosts.get_mut(&at).and_then(|host| host.node.as_mut()) {
            Some(node) => node.post(request, now),
            None => {
                self.note(format_args!("{at} is down"));
                return Ok(());
            }
        };
        self.posted(at, digest, posted)
    }

    /// A liar coordinates a request that it overheard.
    fn take_up(&mut self, me: Identifier, request: SignedRequest) -> Result<(), Violation> {
        let now = self.local(me);
        let Ok(valid) = authenticate(request) else { return Ok(()) };
        let digest = valid.digest();
        let node = self.hosts.get_mut(&me).and_then(|host| host.node.as_mut());
        match node.map(|node| node.begin(Arc::new(valid), now)) {
            Some(posted) => self.posted(me, digest, posted),
            None => Ok(()),
        }
    }

    fn posted(&mut self, at: Identifier, digest: RequestDigest, posted: Posted) -> Result<(), Violation> {
        match posted {
            Posted::Started { session, acts } => {
                self.note(format_args!("{at} opens {} for {}", short(&session.0), short(&digest.0)));
                if let Some(host) = self.hosts.get_mut(&at) {
                    host.sessions.insert(session, (digest, self.now));
                }
                self.carry_out(at, acts)
            }
            Posted::Known => {
                self.note(format_args!("{at} knows it"));
                Ok(())
            }
            Posted::Rejected(failure) => {
                self.note(format_args!("{at} rejects it: {failure}"));
                *self.counts.rejected.entry(failure.kind).or_default() += 1;
                self.answered(at, digest, Some(&failure))
            }
        }
    }

    /// Lets a node act, carries out what it wants, and checks what it says of itself.
    fn with(
        &mut self,
        me: Identifier,
        act: impl FnOnce(&mut Node, Millis) -> Vec<Act>,
    ) -> Result<(), Violation> {
        let now = self.local(me);
        let Some(node) = self.hosts.get_mut(&me).and_then(|host| host.node.as_mut()) else { return Ok(()) };
        let acts = act(node, now);
        let (counted, kept) = (node.participant.shares_made(), node.participant.nonces_in_advance());
        let holds = node.holds();
        if !self.is_liar(me) {
            self.watch.bounds.check(me, &holds)?;
        }
        self.carry_out(me, acts)?;
        let alive = self.hosts.get(&me).is_some_and(|host| host.node.is_some());
        if alive && !self.is_liar(me) {
            self.watch.counted(me, counted)?;
            self.watch.ledger.keeps(me, kept)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, me: Identifier, acts: Vec<Act>) -> Result<(), Violation> {
        let lies = self.is_liar(me);
        let acts = if lies { self.conspiracy.twist(me, acts) } else { acts };
        for act in acts {
            match act {
                Act::Send { to, wire } => self.send(me, to, wire)?,
                Act::SendLater { to, wire, after } => self.send_later(me, to, wire, after),
                Act::Observe(run) => self.observe(me, run)?,
                Act::Replay { run, attempt, recorded, agreed } => {
                    if !lies {
                        self.watch.replays(me, &run, &agreed)?;
                    }
                    self.replay(me, run, attempt, &recorded, &agreed);
                }
                Act::Finished { session, request, result } => {
                    self.finished(me, session, request, *result)?;
                }
            }
        }
        self.plan_wake(me);
        Ok(())
    }

    fn send(&mut self, me: Identifier, to: Identifier, wire: Wire) -> Result<(), Violation> {
        if !self.is_liar(me) {
            self.watch.ledger.sends(me, to, &wire)?;
            if let Wire::ToParticipant(message) = &wire {
                self.watch.blame.asks(me, to, message);
            }
        }
        if let (Wire::ToCoordinator(ToCoordinator::Signed(signed)), false) = (&wire, self.is_liar(me)) {
            let now = self.local(me);
            self.watch.share(&self.script, me, to, signed, now)?;
            if signed.attempt == 1 && self.eager.remove(&(me, signed.vote.vote.session)) {
                self.counts.at_once += 1;
            }
            if self.may_crash(me, CrashPoint::AfterShare) && self.chance.permille(500) {
                return Ok(());
            }
        }
        let Some(life) = self.hosts.get(&to).map(|host| host.life) else { return Ok(()) };
        let arrivals = self.network.fates(me, to, self.now);
        if arrivals.is_empty() {
            self.note(format_args!("{me} -> {to} lost: {wire}"));
        }
        if arrivals.len() > 1 {
            self.note(format_args!("{me} -> {to} twice: {wire}"));
        }
        let ordinary = self.now + self.network.ordinary_ms(me);
        if let Some(at) = arrivals.iter().find(|at| **at > ordinary) {
            self.note(format_args!("{me} -> {to} late, after {} ms: {wire}", at - self.now));
        }
        for at in arrivals {
            self.queue.plan(at, Event::Deliver { from: me, to, life, wire: wire.clone() });
        }
        Ok(())
    }

    /// A liar holds a message back.
    fn send_later(&mut self, me: Identifier, to: Identifier, wire: Wire, after: Millis) {
        let Some(life) = self.hosts.get(&me).map(|host| host.life) else { return };
        self.queue.plan(self.now + after, Event::Later { node: me, life, to, wire });
    }

    /// A message reaches a node that coordinates, if it is honest.
    fn witness(&mut self, from: Identifier, to: Identifier, wire: &Wire) {
        let Wire::ToCoordinator(message) = wire else { return };
        let node = self.hosts.get(&to).and_then(|host| host.node.as_ref());
        if let Some(node) = node.filter(|_| !self.is_liar(to)) {
            let awaited = node.awaits(message.session(), from);
            self.watch.blame.hears(to, from, message, awaited);
        }
    }

    fn finished(
        &mut self,
        me: Identifier,
        session: SessionId,
        request: RequestDigest,
        result: Result<countersign_session::coordinator::Signed, Failure>,
    ) -> Result<(), Violation> {
        let opened = self.hosts.get_mut(&me).and_then(|host| host.sessions.remove(&session));
        let is_probe = |client: &Client| client.probe.is_some() && client.digest == request;
        if let Some((_, since)) = opened.filter(|_| !self.clients.iter().any(is_probe)) {
            let failed = result.as_ref().err().map(|failure| failure.kind);
            self.counts.sessions.push(Session { took_ms: self.now - since, failed });
        }
        let lies = self.is_liar(me);
        match &result {
            Ok(signed) => {
                self.note(format_args!("{me} signed {} in {}", short(&session.0), signed.attempts));
                let key = self.clients.iter().find(|client| client.digest == request);
                if let Some(key) = key.map(|client| client.request.request.key.key_id()) {
                    self.watch.signed(me, key, request, signed)?;
                }
                self.counts.signed += 1;
                self.counts.further_attempts += u64::from(signed.attempts.saturating_sub(1));
                if !lies {
                    self.watch.credited(me, signed)?;
                    self.watch.blame.ended(me, session, &signed.nodes)?;
                    self.count_blame(&signed.nodes);
                }
            }
            Err(failure) => {
                self.note(format_args!("{me} gives {} up: {failure}", short(&session.0)));
                *self.counts.failed.entry(failure.kind).or_default() += 1;
                if !lies {
                    self.watch.failed(&self.script, me, request, failure)?;
                    self.watch.blame.ended(me, session, &failure.nodes)?;
                    self.count_blame(&failure.nodes);
                }
            }
        }
        self.answered(me, request, result.err().as_ref())
    }

    fn count_blame(&mut self, nodes: &[countersign_types::NodeDecision]) {
        let blamed = nodes.iter().filter(|said| said.decision == countersign_types::Decision::Misbehaved);
        self.counts.blamed += blamed.count() as u64;
    }

    /// What the client of the last request is told.
    fn answered(
        &mut self,
        at: Identifier,
        request: RequestDigest,
        failure: Option<&Failure>,
    ) -> Result<(), Violation> {
        let lies = self.is_liar(at);
        let client = self.clients.iter_mut().find(|client| client.digest == request);
        let probe = client.and_then(|client| client.probe.as_mut()).filter(|probe| probe.at == at);
        let must = probe.is_some() || (self.scenario.all_signed && !lies);
        if let Some(probe) = probe {
            probe.answered = true;
        }
        match failure.filter(|_| must) {
            None => Ok(()),
            Some(failure) => {
                let nodes: Vec<String> = failure
                    .nodes
                    .iter()
                    .map(|said| format!("{:?} {:?}", said.decision, said.reason))
                    .collect();
                Err(Violation::NotLive { request, at, why: format!("{failure} [{}]", nodes.join("; ")) })
            }
        }
    }

    /// Whether the last request still waits, which it may not when nothing more happens.
    pub(super) fn check_probe(&self) -> Result<(), Violation> {
        let waiting = self.clients.iter().find_map(|client| {
            let probe = client.probe.as_ref().filter(|probe| !probe.answered)?;
            Some((client.digest, probe.at))
        });
        match waiting {
            Some((request, at)) => Err(Violation::NotLive { request, at, why: "there is no answer".into() }),
            None => Ok(()),
        }
    }

    /// Whether the last request is answered and no session is left.
    pub(super) fn is_over(&self) -> bool {
        self.clients.iter().any(|client| client.probe.as_ref().is_some_and(|probe| probe.answered))
            && self.hosts.values().all(|host| host.sessions.is_empty())
    }

    fn check_deadlines(&self, me: Identifier) -> Result<(), Violation> {
        let now = self.local(me);
        let node = self.hosts.get(&me).and_then(|host| host.node.as_ref());
        let overdue = node.and_then(|node| node.coordinating.iter().find(|(_, s)| s.deadline < now));
        match overdue {
            Some((session, s)) if !self.is_liar(me) => {
                Err(Violation::Overdue { by: me, session: *session, deadline: s.deadline })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sets a node's timer to what it asks for.
    pub(super) fn plan_wake(&mut self, me: Identifier) {
        let Some(host) = self.hosts.get_mut(&me) else { return };
        let Some(node) = &host.node else { return };
        let at = node.next_wake().saturating_sub(host.ahead).max(self.now);
        if at != host.wake_at {
            host.wake_at = at;
            self.queue.plan(at, Event::Wake { node: me, life: host.life });
        }
    }

    pub(super) fn mutant(&self, me: Identifier) -> Option<Mutant> {
        self.scenario.mutant.filter(|_| !self.is_liar(me))
    }

    /// Who a coordinator thinks a message is from: the connection, unless it is built wrong.
    fn named_sender(&self, from: Identifier, to: Identifier, wire: &Wire) -> Identifier {
        let signed = matches!(wire, Wire::ToCoordinator(ToCoordinator::Signed(_)));
        let wrong = self.mutant(to) == Some(Mutant::TrustsNamedSenders) && self.is_liar(from);
        let honest = self.roots.members().into_iter().find(|id| !self.is_liar(*id));
        honest.filter(|_| wrong && signed).unwrap_or(from)
    }
}

/// The package that a message asks a node to sign.
fn package_of(wire: &Wire) -> Option<Package> {
    match wire {
        Wire::ToParticipant(ToParticipant::Sign { package, .. }) => Some(package.as_ref().clone()),
        Wire::ToParticipant(ToParticipant::Propose(proposal)) => {
            proposal.eager.clone().map(|eager| eager.package(proposal.terms.id(NETWORK)))
        }
        Wire::ToParticipant(ToParticipant::Commit { .. } | ToParticipant::Close { .. })
        | Wire::ToCoordinator(_)
        | Wire::Preprocess(_) => None,
    }
}
