//! What is known of each node, from call to call: how soon it answers and how it is. Pure: time is passed in.

use std::{cmp::Reverse, time::Duration};

use crate::course::Moment;

/// How soon a node is taken to answer that nobody has asked yet, or not lately.
const UNTRIED_LOOK: Duration = Duration::from_millis(100);
/// The same, for signatures.
const UNTRIED_SIGN: Duration = Duration::from_millis(250);
/// Latencies that differ by less than this are the same.
const LATENCY_STEP_MS: u128 = 25;
/// How long a latency is remembered: a node that was slow gets another chance then.
const LATENCY_KEPT: Duration = Duration::from_secs(120);
/// How long a node rests after a failure; it doubles with each further one.
const FIRST_REST: Duration = Duration::from_millis(250);
/// The longest rest after failures.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How long a node that answered nonsense is asked last.
const NONSENSE_REST: Duration = Duration::from_secs(600);
/// How long a node that was not heard of is taken to be as it was, before it is asked how it is.
const HEARD_KEPT: Duration = Duration::from_secs(30);
/// How soon a node that is not well is asked again how it is.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The least that a node is waited for before another is asked too.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);
/// The most.
const MOST_PATIENCE: Duration = Duration::from_secs(2);
/// The same, for an action: it is compiled before there is an answer.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(10);
/// A node is silent when it takes so many times as long as it is known to.
const PATIENCE_FACTOR: u32 = 4;

/// What is asked of a node: that takes of different nodes' time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// What it can answer by itself.
    Look,
    /// Signatures.
    Sign,
    /// An action, there or back: that takes as long as it is large, so nothing is learned from it.
    Transfer,
}

/// What a client knows of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHealth {
    /// How soon it answers what it knows by itself, smoothed; none if it was not asked lately.
    pub look: Option<Duration>,
    /// How soon it answers requests for signatures, smoothed; none if it was not asked lately.
    pub sign: Option<Duration>,
    /// How often in a row it failed or was not heard.
    pub failures: u32,
    /// Whether it said that it cannot sign, when it was asked last.
    pub not_ready: bool,
    /// Whether it answered, in the last ten minutes, what no honest node does.
    pub distrusted: bool,
}

/// Every node's standing, by its place in the configuration.
#[derive(Debug)]
pub(crate) struct Standings {
    nodes: Vec<Standing>,
    /// Who answered last.
    last: usize,
}

#[derive(Debug, Clone, Default)]
struct Standing {
    look: Option<Latency>,
    sign: Option<Latency>,
    /// Failures in a row.
    failures: u32,
    rests_until: Moment,
    distrusted_until: Moment,
    /// It said that it cannot sign.
    not_ready: bool,
    heard: Option<Moment>,
    asked_how_it_is: Option<Moment>,
}

/// A smoothed latency.
#[derive(Debug, Clone, Copy)]
struct Latency {
    smoothed: Duration,
    at: Moment,
}

/// The best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Well,
    NotReady,
    Failing,
    Distrusted,
}

