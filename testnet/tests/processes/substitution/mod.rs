//! A dishonest relay changes each part of each message between a coordinator and two members in turn, one of which must sign.
//!
//! The relay has everybody's keys, so it is what a man in the middle could be at worst. Whatever it does: members give shares for
//! the original message only, and none at all for a package that was changed; the caller gets the right signature or a
//! failure; and nobody is blamed but the one in whose name the relay spoke.
//!
//! So in sessions. What members say besides, it changes too: in [`keys`], [`actions`], [`blocks`] and [`hellos`].

mod actions;
mod blocks;
mod change;
mod hellos;
mod keys;
mod mind;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use countersign_client::{LocalSigner, Trust, sign_request};
use countersign_network::Lane;
use countersign_testnet::{
    demonstrations::{
        Stage as Prepared, key_spec, key_spec_of, one_token, prepare, price_config, request, token_config,
        verify_with,
    },
    node::Node,
    relay::{Frame, Passage, Relay},
    wire::{self, Event, Log, Tail, Way},
};
use countersign_types::{
    B256, Bytes, Decision, KeySpec, NodeDecision, Request, Scheme, SignedRequest, api::SignResponse,
};
use countersign_wire::SigningFrame;
use tokio::time::sleep;

use self::{
    change::{Change, HOW, How},
    mind::{Done, Mind, Order},
};
use crate::support::{Running, made};

/// How long a session may take: what fails in every attempt ends then.
const DEADLINE_MS: u64 = 3_500;
/// How many requests may go by, at least, until a message comes that has the part: commitments in advance go in batches.
const TRIES: usize = 400;
/// And how long it may take: a member that lets the coordinator wait for commitments is asked again after two seconds, in which
/// a fast machine signs more requests than that.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a member says that turns a coordinator's requests away unchecked.
const UNCHECKED: &str = "that their callers did not sign";
/// The node that is asked. All others stand behind the relay.
const COORDINATOR: usize = 0;
const NODES: u16 = 3;

/// A change that does no harm: the member may give its share all the same.
struct Harmless {
    /// The part, and what it holds; `#` is the coordinator.
    at: &'static str,
    /// In which ways.
    how: &'static [How],
    why: &'static str,
}

/// Every other change of a package must cost the member's share.
const HARMLESS: [Harmless; 7] = [
    Harmless {
        at: "/ToParticipant/Sign/send_verdict",
        how: &HOW,
        why: "it says only whether the answer is to carry the verdict as well",
    },
    Harmless {
        at: "/ToParticipant/Sign/package/signers/#",
        how: &[How::Other, How::Earlier],
        why: OWN_COMMITMENTS,
    },
    Harmless {
        at: "/ToParticipant/Propose/eager/signers/#",
        how: &[How::Other, How::Earlier],
        why: OWN_COMMITMENTS,
    },
    Harmless {
        at: "/ToParticipant/Propose/terms/time_ms",
        how: &HOW,
        why: "the coordinator's to choose: what is signed in that session is the original message too",
    },
    Harmless { at: "/ToParticipant/Propose/eager/signers", how: &[How::Earlier], why: UNUSED },
    Harmless {
        at: "/ToParticipant/Propose/eager/signers",
        how: &[How::More],
        why: "another member as a signer: the coordinator might have chosen it",
    },
    Harmless { at: "/ToParticipant/Propose/eager", how: &[How::Earlier], why: UNUSED },
];
const OWN_COMMITMENTS: &str = "the coordinator's own commitments, which are its own to choose: the share is for the original \
                               message, in a package that nobody else has, and of no use to anybody";
const UNUSED: &str =
    "what an earlier proposal brought and the member did not use: the coordinator might have chosen it now";

/// Parts that have no other legal value in these messages, and why.
const FIXED: [(&str, &str); 5] = [
    (
        "/ToParticipant/Propose/eager",
        "where it is empty: only actions over equal reads have one, and theirs is changed",
    ),
    (
        "/ToParticipant/Propose/terms/pins",
        "where it is empty: an action that reads no chain has none, and others' are changed",
    ),
    ("/ToParticipant/Propose/request/request/key/options/finality", "there is one"),
    ("/ToParticipant/Propose/request/request/callers/*/kind", "there is one"),
    ("/ToCoordinator/Signed/verdict", "the coordinator asks its own node for it"),
];

