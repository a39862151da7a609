//! The same in key generation. Whatever the relay changes, there are never two different root keys, nobody is blamed but the one in
//! whose name it spoke, and once it lets messages pass, the network has its keys and signs.
//!
//! Here the relay takes each message as it comes, and makes the first change that it has not made in any network yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use countersign_session::keygen::Message;
use countersign_testnet::relay::{Frame, Passage, Relay};
use countersign_types::{Identifier, NodePublicKey};
use countersign_wire::BackgroundFrame;
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    change::{Change, Seen, changes, place},
    locked,
    mind::unchanged,
};
use crate::{
    keygen::root_keys,
    support::{Running, made},
};

/// How many networks make their keys at least; at most, where by then some part has not been changed; and how many at once.
const NETWORKS: usize = 12;
const MOST_NETWORKS: usize = 24;
const AT_ONCE: usize = 3;
/// How long a network may take to have its keys.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// What an attempt goes through. Where one of these is changed, it fails, or waits until it is sent again.
const ROUNDS: [&str; 4] = ["start", "round-1", "echo", "round-2"];
/// What follows, and what ends an attempt: sent again until it is heard, or answered. What whoever missed the end is sent,
/// `activated`, passes seldom: it is changed where it does, and not waited for.
const LATER: [&str; 4] = ["abort", "refuse", "confirm", "activate"];
/// In how many attempts of a network rounds are changed: the pauses between attempts double.
const ATTEMPTS: usize = 3;
/// How many messages of an attempt's rounds are changed, of one kind.
const OF_A_ROUND: usize = 2;
/// How many later messages of each kind are changed in a network.
const OF_LATER: usize = 8;
/// The fewest changes that must have been made in all networks together.
const LEAST: usize = 80;

/// Parts that have no other legal value here.
const FIXED: [(&str, &str); 1] = [(
    "/KeyGeneration/Abort/complaint",
    "what a dealer signed that lies: the relay cannot sign, and the simulator's dealers do",
)];

/// What passed by in all networks, and what was made of it.
#[derive(Default)]
struct Ledger {
    seen: Seen,
    /// Of each kind of message the longest.
    samples: BTreeMap<&'static str, Value>,
    made: BTreeMap<&'static str, Vec<Change>>,
}

impl Ledger {
    /// A message with a change that no message of its kind has had; the message is noted in any case.
    fn next(&mut self, frame: &Frame, may: bool) -> Option<Frame> {
        let (label, value) = (frame.label(), frame.to_value().expect("frames are plain values"));
        let sample = self.samples.entry(label).or_insert_with(|| value.clone());
        if value.to_string().len() > sample.to_string().len() {
            *sample = value.clone();
        }
        let made = self.made.entry(label).or_default();
        let is_new = |change: &Change| {
            made.iter().all(|made| made.how != change.how || place(&made.at) != place(&change.at))
        };
        let change = may.then(|| changes(&value, &self.seen).into_iter().find(is_new)).flatten();
        let after = change.as_ref().and_then(|change| change.apply(&value, &self.seen));
        self.seen.note(&value);
        made.extend(after.is_some().then_some(change).flatten());
        after
    }

    /// The parts that have had no other value yet, and the kinds of messages that have not passed by.
    fn open(&self) -> BTreeSet<String> {
        let mut open = BTreeSet::new();
        for label in ROUNDS.into_iter().chain(LATER) {
            match (self.samples.get(label), self.made.get(label)) {
                (Some(sample), Some(made)) => open.extend(unchanged(sample, made.iter(), &FIXED)),
                _ => drop(open.insert(label.to_owned())),
            }
        }
        open
    }

    fn count(&self) -> usize {
        self.made.values().map(Vec::len).sum()
    }
}

