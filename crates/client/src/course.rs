//! The course of one call: whom to ask next, how long to wait, and when it ends. Pure: time is passed in.

use std::time::Duration;

use crate::{
    meaning::Meaning,
    standings::{Standings, Work},
};

/// A time, since the client was made.
pub(crate) type Moment = Duration;

/// How long to wait before a node is asked again in one call, at first; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest such wait that the node did not ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a verdict waits for nodes that were asked too: they may have signatures already, and the verdict may come of that.
const VERDICT_GRACE: Duration = Duration::from_secs(2);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask this node, and come back.
    Ask(usize),
    /// Come back when somebody answers, or at this time.
    Wait(Moment),
    /// There will be no answer.
    End,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Course {
    work: Work,
    deadline: Moment,
    /// How many nodes must give a verdict for it to end the call, or say of a request for signatures that they have no such thing.
    opinions: usize,
    nodes: Vec<Place>,
    decided_at: Option<Moment>,
}

/// Where the call is with one node.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    state: State,
    /// How often it was asked.
    times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    NotAsked,
    UnderWay {
        patience_ends: Moment,
        reported: bool,
    },
    /// It may be asked again from then on.
    Again {
        at: Moment,
        silent: bool,
    },
    /// It gave a verdict.
    Decided,
    /// It has no such thing.
    NotHere,
    /// It has a view of its own.
    OneView,
    /// It answered nonsense.
    Distrusted,
    /// It has what was asked for.
    Has,
}

impl Course {
    pub(crate) fn new(nodes: usize, work: Work, deadline: Moment, opinions: usize) -> Self {
        let opinions = opinions.clamp(1, nodes.max(1));
        Self { work, deadline, opinions, nodes: vec![Place::default(); nodes], decided_at: None }
    }

    /// What to do now. A node that is to be asked counts as asked.
    pub(crate) fn next(&mut self, now: Moment, standings: &Standings) -> Step {
        if now >= self.deadline {
            return Step::End;
        }
        if let Some(decided_at) = self.decided_at {
            let until = (decided_at + VERDICT_GRACE).min(self.deadline);
            return if self.is_under_way() && now < until { Step::Wait(until) } else { Step::End };
        }
        let patient = self.nodes.iter().any(|place| place.state.is_waited_for(now));
        match self.candidate(now, standings) {
            Some(node) if !patient => {
                let patience_ends = now + self.patience(node, now, standings);
                let place = &mut self.nodes[node];
                place.times += 1;
                place.state = State::UnderWay { patience_ends, reported: false };
                Step::Ask(node)
            }
            Some(_) | None => self.wait(now),
        }
    }

