//! What a coordinator has of other members' commitments in advance, and when it can use them.

use std::collections::{BTreeMap, VecDeque};

use countersign_threshold::Commitments;
use countersign_types::{ActionId, Identifier, Outcome, Scheme};

use crate::{
    Millis,
    message::Preprocess,
    participant::{LiveRun, MAX_ADVANCE, MAX_BATCH, Run},
};

/// With this many commitments of a member or fewer, more are asked for. What is in stock leaves room at the member for twice
/// as many that are in use: those are its oldest, which it wipes first.
const LOW: usize = MAX_ADVANCE / 3 - MAX_BATCH;
/// After this long without an answer, a member is asked again. Milliseconds.
const ASK_AGAIN_MS: Millis = 2_000;
/// The most actions of which is remembered how they read; when full, all are forgotten.
pub const MAX_ACTIONS: usize = 1024;
/// The most commitments of a member for one scheme that are in stock.
pub const MAX_STOCK: usize = LOW + MAX_BATCH;

/// Other members' commitments, and which actions make use of them.
#[derive(Default)]
pub struct Stock {
    of: BTreeMap<(Identifier, Scheme), Shelf>,
    payloads: BTreeMap<ActionId, usize>,
}

#[derive(Default)]
struct Shelf {
    commitments: VecDeque<Commitments>,
    /// When the member was last asked, if it has not answered since.
    asked: Option<Millis>,
}

impl Stock {
    /// Learns from this node's own run in a session that it coordinates whether the next one over the action may take one
    /// round; says which members to ask for commitments for that, and what.
    pub fn learn_from<R>(
        &mut self,
        run: &Run,
        live: &LiveRun<R>,
        members: impl IntoIterator<Item = Identifier>,
        now: Millis,
    ) -> Vec<(Identifier, Preprocess)> {
        let Ok(Outcome::Allowed { payloads, .. }) = &live.end else { return Vec::new() };
        let (action, scheme) = (run.context.action, run.context.scheme);
        self.learn(action, live.record.is_identical().then_some(payloads.len()));
        let ask = |member| {
            let count = self.ask(action, scheme, member, now)?;
            Some((member, Preprocess::Ask { scheme, count }))
        };
        members.into_iter().filter_map(ask).collect()
    }

    /// Remembers how this node's own run of an action went: how many payloads it signs, if all that it read must be
    /// identical everywhere; none otherwise.
    pub fn learn(&mut self, action: ActionId, payloads: Option<usize>) {
        match payloads {
            Some(payloads) => {
                if self.payloads.len() >= MAX_ACTIONS && !self.payloads.contains_key(&action) {
                    self.payloads.clear();
                }
                self.payloads.insert(action, payloads);
            }
            None => {
                self.payloads.remove(&action);
            }
        }
    }

    /// Commitments of each of these members for a run of an action, if its runs make use of them and there are enough.
    /// They are taken out: each is used once.
    pub fn draw(
        &mut self,
        action: ActionId,
        scheme: Scheme,
        members: &[Identifier],
    ) -> BTreeMap<Identifier, Vec<Commitments>> {
        let Some(payloads) = self.payloads.get(&action).copied() else { return BTreeMap::new() };
        let enough = |member: &Identifier| {
            self.of.get(&(*member, scheme)).is_some_and(|shelf| shelf.commitments.len() >= payloads)
        };
        if !members.iter().all(enough) {
            return BTreeMap::new();
        }
        let mut drawn = BTreeMap::new();
        for member in members {
            if let Some(shelf) = self.of.get_mut(&(*member, scheme)) {
                drawn.insert(*member, shelf.commitments.drain(..payloads).collect());
            }
        }
        drawn
    }

    /// How many commitments to ask a member for now, if any. Whoever is told so has asked.
    pub fn ask(&mut self, action: ActionId, scheme: Scheme, member: Identifier, now: Millis) -> Option<u16> {
        if !self.payloads.contains_key(&action) {
            return None;
        }
        let shelf = self.of.entry((member, scheme)).or_default();
        let waits = shelf.asked.is_some_and(|at| now < at.saturating_add(ASK_AGAIN_MS));
        if waits || shelf.commitments.len() > LOW {
            return None;
        }
        shelf.asked = Some(now);
        u16::try_from(MAX_BATCH).ok()
    }

    /// Takes what a member hands out, where it was asked. No more than a batch, and what is already there goes to
    /// whoever has it: one that hands out the same twice fools itself.
    pub fn put(&mut self, member: Identifier, scheme: Scheme, commitments: Vec<Commitments>) {
        let Some(shelf) = self.of.get_mut(&(member, scheme)) else { return };
        if shelf.asked.take().is_some() {
            shelf.commitments.extend(commitments.into_iter().take(MAX_BATCH));
        }
    }

    /// The most commitments of one member and scheme, and of how many actions it is known how they read.
    pub fn sizes(&self) -> (usize, usize) {
        let most = self.of.values().map(|shelf| shelf.commitments.len()).max().unwrap_or(0);
        (most, self.payloads.len())
    }

    /// A member is gone: after it comes back, it knows nothing of what it handed out.
    pub fn forget(&mut self, member: Identifier) {
        self.of.retain(|(of, _), _| *of != member);
    }
}