/// What the relay of one network has done.
#[derive(Default)]
struct Course {
    /// The attempts so far, by number.
    attempts: BTreeSet<u64>,
    /// Which kind of round was changed in the last of them, and how often.
    spoilt: Option<(&'static str, usize)>,
    later: BTreeMap<&'static str, usize>,
    /// In whose name it spoke, to whom.
    spoke: BTreeSet<(NodePublicKey, NodePublicKey)>,
}

impl Course {
    fn change(&mut self, ledger: &Mutex<Ledger>, frame: &Frame, passage: &Passage) -> Option<Frame> {
        let Frame::Background(BackgroundFrame::KeyGeneration(message)) = frame else { return None };
        if let Message::Start { terms } = message
            && self.attempts.insert(terms.number)
        {
            self.spoilt = None;
        }
        let label = frame.label();
        let is_round = ROUNDS.contains(&label);
        let may = match self.spoilt {
            _ if !is_round => self.later.get(label).is_none_or(|made| *made < OF_LATER),
            _ if self.attempts.len() > ATTEMPTS => false,
            Some((kind, made)) => kind == label && made < OF_A_ROUND,
            None => true,
        };
        let after = locked(ledger).next(frame, may)?;
        if is_round {
            self.spoilt = Some((label, self.spoilt.map_or(1, |(_, made)| made + 1)));
        } else {
            *self.later.entry(label).or_default() += 1;
        }
        self.spoke.insert((passage.from, passage.to));
        Some(after)
    }
}

/// A network whose first node hears and is heard through the relay only.
struct Meddled {
    network: Running,
    _relay: Relay,
    course: Arc<Mutex<Course>>,
}

impl Meddled {
    async fn start(ledger: &Arc<Mutex<Ledger>>) -> Result<Self> {
        let mut network = made(3, 2)?;
        let course = Arc::new(Mutex::new(Course::default()));
        let changes = {
            let (ledger, course) = (Arc::clone(ledger), Arc::clone(&course));
            Box::new(move |frame: &Frame, passage: &Passage| locked(&course).change(&ledger, frame, passage))
        };
        let relay = Relay::start(&mut network, 0, &[1, 2], changes).await?;
        Ok(Self { network, _relay: relay, course })
    }

    /// Until it signs. Returns how often a node blamed another.
    async fn made_whole(mut self) -> Result<usize> {
        self.has_keys().await?;
        self.network.wait_ready().await?;
        root_keys(&self.network)?;
        let lock = self.network.time_lock().await?;
        for node in 0..self.network.nodes.len() {
            self.network.signed(node, &self.network.open_request(lock)?).await?;
        }
        let mut blamed = 0;
        for node in 0..self.network.nodes.len() {
            let log = self.network.nodes[node].log();
            // two signed words of one member that do not go together: nobody's, and the relay cannot sign
            ensure!(!log.contains("a member signed that it confirms"), "node {}: {log}", node + 1);
            let lines = log.lines().filter_map(|line| line.split_once("culprits=["));
            for (_, culprits) in lines {
                let culprits = culprits.split(']').next().unwrap_or_default();
                blamed += self.blames(node, culprits)?;
            }
        }
        self.network.no_panic()?;
        self.network.network.stop()?;
        Ok(blamed)
    }

    /// Waits for the keys of all nodes, and looks at what they say in the meantime.
    async fn has_keys(&self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        for node in 0..self.network.nodes.len() {
            loop {
                let says = match self.network.rpc.network(&self.network.nodes[node].api).await {
                    Ok(info) if info.root_keys.is_some() => break,
                    Ok(info) => info.not_ready.unwrap_or_default(),
                    Err(error) => error.to_string(),
                };
                if let Some((_, named)) = says.split_once("the protocol was broken by") {
                    self.blames(node, named)?;
                }
                ensure!(Instant::now() < until, "node {} has no keys: {says}", node + 1);
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Whom a node names, by identifier: only those in whose name the relay spoke to it.
    fn blames(&self, node: usize, named: &str) -> Result<usize> {
        let (committee, course) = (self.network.genesis.committee()?, locked(&self.course));
        let words = named.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
        let mut blamed = 0;
        for word in words {
            let culprit = Identifier::new(word.parse()?).and_then(|id| committee.member(id));
            let culprit = *culprit.with_context(|| format!("no member {word}"))?;
            let spoke = course.spoke.contains(&(culprit, self.network.nodes[node].public_key));
            ensure!(spoke, "node {} blames member {word}, who is honest: {named}", node + 1);
            blamed += 1;
        }
        Ok(blamed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_message_of_key_generation_makes_two_keys_or_a_culprit() -> Result<()> {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let (mut running, mut blamed) = (JoinSet::new(), 0);
    for number in 0..MOST_NETWORKS {
        if number >= NETWORKS && locked(&ledger).open().is_empty() {
            break;
        }
        if running.len() == AT_ONCE {
            blamed += running.join_next().await.context("they run")???;
        }
        // one after the other, so that no two take the same ports
        running.spawn(Meddled::start(&ledger).await?.made_whole());
    }
    while let Some(ended) = running.join_next().await {
        blamed += ended??;
    }
    let ledger = locked(&ledger);
    let made: BTreeMap<&str, usize> = ledger.made.iter().map(|(label, made)| (*label, made.len())).collect();
    println!("{} changes: {made:?}; {blamed} times somebody was blamed", ledger.count());
    let open = ledger.open();
    ensure!(open.is_empty(), "nothing changes {open:?}");
    ensure!(ledger.count() >= LEAST, "only {} changes", ledger.count());
    // else nothing shows that what nodes say was read
    ensure!(blamed > 0, "nobody was ever blamed");
    Ok(())
}