    /// What a node answered instead of what was asked for.
    pub(crate) fn heard(&mut self, node: usize, now: Moment, meaning: Meaning) {
        let place = &mut self.nodes[node];
        let pause = FIRST_PAUSE.saturating_mul(1 << place.times.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
        place.state = match meaning {
            Meaning::Verdict => State::Decided,
            Meaning::NotHere => State::NotHere,
            Meaning::OneView => State::OneView,
            Meaning::Nonsense => State::Distrusted,
            Meaning::Later(after) => {
                State::Again { at: now + after.unwrap_or_default().max(pause), silent: false }
            }
            Meaning::Silence => State::Again { at: now + pause, silent: true },
        };
        if self.say(State::Decided) >= self.opinions {
            self.decided_at.get_or_insert(now);
        }
    }

    /// Nodes that are silent by now, each told once.
    pub(crate) fn turned_silent(&mut self, now: Moment) -> Vec<usize> {
        let mut silent = Vec::new();
        for (index, place) in self.nodes.iter_mut().enumerate() {
            if let State::UnderWay { patience_ends, reported } = &mut place.state
                && *patience_ends <= now
                && !*reported
            {
                *reported = true;
                silent.push(index);
            }
        }
        silent
    }

    /// Whether an answer of this node is awaited.
    pub(crate) fn awaits(&self, node: usize) -> bool {
        self.nodes[node].state.is_under_way()
    }

    /// A node has given what was asked for.
    pub(crate) fn has(&mut self, node: usize) {
        self.nodes[node].state = State::Has;
    }

    /// Whose word the call ends with where there is no answer: a verdict before "not here", and that before one node's view, or
    /// after it where something is looked up: who sees that it may not be shown says more than who has none.
    /// A view, and of a request for signatures "not here" too, counts only if nobody else may still have an answer, and a verdict
    /// on it only if as many nodes give one as are to be heard. None: there is only the list of what each did.
    pub(crate) fn word(&self) -> Option<usize> {
        let last = |state| self.nodes.iter().rposition(|place| place.state == state);
        if self.work == Work::Sign && (1..self.opinions).contains(&self.say(State::Decided)) {
            return None;
        }
        let is_silent = self.is_under_way() && !self.is_settled();
        let waits = is_silent || (0..self.nodes.len()).any(|node| self.again(node).is_some());
        let not_here = last(State::NotHere).filter(|_| self.work != Work::Sign || !waits);
        let view = last(State::OneView).filter(|_| !waits);
        let other = match self.work {
            Work::Sign => not_here.or(view),
            Work::Look | Work::Transfer => view.or(not_here),
        };
        last(State::Decided).or(other)
    }

    /// Whether what nodes said is answer enough not to wait for those that are silent or cannot be reached.
    ///
    /// For signatures that takes more: who is silent may be signing. So it is settled only once nobody is under way, and by as
    /// many nodes as are to be heard; one node's view settles nothing, as the client has checked the request.
    fn is_settled(&self) -> bool {
        let (decided, not_here) = (self.say(State::Decided), self.say(State::NotHere));
        match self.work {
            Work::Sign => !self.is_under_way() && decided.max(not_here) >= self.opinions,
            Work::Look | Work::Transfer => decided + not_here + self.say(State::OneView) > 0,
        }
    }

    /// How many nodes are in this state.
    fn say(&self, state: State) -> usize {
        self.nodes.iter().filter(|place| place.state == state).count()
    }

    fn is_under_way(&self) -> bool {
        self.nodes.iter().any(|place| place.state.is_under_way())
    }

    /// Whom to ask: the best of those that were not asked yet, else the best of those that may be asked again.
    fn candidate(&self, now: Moment, standings: &Standings) -> Option<usize> {
        let order = standings.order(now, self.work);
        let fresh = order.iter().find(|node| self.nodes[**node].state == State::NotAsked);
        let again = || order.iter().find(|node| self.again(**node).is_some_and(|at| at <= now));
        fresh.or_else(again).copied()
    }

    /// When a node may be asked again, if it may.
    fn again(&self, node: usize) -> Option<Moment> {
        match self.nodes[node].state {
            State::Again { at, silent } => (!(silent && self.is_settled())).then_some(at),
            State::NotAsked
            | State::UnderWay { .. }
            | State::Decided
            | State::NotHere
            | State::OneView
            | State::Distrusted
            | State::Has => None,
        }
    }

    /// It doubles with each node that is silent, so that a slow network is not asked by everybody everywhere; but each node gets
    /// its turn.
    fn patience(&self, node: usize, now: Moment, standings: &Standings) -> Duration {
        let under_way = self.nodes.iter().filter(|place| place.state.is_under_way()).count();
        let others =
            self.nodes.iter().filter(|place| place.state == State::NotAsked).count().saturating_sub(1);
        let doubled = standings.patience(node, now, self.work).saturating_mul(1 << under_way.min(16));
        let parts = u32::try_from(others + 1).unwrap_or(u32::MAX);
        doubled.min(self.deadline.saturating_sub(now) / parts)
    }

    /// Until a node is silent or may be asked again; the end if there is nothing to wait for.
    fn wait(&self, now: Moment) -> Step {
        let again = (0..self.nodes.len()).filter_map(|node| self.again(node));
        let soonest_again = again.min().filter(|at| *at < self.deadline);
        let is_settled = self.is_settled();
        let is_awaited = |place: &Place| {
            if is_settled { place.state.is_waited_for(now) } else { place.state.is_under_way() }
        };
        if !self.nodes.iter().any(is_awaited) {
            return soonest_again.map_or(Step::End, Step::Wait);
        }
        let patience_ends = self.nodes.iter().filter_map(|place| match place.state {
            State::UnderWay { patience_ends, .. } => Some(patience_ends).filter(|end| *end > now),
            State::NotAsked
            | State::Again { .. }
            | State::Decided
            | State::NotHere
            | State::OneView
            | State::Distrusted
            | State::Has => None,
        });
        let until = patience_ends.chain(soonest_again.filter(|at| *at > now)).min();
        Step::Wait(until.unwrap_or(self.deadline).min(self.deadline))
    }
}

impl State {
    fn is_under_way(&self) -> bool {
        matches!(self, Self::UnderWay { .. })
    }

    /// Asked, and not silent yet.
    fn is_waited_for(&self, now: Moment) -> bool {
        matches!(self, Self::UnderWay { patience_ends, .. } if *patience_ends > now)
    }
}

#[cfg(test)]
mod tests;