struct Stage {
    network: Running,
    _relay: Relay,
    mind: Arc<Mutex<Mind>>,
    trust: Trust,
    key: KeySpec,
    caller: LocalSigner,
    /// What is signed, and the hash of that outcome.
    contents: Vec<Bytes>,
    outcomes: BTreeSet<B256>,
    /// What the members write to their wire logs, and what the coordinator does.
    tails: Vec<Tail>,
    right: Tail,
    /// Which members' commitments in advance the relay has changed: it may be found out in any later session.
    handed_out: BTreeSet<String>,
    /// The packages that the coordinator has sent.
    sent: BTreeSet<B256>,
    /// The packages that the relay made of others.
    changed: BTreeSet<B256>,
}

impl Stage {
    /// A network whose members hear the coordinator through the relay only, which changes messages of a lane.
    async fn start(lane: Lane) -> Result<(Running, Prepared, Relay, Arc<Mutex<Mind>>)> {
        let mut network = made(NODES, 2)?;
        network.start_chain().await?;
        network.start_outside().await?;
        let mind = Arc::new(Mutex::new(Mind::of(lane)));
        let changes = {
            let mind = Arc::clone(&mind);
            Box::new(move |frame: &Frame, passage: &Passage| locked(&mind).change(frame, passage))
        };
        let relay = Relay::start(&mut network, COORDINATOR, &[1, 2], changes).await?;
        network.wait_ready().await?;
        let prepared = prepare(&network).await?;
        // what is published may take longer than a session is to
        let mut config = network.nodes[COORDINATOR].config()?;
        config.api.deadline_ms = DEADLINE_MS;
        network.nodes[COORDINATOR].write_config(&config)?;
        network.restart(COORDINATOR)?;
        network.wait_ready().await?;
        Ok((network, prepared, relay, mind))
    }

    async fn begin(
        network: Running,
        (relay, mind): (Relay, Arc<Mutex<Mind>>),
        key: KeySpec,
        caller: LocalSigner,
    ) -> Result<Self> {
        let trust = network.trust().await?;
        let tail = |node: &Node| Ok(Tail::new(&node.wire_log())?);
        let tails = network.nodes[COORDINATOR + 1..].iter().map(tail).collect::<Result<Vec<_>>>()?;
        let right = tail(&network.nodes[COORDINATOR])?;
        let (contents, outcomes, handed_out, sent, changed) = Default::default();
        let mut stage = Self {
            network,
            _relay: relay,
            mind,
            trust,
            key,
            caller,
            contents,
            outcomes,
            tails,
            right,
            handed_out,
            sent,
            changed,
        };
        // undisturbed: what is right
        for _ in 0..6 {
            let answer = stage.undisturbed().await?;
            stage.outcomes.extend(answer.votes.iter().map(|signer| signer.vote.vote.outcome.0));
            let contents = answer.signatures.iter().map(|signed| signed.content.clone()).collect();
            ensure!(
                stage.contents.is_empty() || stage.contents == contents,
                "the message is another each time"
            );
            stage.contents = contents;
        }
        stage.learn()?;
        ensure!(!stage.outcomes.is_empty(), "nothing has been signed");
        Ok(stage)
    }

    /// A signature without the relay's doing. A node that has just started may not see its chain yet.
    async fn undisturbed(&self) -> Result<SignResponse> {
        let mut last = String::new();
        for _ in 0..TRIES {
            let answer = self.network.ask(COORDINATOR, &self.request()?).await?;
            if answer.status == 200 {
                return answer.signed();
            }
            last = answer.body;
            sleep(Duration::from_millis(250)).await;
        }
        bail!("undisturbed, and not signed: {last}")
    }

    fn request(&self) -> Result<SignedRequest> {
        let signed = request(&self.network, self.key.clone(), Bytes::from_static(b"hello"), &self.caller)?;
        let coordinator = self.network.nodes[COORDINATOR].public_key.address();
        Ok(sign_request(Request { coordinators: vec![coordinator], ..signed.request }, &[&self.caller])?)
    }

