//! What a member's machine wants done: messages, and writes to its disk.

use countersign_session::{
    Millis,
    keygen::{Contradiction, Effect, KeyGen, Message},
};
use countersign_types::{AttemptId, Identifier};

use super::{Event, Mutant, Violation, World, Write, short};
use crate::{chance::Chance, roots};

/// What a machine is told when it is stored.
enum Stored {
    Joined(AttemptId),
    Pending(AttemptId),
    Activation(AttemptId),
    Complete,
}

impl Stored {
    fn of(write: &Write) -> Self {
        match write {
            Write::Joined(joined) => Self::Joined(joined.attempt),
            Write::Pending { pending, .. } => Self::Pending(pending.terms.id(roots::NETWORK)),
            Write::Activation { attempt, .. } => Self::Activation(*attempt),
            Write::Complete(_) => Self::Complete,
        }
    }
}

impl World {
    pub(super) fn with(
        &mut self,
        me: Identifier,
        act: impl FnOnce(&mut KeyGen, Millis, &mut Chance) -> Vec<Effect>,
    ) -> Result<(), Violation> {
        let Some(host) = self.hosts.get_mut(&me) else { return Ok(()) };
        let now = self.now + host.ahead;
        let Some(machine) = host.machine.as_mut() else { return Ok(()) };
        let effects = act(machine, now, &mut host.secrets);
        for effect in effects {
            self.carry_out(me, effect)?;
        }
        self.plan_wake(me);
        Ok(())
    }

    pub(super) fn carry_out(&mut self, me: Identifier, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Send { to, message } => self.send(me, to, message),
            Effect::StoreJoined(joined) => self.store(me, Write::Joined(joined)),
            Effect::StorePending { pending, shares } => {
                if let Some(liar) = self.liar.as_mut().filter(|liar| liar.me == me) {
                    liar.computed(pending.terms.id(roots::NETWORK), pending.roots.clone());
                }
                let shares = shares.iter().map(|share| share.to_bytes().to_vec()).collect();
                self.store(me, Write::Pending { pending, shares })
            }
            Effect::StoreActivation { attempt, confirmations } => {
                self.store(me, Write::Activation { attempt, confirmations })
            }
            Effect::Completed(activation) => {
                if !self.lies(me) {
                    self.watch.completes(me, &activation, &self.committee)?;
                }
                self.note(format_args!("{me} has the keys of {}", short(activation.attempt)));
                self.store(me, Write::Complete(activation))
            }
            Effect::Contradiction(Contradiction { refusal, .. }) => {
                self.note(format_args!("{me} sees {} contradict itself", refusal.by));
                self.given_up(me, "it confirmed and refused".into(), &[refusal.by])
            }
            Effect::Blamed { attempt, reason, culprits } => {
                let named: Vec<String> = culprits.iter().map(ToString::to_string).collect();
                self.note(format_args!("{me} blames {} for {}: {reason}", named.join(" "), short(attempt)));
                self.given_up(me, reason, &culprits)
            }
            Effect::GivenUp { attempt, reason, culprits } => {
                let named: Vec<String> = culprits.iter().map(ToString::to_string).collect();
                self.note(format_args!("{me} gives {} up: {reason} [{}]", short(attempt), named.join(" ")));
                self.given_up(me, reason, &culprits)
            }
        }
    }

    pub(super) fn given_up(
        &mut self,
        me: Identifier,
        reason: String,
        culprits: &[Identifier],
    ) -> Result<(), Violation> {
        if self.lies(me) {
            return Ok(());
        }
        self.report.given_up += 1;
        if !culprits.is_empty() {
            self.report.accusers.insert(me);
        }
        match culprits.iter().find(|id| self.report.liar != Some(**id)) {
            Some(node) => Err(Violation::Accused { by: me, node: *node, reason }),
            None => Ok(()),
        }
    }

    pub(super) fn send(&mut self, me: Identifier, to: Identifier, message: Message) -> Result<(), Violation> {
        let messages = match self.liar.as_mut().filter(|liar| liar.me == me) {
            Some(liar) => {
                let messages = liar.twist(to, message);
                if let Some(word) = liar.tells_itself() {
                    let life = self.hosts.get(&me).map_or(0, |host| host.life);
                    let message = Box::new(word);
                    // handed on by another member
                    self.queue.plan(self.now + 1, Event::Tell { node: me, life, from: to, message });
                }
                messages
            }
            None => {
                if self.report.liar != Some(me) {
                    let host = &self.hosts[&me];
                    self.watch.sends(me, &message, &host.disk)?;
                }
                vec![message]
            }
        };
        self.post(me, to, &messages);
        Ok(())
    }

    /// Puts messages on their way.
    pub(super) fn post(&mut self, me: Identifier, to: Identifier, messages: &[Message]) {
        let life = |id: &Identifier| self.hosts.get(id).map_or(0, |host| host.life);
        let lives = (life(&me), life(&to));
        for message in messages {
            for at in self.network.fates(me, to, self.now) {
                let message = Box::new(message.clone());
                self.queue.plan(at, Event::Deliver { from: me, to, lives, message });
            }
        }
    }

    /// Hands something to the disk, which takes its time.
    pub(super) fn store(&mut self, me: Identifier, write: Write) -> Result<(), Violation> {
        if self.may_crash(me, "before it stores") {
            return Ok(());
        }
        let Some(host) = self.hosts.get(&me) else { return Ok(()) };
        let life = host.life;
        let early = match (self.mutant(me), &write) {
            (Some(Mutant::ActivatesBeforeStoring), Write::Activation { .. })
            | (Some(Mutant::ConfirmsBeforeStoring), Write::Pending { .. })
            | (Some(Mutant::JoinsBeforeStoring), Write::Joined(_)) => Some(Stored::of(&write)),
            _ => None,
        };
        let at = self.now + self.chance.between(1, 50);
        self.queue.plan(at, Event::Write { node: me, life, write: Box::new(write) });
        early.map_or(Ok(()), |stored| self.report_stored(me, stored))
    }

    pub(super) fn write(&mut self, me: Identifier, write: Write) -> Result<(), Violation> {
        let stored = Stored::of(&write);
        let Some(host) = self.hosts.get_mut(&me) else { return Ok(()) };
        if !host.disk.write(write) || self.may_crash(me, "after it stored") {
            return Ok(());
        }
        self.report_stored(me, stored)
    }

    fn report_stored(&mut self, me: Identifier, stored: Stored) -> Result<(), Violation> {
        self.with(me, |machine, now, _| match stored {
            Stored::Joined(attempt) => machine.stored_joined(attempt, now),
            Stored::Pending(attempt) => machine.stored_pending(attempt),
            Stored::Activation(attempt) => machine.stored_activation(attempt),
            Stored::Complete => Vec::new(),
        })
    }

    pub(super) fn plan_wake(&mut self, me: Identifier) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&me) else { return };
        let Some(machine) = &host.machine else { return };
        if machine.next_timeout() == Millis::MAX {
            return;
        }
        let at = machine.next_timeout().saturating_sub(host.ahead).max(now);
        if at == host.wake_at {
            return;
        }
        host.wake_at = at;
        self.queue.plan(host.wake_at, Event::Wake { node: me, life: host.life });
    }
}