impl Standings {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { nodes: vec![Standing::default(); nodes], last: 0 }
    }

    /// All nodes, the best first: well before ill, quick before slow, then who answered last, then as configured.
    pub(crate) fn order(&self, now: Moment, work: Work) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|index| {
            let node = &self.nodes[*index];
            (node.grade(now, work), node.band(now, work), Reverse(*index == self.last), *index)
        });
        order
    }

    /// What is known of every node, in the order of the configuration.
    pub(crate) fn health(&self, now: Moment) -> Vec<NodeHealth> {
        let health = |node: &Standing| NodeHealth {
            look: node.known(now, Work::Look),
            sign: node.known(now, Work::Sign),
            failures: node.failures,
            not_ready: node.not_ready,
            distrusted: now < node.distrusted_until,
        };
        self.nodes.iter().map(health).collect()
    }

    /// How long a node is waited for before another is asked too.
    pub(crate) fn patience(&self, node: usize, now: Moment, work: Work) -> Duration {
        if work == Work::Transfer {
            return TRANSFER_PATIENCE;
        }
        let several = |latency: Duration| latency.saturating_mul(PATIENCE_FACTOR);
        let known = self.nodes[node].known(now, work);
        known.map_or(MOST_PATIENCE, |known| several(known).clamp(LEAST_PATIENCE, MOST_PATIENCE))
    }

    /// It gave what was asked for.
    pub(crate) fn answered(&mut self, node: usize, now: Moment, work: Work, took: Duration) {
        self.last = node;
        let node = &mut self.nodes[node];
        node.learn(now, work, took);
        node.is_well(now);
        // whoever signs is ready; whoever answers what it knows may not be
        node.not_ready &= work != Work::Sign;
    }

    /// It answered otherwise, as a node does that is well.
    pub(crate) fn spoke(&mut self, node: usize, now: Moment) {
        self.nodes[node].is_well(now);
    }

    /// It said how it is, after so long.
    pub(crate) fn said_how_it_is(&mut self, node: usize, now: Moment, ready: bool, took: Duration) {
        let node = &mut self.nodes[node];
        node.learn(now, Work::Look, took);
        node.is_well(now);
        node.not_ready = !ready;
    }

    /// It cannot now, or was not heard.
    pub(crate) fn failed(&mut self, node: usize, now: Moment, after: Option<Duration>) {
        let node = &mut self.nodes[node];
        let doubled = FIRST_REST.saturating_mul(1 << node.failures.min(16)).min(LONGEST_REST);
        node.failures = node.failures.saturating_add(1);
        node.heard = Some(now);
        node.rests_until = now + after.unwrap_or_default().max(doubled);
    }

    /// It answered what no honest node does.
    pub(crate) fn is_distrusted(&mut self, node: usize, now: Moment) {
        self.nodes[node].heard = Some(now);
        self.nodes[node].distrusted_until = now + NONSENSE_REST;
    }

    /// Whom to ask how they are, beside a call: whoever was not heard of for a while, or failed and has rested. They count as
    /// asked from then on.
    pub(crate) fn due(&mut self, now: Moment) -> Vec<usize> {
        if self.nodes.len() < 2 {
            return Vec::new();
        }
        let due: Vec<usize> = (0..self.nodes.len()).filter(|index| self.nodes[*index].is_due(now)).collect();
        for index in &due {
            self.nodes[*index].asked_how_it_is = Some(now);
        }
        due
    }
}

impl Standing {
    fn grade(&self, now: Moment, work: Work) -> Grade {
        if now < self.distrusted_until {
            Grade::Distrusted
        } else if self.failures > 0 {
            // until something is heard of it, however long it has rested
            Grade::Failing
        } else if self.not_ready && work == Work::Sign {
            Grade::NotReady
        } else {
            Grade::Well
        }
    }

    fn known(&self, now: Moment, work: Work) -> Option<Duration> {
        let latency = match work {
            Work::Look | Work::Transfer => self.look,
            Work::Sign => self.sign,
        };
        latency
            .filter(|latency| now.saturating_sub(latency.at) < LATENCY_KEPT)
            .map(|latency| latency.smoothed)
    }

    /// Latencies of one band are not told apart: each is twice as wide as the one before.
    fn band(&self, now: Moment, work: Work) -> u32 {
        let untried = match work {
            Work::Look | Work::Transfer => UNTRIED_LOOK,
            Work::Sign => UNTRIED_SIGN,
        };
        let expected = self.known(now, work).unwrap_or(untried);
        (expected.as_millis() / LATENCY_STEP_MS + 1).ilog2()
    }

    fn learn(&mut self, now: Moment, work: Work, took: Duration) {
        let smoothed = self.known(now, work).map_or(took, |known| (known * 3).saturating_add(took) / 4);
        let latency = Some(Latency { smoothed, at: now });
        match work {
            Work::Look => self.look = latency,
            Work::Sign => self.sign = latency,
            Work::Transfer => {}
        }
    }

    fn is_well(&mut self, now: Moment) {
        self.heard = Some(now);
        self.failures = 0;
        self.rests_until = now;
    }

    fn is_due(&self, now: Moment) -> bool {
        let long_ago = |then: Option<Moment>, kept| then.is_none_or(|then| now.saturating_sub(then) >= kept);
        let is_ill = self.failures > 0 || self.not_ready;
        now >= self.rests_until
            && now >= self.distrusted_until
            && long_ago(self.asked_how_it_is, ASK_AGAIN)
            && (is_ill || long_ago(self.heard, HEARD_KEPT))
    }
}

#[cfg(test)]
mod tests;