    /// Carries out orders with one request; says what of them was done, and whether the caller got its signature.
    async fn disturb(&mut self, orders: &[Order]) -> Result<(Vec<Done>, bool)> {
        {
            let mut mind = locked(&self.mind);
            mind.orders = orders.to_vec();
            mind.done.clear();
        }
        let request = self.request()?;
        let answer = self.network.ask(COORDINATOR, &request).await?;
        let done = {
            let mut mind = locked(&self.mind);
            mind.orders.clear();
            std::mem::take(&mut mind.done)
        };
        let signed = answer.status == 200;
        let nodes = if signed {
            let answer = answer.signed()?;
            verify_with(&self.trust, &request, &answer)?;
            let contents: Vec<Bytes> =
                answer.signatures.iter().map(|signed| signed.content.clone()).collect();
            ensure!(contents == self.contents, "another message was signed");
            self.outcomes.extend(answer.votes.iter().map(|signer| signer.vote.vote.outcome.0));
            answer.nodes
        } else {
            answer.problem().with_context(|| answer.body.clone())?.nodes
        };
        self.blame(&done, &nodes)?;
        self.shares(&done)?;
        // a member that has seen many bad signatures looks at none for a second: then nothing was shown
        if nodes.iter().filter_map(|said| said.reason.as_ref()).any(|reason| reason.contains(UNCHECKED)) {
            sleep(Duration::from_secs(1)).await;
            return Ok((Vec::new(), signed));
        }
        Ok((done, signed))
    }

    /// Whom the coordinator blames: only members in whose name the relay spoke.
    fn blame(&mut self, done: &[Done], nodes: &[NodeDecision]) -> Result<()> {
        let mut spoke = BTreeSet::new();
        for done in done {
            let peer = done.passage.member.peer_id();
            match &done.after {
                Frame::Signing(SigningFrame::Preprocess(_)) => drop(self.handed_out.insert(peer)),
                Frame::Signing(SigningFrame::ToCoordinator(_)) => drop(spoke.insert(peer)),
                Frame::Signing(SigningFrame::ToParticipant(_))
                    if self.harmless(&done.order.change).is_some() =>
                {
                    spoke.insert(peer);
                }
                Frame::Signing(SigningFrame::ToParticipant(_)) | Frame::Background(_) => {}
            }
        }
        for said in nodes.iter().filter(|said| said.decision == Decision::Misbehaved) {
            let in_its_name = spoke.contains(&said.peer_id) || self.handed_out.contains(&said.peer_id);
            ensure!(in_its_name, "one that is honest is blamed: {said:?}");
        }
        Ok(())
    }

    /// What is right is what the coordinator's own node signs, which no relay stands before, and what is behind a signature
    /// that the caller has checked: an outcome tells the caller of the block, or the price, of the time.
    fn learn(&mut self) -> Result<()> {
        for line in self.right.lines()?.into_iter().filter(|line| line.way == Way::Sent) {
            if let Event::Signed { outcome, .. } = line.event {
                self.outcomes.insert(outcome);
            } else if let Event::Sign(sent) | Event::Propose { eager: Some(sent), .. } = line.event {
                self.sent.insert(sent.package);
            }
        }
        Ok(())
    }

    /// Checks what members gave shares for, late ones too: no other message, and none of the packages that were changed.
    fn given(&mut self) -> Result<()> {
        self.learn()?;
        for tail in &mut self.tails {
            for line in tail.lines()? {
                if let (Way::Sent, Event::Signed { package, outcome, .. }) = (line.way, line.event) {
                    ensure!(self.outcomes.contains(&outcome), "a share for another message");
                    ensure!(!self.changed.contains(&package), "a share for a package that was changed");
                }
            }
        }
        Ok(())
    }

    /// Checks the shares that came of what the relay did.
    fn shares(&mut self, done: &[Done]) -> Result<()> {
        // a line is written before its message leaves
        self.learn()?;
        let id = self.network.genesis.network_id();
        let changed = done.iter().filter_map(|one| {
            let harmless = self.harmless(&one.order.change).is_some();
            let package = one.after.package(id).filter(|_| !harmless)?;
            if one.before.package(id) != Some(package) {
                // one of the coordinator's that is sent again, or late, may be signed as it was meant to be
                return (!self.sent.contains(&package)).then_some(package);
            }
            // records' signatures are no part of a package's hash: the original may come later, where more goes wrong
            (done.len() == 1).then_some(package)
        });
        let changed: Vec<B256> = changed.collect();
        self.changed.extend(changed);
        self.given()
    }

    /// Every change of every part of messages of these kinds, each with a request of its own, after these other orders.
    async fn all(&mut self, labels: &[&'static str], first: &[Order], report: &mut Report) -> Result<()> {
        for label in labels {
            let found = locked(&self.mind).changes(label, &FIXED)?;
            for change in found {
                let orders = [first, &[Order { label, change: change.clone() }]].concat();
                let context = || format!("{label} {} ({:?})", change.at, change.how);
                let (mut tries, began) = (0, Instant::now());
                let signed = loop {
                    let (done, signed) = self.disturb(&orders).await.with_context(context)?;
                    if done.len() == orders.len() {
                        break signed;
                    }
                    tries += 1;
                    ensure!(
                        tries < TRIES || began.elapsed() < PATIENCE,
                        "{}: no such message came: {} of {}",
                        context(),
                        done.len(),
                        orders.len()
                    );
                };
                report.add(label, signed);
            }
        }
        Ok(())
    }

    /// Why a change does no harm; none where it does.
    fn harmless(&self, change: &Change) -> Option<&'static str> {
        let of = |harmless: &&Harmless| {
            let at = harmless.at.replace('#', &identifier(&self.network, COORDINATOR));
            let inside = change.at == at || change.at.starts_with(&format!("{at}/"));
            inside && harmless.how.contains(&change.how)
        };
        HARMLESS.iter().find(of).map(|harmless| harmless.why)
    }

    /// Ends all, and checks what was on the wires, but that messages arrived as they were sent.
    fn end(mut self) -> Result<wire::Summary> {
        self.given()?;
        self.network.no_panic()?;
        self.network.network.stop()?;
        let logs =
            self.network.nodes.iter().map(|node| Log::read(&node.wire_log())).collect::<Result<Vec<_>>>()?;
        Ok(wire::check::nonces(&logs)?)
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The identifier of a node, as it stands in messages.
fn identifier(network: &Running, node: usize) -> String {
    let committee = network.genesis.committee().expect("it makes one");
    committee.identifier(&network.nodes[node].public_key).expect("a member").to_string()
}

/// How many changes were made, and after how many of them the caller still got its signature.
#[derive(Debug, Default)]
struct Report(BTreeMap<&'static str, (usize, usize)>);

impl Report {
    fn add(&mut self, label: &'static str, signed: bool) {
        let (changes, signatures) = self.0.entry(label).or_default();
        *changes += 1;
        *signatures += usize::from(signed);
    }
}

/// A balance at a pinned block: one round where it can be, else two.
#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_message_over_equal_reads_can_be_changed() -> Result<()> {
    let (network, prepared, relay, mind) = Stage::start(Lane::Signing).await?;
    let key = key_spec(prepared.balance_gate, &token_config(network.token()?, one_token()));
    let mut stage = Stage::begin(network, (relay, mind), key, prepared.alice).await?;
    let mut report = Report::default();
    // last what is used in later sessions
    stage.all(&["eager", "signed", "ask", "hand-out"], &[], &mut report).await?;
    println!("changes, and signatures all the same: {report:?}");
    println!("{:?}", stage.end()?);
    Ok(())
}

/// A number that each node reads for itself, within a tolerance: two rounds, signed records, and further attempts.
#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_message_over_agreed_reads_can_be_changed() -> Result<()> {
    let (network, prepared, relay, mind) = Stage::start(Lane::Signing).await?;
    let key = key_spec_of(Scheme::Bip340, prepared.price_gate, &price_config(60_000, 50));
    let mut stage = Stage::begin(network, (relay, mind), key, prepared.alice).await?;
    let mut report = Report::default();
    stage.all(&["propose", "observed", "sign", "signed", "close"], &[], &mut report).await?;
    // a first attempt that the member declines leads to a second
    let at = format!("/ToParticipant/Sign/package/signatures/{}", identifier(&stage.network, COORDINATOR));
    let spoilt = Order { label: "sign", change: Change { at, how: How::Other } };
    let (done, _) = stage.disturb(std::slice::from_ref(&spoilt)).await?;
    ensure!(done.len() == 1, "nothing was spoilt");
    stage.all(&["commit", "committed", "declined"], &[spoilt], &mut report).await?;
    println!("changes, and signatures all the same: {report:?}");
    println!("{:?}", stage.end()?);
    Ok(())
}
